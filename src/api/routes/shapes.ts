/** What the API shows: one spelling for actions and records on every route. */
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { LogRecord } from "../../event/envelope.ts";
import { parseActionId, type ActionId } from "../../event/ids.ts";
import { isTopic, type Topic } from "../../event/topic.ts";
import type { ActionRow, Log } from "../../log/log.ts";

export const problemRef = {
  description: "Problem",
  content: { "application/problem+json": { schema: { $ref: "Problem#" } } },
};

export const digits = Type.String({ pattern: "^\\d{1,15}$" });

export const receiptSchema = Type.Object({
  event_id: Type.String(),
  offset: Type.Integer(),
  duplicate: Type.Boolean(),
});

export const recordSchema = Type.Object(
  {
    topic: Type.String(),
    partition: Type.Integer(),
    offset: Type.Integer(),
    ingested_at: Type.String({ description: "RFC 3339" }),
    event: Type.Object({}, { additionalProperties: true }),
  },
  { title: "Record" },
);

export const actionSchema = Type.Object(
  {
    action_id: Type.String(),
    status: Type.String(),
    command: Type.String(),
    entity_id: Type.String(),
    attempt: Type.Integer(),
    requested_at: Type.String(),
  },
  { title: "Action", additionalProperties: true },
);

export function recordView(record: LogRecord): JsonObject {
  const { topic, partition, offset, ingestedAtMs, event } = record;
  return {
    topic,
    partition,
    offset,
    ingested_at: timestamp(ingestedAtMs),
    event: event as unknown as Json,
  };
}

export function actionView(row: ActionRow): JsonObject {
  const at = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : timestamp(ms);
  return {
    action_id: row.actionId,
    status: row.status,
    command: row.command,
    entity_id: row.entityId,
    tenant: row.tenant,
    correlation_id: row.correlationId,
    attempt: row.attempt,
    requested_at: timestamp(row.requestedAtMs),
    accepted_at: at(row.acceptedAtMs),
    started_at: at(row.startedAtMs),
    ended_at: at(row.endedAtMs),
    error_kind: row.errorKind,
    dead_letter: row.deadLetter,
    offset: row.requestOffset,
  };
}

/** The row with what its request asked for, what it gave, and why it waits. */
export async function actionDetail(log: Log, row: ActionRow): Promise<JsonObject> {
  const [request, last, terminal] = await Promise.all([
    recordAt(log, row.requestOffset),
    recordAt(log, row.lastOffset),
    row.terminalOffset === undefined ? undefined : recordAt(log, row.terminalOffset),
  ]);
  const waiting = last?.event.event_type === "action.deferred" ? last.event.attrs : undefined;
  return {
    ...actionView(row),
    request: request?.event.attrs,
    causation_id: request?.event.causation_id,
    idempotency_key: request?.event.idempotency_key,
    result: terminal?.event.attrs["result"],
    error: terminal?.event.attrs["error"],
    deferred: waiting,
  };
}

export async function recordAt(log: Log, offset: number): Promise<LogRecord | undefined> {
  const [record] = await log.read({ from: offset, limit: 1 });
  return record?.offset === offset ? record : undefined;
}

/** The action with this id, as far as the caller may see it. @throws {Fault} `invalid_args`, `not_found` */
export async function findAction(
  log: Log,
  text: string,
  tenant: string | undefined,
): Promise<ActionRow> {
  const id = parseActionId(text);
  if (id === undefined) {
    throw fault("invalid_args", `"${text}" is not an action id: it is act_ and 32 hex digits`);
  }
  const row = await log.getAction(id);
  if (row === undefined || (tenant !== undefined && row.tenant !== tenant)) throw noAction(id);
  return row;
}

function noAction(id: ActionId): Error {
  return fault("not_found", `There is no action ${id}`);
}

/** A page's place in a list: opaque to clients. */
export function cursorOf(offset: number): string {
  return Buffer.from(`o${String(offset)}`).toString("base64url");
}

export function parseCursor(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const offset = /^o(\d{1,15})$/.exec(Buffer.from(text, "base64url").toString("latin1"))?.[1];
  if (offset !== undefined) return Number(offset);
  throw fault("invalid_args", `"${text}" is not a cursor of this API: take one from next_cursor`);
}

export function limitOf(text: string | undefined, fallback: number, max: number): number {
  const limit = text === undefined ? fallback : Number(text);
  if (limit >= 1 && limit <= max) return limit;
  throw fault("invalid_args", `limit must be 1 to ${String(max)}: got ${String(text)}`);
}

/** Comma-separated topics. */
export function parseTopics(text: string | undefined): readonly Topic[] | undefined {
  if (text === undefined) return undefined;
  return text.split(",").map((name) => {
    if (isTopic(name)) return name;
    throw fault("invalid_args", `"${name}" is not a topic: see the contract's seven`);
  });
}
