/** Activations: how they begin and how they go. */
import type { Program, StepProgram } from "../program/model.ts";
import { escaped, type Entered } from "../decision.ts";
import { dispatches, done, keep, push } from "./agenda.ts";
import { assign } from "./assign.ts";
import {
  claimItem,
  onlyItem,
  type Activation,
  type Drain,
  type Run,
  type WorkflowState,
} from "./model.ts";

export function activationKey(step: string, number: number): string {
  return `${escaped(step)}/${String(number)}`;
}

export function timerOfStep(activation: Activation): string {
  return `step/${activation.key}`;
}

export function timerOfRetry(activation: Activation, run: Run): string {
  return `retry/${activation.key}/${run.item}/${String(run.task)}/${String(attempts(run))}`;
}

export const timerOfExecution = "execution";

/** The step of an activation. */
export function stepOf(program: Program, activation: Activation): StepProgram {
  const step = program.steps[activation.step];
  if (step === undefined) throw new RangeError(`Cannot find step ${String(activation.step)}`);
  return step;
}

/** Begins what a decision says is entered. */
export function enter(state: WorkflowState, program: Program, entered: readonly Entered[]): void {
  for (const { step: name, activation: number, set = [] } of entered) {
    const step = program.steps[program.stepIndex.get(name) ?? -1];
    if (step === undefined) continue;
    const scopes = { ctx: {}, iter: {}, step: {} };
    for (const value of set) assign(scopes, value);
    const activation: Activation = {
      key: activationKey(name, number),
      step: step.index,
      number,
      timed: step.timeoutMs !== undefined,
      phase: "entered",
      runs: new Map(),
      iter: scopes.iter,
      stepValues: scopes.step,
      tasks: {},
    };
    while (state.entered.length < step.index) state.entered.push(0);
    state.entered[step.index] = number;
    state.enteredTotal += 1;
    state.live.set(activation.key, activation);
    state.liveOf[step.index] = (state.liveOf[step.index] ?? 0) + 1;
    state.joins.delete(step.index);
    if (step.loop === undefined) {
      const run = newRun(onlyItem, 0, null);
      run.iter = scopes.iter;
      activation.runs.set(onlyItem, run);
    }
    if (step.timeoutMs !== undefined) {
      const name = timerOfStep(activation);
      const wakes = { what: "step", activation: activation.key } as const;
      state.timers.set(name, { name, dueMs: state.nowMs + step.timeoutMs, wakes });
    }
    push(state, { do: "admit", activation: activation.key });
  }
}

export function newRun(item: string, index: number, value: Run["value"]): Run {
  return {
    item,
    index,
    value,
    phase: "ready",
    task: 0,
    tries: 0,
    issued: {},
    jumps: 0,
    issuedAtMs: 0,
    iter: {},
    tasks: {},
  };
}

/** Takes an activation away, with its timers. */
export function leave(state: WorkflowState, activation: Activation): void {
  state.live.delete(activation.key);
  state.liveOf[activation.step] = (state.liveOf[activation.step] ?? 1) - 1;
  if (activation.timed && !state.timers.delete(timerOfStep(activation))) {
    done(state, { do: "time_out", activation: activation.key });
  }
  for (const run of activation.runs.values()) {
    state.timers.delete(timerOfRetry(activation, run));
  }
}

/** From now on nothing is dispatched. Cancelled or out of time, what runs is told so as well. */
export function drain(state: WorkflowState, why: Drain): void {
  const before = state.drain;
  if (before !== undefined && (before.why !== "failed" || why.why === "failed")) return;
  state.drain = why;
  const stops = why.why !== "failed";
  keep(state, (item) => (stops ? item.do === "cancel" : !dispatches(item)));
  for (const [name, { wakes }] of state.timers) {
    if (stops || wakes.what === "retry") state.timers.delete(name);
  }
  for (const activation of state.live.values()) {
    if (stops) stop(state, activation);
    else if (activation.loop?.failure !== undefined) endFailedLoop(state, activation);
  }
}

/** Asks to cancel what runs of an activation and forgets what does not run. */
export function stop(state: WorkflowState, activation: Activation): void {
  const { key: activationKey, runs, loop } = activation;
  for (const run of runs.values()) {
    if (run.phase !== "open") {
      state.timers.delete(timerOfRetry(activation, run));
      runs.delete(run.item);
    } else if (run.cancelling !== true) {
      push(state, { do: "cancel", activation: activationKey, item: run.item });
    }
  }
  const { cursor } = loop ?? {};
  if (cursor?.phase === "open" && cursor.cancelling !== true) {
    push(state, { do: "cancel", activation: activationKey, item: claimItem(cursor.claims) });
  }
}

/** A loop with an iteration that failed ends as soon as nothing of it runs. */
export function endFailedLoop(state: WorkflowState, activation: Activation): void {
  const { runs, loop } = activation;
  if (activation.phase !== "open" || loop?.failure === undefined || loop.cursor?.phase === "open") {
    return;
  }
  for (const run of runs.values()) {
    const stuck = state.drain !== undefined && (run.phase === "ready" || run.phase === "waiting");
    if (!stuck) return;
  }
  activation.failure = loop.failure;
  activation.phase = "ended";
  push(state, { do: "complete", activation: activation.key });
}

/** Takes off whatever is left to be decided about an activation. */
export function forget(state: WorkflowState, activation: Activation): void {
  keep(state, (item) => item.do === "start" || item.activation !== activation.key);
}

function attempts(run: Run): number {
  return Object.values(run.issued).reduce((sum, count) => sum + count, 0);
}
