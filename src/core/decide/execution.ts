/** How an execution begins and how it ends. */
import type { Json, JsonObject } from "../../base/json.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { DecisionEvent } from "../decision.ts";
import type { NamedValue, Program } from "../program/model.ts";
import type { WorkflowState } from "../state/model.ts";
import type { Scope } from "../template.ts";
import { Names } from "./names.ts";
import { rendered } from "./render.ts";

/** Renders the workload, once, and enters the first step. */
export function start(state: WorkflowState, program: Program): DecisionEvent {
  const { restartAt } = state;
  if (restartAt !== undefined) return startAt(restartAt, state, program);
  const workload = new WorkloadAtStart(state, program);
  const rest = workload.all();
  if (workload.error !== undefined) {
    return { type: "execution.failed", error: workload.error, failed: [] };
  }
  return {
    type: "execution.started",
    workload: rest,
    entered: [{ step: program.playbook.entry, activation: 1 }],
  };
}

/** Begins an execution that is run again at a step: what it knows is what the former one knew there. */
function startAt(step: string, state: WorkflowState, program: Program): DecisionEvent {
  if (program.stepIndex.has(step)) {
    const entered = [{ step, activation: 1 }];
    return { type: "execution.started", workload: state.workload, entered };
  }
  const message = `Cannot run the playbook again from step "${step}" as this version has none of that name`;
  return { type: "execution.failed", error: deedError("not_found", message), failed: [] };
}

/**
 * The terminal event, where nothing is live and nothing can become live.
 *
 * @returns `undefined` while something is.
 */
export function finish(state: WorkflowState, program: Program): DecisionEvent | undefined {
  if (state.status !== "running") return undefined;
  const { drain } = state;
  if (drain === undefined) {
    return state.live.size > 0 || state.enteredTotal === 0 ? undefined : completed(state, program);
  }
  if (state.openCount > 0) return undefined;
  if (drain.why === "cancelled") return { type: "execution.cancelled", reason: drain.reason };
  const { failed } = state;
  const error = drain.why === "timeout" ? drain.error : failed[0]?.error;
  return {
    type: "execution.failed",
    error: error ?? deedError("unprocessable", "The execution failed without an error"),
    failed: [...failed],
  };
}

function completed(state: WorkflowState, program: Program): DecisionEvent {
  const asked = state.returnStep === undefined ? undefined : state.data.get(state.returnStep);
  if (asked !== undefined) return { type: "execution.completed", result: asked.data };
  if (program.output === undefined) return { type: "execution.completed", result: state.last };
  const result = rendered(program.output, new Names(state), "output");
  if (!result.ok) return { type: "execution.failed", error: result.error, failed: [] };
  return { type: "execution.completed", result: result.value };
}

/**
 * The workload while it is rendered: a value may name the payload and other values, which are rendered first.
 * A value that needs itself finds itself undefined. The payload's own values are data: they are never rendered.
 */
class WorkloadAtStart implements Scope {
  error: DeedError | undefined;
  private readonly names: Names;
  private readonly templates: ReadonlyMap<string, NamedValue>;
  private readonly payload: JsonObject;
  private readonly done = new Map<string, Json>();
  private readonly open = new Set<string>();

  constructor(state: WorkflowState, program: Program) {
    this.names = new Names(state);
    this.payload = state.payload;
    this.templates = new Map(program.workload.map((named) => [named.name, named]));
  }

  get(root: string): Json | undefined {
    if (root === "workload") return this.all();
    return this.value(root) ?? this.names.get(root);
  }

  /** The defaults in the order of the file, then what only the payload has. */
  all(): JsonObject {
    const all: Record<string, Json> = {};
    for (const name of new Set([...this.templates.keys(), ...Object.keys(this.payload)])) {
      const value = this.value(name);
      if (value !== undefined) define(all, name, value);
    }
    return all;
  }

  private value(name: string): Json | undefined {
    if (Object.hasOwn(this.payload, name)) return this.payload[name];
    const ready = this.done.get(name);
    const template = this.templates.get(name);
    if (ready !== undefined || template === undefined || this.open.has(name)) return ready;
    this.open.add(name);
    const given = rendered(template.value, this, `workload.${name}`);
    this.open.delete(name);
    if (given.ok) this.done.set(name, given.value);
    else this.error ??= given.error;
    return given.ok ? given.value : undefined;
  }
}

function define(target: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(target, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
