/**
 * What a template sees: the names of playbooks.md, "What a template sees", resolved one by one as they are
 * asked for. Nothing is copied for a name that no template has.
 *
 * A bare name is looked up in this order: the tool's own input, the iterator, `iter` values, the step's or
 * task's own name, tasks of this run, completed steps, the workload.
 */
import { timestamp } from "../../base/clock.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import type { AssignProgram, StepProgram } from "../program/model.ts";
import { assign, type Scopes } from "../state/assign.ts";
import type { Activation, Run, StepData, WorkflowState } from "../state/model.ts";
import type { Scope } from "../template.ts";
import type { SetValue } from "../decision.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { DeedError } from "../../event/error.ts";
import { rendered } from "./render.ts";

/** Where a template stands, beside the execution as a whole. */
export type At = {
  readonly step: StepProgram;
  readonly activation: Activation;
  /** None where the step is decided as a whole. */
  readonly run?: Run;
};

export class Names implements Scope {
  /** `output`, where there is one. */
  output: Json | undefined;
  /** `event`, in rules, a step's `set` and arcs. */
  event: JsonObject | undefined;
  /** The rendered input of the tool whose members are rendered. */
  input: JsonObject | undefined;
  /** Data that is bound to names only here: the step that is decided and its task. */
  readonly own = new Map<string, StepData>();
  /** As changed by what was set so far in this decision. */
  readonly scopes: Scopes;
  private readonly state: WorkflowState;
  private readonly at: At | undefined;

  constructor(state: WorkflowState, at?: At) {
    this.state = state;
    this.at = at;
    this.scopes = {
      ctx: state.ctx,
      iter: at?.run?.iter ?? at?.activation.iter ?? {},
      step: at?.activation.stepValues ?? {},
    };
  }

  get(root: string): Json | undefined {
    const { state, at } = this;
    switch (root) {
      case "ctx":
        return this.scopes.ctx;
      case "output":
        return this.output;
      case "workload":
        return state.workload;
      case "iter":
        return at === undefined ? undefined : this.iter(at);
      case "event":
        return this.event;
      case "execution_id":
        return state.executionId;
      case "job":
        return { execution_id: state.executionId, uuid: state.executionId };
      case "payload":
      case "input":
        return state.payload;
      case "env":
        return state.env;
      case "loop_index":
        return at?.step.loop === undefined ? undefined : at.run?.index;
      case "_attempt":
        return at?.run === undefined ? undefined : attemptOf(at.run);
      case "now":
        return timestamp(state.nowMs);
      default:
        return this.bare(root);
    }
  }

  /**
   * `<step>.data` is the step's data itself where that has no key `data`; `<step>.results` are the data of its
   * tasks by name. Asked where the value of the root has no such member.
   */
  member(root: string, name: string): Json | undefined {
    if (name !== "data" && name !== "results") return undefined;
    const found = this.stepData(root);
    return name === "data" ? found?.data : found?.tasks;
  }

  /** Renders assignments in order, each seeing the ones before. */
  assign(set: readonly AssignProgram[], member: string): Result<SetValue[], DeedError> {
    const values: SetValue[] = [];
    for (const { scope, path, value, name } of set) {
      const given = rendered(value, this, `${member} ${name}`);
      if (!given.ok) return err(given.error);
      const one = { scope, path, value: given.value };
      assign(this.scopes, one);
      values.push(one);
    }
    return ok(values);
  }

  private bare(name: string): Json | undefined {
    const { input, at, scopes } = this;
    if (input !== undefined && Object.hasOwn(input, name)) return input[name];
    if (at !== undefined) {
      if (at.run !== undefined && at.step.loop?.iterator === name) return at.run.value;
      if (Object.hasOwn(scopes.iter, name)) return scopes.iter[name];
      if (Object.hasOwn(at.activation.iter, name)) return at.activation.iter[name];
      if (name === "step" && Object.keys(scopes.step).length > 0) return scopes.step;
    }
    const found = this.stepData(name);
    if (found !== undefined) return found.data;
    return Object.hasOwn(this.state.workload, name) ? this.state.workload[name] : undefined;
  }

  private stepData(name: string): StepData | undefined {
    const own = this.own.get(name);
    if (own !== undefined) return own;
    const tasks = this.at?.run?.tasks ?? this.at?.activation.tasks;
    if (tasks !== undefined && Object.hasOwn(tasks, name)) {
      const data = tasks[name];
      if (data !== undefined) return { data };
    }
    return this.state.data.get(name);
  }

  private iter({ step, activation, run }: At): JsonObject {
    const { loop } = step;
    if (loop === undefined) return this.scopes.iter;
    if (run === undefined) return { ...activation.iter, ...this.scopes.iter };
    const { mode, items = [] } = { mode: loop.mode, items: activation.loop?.items };
    return {
      ...activation.iter,
      ...this.scopes.iter,
      [loop.iterator]: run.value,
      _index: run.index,
      ...(mode === "list" ? { _total: items.length } : {}),
    };
  }
}

/** Of a run that is to be dispatched: the attempt to come. */
function attemptOf({ phase, tries }: Run): number {
  return phase === "ready" ? tries + 1 : Math.max(1, tries);
}
