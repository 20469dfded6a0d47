/** What a step has asked for and waits for: actions and sub-playbooks, by item and task. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { errorText, type Activation, type Command, type ProgressEvent } from "./model.ts";

export function beginCommand(activation: Activation, event: ProgressEvent, kind: string): void {
  const { tags, ts, action_id: actionId } = event;
  const attempt = typeof tags["attempt"] === "number" ? tags["attempt"] : 1;
  const command: Command = {
    item: word(tags["item"]),
    task: word(tags["task"]),
    kind,
    attempt,
    actionId,
    askedAtMs: Date.parse(ts),
    state: "asked",
    why: "",
    dueMs: undefined,
    about: aboutOf(kind, event),
  };
  activation.commands.set(keyOf(event), command);
  activation.attempts = Math.max(activation.attempts, attempt);
  if (!activation.kinds.includes(kind)) activation.kinds.push(kind);
  if (!isClaim(command.item)) count(activation, command.item, "open");
}

/** Moves the action of a step as its lifecycle says. */
export function moveCommand(activation: Activation, event: ProgressEvent): void {
  const command = activation.commands.get(keyOf(event));
  if (command === undefined || command.actionId !== event.action_id) return;
  const { attrs } = event;
  switch (event.event_type) {
    case "action.started":
      command.state = "running";
      command.why = "";
      return;
    case "action.progress":
      if (attrs["message"] !== undefined || attrs["percent"] !== undefined) {
        command.why = progressText(attrs["percent"], attrs["message"]);
      }
      return;
    case "action.deferred":
      command.state = "waits";
      command.why = word(attrs["reason"]);
      return;
    case "action.retrying":
      command.state = "retry";
      command.why = errorText(attrs["error"]);
      command.dueMs = Date.parse(word(attrs["retry_at"]));
      return;
    case "action.succeeded":
    case "action.failed":
    case "action.cancelled":
      over(activation, event, event.event_type === "action.succeeded" ? undefined : attrs["error"]);
      return;
  }
}

/** @param error undefined where it went well. */
export function childEnded(
  activation: Activation,
  event: ProgressEvent,
  error: string | undefined,
): void {
  const { attrs } = event;
  over(activation, event, error === undefined ? undefined : (attrs["error"] ?? {}));
}

/** An outcome counts as it is, until the rules make something else of it: where none does, nothing is recorded. */
function over(activation: Activation, event: ProgressEvent, error: Json | undefined): void {
  const key = keyOf(event);
  const command = activation.commands.get(key);
  if (command === undefined) return;
  command.state = "ended";
  command.why = errorText(error);
  if (error === undefined || isClaim(command.item)) activation.commands.delete(key);
  if (!isClaim(command.item)) {
    count(activation, command.item, error === undefined ? "done" : "failed");
  }
}

/** Takes in what the rules made of an outcome. */
export function endCommand(activation: Activation, event: ProgressEvent): void {
  const key = keyOf(event);
  const item = word(event.tags["item"]);
  const { verdict } = event.attrs;
  const { do: what, due_ms: due } = isJsonObject(verdict) ? verdict : {};
  if (what !== "retry") {
    activation.commands.delete(key);
    if (what !== "jump") count(activation, item, what === "fail" ? "failed" : "done");
    return;
  }
  if (!activation.commands.has(key)) beginCommand(activation, event, activation.kinds.at(-1) ?? "");
  const command = activation.commands.get(key);
  if (command === undefined) return;
  count(activation, item, "open");
  command.state = "retry";
  command.dueMs = typeof due === "number" ? due : undefined;
}

function count({ loop }: Activation, item: string, state: "open" | "done" | "failed"): void {
  if (loop === undefined) return;
  const before = loop.items.get(item);
  if (before !== undefined) loop[before] -= 1;
  loop.items.set(item, state);
  loop[state] += 1;
}

function keyOf({ tags }: ProgressEvent): string {
  return `${word(tags["item"])}\0${word(tags["task"])}`;
}

function isClaim(item: string): boolean {
  return item.startsWith("claim-");
}

/** What a person should know of what it waits for. */
function aboutOf(kind: string, { attrs }: ProgressEvent): string {
  const args = attrs["args"];
  if (!isJsonObject(args)) return "";
  const { message, event } = args;
  if (kind === "approval") return word(message);
  return kind === "wait_for" ? word(event) : "";
}

function progressText(percent: Json | undefined, message: Json | undefined): string {
  const share = typeof percent === "number" ? `${String(Math.round(percent))} %` : "";
  return [share, word(message)].filter((part) => part !== "").join(" ");
}

function word(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
