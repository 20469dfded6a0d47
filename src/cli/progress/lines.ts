/** One line a change, for those who watch without a terminal. */
import { isJsonObject } from "../../base/json.ts";
import { activationOf, enteredOf, placeText } from "../progress.ts";
import { cut, printable, spellMs } from "../terminal.ts";
import type { Activation, ExecutionProgress, Progress, ProgressEvent } from "./model.ts";
import { waitText } from "./tree.ts";

/** Characters of one line. */
const charsMax = 400;

/**
 * What an event changed, in words.
 *
 * @param progress with the event folded already.
 */
export function changeLines(progress: Progress, event: ProgressEvent): readonly string[] {
  const execution = progress.executions.get(event.execution_id ?? "");
  const root = progress.executions.get(progress.root);
  if (execution === undefined || root === undefined) return [];
  const at = spellMs(Math.max(0, Date.parse(event.ts) - root.requestedAtMs)).padStart(8);
  const told = [
    changeText(execution, event),
    ...enteredOf(event).map(({ step }) => `${[...execution.path, step].join("/")} began`),
  ];
  return told
    .filter((text) => text !== undefined)
    .map((text) => cut(`${at}  ${printable(text)}`, charsMax));
}

function changeText(execution: ExecutionProgress, event: ProgressEvent): string | undefined {
  const { event_type: type, tags, attrs } = event;
  const activation = activationOf(execution, event);
  const step = [...execution.path, placeText(event)].join("/");
  switch (type) {
    case "execution.requested":
      return execution.path.length === 0
        ? `${execution.playbook}: execution ${execution.id}`
        : `${execution.path.join("/")} runs ${execution.playbook}`;
    case "execution.paused":
    case "execution.resumed":
    case "execution.cancel_requested":
      return `${nameOf(execution)} ${wordsOf(type)}`;
    case "execution.completed":
    case "execution.failed":
    case "execution.cancelled": {
      const { endedAtMs = 0, requestedAtMs, error = "" } = execution;
      const why = error === "" ? "" : `: ${error}`;
      return `${nameOf(execution)} ${wordsOf(type)} after ${spellMs(endedAtMs - requestedAtMs)}${why}`;
    }
    case "step.completed":
    case "step.failed":
    case "step.skipped":
      return activation === undefined ? undefined : `${step} ${endText(activation)}`;
    case "loop.started": {
      const total = activation?.loop?.total;
      return total === undefined ? undefined : `${step} loops over ${String(total)} items`;
    }
    case "task.decided": {
      const { verdict } = attrs;
      if (!isJsonObject(verdict) || verdict["do"] !== "retry") return undefined;
      const due = typeof verdict["due_ms"] === "number" ? verdict["due_ms"] : 0;
      const inMs = Math.max(0, due - Date.parse(event.ts));
      const next = Number(tags["attempt"]) + 1;
      return `${step} attempt ${String(next)} in ${spellMs(inMs)}`;
    }
    case "action.deferred":
      return `${step} waits for ${waitsFor(activation, event)}`;
    default:
      return undefined;
  }
}

function nameOf({ path, playbook }: ExecutionProgress): string {
  return path.length === 0 ? playbook : `${path.join("/")} (${playbook})`;
}

function wordsOf(type: string): string {
  return type.replace("execution.", "").replace("_requested", " was asked for");
}

function endText({ status, loop, enteredAtMs, endedAtMs, attempts, error }: Activation): string {
  const took = status === "skipped" ? "" : ` after ${spellMs((endedAtMs ?? 0) - enteredAtMs)}`;
  const many = loop === undefined && attempts > 1 ? `, ${String(attempts)} attempts` : "";
  const items = loop === undefined ? "" : `, ${String(loop.done + loop.failed)} items`;
  return `${status}${took}${many}${items}${error === undefined ? "" : `: ${error}`}`;
}

function waitsFor(activation: Activation | undefined, event: ProgressEvent): string {
  const commands = [...(activation?.commands.values() ?? [])];
  const command = commands.find(({ actionId }) => actionId === event.action_id);
  const { reason } = event.attrs;
  return waitText(typeof reason === "string" ? reason : "", command?.about ?? "");
}
