/** The shape of a compiled playbook. Never changed once compiled. */
import type { Playbook } from "../playbook.ts";
import type { Condition, Template, ValueTemplate } from "../template.ts";
import type { Reach } from "./graph.ts";

export type Program = {
  readonly playbook: Playbook;
  /** `deed/v1`: undefined is an error, and errors have the words of our taxonomy. */
  readonly strict: boolean;
  /** In the order of the file; a step's index is its place here. */
  readonly steps: readonly StepProgram[];
  readonly stepIndex: ReadonlyMap<string, number>;
  readonly entry: number;
  /** Rendered once, at start, each over the payload and the others. */
  readonly workload: readonly NamedValue[];
  readonly output?: ValueTemplate;
  /** The credential of each name of the keychain that has another one. */
  readonly keychain: { readonly [name: string]: string };
  readonly reach: Reach;
  /** Names that any template reads: the data of a step that nobody names is not kept. */
  readonly reads: ReadonlySet<string>;
};

export type NamedValue = { readonly name: string; readonly value: ValueTemplate };

export type StepProgram = {
  readonly index: number;
  readonly name: string;
  readonly admit: readonly AdmitProgram[];
  readonly loop?: LoopProgram;
  readonly tasks: readonly TaskProgram[];
  readonly taskIndex: ReadonlyMap<string, number>;
  readonly pipeline: boolean;
  readonly set: readonly AssignProgram[];
  readonly arcs: readonly ArcProgram[];
  readonly exclusive: boolean;
  readonly failWithoutMatch: boolean;
  readonly output?: ValueTemplate;
  readonly timeoutMs?: number;
  /** More than one arc leads here: what arrives waits for what can still arrive. */
  readonly join: boolean;
  /** A template names this step. */
  readonly read: boolean;
  /** The data of each task is kept by name while the step lives: a pipeline that somebody looks into. */
  readonly keepsTasks: boolean;
  /** All of its tools are `noop`: it gives no data of its own. */
  readonly noop: boolean;
};

export type AdmitProgram = { readonly when?: Condition; readonly allow: boolean };

export type TaskProgram = {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly config: ValueTemplate;
  readonly input: ValueTemplate;
  /** Where in the arguments a string names the keychain: left as written, for the executor alone. */
  readonly secrets: readonly (readonly (string | number)[])[];
  readonly set: readonly AssignProgram[];
  readonly rules: readonly RuleProgram[];
  readonly timeoutSec?: NumberProgram;
};

export type RuleProgram = { readonly when?: Condition; readonly then: ConsequenceProgram };

export type ConsequenceProgram = { readonly set: readonly AssignProgram[] } & (
  | { readonly do: "continue" | "fail" | "break" }
  | { readonly do: "jump"; readonly to: string }
  | {
      readonly do: "retry";
      readonly attempts: NumberProgram;
      readonly backoff: "none" | "fixed" | "linear" | "exponential";
      readonly delaySec: NumberProgram;
      readonly delayMaxSec?: NumberProgram;
    }
);

/** A number, or a template that gives one. */
export type NumberProgram = number | Template;

export type AssignProgram = {
  readonly scope: "ctx" | "iter" | "step";
  readonly path: readonly string[];
  readonly value: ValueTemplate;
  /** As written, for messages: `ctx.page`. */
  readonly name: string;
};

export type ArcProgram = {
  readonly to: string;
  readonly when?: Condition;
  readonly set: readonly AssignProgram[];
};

export type LoopProgram = { readonly iterator: string; readonly maxInFlight: NumberProgram } & (
  | { readonly mode: "list"; readonly in: ValueTemplate }
  | {
      readonly mode: "cursor";
      readonly kind: string;
      readonly config: ValueTemplate;
      readonly secrets: readonly (readonly (string | number)[])[];
      readonly rowsMax: NumberProgram;
    }
);

/** Why a playbook cannot be run: where in it, what was wrong, and in a template the offset. */
export type ProgramProblem = {
  /** Members and indexes from the top of the model: `["steps", 2, "tasks", 0, "config", "url"]`. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** In the template's source. */
  readonly at?: number;
};
