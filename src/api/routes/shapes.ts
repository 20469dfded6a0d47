/** What the API shows: one spelling for actions and records on every route. */
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import { parseActionId, type ActionId } from "../../event/ids.ts";
import { isTopic, topics, type Topic } from "../../event/topic.ts";
import type { ActionRow, Log } from "../../log/log.ts";

export const problemRef = {
  description: "Problem",
  content: { "application/problem+json": { schema: { $ref: "Problem#" } } },
};

/** The problems that a route answers with, and any other in the same form. */
export function problems(...statuses: readonly number[]): Record<string, typeof problemRef> {
  return Object.fromEntries([...statuses, "default"].map((status) => [String(status), problemRef]));
}

/** A name or an id in a request: what it means, its reader says. */
export const text = Type.String({ minLength: 1, maxLength: 512 });

export const idParams = Type.Object({ id: Type.String() });

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
    event,
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

/** Records of an action that the caller has at hand: they are not read again. */
export type Known = { readonly request?: NewEvent; readonly terminal?: LogRecord };

/** The row with what its request asked for, what it gave, and why it waits. */
export async function actionDetail(
  log: Log,
  row: ActionRow,
  known: Known = {},
): Promise<JsonObject> {
  const waits = row.status === "requested" || row.status === "retrying";
  const [request, terminal, last] = await Promise.all([
    known.request ?? eventAt(log, row.requestOffset),
    known.terminal?.event ?? (row.terminalOffset && eventAt(log, row.terminalOffset)),
    waits && row.lastOffset !== row.requestOffset ? eventAt(log, row.lastOffset) : undefined,
  ]);
  const ended = typeof terminal === "object" ? terminal.attrs : {};
  return {
    ...actionView(row),
    request: request?.attrs,
    causation_id: request?.causation_id,
    idempotency_key: request?.idempotency_key,
    result: ended["result"],
    error: ended["error"],
    deferred: last?.event_type === "action.deferred" ? last.attrs : undefined,
  };
}

async function eventAt(log: Log, offset: number): Promise<NewEvent | undefined> {
  return (await recordAt(log, offset))?.event;
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

/** What a cursor goes on with: actions or executions below a request offset, or records from an offset. */
export type CursorKind = "actions" | "executions" | "records";

const cursorLetters: { readonly [K in CursorKind]: string } = {
  actions: "a",
  executions: "e",
  records: "r",
};

/** A page's place in a list: opaque to clients. It holds an offset, never a filter or a tenant. */
export function cursorOf(kind: CursorKind, offset: number): string {
  return Buffer.from(`${cursorLetters[kind]}${String(offset)}`).toString("base64url");
}

export function parseCursor(kind: CursorKind, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const read = Buffer.from(text, "base64url").toString("latin1");
  const offset = Number(/^[aer](\d{1,15})$/.exec(read)?.[1]);
  if (!Number.isNaN(offset) && cursorOf(kind, offset) === text) return offset;
  throw fault("invalid_args", `"${text}" is not a cursor of this list: take one from next_cursor`);
}

/**
 * Cuts a page of `limit` from rows of which one more was asked for.
 *
 * @returns the page, and its last row where more follow.
 */
export function pageOf<T>(
  rows: readonly T[],
  limit: number,
): { readonly page: readonly T[]; readonly last: T | undefined } {
  const page = rows.slice(0, limit);
  return { page, last: rows.length > limit ? page.at(-1) : undefined };
}

export function limitOf(text: string | undefined, fallback: number, max: number): number {
  const limit = text === undefined ? fallback : Number(text);
  if (limit >= 1 && limit <= max) return limit;
  throw fault("invalid_args", `limit must be 1 to ${String(max)}: got ${String(text)}`);
}

/** Comma-separated topics. */
export function parseTopics(text: string | undefined): readonly Topic[] | undefined {
  return text?.split(",").map((name) => {
    if (isTopic(name)) return name;
    throw fault("invalid_args", `"${name}" is not a topic: one of ${topics.join(", ")}`);
  });
}
