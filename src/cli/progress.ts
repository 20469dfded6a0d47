/**
 * How an execution goes on: a fold of its events and those of its sub-playbooks, for people who watch.
 *
 * 1. Pure: every time here was read from an event. The same events give the same progress, live or read again.
 * 2. Memory is bounded by what is shown: of a loop, iterations that went well are a number.
 * 3. It decides nothing. An event that it does not know, or that counted for nothing, changes nothing.
 */
import { isJsonObject, type Json } from "../base/json.ts";
import { beginCommand, childEnded, endCommand, moveCommand } from "./progress/commands.ts";
import {
  errorText,
  type Activation,
  type ExecutionProgress,
  type Progress,
  type ProgressEvent,
} from "./progress/model.ts";

export type {
  Activation,
  Command,
  ExecutionProgress,
  Loop,
  Progress,
  ProgressEvent,
} from "./progress/model.ts";
export { errorText } from "./progress/model.ts";

export function createProgress(root: string): Progress {
  return { root, executions: new Map() };
}

/** Whether an event is about an execution that is shown, or about a sub-playbook of one. */
export function concerns({ root, executions }: Progress, event: ProgressEvent): boolean {
  const { execution_id: own, parent_execution_id: parent } = event;
  if (own === root || (own !== undefined && executions.has(own))) return true;
  return parent !== undefined && executions.has(parent);
}

/**
 * Takes in the next event, in the order of the log, each once.
 *
 * @param progress is owned: it is changed in place, and given back.
 */
export function foldProgress(progress: Progress, event: ProgressEvent): Progress {
  const atMs = Date.parse(event.ts);
  const { execution_id: id, tags } = event;
  if (id === undefined || tags["anomaly"] !== undefined || Number.isNaN(atMs)) return progress;
  if (!concerns(progress, event)) return progress;
  if (event.event_type === "execution.requested") begin(progress, event, atMs);
  const execution = progress.executions.get(id);
  if (execution === undefined) return progress;
  if (event.event_type.startsWith("execution.")) {
    moveExecution(execution, event);
    tellParent(progress, execution, event);
  } else {
    const activation = activationOf(execution, event);
    if (activation !== undefined) moveActivation(progress, activation, event);
  }
  for (const { step, activation } of enteredOf(event)) {
    execution.activations.push(entered(step, activation, atMs));
  }
  return progress;
}

/** The steps that an event enters. */
export function enteredOf({
  attrs,
}: ProgressEvent): readonly { readonly step: string; readonly activation: number }[] {
  const { entered: all } = attrs;
  if (!Array.isArray(all)) return [];
  return all.flatMap((one: Json) => {
    if (!isJsonObject(one)) return [];
    const { step, activation } = one;
    return typeof step === "string" && typeof activation === "number" ? [{ step, activation }] : [];
  });
}

/** The activation that an event names by its tags. */
export function activationOf(
  { activations }: ExecutionProgress,
  { tags }: ProgressEvent,
): Activation | undefined {
  return activations.findLast(
    ({ step, number }) => step === tags["step"] && number === tags["activation"],
  );
}

function begin(progress: Progress, event: ProgressEvent, atMs: number): void {
  const { executions } = progress;
  const { execution_id: id = "", parent_execution_id: parent, attrs } = event;
  if (executions.has(id)) return;
  const above = parent === undefined ? undefined : executions.get(parent);
  const activation = above === undefined ? undefined : activationOf(above, event);
  executions.set(id, {
    id,
    path: above === undefined ? [] : [...above.path, placeText(event)],
    playbook: typeof attrs["playbook"] === "string" ? attrs["playbook"] : "",
    status: "requested",
    requestedAtMs: atMs,
    endedAtMs: undefined,
    result: undefined,
    error: undefined,
    activations: [],
  });
  if (activation === undefined) return;
  forget(progress, activation);
  beginCommand(activation, event, "playbook");
  activation.children.push(id);
}

/** `step`, in a loop `step[item]`. */
export function placeText({ tags }: ProgressEvent): string {
  const { step, item } = tags;
  const name = typeof step === "string" ? step : "";
  return typeof item === "string" && item !== "-" ? `${name}[${item}]` : name;
}

function entered(step: string, number: number, atMs: number): Activation {
  return {
    step,
    number,
    status: "running",
    enteredAtMs: atMs,
    endedAtMs: undefined,
    error: undefined,
    kinds: [],
    attempts: 0,
    loop: undefined,
    commands: new Map(),
    children: [],
  };
}

function moveExecution(execution: ExecutionProgress, event: ProgressEvent): void {
  const { attrs } = event;
  switch (event.event_type) {
    case "execution.started":
      if (execution.status === "requested") execution.status = "running";
      return;
    case "execution.paused":
      execution.status = "paused";
      return;
    case "execution.resumed":
      execution.status = "running";
      return;
    case "execution.cancel_requested":
      execution.status = "cancelling";
      return;
    case "execution.completed":
      execution.result = attrs["result"];
      end(execution, "completed", event);
      return;
    case "execution.failed":
      execution.error = errorText(attrs["error"]);
      end(execution, "failed", event);
      return;
    case "execution.cancelled":
      execution.error = typeof attrs["reason"] === "string" ? attrs["reason"] : "";
      end(execution, "cancelled", event);
      return;
  }
}

/** The end of a sub-playbook is the outcome of the command that asked for it. */
function tellParent(
  { executions }: Progress,
  { endedAtMs, error }: ExecutionProgress,
  event: ProgressEvent,
): void {
  const { parent_execution_id: parent } = event;
  const above = parent === undefined ? undefined : executions.get(parent);
  const activation = above === undefined ? undefined : activationOf(above, event);
  if (activation !== undefined && endedAtMs !== undefined) childEnded(activation, event, error);
}

function end(
  execution: ExecutionProgress,
  status: "completed" | "failed" | "cancelled",
  { ts }: ProgressEvent,
): void {
  execution.status = status;
  execution.endedAtMs = Date.parse(ts);
  for (const activation of execution.activations) {
    if (activation.status === "running") close(activation, "stopped", ts);
  }
}

function moveActivation(progress: Progress, activation: Activation, event: ProgressEvent): void {
  const { event_type: type, attrs } = event;
  forget(progress, activation);
  switch (type) {
    case "step.completed":
      close(activation, "completed", event.ts);
      return;
    case "step.skipped":
      close(activation, "skipped", event.ts);
      return;
    case "step.failed":
      activation.error = errorText(attrs["error"]);
      close(activation, "failed", event.ts);
      return;
    case "loop.started": {
      const { items } = attrs;
      const total = Array.isArray(items) ? items.length : undefined;
      activation.loop = { total, items: new Map(), open: 0, done: 0, failed: 0 };
      return;
    }
    case "action.requested":
      beginCommand(activation, event, typeof attrs["command"] === "string" ? attrs["command"] : "");
      return;
    case "task.decided":
      endCommand(activation, event);
      return;
    default:
      moveCommand(activation, event);
  }
}

function close(activation: Activation, status: Activation["status"], ts: string): void {
  activation.status = status;
  activation.endedAtMs = Date.parse(ts);
  activation.commands.clear();
  activation.loop?.items.clear();
}

/** Of a loop, sub-playbooks that went well are a number by now. */
function forget({ executions }: Progress, { loop, children }: Activation): void {
  if (loop === undefined) return;
  const over = children.filter((id) => executions.get(id)?.status === "completed");
  for (const id of over) {
    drop(executions, id);
    children.splice(children.indexOf(id), 1);
  }
}

function drop(executions: Map<string, ExecutionProgress>, id: string): void {
  const below = executions.get(id)?.activations.flatMap(({ children }) => children) ?? [];
  executions.delete(id);
  for (const child of below) drop(executions, child);
}
