/**
 * The state of one execution: a fold of its events.
 *
 * Invariants
 * 1. History rules: what a decision event records (values, arcs, plans, entered activations) is taken from it
 *    and never computed again. No template is rendered here.
 * 2. An event that was folded already, comes late, or fits nothing that the state waits for, changes nothing.
 * 3. After the terminal event nothing changes.
 * 4. What is left to be decided stands on the agenda, in the order in which it came up; folding the decision
 *    takes it off. A state with an empty agenda waits: for results, for timers, or for nothing more.
 * 5. Time is the time of the input that was folded last.
 * 6. The state holds what is live and what somebody may still read: data of steps that no template names, and
 *    iterations that ended, leave nothing but their result.
 *
 * A state is owned by who drives it: `evolve` changes the object that it is given and returns it.
 */
import type { CoreEvent } from "../event/core-event.ts";
import type { TimerRequest } from "./decision.ts";
import type { Program } from "./program.ts";
import { foldCancel, foldDecision, foldIssued } from "./state/fold-decision.ts";
import { foldInput } from "./state/fold-input.ts";
import type { WorkflowState } from "./state/model.ts";
import { decisionOf, placeOf } from "./state/read.ts";

export type { WorkflowState } from "./state/model.ts";
export { decodeState, encodeState, snapshotVersion } from "./state/snapshot.ts";

/** Before the first event. */
export function initialState(executionId: string): WorkflowState {
  return {
    executionId,
    status: "new",
    nowMs: 0,
    paused: false,
    payload: {},
    env: {},
    workload: {},
    ctx: {},
    entered: [],
    enteredTotal: 0,
    live: new Map(),
    joins: new Map(),
    agenda: [],
    agendaDone: 0,
    timers: new Map(),
    data: new Map(),
    last: null,
    failed: [],
    result: null,
    liveOf: [],
    openCount: 0,
  };
}

/**
 * Folds one event, of this execution or the terminal one of a child that it started.
 *
 * @param state is changed and returned.
 */
export function evolve(state: WorkflowState, event: CoreEvent, program: Program): WorkflowState {
  if (hasEnded(state)) return state;
  if (isOwn(event, state)) foldOwn(state, event, program);
  else foldInput(state, program, event);
  return state;
}

/** What the state waits for: the host arms what is named and disarms what is not named any more. */
export function due(state: WorkflowState): readonly TimerRequest[] {
  return [...state.timers.values()].map(({ name, dueMs }) => ({ name, dueMs }));
}

export function hasEnded({ status }: WorkflowState): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** True for what the core itself caused: its decisions, and the records of its commands. */
export function isOwn(event: CoreEvent, state: WorkflowState): boolean {
  if (event.execution_id === state.executionId) return ownTypes.has(event.event_type);
  return event.parent_execution_id === state.executionId && askedOfChild.has(event.event_type);
}

function foldOwn(state: WorkflowState, event: CoreEvent, program: Program): void {
  const command = commandOf.get(event.event_type);
  if (command === undefined) {
    const decision = decisionOf(event);
    if (decision !== undefined) foldDecision(state, program, decision);
    return;
  }
  const place = placeOf(event);
  if (place === undefined) return;
  if (command === "cancel") foldCancel(state, place);
  else foldIssued(state, program, place);
}

/** What is asked of a sub-playbook is recorded as the child's own event: it is its parent's command, too. */
const askedOfChild: ReadonlySet<string> = new Set([
  "execution.requested",
  "execution.cancel_requested",
]);

const commandOf: ReadonlyMap<string, "request" | "cancel"> = new Map([
  ["action.requested", "request"],
  ["execution.requested", "request"],
  ["action.cancel_requested", "cancel"],
  ["execution.cancel_requested", "cancel"],
]);

const ownTypes: ReadonlySet<string> = new Set([
  "execution.started",
  "step.skipped",
  "loop.started",
  "task.decided",
  "step.completed",
  "step.failed",
  "execution.completed",
  "execution.failed",
  "execution.cancelled",
  "action.requested",
  "action.cancel_requested",
]);
