/** How a step begins and how it ends. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { Command, DecisionEvent, OfStep } from "../decision.ts";
import { coreLimits } from "../limits.ts";
import type { LoopProgram, Program, StepProgram } from "../program/model.ts";
import { dataOf } from "../state/fold-decision.ts";
import { stepOf } from "../state/live.ts";
import { onlyItem, type Activation, type WorkflowState } from "../state/model.ts";
import { envelopeOf, within } from "../state/outcome.ts";
import { decideArcs, enteredAfter } from "./arcs.ts";
import { Names } from "./names.ts";
import { holds, numberOf, rendered } from "./render.ts";
import { dispatch } from "./task.ts";

export type InStep = {
  readonly state: WorkflowState;
  readonly program: Program;
  readonly activation: Activation;
};

/** A step that is entered: skipped where its rules say so, else its loop or its first task begins. */
export function admit({ state, program, activation }: InStep): DecisionEvent | Command {
  const step = stepOf(program, activation);
  const of = ofStep(step, activation);
  if (state.enteredTotal > coreLimits.activationsMax) {
    const max = String(coreLimits.activationsMax);
    const message = `The execution entered more than ${max} steps: does a cycle never end?`;
    return failed(of, deedError("unprocessable", message));
  }
  const names = new Names(state, { step, activation });
  for (const [index, { when, allow }] of step.admit.entries()) {
    const held = holds(when, names, `when of admit rule ${String(index)}`);
    if (!held.ok) return failed(of, held.error);
    if (!held.value) continue;
    if (allow) break;
    const entered = enteredAfter(state, program, { leaving: step.index, arcs: [] });
    return { type: "step.skipped", ...of, rule: index, entered };
  }
  if (step.loop !== undefined) {
    const begun = beginLoop(step.loop, names);
    return begun.ok ? { type: "loop.started", ...of, ...begun.value } : failed(of, begun.error);
  }
  const run = activation.runs.get(onlyItem);
  if (run === undefined)
    return failed(of, deedError("unprocessable", "the step has nothing to run"));
  return dispatch({ state, program, activation, run });
}

/** A step whose work has ended: its data, what it sets, its arcs; or its failure. */
export function complete({ state, program, activation }: InStep): DecisionEvent {
  const step = stepOf(program, activation);
  const of = ofStep(step, activation);
  if (activation.failure !== undefined) return failed(of, activation.failure);
  const names = new Names(state, { step, activation });
  const event = activation.loop !== undefined ? "loop.done" : "call.done";
  names.event = { name: activation.outcome?.ok === false ? "call.error" : event };
  const given = dataOf(activation, program.strict);
  bind(names, { step, activation, program }, given);
  const replaced = step.output === undefined ? ok(given) : rendered(step.output, names, "output");
  if (!replaced.ok) return failed(of, replaced.error);
  if (step.output !== undefined) bind(names, { step, activation, program }, replaced.value);
  const set = names.assign(step.set, "set");
  if (!set.ok) return failed(of, set.error);
  const data = step.output === undefined ? {} : { data: replaced.value };
  if (state.drain !== undefined) {
    return { type: "step.completed", ...of, ...data, set: set.value, arcs: [], entered: [] };
  }
  const arcs = decideArcs(step, names);
  if (!arcs.ok) return failed(of, arcs.error);
  if (step.failWithoutMatch && step.arcs.length > 0 && !arcs.value.some(({ taken }) => taken)) {
    const message = "No arc of the step has a condition that holds, and it says on_no_match: fail";
    return failed(of, deedError("unprocessable", message));
  }
  const entered = enteredAfter(state, program, { leaving: step.index, arcs: arcs.value });
  return { type: "step.completed", ...of, ...data, set: set.value, arcs: arcs.value, entered };
}

/** A step that did not end in its time. */
export function timeOut({ program, activation }: InStep): DecisionEvent {
  const step = stepOf(program, activation);
  const message = `It did not end within ${String(step.timeoutMs ?? 0)} ms`;
  return failed(ofStep(step, activation), deedError("timeout", message));
}

export function failed(of: OfStep, error: DeedError): DecisionEvent {
  return {
    type: "step.failed",
    ...of,
    error: within(error, `step "${of.step}"`, { step: of.step }),
  };
}

export function ofStep(step: StepProgram, activation: Activation): OfStep {
  return { step: step.name, activation: activation.number };
}

type Ended = {
  readonly step: StepProgram;
  readonly activation: Activation;
  readonly program: Program;
};

/** Gives the step's data its names: its own, and `output`. */
function bind(names: Names, { step, activation, program }: Ended, data: Json): void {
  const { outcome, tasks } = activation;
  names.own.set(step.name, { data, tasks });
  const base =
    outcome === undefined || activation.loop !== undefined
      ? { status: "ok", error: null, http: null, attempt: 1, duration_ms: 0 }
      : envelopeOf(outcome, program.strict);
  const keepsFields = outcome?.ok === true && step.output === undefined;
  names.output = keepsFields ? base : { ...base, data: outcome?.ok === false ? null : data };
}

type Begun = { readonly max_in_flight: number; readonly items?: readonly Json[] };

function beginLoop(loop: LoopProgram, names: Names): Result<Begun, DeedError> {
  const most = numberOf(loop.maxInFlight, names, "loop max_in_flight");
  if (!most.ok) return most;
  if (!Number.isSafeInteger(most.value) || most.value < 1) {
    const message = `Cannot loop with max_in_flight ${String(most.value)}: a whole number >= 1 is needed`;
    return err(deedError("invalid_args", message));
  }
  const max_in_flight = Math.min(most.value, coreLimits.inFlightMax);
  if (loop.mode === "cursor") return ok({ max_in_flight });
  const given = rendered(loop.in, names, "loop.in");
  if (!given.ok) return given;
  const items = itemsOf(given.value);
  if (!items.ok) return items;
  if (items.value.length > coreLimits.loopItemsMax) {
    const count = String(items.value.length);
    const message = `Cannot loop over ${count} items: ${String(coreLimits.loopItemsMax)} are the most`;
    return err(deedError("unprocessable", message));
  }
  return ok({ max_in_flight, items: items.value });
}

/** A list as it is, a mapping as `{key, value}` items in its own order. */
function itemsOf(value: Json): Result<readonly Json[], DeedError> {
  if (isList(value)) return ok(value);
  if (isJsonObject(value) && value["$ref"] === undefined) {
    return ok(
      Object.entries(value).flatMap(([key, member]) =>
        member === undefined ? [] : [{ key, value: member }],
      ),
    );
  }
  const shown = JSON.stringify(value);
  const message = `Cannot loop over loop.in: a list or a mapping is needed, got ${shown.slice(0, 200)}`;
  return err(deedError("invalid_args", message));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
