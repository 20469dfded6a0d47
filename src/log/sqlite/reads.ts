/** The reading half of the SQLite log. Every query is bounded by its limit or by an index. */
import type { LogRecord } from "../../event/envelope.ts";
import { tenantOf } from "../../event/envelope.ts";
import type { ActionId, EventId, Offset } from "../../event/ids.ts";
import { topics } from "../../event/topic.ts";
import { isErrorKind } from "../../event/error.ts";
import type { Json } from "../../base/json.ts";
import {
  actionStatuses,
  deadLetterStatuses,
  type ActionListQuery,
  type ActionRow,
  type ReadQuery,
  type Snapshot,
  type StageReads,
  type ThreadQuery,
  type TimerRow,
} from "../log.ts";
import type { Database, Statement } from "./driver.ts";
import { belongsTo, bucketSize, slotOf, threadHash } from "./threads.ts";

export type SqliteReads = {
  readonly recordAt: (offset: Offset) => LogRecord | undefined;
  readonly read: (query: ReadQuery) => readonly LogRecord[];
  readonly thread: (query: ThreadQuery) => readonly LogRecord[];
  readonly find: (id: EventId) => LogRecord | undefined;
  readonly action: (id: ActionId) => ActionRow | undefined;
  readonly actions: (query: ActionListQuery) => readonly ActionRow[];
  readonly openActions: () => readonly ActionRow[];
  readonly timers: () => readonly TimerRow[];
  readonly snapshots: (decider: string) => readonly (Snapshot & { readonly instance: string })[];
  readonly newest: () => LogRecord | undefined;
  readonly stage: StageReads;
};

type EventRow = { offset: number; topic: number; ingested_at: number; body: string };

/** Rows that a scan for few matches looks at before it gives back what it has. */
const scanRows = 1_000;

export function createReads(db: Database): SqliteReads {
  const at = db.prepare("SELECT * FROM events WHERE offset = ?");
  const from = db.prepare("SELECT * FROM events WHERE offset >= ? ORDER BY offset LIMIT ?");
  const before = db.prepare("SELECT * FROM events WHERE offset <= ? ORDER BY offset DESC LIMIT 1");
  const up = db.prepare(
    "SELECT offset FROM threads WHERE slot = ? AND offset >= ? ORDER BY offset LIMIT ?",
  );
  const down = db.prepare(
    "SELECT offset FROM threads WHERE slot = ? AND offset >= ? ORDER BY offset DESC LIMIT ?",
  );
  const keyOffset = db.prepare("SELECT offset FROM keys WHERE hash = ?");
  const actionAt = db.prepare("SELECT * FROM actions WHERE request_offset = ?");
  const open = db.prepare(
    "SELECT * FROM actions WHERE terminal_offset IS NULL ORDER BY request_offset",
  );
  const timers = db.prepare("SELECT decider, instance, name, due_at FROM timers");
  const snapshot = db.prepare(
    "SELECT offset, state FROM snapshots WHERE decider = ? AND instance = ?",
  );
  const snapshots = db.prepare("SELECT instance, offset, state FROM snapshots WHERE decider = ?");

  const recordAt = (offset: Offset): LogRecord | undefined => {
    const row = at.get(offset) as EventRow | undefined;
    return row === undefined ? undefined : recordOf(row);
  };

  const newest = (): LogRecord | undefined => {
    const row = before.get(Number.MAX_SAFE_INTEGER) as EventRow | undefined;
    return row === undefined ? undefined : recordOf(row);
  };

  const head = (): Offset => newest()?.offset ?? 0;

  const action = (id: ActionId): ActionRow | undefined => {
    const key = keyOffset.get(Buffer.from(id.slice("act_".length), "hex")) as
      { offset: number } | undefined;
    const row = key === undefined ? undefined : (actionAt.get(key.offset) as RawAction | undefined);
    return row === undefined ? undefined : actionOf(row);
  };

  /** Offsets of a thread, bucket by bucket, in the order asked for. */
  function* offsetsOf(query: {
    readonly hash: number;
    readonly from: Offset;
    readonly to: Offset;
    readonly newest: boolean;
  }): Generator<Offset> {
    const first = Math.floor(query.from / bucketSize);
    const last = Math.floor(query.to / bucketSize);
    for (let step = 0; step <= last - first; step += 1) {
      const bucket = query.newest ? last - step : first + step;
      const slot = slotOf(bucket * bucketSize, query.hash);
      const rows = (query.newest ? down : up).all(slot, query.from, bucketSize);
      for (const row of rows) yield (row as { offset: number }).offset;
    }
  }

  const thread = (query: ThreadQuery): readonly LogRecord[] => {
    const found: LogRecord[] = [];
    const row = "action" in query.of ? action(query.of.action) : undefined;
    if ("action" in query.of && row === undefined) return found;
    const offsets = offsetsOf({
      hash: threadHash(query.of),
      from: Math.max(query.from ?? 1, row?.requestOffset ?? 1),
      to: head(),
      newest: query.order === "newest",
    });
    for (const offset of offsets) {
      const record = recordAt(offset);
      if (record === undefined || !belongsTo(record.event, query.of)) continue;
      if (query.tenant !== undefined && tenantOf(record.event) !== query.tenant) continue;
      found.push(record);
      if (found.length >= query.limit) break;
    }
    return found;
  };

  const read = (query: ReadQuery): readonly LogRecord[] => {
    const found: LogRecord[] = [];
    const numbers = query.topics?.map((topic) => topics.indexOf(topic));
    const rare = numbers?.every((number) => number >= 4) === true;
    const select = numbers === undefined ? undefined : topicScan(db, numbers, rare);
    for (let next = query.from; found.length < query.limit;) {
      const limit = query.tenant === undefined ? query.limit - found.length : scanRows;
      const rows = (
        select === undefined ? from.all(next, limit) : select.all(next, limit)
      ) as EventRow[];
      for (const row of rows) {
        const record = recordOf(row);
        if (query.tenant !== undefined && tenantOf(record.event) !== query.tenant) continue;
        found.push(record);
        if (found.length >= query.limit) break;
      }
      if (rows.length < limit) break;
      next = (rows.at(-1)?.offset ?? next) + 1;
    }
    return found;
  };

  /** Ids rise with offsets in a log of one writer, so a binary search finds one without an index. */
  const find = (id: EventId): LogRecord | undefined => {
    const wanted = BigInt(id);
    let low = 1;
    let high = head();
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const row = before.get(middle) as EventRow | undefined;
      if (row === undefined || row.offset < low) {
        low = middle + 1;
        continue;
      }
      const record = recordOf(row);
      const current = BigInt(record.event.event_id);
      if (current === wanted) return record;
      if (current < wanted) low = middle + 1;
      else high = row.offset - 1;
    }
    return undefined;
  };

  return {
    recordAt,
    read,
    thread,
    find,
    action,
    newest,
    actions: (query) => listActions(db, query),
    openActions: () => (open.all() as unknown as RawAction[]).map(actionOf),
    timers: () =>
      (timers.all() as { decider: string; instance: string; name: string; due_at: number }[]).map(
        ({ decider, instance, name, due_at: dueMs }) => ({ decider, instance, name, dueMs }),
      ),
    snapshots: (decider) =>
      (snapshots.all(decider) as { instance: string; offset: number; state: string }[]).map(
        ({ instance, offset, state }) => ({ instance, offset, state: JSON.parse(state) as Json }),
      ),
    stage: {
      actionThread: (id) => thread({ of: { action: id }, limit: Number.MAX_SAFE_INTEGER }),
      snapshot: (decider, instance) => {
        const row = snapshot.get(decider, instance) as
          { offset: number; state: string } | undefined;
        return row === undefined
          ? undefined
          : { offset: row.offset, state: JSON.parse(row.state) as Json };
      },
    },
  };
}

function topicScan(db: Database, numbers: readonly number[], rare: boolean): Statement {
  const list = numbers.join(", ");
  const where = rare ? `topic >= 4 AND topic IN (${list})` : `topic IN (${list})`;
  return db.prepare(`SELECT * FROM events WHERE ${where} AND offset >= ? ORDER BY offset LIMIT ?`);
}

function recordOf(row: EventRow): LogRecord {
  return {
    topic: topics[row.topic] ?? "events.normalized",
    partition: 0,
    offset: row.offset,
    ingestedAtMs: row.ingested_at,
    event: JSON.parse(row.body) as LogRecord["event"],
  };
}

type RawAction = {
  request_offset: number;
  action_id: string;
  last_offset: number;
  terminal_offset: number | null;
  tenant: string;
  command: string;
  entity_id: string;
  correlation_id: string | null;
  status: number;
  attempt: number;
  requested_at: number;
  accepted_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  error_kind: string | null;
  dead_letter: number | null;
};

function actionOf(raw: RawAction): ActionRow {
  const deadLetter = raw.dead_letter === null ? undefined : deadLetterStatuses[raw.dead_letter];
  return {
    actionId: raw.action_id as ActionId,
    requestOffset: raw.request_offset,
    lastOffset: raw.last_offset,
    ...(raw.terminal_offset === null ? {} : { terminalOffset: raw.terminal_offset }),
    tenant: raw.tenant,
    command: raw.command,
    entityId: raw.entity_id,
    ...(raw.correlation_id === null ? {} : { correlationId: raw.correlation_id }),
    status: actionStatuses[raw.status] ?? "requested",
    attempt: raw.attempt,
    requestedAtMs: raw.requested_at,
    ...(raw.accepted_at === null ? {} : { acceptedAtMs: raw.accepted_at }),
    ...(raw.started_at === null ? {} : { startedAtMs: raw.started_at }),
    ...(raw.ended_at === null ? {} : { endedAtMs: raw.ended_at }),
    ...(isErrorKind(raw.error_kind) ? { errorKind: raw.error_kind } : {}),
    ...(deadLetter === undefined ? {} : { deadLetter }),
  };
}

function listActions(db: Database, query: ActionListQuery): readonly ActionRow[] {
  const where: string[] = ["request_offset < ?"];
  const values: (string | number)[] = [query.before ?? Number.MAX_SAFE_INTEGER];
  const equal = (column: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    where.push(`${column} = ?`);
    values.push(value);
  };
  equal("tenant", query.tenant);
  equal("command", query.command);
  equal("entity_id", query.entityId);
  equal("correlation_id", query.correlationId);
  if (query.deadLetter !== undefined) {
    where.push("dead_letter IS NOT NULL");
    equal("dead_letter", deadLetterStatuses.indexOf(query.deadLetter));
  }
  const statuses = query.status?.map((status) => actionStatuses.indexOf(status));
  if (statuses !== undefined) {
    where.push(`status IN (${statuses.join(", ")})`);
    if (statuses.every((status) => status >= 5)) where.push("status >= 5");
    if (statuses.every((status) => status < 4)) where.push("terminal_offset IS NULL");
  }
  const sql = `SELECT * FROM actions WHERE ${where.join(" AND ")} ORDER BY request_offset DESC LIMIT ?`;
  return (db.prepare(sql).all(...values, query.limit) as unknown as RawAction[]).map(actionOf);
}
