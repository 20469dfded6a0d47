/**
 * orchestrate-core: events in, decision out. `drive` folds what is new, `evaluate` folds a whole history; they
 * are one function.
 *
 * Invariants
 * 1. Pure and deterministic: the same events and the same program give the same state and the same decisions,
 *    byte for byte. No clock, no randomness, no order of anything unordered.
 * 2. However a history is cut into drives, and whether or not it holds what was decided before, the state is
 *    the same; each decision is made once.
 * 3. Every execution has live work (a command without a result, a timer, a pause) or has ended.
 * 4. An execution ends once, by one terminal event, and decides nothing after it.
 * 5. Whatever goes wrong in deciding (a template, a loop over nothing that can be looped over, a limit) is
 *    itself a decision: it fails the step and says where. Nothing throws on what a user wrote.
 */
import { assert } from "../base/assert.ts";
import type { CoreEvent } from "../event/core-event.ts";
import type { Command, Completion, Decision, DecisionEvent } from "./decision.ts";
import { complete, admit, failed, ofStep, timeOut } from "./decide/step.ts";
import { claim, dispatch, judge } from "./decide/task.ts";
import { finish, start } from "./decide/execution.ts";
import type { Program } from "./program.ts";
import { commandKey } from "./decision.ts";
import { due, evolve, hasEnded, initialState, isOwn, type WorkflowState } from "./state.ts";
import { front } from "./state/agenda.ts";
import { foldCancel, foldDecision, foldIssued } from "./state/fold-decision.ts";
import { stepOf } from "./state/live.ts";
import { claimTask, type Activation, type AgendaItem } from "./state/model.ts";

export type Driven = { readonly state: WorkflowState; readonly decision: Decision };

/** Folds a whole history from its beginning and decides what is not decided in it. */
export function evaluate(events: readonly CoreEvent[], program: Program): Driven {
  return drive(initialState(events[0]?.execution_id ?? ""), events, program);
}

/**
 * Folds events and decides all that follows.
 *
 * Before each event from outside, all that the events before it led to is decided: so an event that comes
 * alone and one that comes in a batch lead to the same.
 *
 * @param state is owned from now on: it is changed and given back.
 */
export function drive(
  state: WorkflowState,
  events: readonly CoreEvent[],
  program: Program,
): Driven {
  const made: Made = { commands: [], events: [] };
  for (const event of events) {
    if (!isOwn(event, state)) settleAll(state, program, made);
    evolve(state, event, program);
  }
  settleAll(state, program, made);
  return { state, decision: decisionOf(state, made) };
}

/**
 * Decides one thing: the front of the agenda, or the end of the execution. The state is not changed: the host
 * records what is answered, and folds it.
 *
 * @returns one decision event or one command; neither where the state waits.
 */
export function decide(state: WorkflowState, program: Program): Decision {
  const next = nextOf(state, program);
  const events = next !== undefined && "type" in next ? [next] : [];
  const commands = next !== undefined && "do" in next ? [next] : [];
  return decisionOf(state, { events, commands });
}

type Made = { readonly commands: Command[]; readonly events: DecisionEvent[] };

function decisionOf(state: WorkflowState, made: Made): Decision {
  const completion = completionOf(state);
  return { ...made, timers: due(state), ...(completion === undefined ? {} : { completion }) };
}

function completionOf(state: WorkflowState): Completion | undefined {
  if (!hasEnded(state)) return undefined;
  const { status, result, failed: steps } = state;
  const words = { completed: "COMPLETED", failed: "FAILED", cancelled: "CANCELLED" } as const;
  if (status === "new" || status === "running") return undefined;
  return { status: words[status], result, failed: [...steps] };
}

function settleAll(state: WorkflowState, program: Program, made: Made): void {
  for (let next = nextOf(state, program); next !== undefined; next = nextOf(state, program)) {
    const item = front(state);
    if ("type" in next) {
      made.events.push(next);
      foldDecision(state, program, next);
    } else {
      made.commands.push(next);
      if (next.do === "request") foldIssued(state, program, next.place);
      else foldCancel(state, next.place);
    }
    const taken = item === undefined || front(state) !== item;
    assert(taken, `Expected a decision to take its entry off the agenda: ${item?.do ?? "none"}`);
  }
}

function nextOf(state: WorkflowState, program: Program): Command | DecisionEvent | undefined {
  if (state.status !== "running" || (state.paused && state.drain === undefined)) return undefined;
  const item = front(state);
  return item === undefined ? finish(state, program) : ofItem(state, program, item);
}

function ofItem(
  state: WorkflowState,
  program: Program,
  item: AgendaItem,
): Command | DecisionEvent | undefined {
  if (item.do === "start") return start(state, program);
  const activation = state.live.get(item.activation);
  if (activation === undefined) return undefined;
  const where = { state, program, activation };
  switch (item.do) {
    case "admit":
      return admit(where);
    case "complete":
      return complete(where);
    case "time_out":
      return timeOut(where);
    case "claim": {
      const claimed = claim(state, program, activation);
      if (claimed.ok) return claimed.value;
      return failed(ofStep(stepOf(program, activation), activation), claimed.error);
    }
    case "dispatch":
    case "judge": {
      const run = activation.runs.get(item.item);
      if (run === undefined) return undefined;
      if (item.do === "dispatch") return dispatch({ ...where, run });
      return run.outcome === undefined ? undefined : judge({ ...where, run }, run.outcome);
    }
    case "cancel":
      return cancel(state, program, { activation, item: item.item });
  }
}

function cancel(
  state: WorkflowState,
  program: Program,
  { activation, item }: { readonly activation: Activation; readonly item: string },
): Command {
  const step = stepOf(program, activation);
  const run = activation.runs.get(item);
  const task = run === undefined ? claimTask : (step.tasks[run.task]?.name ?? claimTask);
  const attempt = run?.issued[task] ?? 1;
  const place = { step: step.name, activation: activation.number, item, task, attempt };
  const reason = state.drain?.why === "cancelled" ? "cancelled" : "timeout";
  return { do: "cancel", key: commandKey(state.executionId, place), place, reason };
}
