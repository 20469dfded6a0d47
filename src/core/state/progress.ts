/** How a task's end moves its run, its loop and its step on. Structure only: nothing is rendered here. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { TaskVerdict } from "../decision.ts";
import { coreLimits } from "../limits.ts";
import type { Program, StepProgram } from "../program/model.ts";
import { done, push } from "./agenda.ts";
import { endFailedLoop, leave, newRun, stepOf, stop, timerOfRetry } from "./live.ts";
import type { Activation, LoopState, Run, WorkflowState } from "./model.ts";
import { passedData, within } from "./outcome.ts";

/** One run of an activation, and all that it stands in. */
export type Where = {
  readonly state: WorkflowState;
  readonly program: Program;
  readonly activation: Activation;
  readonly run: Run;
};

/** Does with a run what was decided about the task that it stands at. */
export function settle(where: Where, verdict: TaskVerdict): void {
  const { state, program, activation, run } = where;
  const step = stepOf(program, activation);
  switch (verdict.do) {
    case "continue":
      keepData(where, step);
      if (run.task + 1 < step.tasks.length) goTo(where, run.task + 1);
      else end(where, undefined);
      return;
    case "break":
      keepData(where, step);
      end(where, undefined);
      return;
    case "fail":
      end(where, verdict.error);
      return;
    case "jump": {
      keepData(where, step);
      const to = step.taskIndex.get(verdict.to);
      run.jumps += 1;
      if (to === undefined || run.jumps > coreLimits.jumpsMax) end(where, tooManyJumps(verdict.to));
      else goTo(where, to);
      return;
    }
    case "retry":
      if (verdict.due_ms <= state.nowMs) ready(where);
      else if (state.drain === undefined) {
        run.phase = "waiting";
        const name = timerOfRetry(activation, run);
        const wakes = { what: "retry", activation: activation.key, item: run.item } as const;
        state.timers.set(name, { name, dueMs: verdict.due_ms, wakes });
      } else ready(where);
      return;
  }
}

/** To be dispatched, unless the execution drains: then the run stands where it is until the end. */
export function ready({ state, activation, run }: Where): void {
  run.phase = "ready";
  push(state, { do: "dispatch", activation: activation.key, item: run.item });
  if (state.drain !== undefined) endFailedLoop(state, activation);
}

/** Begins iterations while there are items and room; asks for more rows; ends the loop when all is done. */
export function advanceLoop(state: WorkflowState, activation: Activation): void {
  const { loop, runs } = activation;
  if (loop === undefined || activation.phase !== "open") return;
  if (loop.failure !== undefined) {
    if (loop.cursor?.phase === "ready") {
      loop.cursor.phase = "idle";
      done(state, { do: "claim", activation: activation.key });
    }
    endFailedLoop(state, activation);
    return;
  }
  if (state.drain !== undefined && runs.size > 0) return;
  while (
    state.drain === undefined &&
    runs.size < loop.maxInFlight &&
    loop.next < loop.items.length
  ) {
    const run = newRun(String(loop.begun), loop.begun, loop.items[loop.next] ?? null);
    loop.begun += 1;
    loop.next += 1;
    loop.results.push(null);
    runs.set(run.item, run);
    push(state, { do: "dispatch", activation: activation.key, item: run.item });
  }
  if (loop.next < loop.items.length) return;
  if (loop.cursor !== undefined) {
    loop.items = [];
    loop.next = 0;
    if (!exhausted(state, activation, loop)) return;
  }
  if (runs.size > 0) return;
  activation.phase = "ended";
  push(state, { do: "complete", activation: activation.key });
}

/** The rows that a claim gave. */
export function claimed(state: WorkflowState, activation: Activation, data: Json): void {
  const { loop } = activation;
  const cursor = loop?.cursor;
  if (loop === undefined || cursor === undefined) return;
  cursor.phase = "idle";
  const rows = rowsOf(data);
  if (rows === undefined) {
    loop.failure ??= deedError(
      "unprocessable",
      "Cannot go on with the cursor as its claim gave no rows",
    );
  } else if (loop.begun + rows.length > coreLimits.loopItemsMax) {
    const max = String(coreLimits.loopItemsMax);
    loop.failure ??= deedError(
      "unprocessable",
      `Cannot go on with the cursor as it claimed more than ${max} rows`,
    );
  } else {
    cursor.dry = rows.length === 0;
    loop.items = rows;
    loop.next = 0;
  }
  advanceLoop(state, activation);
}

/** Ends what only waited for its cancel. */
export function ended(state: WorkflowState, activation: Activation): void {
  const open = activation.runs.size > 0 || activation.loop?.cursor?.phase === "open";
  if (activation.phase === "failed" && !open) leave(state, activation);
}

export function fail(state: WorkflowState, activation: Activation): void {
  activation.phase = "failed";
  stop(state, activation);
  ended(state, activation);
}

function goTo(where: Where, task: number): void {
  where.run.task = task;
  where.run.tries = 0;
  ready(where);
}

function keepData({ program, run }: Where, step: StepProgram): void {
  const task = step.tasks[run.task];
  if (task === undefined || run.outcome === undefined || !step.keepsTasks) return;
  run.tasks = { ...run.tasks, [task.name]: passedData(run.outcome, program.strict) };
}

function end(where: Where, error: DeedError | undefined): void {
  const { state, program, activation, run } = where;
  const { loop } = activation;
  const failure = error && placed(error, stepOf(program, activation), run);
  activation.runs.delete(run.item);
  if (loop !== undefined) {
    if (failure !== undefined) loop.failure ??= failure;
    else if (run.outcome !== undefined) {
      loop.results[run.index] = passedData(run.outcome, program.strict);
      if (run.outcome.ok) loop.success += 1;
      else loop.handled += 1;
    }
    advanceLoop(state, activation);
    return;
  }
  activation.iter = run.iter;
  activation.tasks = run.tasks;
  if (run.outcome !== undefined) activation.outcome = run.outcome;
  if (failure !== undefined) activation.failure = failure;
  activation.phase = "ended";
  push(state, { do: "complete", activation: activation.key });
}

/** True when no row is left. Asks for another claim where rows may have come back since the last one. */
function exhausted(state: WorkflowState, activation: Activation, loop: LoopState): boolean {
  const { cursor } = loop;
  if (cursor === undefined || cursor.phase !== "idle") return false;
  const again = loop.success + loop.handled > cursor.endedBefore;
  const room = activation.runs.size < loop.maxInFlight;
  if (cursor.dry ? activation.runs.size === 0 && again : room) {
    if (state.drain !== undefined) return false;
    cursor.phase = "ready";
    push(state, { do: "claim", activation: activation.key });
    return false;
  }
  return cursor.dry && activation.runs.size === 0;
}

function rowsOf(data: Json): readonly Json[] | undefined {
  if (data === null) return [];
  if (isList(data)) return data;
  if (!isJsonObject(data)) return undefined;
  if (isList(data["rows"])) return data["rows"];
  const first = data["command_0"] ?? data["data"];
  return first === undefined ? undefined : rowsOf(first);
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** A failure with its task, where there are several, and its item. */
function placed(error: DeedError, step: StepProgram, run: Run): DeedError {
  const task = step.tasks.length > 1 ? step.tasks[run.task]?.name : undefined;
  const inTask = task === undefined ? error : within(error, `task "${task}"`, { task });
  return step.loop === undefined ? inTask : within(inTask, `item ${run.item}`, { item: run.index });
}

function tooManyJumps(to: string): DeedError {
  return deedError(
    "unprocessable",
    `Cannot jump to "${to}" as ${String(coreLimits.jumpsMax)} jumps were made`,
  );
}
