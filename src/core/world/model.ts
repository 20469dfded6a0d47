/** What goes into a scripted world and what comes out: see `../scripted-world.ts`. */
import type { Json, JsonObject } from "../../base/json.ts";
import type { CoreEvent } from "../../event/core-event.ts";
import type { DeedError } from "../../event/error.ts";
import type { Completion, RequestCommand } from "../decision.ts";
import type { Program } from "../program.ts";
import type { WorkflowState } from "../state.ts";

/** What a tool does with a command. Times are of the world's clock. */
export type ScriptedOutcome = (
  | { readonly does: "succeed"; readonly result: Json }
  | { readonly does: "fail"; readonly error: DeedError }
  /** Gives no answer, unless it is cancelled or its time is up. */
  | { readonly does: "hang" }
) & {
  /** Default 10; with a seed between 1 and 1,000. */
  readonly afterMs?: number;
  /** A tool that is asked to stop does so, unless it is one that cannot. */
  readonly cancel?: "stops" | "ignored";
};

export type Asked = {
  readonly command: RequestCommand;
  readonly executionId: string;
  readonly program: Program;
  readonly nowMs: number;
};

/** Says what the tool of a command does. A playbook that `children` has is not asked for: it is run. */
export type Script = (asked: Asked) => ScriptedOutcome;

export type WorldInput = {
  readonly afterMs: number;
  readonly type: "execution.cancel_requested" | "execution.paused" | "execution.resumed";
  readonly reason?: string;
};

export type WorldOptions = {
  readonly program: Program;
  /** Programs that kind `playbook` finds, by path. */
  readonly children?: ReadonlyMap<string, Program>;
  readonly payload?: JsonObject;
  readonly env?: JsonObject;
  /** What happens to the execution from outside. */
  readonly inputs?: readonly WorldInput[];
  readonly seed?: string;
  /** Default 2026-01-01T00:00:00Z. */
  readonly startMs?: number;
  /** Decimal; children count on from it. */
  readonly executionId?: string;
  /** Events of all executions together. */
  readonly eventsMax?: number;
};

/**
 * `waiting`: only tools that give no answer, or a pause, are awaited. `stuck`: nothing is awaited, and the
 * execution has not ended, which is a fault of the core. `unbounded`: it had not ended after `eventsMax` events.
 */
export type Ending = "completed" | "failed" | "cancelled" | "waiting" | "stuck" | "unbounded";

export type ExecutionRun = {
  readonly executionId: string;
  readonly program: Program;
  /** Every event in the order of its recording: inputs, lifecycle events, decisions. */
  readonly history: readonly CoreEvent[];
  readonly commands: readonly RequestCommand[];
  /** The data of each step that completed, by name: that of its last activation. */
  readonly data: ReadonlyMap<string, Json>;
  readonly state: WorkflowState;
  readonly completion?: Completion;
};

export type WorldRun = {
  readonly ending: Ending;
  readonly main: ExecutionRun;
  /** In the order of their start. */
  readonly children: readonly ExecutionRun[];
};
