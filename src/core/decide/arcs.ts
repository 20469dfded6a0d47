/**
 * Which arcs are taken, and what is entered because of it.
 *
 * A join waits while a live step other than itself can reach it. It need not look at other joins that wait:
 * each of those waits for a live step, and what can reach that join can reach this one through it. Where two
 * joins of one cycle wait and nothing else is live, they are looked at in the order of `rank`: the one nearer
 * to the entry is entered, and the other waits for it; so some join can always go on.
 * Source: playbooks, semantics 13 and 15.
 */
import { err, ok, type Result } from "../../base/result.ts";
import type { DeedError } from "../../event/error.ts";
import type { ArcDecision, Entered, SetValue } from "../decision.ts";
import type { ArcProgram, Program, StepProgram } from "../program/model.ts";
import { addTo, maskOf, meets } from "../program/graph.ts";
import type { WorkflowState } from "../state/model.ts";
import type { Names } from "./names.ts";
import { holds } from "./render.ts";

/** Decides every arc of a step, in order, once. */
export function decideArcs(step: StepProgram, names: Names): Result<ArcDecision[], DeedError> {
  const decided: ArcDecision[] = [];
  let chosen = false;
  for (const [index, arc] of step.arcs.entries()) {
    if (chosen && step.exclusive) {
      decided.push({ to: arc.to, taken: false, why: "passed_over" });
      continue;
    }
    const taken = holds(arc.when, names, `when of arc ${String(index)} to "${arc.to}"`);
    if (!taken.ok) return taken;
    if (!taken.value) {
      decided.push({ to: arc.to, taken: false, why: "false" });
      continue;
    }
    const set = names.assign(arc.set, `arc ${String(index)} to "${arc.to}", set`);
    if (!set.ok) return err(set.error);
    chosen = true;
    decided.push(takenArc(arc, set.value));
  }
  return ok(decided);
}

function takenArc({ to, when }: ArcProgram, set: readonly SetValue[]): ArcDecision {
  const why = when === undefined ? "always" : "true";
  return { to, taken: true, why, ...(set.length === 0 ? {} : { set }) };
}

/**
 * What begins once an activation of `leaving` has gone and its arcs are taken.
 *
 * @param arcs of the step that completed; none where it was skipped.
 */
export function enteredAfter(
  state: WorkflowState,
  program: Program,
  { leaving, arcs }: { readonly leaving: number; readonly arcs: readonly ArcDecision[] },
): Entered[] {
  const entered: Entered[] = [];
  const joins = new Map<number, readonly SetValue[]>();
  for (const { to, taken, set = [] } of arcs) {
    const index = taken ? program.stepIndex.get(to) : undefined;
    const target = program.steps[index ?? -1];
    if (target === undefined) continue;
    const carried = set.filter(({ scope }) => scope !== "ctx");
    if (target.join) joins.set(target.index, [...(joins.get(target.index) ?? []), ...carried]);
    else entered.push(entering(state, target, carried));
  }
  if (joins.size === 0 && state.joins.size === 0) return entered;
  for (const [step, set] of state.joins) joins.set(step, [...set, ...(joins.get(step) ?? [])]);
  const live = liveAfter(state, program, leaving);
  for (const { step } of entered) addTo(live, program.stepIndex.get(step) ?? 0);
  entered.push(...released(state, program, { joins, live }));
  return entered;
}

type Waiting = { readonly joins: Map<number, readonly SetValue[]>; readonly live: Uint32Array };

function released(state: WorkflowState, program: Program, { joins, live }: Waiting): Entered[] {
  const { from, rank } = program.reach;
  const entered: Entered[] = [];
  const inOrder = [...joins.keys()].sort((left, right) => (rank[left] ?? 0) - (rank[right] ?? 0));
  for (const join of inOrder) {
    const target = program.steps[join];
    if (target === undefined || meets(live, from[join] ?? live, join)) continue;
    entered.push(entering(state, target, joins.get(join) ?? []));
    joins.delete(join);
    addTo(live, join);
  }
  return entered;
}

function entering(state: WorkflowState, step: StepProgram, set: readonly SetValue[]): Entered {
  const activation = (state.entered[step.index] ?? 0) + 1;
  return { step: step.name, activation, ...(set.length === 0 ? {} : { set }) };
}

function liveAfter({ liveOf }: WorkflowState, program: Program, leaving: number): Uint32Array {
  const live = maskOf(program.steps.length);
  for (const { index } of program.steps) {
    if ((liveOf[index] ?? 0) > (index === leaving ? 1 : 0)) addTo(live, index);
  }
  return live;
}
