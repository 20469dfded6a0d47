import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import type { RecordView } from "../client/client.ts";
import { counted, spellMs, text } from "./terminal.ts";

/** What of an event a person wants to read in one line; `--json` has all of it. */
export function told(event: RecordView["event"]): string {
  const attrs = isJsonObject(event["attrs"]) ? event["attrs"] : {};
  switch (event.event_type) {
    case "probe.up":
    case "probe.down":
    case "probe.degraded":
      return probeText(attrs);
    case "rule.fired":
      return `rule ${text(attrs["rule"])} ${text(attrs["version"])} (${text(attrs["mode"])})${wouldText(attrs["would_request"])}`;
    case "rule.suppressed":
      return `rule ${text(attrs["rule"])} ${text(attrs["version"])} held back: ${text(attrs["reason"])}`;
    case "rule.failed":
      return `rule ${text(attrs["rule"])} ${text(attrs["version"])}: ${text(attrs["reason"])}`;
    case "schedule.fired":
      return `schedule ${text(attrs["schedule"])} slot ${text(attrs["slot"])}: ${text(attrs["playbook"] ?? attrs["command"])}`;
    case "schedule.skipped":
      return `schedule ${text(attrs["schedule"])} passed over ${text(attrs["slot"] ?? `${text(attrs["count"])} slots`)}: ${text(attrs["reason"])}`;
    case "schedule.failed":
      return text(attrs["reason"]);
    case "schedule.activated":
      return `schedule ${text(attrs["name"])} ${text(attrs["version"])} (${text(attrs["mode"])}) from ${text(attrs["file"])}`;
    case "rule.activated":
      return `rule ${text(attrs["name"])} ${text(attrs["version"])} (${text(attrs["mode"])}) from ${text(attrs["file"])}`;
    case "action.requested":
      return `${text(attrs["command"])} ${short(text(attrs["args"]))}`;
    case "action.accepted":
    case "action.started":
      return `worker ${text(attrs["worker_id"])}`;
    case "action.retrying":
      return `again in ${spellMs(Number(attrs["delay_ms"]))} after ${errorText(attrs["error"])}`;
    case "action.failed":
      return errorText(attrs["error"]);
    case "action.deferred":
      return deferredText(attrs);
    case "approval.answered":
      return `${attrs["approved"] === true ? "approved" : "refused"}${byText(attrs["by"])}${attrs["reason"] === undefined ? "" : `: ${short(text(attrs["reason"]))}`}`;
    case "action.succeeded":
      return short(text(attrs["result"]));
    case "action.dead_lettered":
      return `${text(attrs["reason"])} at attempt ${text(attrs["attempts"])}: needs a person (deed dlq)`;
    case "action.redriven":
      return `as ${text(attrs["new_action_id"])}${byText(attrs["by"])}`;
    case "execution.requested":
      return `${text(attrs["playbook"])} ${short(text(attrs["payload"]))}`;
    case "execution.completed":
      return short(text(attrs["result"]));
    case "execution.failed":
    case "step.failed":
      return `${stepText(event)}${errorText(attrs["error"])}`;
    case "execution.started":
    case "step.completed":
    case "step.skipped":
      return `${stepText(event)}${enteredText(attrs["entered"])}`;
    case "loop.started":
      return `${stepText(event)}over ${Array.isArray(attrs["items"]) ? counted(attrs["items"].length, "item") : "what is claimed"}`;
    case "task.decided":
      return `${stepText(event)}${short(text(attrs["verdict"]))}`;
    case "playbook.registered":
      return `${text(attrs["path"])} ${text(attrs["digest"]).slice(0, 12)}`;
    case "timer.fired":
      return `${text(attrs["name"])} is due`;
    default:
      return short(text(attrs));
  }
}

/** The place in a playbook: `fetch`, `fetch[3]`. */
function stepText({ tags }: RecordView["event"]): string {
  const { step, item } = isJsonObject(tags) ? tags : {};
  if (step === undefined) return "";
  return `${text(step)}${item === undefined || item === "-" ? "" : `[${text(item)}]`}  `;
}

function enteredText(entered: Json | undefined): string {
  const steps = Array.isArray(entered) ? entered.filter(isJsonObject) : [];
  return steps.length === 0 ? "" : `then ${steps.map(({ step }) => text(step)).join(", ")}`;
}

function probeText(attrs: JsonObject): string {
  const { reason, was, was_for_ms: lasted, consecutive } = attrs;
  const parts = [
    ...(reason === undefined ? [] : [text(reason)]),
    ...(was === undefined ? [] : [`was ${text(was)} for ${spellMs(Number(lasted))}`]),
    ...(typeof consecutive === "number" && consecutive > 1
      ? [`${String(consecutive)} checks failed in a row`]
      : []),
  ];
  return parts.join("; ");
}

function wouldText(would: Json | undefined): string {
  return isJsonObject(would)
    ? ` would request ${text(would["command"])} ${short(text(would["args"]))}`
    : "";
}

function deferredText({ reason, limit_key: limit, holders }: JsonObject): string {
  if (reason === "approval") return "until a person answers (deed approve)";
  return limit === undefined
    ? text(reason)
    : `${text(reason)} ${text(limit)} held by ${text(holders)}`;
}

function byText(by: Json | undefined): string {
  return by === undefined ? "" : ` by ${text(by)}`;
}

function errorText(error: Json | undefined): string {
  if (!isJsonObject(error)) return "";
  const { detail } = error;
  const said = isJsonObject(detail) ? text(detail["stderr"]).trim().split("\n").at(-1) : undefined;
  const own = `${text(error["kind"])}: ${text(error["message"])}`;
  return said === undefined || said === "" ? own : `${own}: ${short(said)}`;
}

const widthMax = 160;

function short(line: string): string {
  return line.length <= widthMax ? line : `${line.slice(0, widthMax - 1)}…`;
}
