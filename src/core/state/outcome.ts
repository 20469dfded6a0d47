/**
 * What a task gave, in the words that templates read.
 *
 * `deed/v1` has the kinds of the taxonomy; `noetl.io/v2` has the field's word where there is one.
 * Source: playbooks, semantics 6 and 9.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { DeedError } from "../../event/error.ts";
import type { Outcome } from "./model.ts";

/** The data that an outcome leaves behind where it was let pass: an error is the value `{error}`. */
export function passedData(outcome: Outcome, strict: boolean): Json {
  return outcome.ok ? outcome.data : { error: errorWords(outcome.error, strict) };
}

/** `output` in rules, in a step's `set`, in arcs, and in the next task's input. */
export function envelopeOf(outcome: Outcome, strict: boolean): JsonObject {
  const http = httpOf(outcome);
  return {
    status: outcome.ok ? "ok" : "error",
    data: outcome.ok ? readable(outcome) : (outcome.error.detail?.["data"] ?? null),
    error: outcome.ok ? null : errorWords(outcome.error, strict),
    http,
    attempt: outcome.attempt,
    duration_ms: outcome.durationMs,
  };
}

/** `output.error`: the error with the word that the playbook's version knows, and the HTTP status. */
export function errorWords(error: DeedError, strict: boolean): JsonObject {
  const { kind, message, retryable, detail } = error;
  const status = detail?.["status"];
  const http = typeof status === "number" ? status : undefined;
  return {
    kind: strict ? kind : fieldWord(kind, http),
    message,
    retryable,
    ...(detail === undefined ? {} : { detail }),
    ...(http === undefined || strict ? {} : { status: http }),
  };
}

function fieldWord(kind: DeedError["kind"], status: number | undefined): string {
  if (kind === "rate_limited") return "rate_limit";
  if (kind === "permission") return "auth";
  if (status !== undefined && status >= 500 && kind !== "timeout") return "server_error";
  return kind;
}

function httpOf(outcome: Outcome): Json {
  if (outcome.ok) {
    if (outcome.kind !== "http" || !isJsonObject(outcome.data)) return null;
    const { status_code: status = null, headers = {} } = outcome.data;
    return { status, headers };
  }
  const { detail } = outcome.error;
  const status = detail?.["status"];
  if (typeof status !== "number") return null;
  return { status, headers: detail?.["headers"] ?? {} };
}

/** Fields of a parsed body are also reachable beside `status_code`, `headers`, `data` and `body`. */
function readable({ kind, data }: Extract<Outcome, { ok: true }>): Json {
  if (kind !== "http" || !isJsonObject(data)) return data;
  const { body } = data;
  return isJsonObject(body) && "status_code" in data ? { ...body, ...data } : data;
}

/** The error with where it happened in front of its message, and as a member of its detail. */
export function within(error: DeedError, place: string, detail: JsonObject): DeedError {
  return {
    ...error,
    message: `${place}: ${error.message}`,
    detail: { ...error.detail, ...detail },
  };
}
