/**
 * A playbook as the core sees it: one shape for `noetl.io/v2` and `deed/v1`, whatever spelling a file used.
 *
 * Plain JSON with templates still in its strings: the model can be hashed, stored and sent. Positions in the
 * file are kept beside it by the parser, never in it.
 */
import type { Json, JsonObject } from "../base/json.ts";

export type ApiVersion = "noetl.io/v2" | "deed/v1";

export type Playbook = {
  /** `deed/v1`: an undefined value in a template is an error. `noetl.io/v2`: it renders as null. */
  readonly apiVersion: ApiVersion;
  readonly name: string;
  /** Where the catalog knows it: `metadata.path`, else its name. */
  readonly path: string;
  readonly description?: string;
  /** Default inputs. The start payload is merged over them, member by member; values may be templates. */
  readonly workload: JsonObject;
  /** The one step that an execution begins with. */
  readonly entry: string;
  /** In the order of the file. */
  readonly steps: readonly Step[];
  /** Credentials by alias, as the file has them: resolved in executors only. */
  readonly keychain: readonly JsonObject[];
  /** What the execution gives, a template; else the data of the step that completed last. */
  readonly output?: Json;
  /** The whole execution ends as failed after this time. */
  readonly timeoutMs?: number;
};

export type Step = {
  readonly name: string;
  readonly desc?: string;
  /** First rule that holds says whether the step is entered; none holds: it is. A step's own `when` is one rule. */
  readonly admit: readonly AdmitRule[];
  readonly loop?: Loop;
  /** >= 1, in order. A single tool is a pipeline of one, named as the step. */
  readonly tasks: readonly Task[];
  /** True where the file has a list: only then are there `<step>.results.<task>`. */
  readonly pipeline: boolean;
  /** Applied in order when the step completes, before its arcs are decided. */
  readonly set: readonly Assignment[];
  readonly next: Next;
  /** Replaces the step's data, a template over its `output`. */
  readonly output?: Json;
  readonly timeoutMs?: number;
};

export type AdmitRule = { readonly when?: Condition; readonly allow: boolean };

/** The text of a condition: `{{ expr }}` or a bare expression. */
export type Condition = string;

export type Task = {
  readonly name: string;
  /** `python`, `http`, `postgres`, `playbook`, `noop`, …; `workbook` is already replaced by what it names. */
  readonly kind: string;
  /** The tool's own members in their one spelling (`url`, `query`, `auth`, `code`, …), templates in them. */
  readonly config: JsonObject;
  /** Step-level input merged over the tool's, templates in it. */
  readonly input: JsonObject;
  /** Applied when the task succeeds; here `output` is the task's data itself. */
  readonly set: readonly Assignment[];
  /** First that holds decides. None: an error fails, a success continues. */
  readonly rules: readonly PolicyRule[];
  /** A number of seconds, or a template that gives one. */
  readonly timeoutSec?: number | string;
};

export type PolicyRule = {
  /** Undefined: `else`. */
  readonly when?: Condition;
  readonly then: Consequence;
};

export type Consequence = {
  readonly set: readonly Assignment[];
} & (
  | { readonly do: "continue" | "fail" | "break" }
  | { readonly do: "jump"; readonly to: string }
  | {
      readonly do: "retry";
      /** All attempts, the first included. */
      readonly attempts: number | string;
      readonly backoff: "none" | "fixed" | "linear" | "exponential";
      /** The first delay, seconds. */
      readonly delaySec: number | string;
      readonly delayMaxSec?: number | string;
    }
);

/** `ctx.a.b: value`. Without a prefix the scope is `iter`: it ends with the step, or with the iteration. */
export type Assignment = {
  readonly scope: "ctx" | "iter" | "step";
  readonly path: readonly string[];
  readonly value: Json;
};

export type Next = {
  readonly mode: "exclusive" | "inclusive";
  readonly onNoMatch: "end" | "fail";
  readonly arcs: readonly Arc[];
};

export type Arc = {
  readonly to: string;
  readonly when?: Condition;
  /** Applied where the arc is taken. */
  readonly set: readonly Assignment[];
};

export type Loop = {
  readonly iterator: string;
  /** A number, or a template that gives one. */
  readonly maxInFlight: number | string;
} & (
  | { readonly mode: "sequential" | "parallel"; readonly in: Json }
  | { readonly mode: "cursor"; readonly cursor: Cursor }
);

/** Claims rows again and again, runs the body for each, until a claim gives none. */
export type Cursor = {
  /** The tool that claims: `postgres`, … */
  readonly kind: string;
  /** Its members; `query` is the claim. */
  readonly config: JsonObject;
  /** Rows one claim may give, a number or a template. */
  readonly rowsMax: number | string;
};
