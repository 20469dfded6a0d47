/** Folds what comes from outside: requests, results of actions and of children, timers, cancel and pause. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { CoreEvent } from "../../event/core-event.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { Place } from "../decision.ts";
import type { Program, TaskProgram } from "../program/model.ts";
import { done, push } from "./agenda.ts";
import { activationKey, drain, stepOf } from "./live.ts";
import {
  claimItem,
  claimTask,
  type Activation,
  type Outcome,
  type Run,
  type WorkflowState,
} from "./model.ts";
import { advanceLoop, claimed, ended, ready, settle } from "./progress.ts";
import { errorOf, placeOf, timeOf } from "./read.ts";

/** An input with its time read. */
export type Input = { readonly event: CoreEvent; readonly atMs: number };

/** @returns false where the event is none that this state waits for: then nothing has changed. */
export function foldInput(state: WorkflowState, program: Program, event: CoreEvent): boolean {
  const atMs = timeOf(event);
  if (atMs === undefined) return false;
  if (event.execution_id !== state.executionId) {
    return (
      event.parent_execution_id === state.executionId && foldChild(state, program, { event, atMs })
    );
  }
  switch (event.event_type) {
    case "execution.requested":
      return requested(state, { event, atMs });
    case "execution.cancel_requested":
      return cancelRequested(state, { event, atMs });
    case "execution.paused":
    case "execution.resumed":
      return paused(state, { event, atMs });
    case "timer.fired":
      return timerFired(state, program, { event, atMs });
    case "action.succeeded":
    case "action.failed":
    case "action.cancelled":
      return foldResult(state, program, { event, atMs });
    default:
      return false;
  }
}

/** The terminal event of a sub-playbook is the result of the command that asked for it. */
function foldChild(state: WorkflowState, program: Program, input: Input): boolean {
  switch (input.event.event_type) {
    case "execution.completed":
    case "execution.failed":
    case "execution.cancelled":
      return foldResult(state, program, input);
    default:
      return false;
  }
}

function requested(state: WorkflowState, { event, atMs }: Input): boolean {
  if (state.status !== "new") return false;
  const { payload, env, restart, return_step: returnStep } = event.context ?? {};
  state.status = "running";
  state.nowMs = atMs;
  state.payload = isJsonObject(payload) ? payload : {};
  state.env = isJsonObject(env) ? env : {};
  if (typeof returnStep === "string") state.returnStep = returnStep;
  if (isJsonObject(restart)) restarted(state, restart);
  push(state, { do: "start" });
  return true;
}

/** What the execution that is run again knew when it came to the step. Its workload lies under the payload. */
function restarted(state: WorkflowState, { step, workload, ctx, steps }: JsonObject): void {
  if (typeof step !== "string") return;
  state.restartAt = step;
  state.workload = { ...(isJsonObject(workload) ? workload : {}), ...state.payload };
  state.ctx = isJsonObject(ctx) ? ctx : {};
  for (const [name, known] of Object.entries(isJsonObject(steps) ? steps : {})) {
    if (known === undefined || !isJsonObject(known)) continue;
    const { data = null, tasks } = known;
    state.data.set(name, { data, ...(isJsonObject(tasks) ? { tasks } : {}) });
  }
}

function cancelRequested(state: WorkflowState, { event, atMs }: Input): boolean {
  if (state.status !== "running" || state.drain?.why === "cancelled") return false;
  const reason = event.context?.["reason"];
  state.nowMs = atMs;
  if (state.drain?.why === "timeout") return false;
  drain(state, { why: "cancelled", reason: typeof reason === "string" ? reason : "" });
  return true;
}

function paused(state: WorkflowState, { event, atMs }: Input): boolean {
  const now = event.event_type === "execution.paused";
  if (state.status !== "running" || state.paused === now) return false;
  state.paused = now;
  state.nowMs = atMs;
  return true;
}

function timerFired(state: WorkflowState, program: Program, { event, atMs }: Input): boolean {
  const name = event.context?.["name"];
  const timer = typeof name === "string" ? state.timers.get(name) : undefined;
  if (timer === undefined) return false;
  state.nowMs = atMs;
  state.timers.delete(timer.name);
  const { wakes } = timer;
  switch (wakes.what) {
    case "execution": {
      const { timeoutMs = 0 } = program.playbook;
      const message = `Playbook "${program.playbook.name}" did not end within ${String(timeoutMs)} ms`;
      drain(state, { why: "timeout", error: deedError("timeout", message) });
      break;
    }
    case "step":
      push(state, { do: "time_out", activation: wakes.activation });
      break;
    case "retry": {
      const activation = state.live.get(wakes.activation);
      const run = activation?.runs.get(wakes.item);
      if (activation !== undefined && run?.phase === "waiting")
        ready({ state, program, activation, run });
    }
  }
  return true;
}

function foldResult(state: WorkflowState, program: Program, input: Input): boolean {
  const place = placeOf(input.event);
  if (place === undefined) return false;
  const activation = state.live.get(activationKey(place.step, place.activation));
  if (activation === undefined) return false;
  const { cursor } = activation.loop ?? {};
  if (cursor !== undefined && place.task === claimTask && place.item === claimItem(cursor.claims)) {
    return foldClaim(state, activation, input);
  }
  return foldTask({ state, program, activation, place }, input);
}

type Awaited = {
  readonly state: WorkflowState;
  readonly program: Program;
  readonly activation: Activation;
  readonly place: Place;
};

function foldTask({ state, program, activation, place }: Awaited, input: Input): boolean {
  const run = activation.runs.get(place.item);
  const step = stepOf(program, activation);
  const task = run === undefined ? undefined : step.tasks[run.task];
  if (run?.phase !== "open" || task?.name !== place.task) return false;
  if (run.issued[task.name] !== place.attempt) return false;
  answered(state, activation, { item: run.item, atMs: input.atMs });
  if (
    activation.phase === "failed" ||
    (state.drain !== undefined && state.drain.why !== "failed")
  ) {
    activation.runs.delete(run.item);
    ended(state, activation);
    return true;
  }
  run.outcome = outcomeOf(task, run, input);
  if (task.rules.length > 0 || (run.outcome.ok && task.set.length > 0)) {
    run.phase = "judged";
    push(state, { do: "judge", activation: activation.key, item: run.item });
  } else if (run.outcome.ok) settle({ state, program, activation, run }, { do: "continue" });
  else settle({ state, program, activation, run }, { do: "fail", error: run.outcome.error });
  return true;
}

function foldClaim(state: WorkflowState, activation: Activation, { event, atMs }: Input): boolean {
  const { loop } = activation;
  const { cursor } = loop ?? {};
  if (loop === undefined || cursor?.phase !== "open") return false;
  answered(state, activation, { item: claimItem(cursor.claims), atMs });
  if (activation.phase === "failed" || event.event_type !== "action.succeeded") {
    cursor.phase = "idle";
    if (activation.phase !== "failed") loop.failure ??= resultError(event);
    advanceLoop(state, activation);
    ended(state, activation);
    return true;
  }
  claimed(state, activation, event.result ?? null);
  return true;
}

function answered(
  state: WorkflowState,
  activation: Activation,
  { item, atMs }: { readonly item: string; readonly atMs: number },
): void {
  state.nowMs = atMs;
  state.openCount -= 1;
  if (state.drain !== undefined) done(state, { do: "cancel", activation: activation.key, item });
}

function outcomeOf({ kind }: TaskProgram, run: Run, { event, atMs }: Input): Outcome {
  const measured = event.context?.["duration_ms"];
  const durationMs = typeof measured === "number" ? measured : Math.max(0, atMs - run.issuedAtMs);
  const attempt = run.tries;
  const type = event.event_type;
  if (type === "action.succeeded" || type === "execution.completed") {
    return { kind, attempt, durationMs, ok: true, data: event.result ?? null };
  }
  return { kind, attempt, durationMs, ok: false, error: resultError(event) };
}

function resultError(event: CoreEvent): DeedError {
  if (!event.event_type.endsWith(".cancelled")) return errorOf(event);
  const reason = event.context?.["reason"];
  return deedError(
    "cancelled",
    typeof reason === "string" && reason !== "" ? reason : "it was cancelled",
  );
}
