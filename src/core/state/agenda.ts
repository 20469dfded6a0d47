/** The work that folding has left: first in, first decided. */
import type { AgendaItem, WorkflowState } from "./model.ts";

/** Puts work at the end. Nothing that would dispatch is taken up while the execution drains. */
export function push(state: WorkflowState, item: AgendaItem): void {
  if (state.drain !== undefined && dispatches(item)) return;
  state.agenda.push(item);
}

/** The item to be decided next. */
export function front(state: WorkflowState): AgendaItem | undefined {
  return state.agenda[state.agendaDone];
}

/** Takes an item off: the front in all but odd histories. */
export function done(state: WorkflowState, item: AgendaItem): void {
  const first = front(state);
  if (first !== undefined && same(first, item)) {
    state.agendaDone += 1;
    if (state.agendaDone === state.agenda.length) {
      state.agenda = [];
      state.agendaDone = 0;
    } else if (state.agendaDone >= compactAfter && state.agendaDone * 2 >= state.agenda.length) {
      state.agenda.splice(0, state.agendaDone);
      state.agendaDone = 0;
    }
    return;
  }
  keep(state, (other) => !same(other, item));
}

export function keep(state: WorkflowState, wanted: (item: AgendaItem) => boolean): void {
  state.agenda = state.agenda.slice(state.agendaDone).filter(wanted);
  state.agendaDone = 0;
}

/** True for work that would begin something. */
export function dispatches(item: AgendaItem): boolean {
  return item.do === "admit" || item.do === "dispatch" || item.do === "claim";
}

function same(left: AgendaItem, right: AgendaItem): boolean {
  return (
    left.do === right.do &&
    (left.do === "start" || right.do === "start" || left.activation === right.activation) &&
    ("item" in left ? left.item : "") === ("item" in right ? right.item : "")
  );
}

const compactAfter = 64;
