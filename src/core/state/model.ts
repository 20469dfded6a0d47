/** The shape of an execution's state. Mutable: whoever drives a state owns it. */
import type { Json, JsonObject } from "../../base/json.ts";
import type { DeedError } from "../../event/error.ts";
import type { FailedStep, SetValue, TimerRequest } from "../decision.ts";

export type WorkflowState = {
  readonly executionId: string;
  status: "new" | "running" | "completed" | "failed" | "cancelled";
  /** The time of the input that was folded last, milliseconds since the Unix epoch. */
  nowMs: number;
  paused: boolean;
  /** Set once nothing new may be dispatched: what runs is awaited, then comes the terminal event. */
  drain?: Drain;
  /** The step that an execution begins at which is run again from there; until it has begun. */
  restartAt?: string;
  /** The step whose data is the result. */
  returnStep?: string;
  payload: JsonObject;
  env: JsonObject;
  workload: JsonObject;
  ctx: JsonObject;
  /** How often each step was entered, by index. */
  readonly entered: number[];
  enteredTotal: number;
  /** Live activations, in the order of their entering. */
  readonly live: Map<string, Activation>;
  /** Joins that something arrived at and something can still arrive at: step index → what the arcs set. */
  readonly joins: Map<number, SetValue[]>;
  /** What is to be decided, in order. */
  agenda: AgendaItem[];
  /** How many of `agenda`, from its front, are done: taking one from the front moves nothing. */
  agendaDone: number;
  readonly timers: Map<string, Timer>;
  /** Data of completed steps that a template names. */
  readonly data: Map<string, StepData>;
  /** The data of the step that completed last, unless it was a noop. */
  last: Json;
  readonly failed: FailedStep[];
  /** Of a completed execution. */
  result: Json;
  /** Derived: how many live activations each step has, how many commands have no result yet. */
  readonly liveOf: number[];
  openCount: number;
};

export type Drain =
  | { readonly why: "failed" }
  | { readonly why: "cancelled"; readonly reason: string }
  | { readonly why: "timeout"; readonly error: DeedError };

/** One entering of a step, until it completed, was skipped, or failed and nothing of it runs any more. */
export type Activation = {
  readonly key: string;
  /** Index of the step. */
  readonly step: number;
  readonly number: number;
  /** It has a timeout. */
  readonly timed: boolean;
  /** `entered`: not yet admitted. `failed`: only awaits what still runs. */
  phase: "entered" | "open" | "ended" | "failed";
  readonly runs: Map<string, Run>;
  loop?: LoopState;
  /** `iter` values outside a loop, and what the arcs that led here set. */
  iter: JsonObject;
  /** `step` values: one set for all iterations. */
  stepValues: JsonObject;
  /** Once ended: the result of its last task; none after a loop. */
  outcome?: Outcome;
  /** Once ended without a rule that handled it. */
  failure?: DeedError;
  /** Data of its tasks, where somebody may read it. */
  tasks: JsonObject;
};

/** One item's way through the tasks of a step; a step without a loop has one, named `-`. */
export type Run = {
  readonly item: string;
  /** Of a loop. */
  readonly index: number;
  readonly value: Json;
  /** `ready`: to be dispatched. `open`: a command has no result. `judged`: a rule decides. `waiting`: a timer. */
  phase: "ready" | "open" | "judged" | "waiting";
  task: number;
  /** Attempts of the task since it was entered. */
  tries: number;
  /** Commands of each task, for keys: never goes back. */
  readonly issued: Record<string, number>;
  jumps: number;
  issuedAtMs: number;
  iter: JsonObject;
  /** The result of the task that ended last: what `output` is made of. */
  outcome?: Outcome;
  /** Data of tasks by name, where somebody may read it. */
  tasks: JsonObject;
  cancelling?: boolean;
};

/** What a task gave. */
export type Outcome = {
  readonly kind: string;
  readonly attempt: number;
  readonly durationMs: number;
} & (
  { readonly ok: true; readonly data: Json } | { readonly ok: false; readonly error: DeedError }
);

export type LoopState = {
  readonly maxInFlight: number;
  /** Items of a list; rows that were claimed and are not begun. */
  items: readonly Json[];
  /** Where in `items` the next iteration comes from. */
  next: number;
  /** Iterations begun so far: the index of the next one. */
  begun: number;
  /** Of iterations that ended, by index; null until then. */
  readonly results: Json[];
  success: number;
  handled: number;
  failure?: DeedError;
  cursor?: CursorState;
};

export type CursorState = {
  /** Claims asked for so far. */
  claims: number;
  /** `ready`: to be dispatched. `open`: asked. `idle`: none is needed now. */
  phase: "ready" | "open" | "idle";
  /** The last claim gave no row. */
  dry: boolean;
  /** Iterations that had ended when the last claim was asked for. */
  endedBefore: number;
  cancelling?: boolean;
};

export type StepData = {
  readonly data: Json;
  /** `<step>.results.<task>` of a pipeline. */
  readonly tasks?: JsonObject;
};

export type AgendaItem =
  | { readonly do: "start" }
  | { readonly do: "admit" | "claim" | "complete" | "time_out"; readonly activation: string }
  | {
      readonly do: "dispatch" | "judge" | "cancel";
      readonly activation: string;
      readonly item: string;
    };

export type Timer = TimerRequest & {
  readonly wakes:
    | { readonly what: "execution" }
    | { readonly what: "step"; readonly activation: string }
    | { readonly what: "retry"; readonly activation: string; readonly item: string };
};

/** The item of a step without a loop. */
export const onlyItem = "-";

/** The item of a cursor's n-th claim, and the task that its command carries. */
export function claimItem(claim: number): string {
  return `claim-${String(claim)}`;
}

export const claimTask = "claim";
