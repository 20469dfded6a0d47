/**
 * The core event: what the pure core reads, and the one place where a log record becomes one.
 *
 * | core event | from the event |
 * |---|---|
 * | `event_id`, `event_type`, `attempt`, `parent_execution_id` | the field of that name |
 * | `execution_id` | the field of that name; an event without one belongs to no execution |
 * | `node_name` | `tags.step` |
 * | `status` | `attrs.status`, else what the type says (see {@link statusOfType}) |
 * | `result` | `attrs.result` |
 * | `context` | the other members of `attrs`: `command` and `args` of a request, `error` of a failure |
 * | `meta` | the members of `attrs.meta`, and over them `action_id` and `tags` (without `step`) |
 * | `timestamp` | `ts`, in UTC milliseconds |
 *
 * Invariants
 * 1. Nothing of the storage comes along: no topic, partition, offset, time of ingestion, key or trace.
 * 2. `timestamp` is the event's own time. One that cannot be read is an error, never the time of reading.
 * 3. Members that an event does not have are left out, not `undefined` and not null: the same event gives
 *    the same bytes in canonical JSON, here and inside a guest.
 *
 * Source: contract, "The core event".
 */
import { parseTimestampMs, timestamp } from "../base/clock.ts";
import {
  isJsonObject,
  jsonDepthMax,
  nestsDeeperThan,
  type Json,
  type JsonObject,
} from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { LogRecord } from "./envelope.ts";
import { deedError, type DeedError } from "./error.ts";
import { eventId, executionId, type EventId, type ExecutionId } from "./ids.ts";
import { isOwnEventType, type OwnEventType } from "./topic.ts";

/** One event of an execution, as playbooks, their shadow and their plug-ins read it. */
export type CoreEvent = {
  readonly event_id: EventId;
  readonly execution_id: ExecutionId;
  readonly event_type: string;
  /** The step that it is about; none for events of the execution as a whole. */
  readonly node_name?: string;
  /** Upper case, e.g. `STARTED`, `SUCCEEDED`. */
  readonly status: string;
  readonly context?: JsonObject;
  readonly result?: Json;
  readonly meta?: JsonObject;
  /** RFC 3339, UTC, milliseconds. */
  readonly timestamp: string;
  readonly parent_execution_id?: ExecutionId;
  /** >= 1. */
  readonly attempt?: number;
};

/**
 * Converts a record of the log.
 *
 * @returns refused (`unprocessable`) where the event belongs to no execution or its time cannot be read.
 */
export function coreEventOf({ event }: LogRecord): Result<CoreEvent, DeedError> {
  const { execution_id, parent_execution_id, attempt, tags } = event;
  if (execution_id === undefined) {
    return refused(event.event_id, "it belongs to no execution: execution_id is missing");
  }
  const atMs = parseTimestampMs(event.ts);
  if (atMs === undefined) {
    return refused(event.event_id, `its time cannot be read: ts is ${JSON.stringify(event.ts)}`);
  }
  const { status, result, meta: ownMeta, ...rest } = event.attrs;
  const { step, ...others } = tags;
  const named = typeof step === "string" && step !== "";
  const context = {
    ...rest,
    ...(status === undefined || isStatus(status) ? {} : { status }),
    ...(ownMeta === undefined || isJsonObject(ownMeta) ? {} : { meta: ownMeta }),
  };
  const meta = {
    ...(isJsonObject(ownMeta) ? ownMeta : {}),
    ...(event.action_id === undefined ? {} : { action_id: event.action_id }),
    tags: defined(named ? others : tags),
  };
  return ok({
    event_id: event.event_id,
    execution_id,
    event_type: event.event_type,
    ...(named ? { node_name: step } : {}),
    status: isStatus(status) ? status.toUpperCase() : statusOfType(event.event_type),
    ...(isEmpty(context) ? {} : { context: defined(context) }),
    ...(result === undefined ? {} : { result }),
    meta,
    timestamp: timestamp(atMs),
    ...(parent_execution_id === undefined ? {} : { parent_execution_id }),
    ...(attempt === undefined ? {} : { attempt }),
  });
}

/**
 * Reads a core event that was written down: a recorded history, a plug-in's input.
 *
 * `created_at` is accepted for `timestamp`; where both stand they must say the same time. A member that
 * a core event does not have is refused, as it would be lost without a word.
 *
 * @returns the event with its time in UTC milliseconds; refused (`invalid_args`) with what is wrong.
 */
export function parseCoreEvent(value: unknown): Result<CoreEvent, DeedError> {
  if (!isJsonObject(value)) return invalid("it is not a JSON object");
  const unknown = Object.keys(value).find((name) => !memberNames.has(name));
  if (unknown !== undefined) return invalid(`"${unknown}" is not a member of a core event`);
  const { event_id: id, execution_id: execution, event_type: type, status } = value;
  if (!isText(id)) return invalid(`event_id ${mustBeText(id)}`);
  if (!isText(execution)) return invalid(`execution_id ${mustBeText(execution)}`);
  if (!isText(type)) return invalid(`event_type ${mustBeText(type)}`);
  if (!isText(status)) return invalid(`status ${mustBeText(status)}`);
  const at = timeOf(value);
  if (!at.ok) return at;
  const optional = optionalMembers(value);
  if (!optional.ok) return optional;
  return ok({
    event_id: eventId(id),
    execution_id: executionId(execution),
    event_type: type,
    status,
    timestamp: at.value,
    ...optional.value,
  });
}

/**
 * What a type says about the status, where the event does not say it itself: for the action lifecycle the
 * state after the event (contract, "Action lifecycle"), else the last word of the type in upper case.
 */
export function statusOfType(eventType: string): string {
  const kept = isOwnEventType(eventType) ? statusKept[eventType] : undefined;
  return kept ?? eventType.slice(eventType.lastIndexOf(".") + 1).toUpperCase();
}

/** Lifecycle events that leave the action where it is. */
const statusKept: { readonly [type in OwnEventType]?: string } = {
  "action.deferred": "REQUESTED",
  "action.progress": "STARTED",
};

type Optional = Pick<
  CoreEvent,
  "node_name" | "context" | "result" | "meta" | "parent_execution_id" | "attempt"
>;

function optionalMembers(value: JsonObject): Result<Optional, DeedError> {
  const { node_name, context, result, meta, parent_execution_id: parent, attempt } = value;
  if (node_name !== undefined && !isText(node_name)) {
    return invalid(`node_name ${mustBeText(node_name)}`);
  }
  if (parent !== undefined && !isText(parent)) {
    return invalid(`parent_execution_id ${mustBeText(parent)}`);
  }
  if (context !== undefined && !isJsonObject(context)) return invalid("context must be an object");
  if (meta !== undefined && !isJsonObject(meta)) return invalid("meta must be an object");
  const whole = typeof attempt === "number" && Number.isSafeInteger(attempt) && attempt >= 1;
  if (attempt !== undefined && !whole) {
    return invalid(`attempt must be a whole number >= 1: got ${JSON.stringify(attempt)}`);
  }
  if (nestsDeeperThan([context, result, meta], jsonDepthMax + 1)) {
    return invalid(`it nests deeper than ${String(jsonDepthMax)} levels`);
  }
  return ok({
    ...(node_name === undefined ? {} : { node_name }),
    ...(context === undefined ? {} : { context }),
    ...(result === undefined ? {} : { result }),
    ...(meta === undefined ? {} : { meta }),
    ...(parent === undefined ? {} : { parent_execution_id: executionId(parent) }),
    ...(whole ? { attempt } : {}),
  });
}

function timeOf(value: JsonObject): Result<string, DeedError> {
  const times: string[] = [];
  for (const name of ["timestamp", "created_at"]) {
    const given = value[name];
    if (given === undefined) continue;
    const atMs = typeof given === "string" ? parseTimestampMs(given) : undefined;
    if (atMs === undefined) {
      return invalid(`${name} cannot be read as an RFC 3339 time: got ${JSON.stringify(given)}`);
    }
    times.push(timestamp(atMs));
  }
  const [first, second = first] = times;
  if (first === undefined) return invalid("timestamp is missing");
  return first === second ? ok(first) : invalid("timestamp and created_at say different times");
}

const memberNames: ReadonlySet<string> = new Set([
  "event_id",
  "execution_id",
  "event_type",
  "node_name",
  "status",
  "context",
  "result",
  "meta",
  "timestamp",
  "created_at",
  "parent_execution_id",
  "attempt",
]);

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isStatus(value: Json | undefined): value is string {
  return typeof value === "string" && /^[A-Za-z_]+$/.test(value);
}

function mustBeText(value: Json | undefined): string {
  return value === undefined
    ? "is missing"
    : `must be a text that is not empty: got ${JSON.stringify(value)}`;
}

function isEmpty(members: JsonObject): boolean {
  return Object.values(members).every((member) => member === undefined);
}

function defined(members: JsonObject): JsonObject {
  for (const name in members) {
    if (members[name] !== undefined) continue;
    return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined));
  }
  return members;
}

function refused(id: EventId, why: string): Result<never, DeedError> {
  return err(deedError("unprocessable", `Cannot read event ${id} as a core event as ${why}`));
}

function invalid(why: string): Result<never, DeedError> {
  return err(deedError("invalid_args", `Cannot read the core event as ${why}`));
}
