/** Reads core events: where they stand, what they decided. What cannot be read is no event of ours. */
import { parseTimestampMs } from "../../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { CoreEvent } from "../../event/core-event.ts";
import { isErrorKind, type DeedError } from "../../event/error.ts";
import type {
  ArcDecision,
  DecisionEvent,
  Entered,
  FailedStep,
  OfStep,
  Place,
  RuleName,
  SetValue,
  TaskVerdict,
} from "../decision.ts";

/** Where an action's event stands: its request's tags come back in `meta.tags`, or plainly in `meta`. */
export function placeOf(event: CoreEvent): Place | undefined {
  const tags = tagsOf(event);
  const step = event.node_name;
  const activation = tags["activation"];
  const task = tags["task"];
  const attempt = tags["attempt"] ?? event.attempt;
  if (step === undefined || typeof activation !== "number") return undefined;
  if (typeof task !== "string" || typeof attempt !== "number") return undefined;
  return { step, activation, item: itemName(tags["item"]), task, attempt };
}

export function timeOf(event: CoreEvent): number | undefined {
  return parseTimestampMs(event.timestamp);
}

/** The error of an event that tells of one; what it lacks is filled in. */
export function errorOf(event: CoreEvent): DeedError {
  const error = event.context?.["error"];
  if (isError(error)) return error;
  const said = isJsonObject(error) ? error["message"] : error;
  return {
    kind: "executor_error",
    message: typeof said === "string" ? said : `${event.event_type} without an error`,
    retryable: false,
  };
}

/** The decision that an event records; `undefined` where it records none, or not as we write them. */
export function decisionOf(event: CoreEvent): DecisionEvent | undefined {
  const { event_type: type, context = {} } = event;
  switch (type) {
    case "execution.started": {
      const { workload, entered } = context;
      return isJsonObject(workload) && isListOf(entered, isEntered)
        ? { type, workload, entered }
        : undefined;
    }
    case "execution.completed":
      return { type, result: event.result ?? null };
    case "execution.failed": {
      const { error, failed } = context;
      return isError(error) && isListOf(failed, isFailed) ? { type, error, failed } : undefined;
    }
    case "execution.cancelled": {
      const { reason } = context;
      return { type, reason: typeof reason === "string" ? reason : "" };
    }
    case "task.decided": {
      const place = placeOf(event);
      const { rule, verdict, set } = context;
      return place !== undefined && isRule(rule) && isVerdict(verdict) && isListOf(set, isSet)
        ? { type, ...place, rule, verdict, set }
        : undefined;
    }
    default: {
      const of = stepOf(event);
      return of === undefined ? undefined : stepDecision(type, of, context);
    }
  }
}

function stepDecision(type: string, of: OfStep, context: JsonObject): DecisionEvent | undefined {
  const { entered, rule, set, arcs, data, error, items, max_in_flight } = context;
  switch (type) {
    case "step.skipped":
      return isRule(rule) && isListOf(entered, isEntered)
        ? { type, ...of, rule, entered }
        : undefined;
    case "step.failed":
      return isError(error) ? { type, ...of, error } : undefined;
    case "loop.started":
      if (typeof max_in_flight !== "number") return undefined;
      return { type, ...of, max_in_flight, ...(isList(items) ? { items } : {}) };
    case "step.completed":
      return isListOf(set, isSet) && isListOf(arcs, isArc) && isListOf(entered, isEntered)
        ? { type, ...of, ...(data === undefined ? {} : { data }), set, arcs, entered }
        : undefined;
    default:
      return undefined;
  }
}

function tagsOf({ meta }: CoreEvent): JsonObject {
  const tags = meta?.["tags"];
  return isJsonObject(tags) && tags["activation"] !== undefined ? tags : (meta ?? {});
}

function stepOf(event: CoreEvent): OfStep | undefined {
  const { activation } = tagsOf(event);
  const step = event.node_name;
  return step === undefined || typeof activation !== "number" ? undefined : { step, activation };
}

function itemName(item: Json | undefined): string {
  if (typeof item === "number") return String(item);
  return typeof item === "string" ? item : "-";
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function isListOf<T extends Json>(
  value: Json | undefined,
  is: (one: Json | undefined) => one is T,
): value is readonly T[] {
  return isList(value) && value.every(is);
}

function isEntered(value: Json | undefined): value is Entered {
  return (
    isJsonObject(value) &&
    typeof value["step"] === "string" &&
    typeof value["activation"] === "number" &&
    (value["set"] === undefined || isListOf(value["set"], isSet))
  );
}

function isSet(value: Json | undefined): value is SetValue {
  return (
    isJsonObject(value) &&
    (value["scope"] === "ctx" || value["scope"] === "iter" || value["scope"] === "step") &&
    isListOf(value["path"], isText) &&
    value["value"] !== undefined
  );
}

function isArc(value: Json | undefined): value is ArcDecision {
  return (
    isJsonObject(value) &&
    typeof value["to"] === "string" &&
    typeof value["taken"] === "boolean" &&
    typeof value["why"] === "string" &&
    (value["set"] === undefined || isListOf(value["set"], isSet))
  );
}

function isVerdict(value: Json | undefined): value is TaskVerdict {
  if (!isJsonObject(value)) return false;
  switch (value["do"]) {
    case "continue":
    case "break":
      return true;
    case "fail":
      return isError(value["error"]);
    case "jump":
      return typeof value["to"] === "string";
    case "retry":
      return typeof value["due_ms"] === "number";
    default:
      return false;
  }
}

function isFailed(value: Json | undefined): value is FailedStep {
  return (
    isJsonObject(value) &&
    typeof value["step"] === "string" &&
    typeof value["activation"] === "number" &&
    isError(value["error"])
  );
}

function isError(value: Json | undefined): value is DeedError {
  return (
    isJsonObject(value) &&
    isErrorKind(value["kind"]) &&
    typeof value["message"] === "string" &&
    typeof value["retryable"] === "boolean"
  );
}

function isRule(value: Json | undefined): value is RuleName {
  return typeof value === "number" || value === "default" || value === "error";
}

function isText(value: Json | undefined): value is string {
  return typeof value === "string";
}
