/** Folds what the core decided: values are taken as they stand, nothing is computed again. */
import type { Json } from "../../base/json.ts";
import type { ArcDecision, DecisionEvent, Place, SetValue } from "../decision.ts";
import type { Program } from "../program/model.ts";
import { done, keep } from "./agenda.ts";
import { assign, type Scopes } from "./assign.ts";
import { activationKey, drain, enter, forget, leave, stepOf, timerOfExecution } from "./live.ts";
import { claimItem, claimTask, type Activation, type WorkflowState } from "./model.ts";
import { passedData } from "./outcome.ts";
import { advanceLoop, fail, settle } from "./progress.ts";

/** A decision that was folded already, or that fits nothing here, changes nothing. */
export function foldDecision(
  state: WorkflowState,
  program: Program,
  decision: DecisionEvent,
): void {
  if (state.status !== "running") return;
  switch (decision.type) {
    case "execution.started":
      started(state, program, decision);
      return;
    case "execution.completed":
      finish(state, "completed", decision.result);
      return;
    case "execution.failed":
      finish(state, "failed", null);
      return;
    case "execution.cancelled":
      finish(state, "cancelled", null);
      return;
    case "task.decided":
      judged(state, program, decision);
      return;
    default: {
      const activation = state.live.get(activationKey(decision.step, decision.activation));
      if (activation !== undefined) ofStep(state, program, { activation, decision });
    }
  }
}

/** A command was issued: by this drive, or read back as the record of its request. */
export function foldIssued(state: WorkflowState, program: Program, place: Place): void {
  const activation = state.live.get(activationKey(place.step, place.activation));
  if (activation === undefined) return;
  const { loop } = activation;
  if (loop?.cursor?.phase === "ready" && place.item === claimItem(loop.cursor.claims + 1)) {
    if (place.task !== claimTask) return;
    loop.cursor.claims += 1;
    loop.cursor.phase = "open";
    loop.cursor.dry = false;
    loop.cursor.endedBefore = loop.success + loop.handled;
    state.openCount += 1;
    done(state, { do: "claim", activation: activation.key });
    return;
  }
  const run = activation.runs.get(place.item);
  const task = run === undefined ? undefined : stepOf(program, activation).tasks[run.task];
  if (run?.phase !== "ready" || task?.name !== place.task) return;
  if (place.attempt !== (run.issued[task.name] ?? 0) + 1) return;
  run.issued[task.name] = place.attempt;
  run.tries += 1;
  run.phase = "open";
  run.issuedAtMs = state.nowMs;
  state.openCount += 1;
  if (activation.phase === "entered") {
    activation.phase = "open";
    done(state, { do: "admit", activation: activation.key });
  } else done(state, { do: "dispatch", activation: activation.key, item: run.item });
}

/** A command was asked to be cancelled. */
export function foldCancel(state: WorkflowState, place: Place): void {
  const activation = state.live.get(activationKey(place.step, place.activation));
  if (activation === undefined) return;
  const run = activation.runs.get(place.item);
  const { cursor } = activation.loop ?? {};
  if (run?.phase === "open") run.cancelling = true;
  else if (cursor?.phase === "open" && place.item === claimItem(cursor.claims))
    cursor.cancelling = true;
  done(state, { do: "cancel", activation: activation.key, item: place.item });
}

function started(
  state: WorkflowState,
  program: Program,
  { workload, entered }: Extract<DecisionEvent, { type: "execution.started" }>,
): void {
  if (state.enteredTotal > 0) return;
  state.workload = workload;
  delete state.restartAt;
  done(state, { do: "start" });
  const { timeoutMs } = program.playbook;
  if (timeoutMs !== undefined) {
    const timer = {
      name: timerOfExecution,
      dueMs: state.nowMs + timeoutMs,
      wakes: { what: "execution" },
    } as const;
    state.timers.set(timer.name, timer);
  }
  enter(state, program, entered);
}

type StepDecision = {
  readonly activation: Activation;
  readonly decision: Extract<
    DecisionEvent,
    { type: "step.skipped" | "step.completed" | "step.failed" | "loop.started" }
  >;
};

function ofStep(
  state: WorkflowState,
  program: Program,
  { activation, decision }: StepDecision,
): void {
  switch (decision.type) {
    case "step.skipped":
      if (activation.phase !== "entered") return;
      leave(state, activation);
      done(state, { do: "admit", activation: activation.key });
      enter(state, program, decision.entered);
      return;
    case "loop.started":
      if (activation.phase !== "entered") return;
      begin(activation, decision);
      done(state, { do: "admit", activation: activation.key });
      advanceLoop(state, activation);
      return;
    case "step.failed":
      if (activation.phase === "failed") return;
      state.failed.push({
        step: decision.step,
        activation: decision.activation,
        error: decision.error,
      });
      forget(state, activation);
      activation.phase = "failed";
      drain(state, { why: "failed" });
      fail(state, activation);
      return;
    case "step.completed":
      if (activation.phase !== "ended" || activation.failure !== undefined) return;
      completed(state, program, { activation, decision });
  }
}

function begin(
  activation: Activation,
  { max_in_flight, items }: Extract<DecisionEvent, { type: "loop.started" }>,
): void {
  activation.phase = "open";
  activation.loop = {
    maxInFlight: max_in_flight,
    items: items ?? [],
    next: 0,
    begun: 0,
    results: [],
    success: 0,
    handled: 0,
    ...(items === undefined
      ? { cursor: { claims: 0, phase: "idle", dry: false, endedBefore: 0 } }
      : {}),
  };
}

function completed(
  state: WorkflowState,
  program: Program,
  {
    activation,
    decision,
  }: {
    readonly activation: Activation;
    readonly decision: Extract<DecisionEvent, { type: "step.completed" }>;
  },
): void {
  const step = stepOf(program, activation);
  const data = decision.data ?? dataOf(activation, program.strict);
  applyCtx(state, decision.set);
  if (step.read || step.name === state.returnStep) {
    state.data.set(step.name, { data, ...(step.keepsTasks ? { tasks: activation.tasks } : {}) });
  }
  if (!step.noop) state.last = data;
  leave(state, activation);
  done(state, { do: "complete", activation: activation.key });
  for (const arc of decision.arcs) applyArc(state, program, arc);
  enter(state, program, decision.entered);
}

/** What a step gives, before a declared `output` replaces it. Source: playbooks, semantics 6. */
export function dataOf(activation: Activation, strict: boolean): Json {
  const { loop, outcome } = activation;
  if (loop === undefined) return outcome === undefined ? null : passedData(outcome, strict);
  const { results, success, handled } = loop;
  return { results, stats: { total: results.length, success, failed: handled } };
}

function applyArc(
  state: WorkflowState,
  program: Program,
  { to, taken, set = [] }: ArcDecision,
): void {
  if (!taken) return;
  applyCtx(state, set);
  const target = program.steps[program.stepIndex.get(to) ?? -1];
  if (target?.join !== true) return;
  const carried = set.filter(({ scope }) => scope !== "ctx");
  const waiting = state.joins.get(target.index);
  if (waiting === undefined) state.joins.set(target.index, carried);
  else waiting.push(...carried);
}

function applyCtx(state: WorkflowState, set: readonly SetValue[]): void {
  const scopes: Scopes = { ctx: state.ctx, iter: {}, step: {} };
  for (const value of set) if (value.scope === "ctx") assign(scopes, value);
  state.ctx = scopes.ctx;
}

function judged(
  state: WorkflowState,
  program: Program,
  decision: Extract<DecisionEvent, { type: "task.decided" }>,
): void {
  const activation = state.live.get(activationKey(decision.step, decision.activation));
  const run = activation?.runs.get(decision.item);
  if (activation === undefined || run === undefined) return;
  const task = stepOf(program, activation).tasks[run.task];
  if (task?.name !== decision.task) return;
  const attempt = run.issued[task.name] ?? 0;
  const item = { activation: activation.key, item: run.item };
  if (run.phase === "judged" && decision.attempt === attempt) done(state, { do: "judge", ...item });
  else if (run.phase === "ready" && decision.attempt === attempt + 1) {
    if (activation.phase === "entered") {
      activation.phase = "open";
      done(state, { do: "admit", activation: activation.key });
    } else done(state, { do: "dispatch", ...item });
  } else return;
  const scopes: Scopes = { ctx: state.ctx, iter: run.iter, step: activation.stepValues };
  for (const value of decision.set) assign(scopes, value);
  state.ctx = scopes.ctx;
  run.iter = scopes.iter;
  activation.stepValues = scopes.step;
  settle({ state, program, activation, run }, decision.verdict);
}

function finish(state: WorkflowState, status: WorkflowState["status"], result: Json): void {
  state.status = status;
  state.result = result;
  state.live.clear();
  state.liveOf.fill(0);
  state.joins.clear();
  state.timers.clear();
  state.openCount = 0;
  keep(state, () => false);
}
