/**
 * The reading half of the SQLite log.
 *
 * A query that no index and no limit bounds looks at a slice of the log, lets others have a turn, and
 * goes on: an append never waits for a reader.
 */
import type { LogRecord } from "../../event/envelope.ts";
import { tenantOf } from "../../event/envelope.ts";
import type { ActionId, EventId, Offset } from "../../event/ids.ts";
import { topics, type Topic } from "../../event/topic.ts";
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
import { executionReads, type ExecutionReads } from "./executions.ts";
import type { IndexTail } from "./index-tail.ts";
import { listNewestFirst, othersFirst, sliceOffsets, type Filter } from "./listing.ts";
import { belongsTo, bucketSize, offsetsIn, slotOf, threadHash, type ThreadRow } from "./threads.ts";

export type SqliteReads = ExecutionReads & {
  readonly recordAt: (offset: Offset) => LogRecord | undefined;
  readonly read: (query: ReadQuery) => Promise<readonly LogRecord[]>;
  readonly thread: (query: ThreadQuery) => readonly LogRecord[];
  readonly find: (id: EventId) => LogRecord | undefined;
  readonly action: (id: ActionId) => ActionRow | undefined;
  readonly actions: (query: ActionListQuery) => Promise<readonly ActionRow[]>;
  readonly openActions: () => readonly ActionRow[];
  readonly timers: () => readonly TimerRow[];
  readonly snapshots: (decider: string) => readonly (Snapshot & { readonly instance: string })[];
  readonly newest: () => LogRecord | undefined;
  /** Events that the index tables do not have yet, in order. */
  readonly unindexed: () => readonly LogRecord[];
  readonly stage: StageReads;
};

type EventRow = { offset: number; topic: number; ingested_at: number; body: string };

/** Events that are parsed in one turn to see whose they are. */
const parsedAtOnce = 1_000;

export function createReads(db: Database, tail: IndexTail): SqliteReads {
  const at = db.prepare("SELECT * FROM events WHERE offset = ?");
  const from = db.prepare("SELECT * FROM events WHERE offset >= ? ORDER BY offset LIMIT ?");
  const before = db.prepare("SELECT * FROM events WHERE offset <= ? ORDER BY offset DESC LIMIT 1");
  const unindexed = db.prepare(
    "SELECT * FROM events WHERE offset > (SELECT upto FROM index_state) ORDER BY offset",
  );
  const first = db.prepare("SELECT min(offset) AS offset FROM events");
  const up = db.prepare("SELECT * FROM threads WHERE slot = ? AND last >= ? ORDER BY last LIMIT ?");
  const down = db.prepare(
    "SELECT * FROM threads WHERE slot = ? AND last >= ? ORDER BY last DESC LIMIT ?",
  );
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

  const executions = executionReads(db, head);

  const oldest = (): Offset => (first.get() as { offset: number | null }).offset ?? 1;

  const requestOffset = (id: ActionId): Offset | undefined =>
    tail.offsetOf(id.slice("act_".length));

  const action = (id: ActionId): ActionRow | undefined => {
    const offset = requestOffset(id);
    const row = offset === undefined ? undefined : (actionAt.get(offset) as RawAction | undefined);
    return row === undefined ? undefined : actionOf(row);
  };

  /** Offsets of a thread, bucket by bucket, in the order asked for; those of the tail are the newest. */
  function* offsetsOf(query: {
    readonly hash: number;
    readonly from: Offset;
    readonly to: Offset;
    readonly newest: boolean;
  }): Generator<Offset> {
    const recent = tail.thread(query.hash).filter((offset) => offset >= query.from);
    if (query.newest) yield* recent.reverse();
    const first = Math.floor(query.from / bucketSize);
    const last = Math.floor(query.to / bucketSize);
    for (let step = 0; step <= last - first; step += 1) {
      const bucket = query.newest ? last - step : first + step;
      const slot = slotOf(bucket * bucketSize, query.hash);
      const rows = (query.newest ? down : up).all(slot, query.from, bucketSize);
      for (const row of rows as ThreadRow[]) {
        const offsets = offsetsIn(row).filter((offset) => offset >= query.from);
        yield* query.newest ? offsets.reverse() : offsets;
      }
    }
    if (!query.newest) yield* recent;
  }

  const thread = (query: ThreadQuery, to = head()): readonly LogRecord[] => {
    const found: LogRecord[] = [];
    const start = "action" in query.of ? requestOffset(query.of.action) : oldest();
    if (start === undefined) return found;
    const offsets = offsetsOf({
      hash: threadHash(query.of),
      from: Math.max(query.from ?? 1, start),
      to,
      newest: query.order === "newest",
    });
    for (const offset of offsets) {
      if (offset > to) continue;
      const record = recordAt(offset);
      if (record === undefined || !belongsTo(record.event, query.of)) continue;
      if (query.tenant !== undefined && tenantOf(record.event) !== query.tenant) continue;
      found.push(record);
      if (found.length >= query.limit) break;
    }
    return found;
  };

  const read = async (query: ReadQuery): Promise<readonly LogRecord[]> => {
    const { topics: wanted, tenant, limit } = query;
    const start = Math.max(1, query.from);
    if (wanted === undefined && tenant === undefined) {
      return (from.all(start, limit) as EventRow[]).map(recordOf);
    }
    const found: LogRecord[] = [];
    const to = head();
    const scan = scanOf(db, wanted);
    for (let next = Math.max(start, oldest()); next <= to && found.length < limit;) {
      const end = scan.indexed ? to : Math.min(to, next + sliceOffsets - 1);
      const rowsMax = tenant === undefined ? limit - found.length : parsedAtOnce;
      const rows = scan.select.all(next, end, rowsMax) as EventRow[];
      for (const row of rows) {
        const record = recordOf(row);
        if (tenant === undefined || tenantOf(record.event) === tenant) found.push(record);
      }
      next = rows.length < rowsMax ? end + 1 : (rows.at(-1)?.offset ?? end) + 1;
      if (next <= to && found.length < limit) await othersFirst();
    }
    return found.slice(0, limit);
  };

  /** Ids rise with offsets in a log of one writer, so a binary search finds one without an index. */
  const find = (id: EventId): LogRecord | undefined => {
    if (!/^\d{1,19}$/.test(id)) return undefined;
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
    ...executions,
    recordAt,
    read,
    thread,
    find,
    action,
    newest,
    unindexed: () => (unindexed.all() as EventRow[]).map(recordOf),
    actions: async (query) => {
      const filter = { table: "actions", ...filterOf(query) } as const;
      const { before: cursor, limit } = query;
      const rows = await listNewestFirst(db, filter, { head: head(), before: cursor, limit });
      return (rows as RawAction[]).map(actionOf);
    },
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
      actionThread: (id, to) => thread({ of: { action: id }, limit: Number.MAX_SAFE_INTEGER }, to),
      execution: executions.execution,
      executionThread: (id, { from: start, to, limit = Number.MAX_SAFE_INTEGER }) =>
        thread({ of: { execution: id }, from: start, limit }, to),
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

/** Reads events of some topics in a range of offsets; `indexed` where it touches those only. */
function scanOf(
  db: Database,
  wanted: readonly Topic[] | undefined,
): { readonly select: Statement; readonly indexed: boolean } {
  const numbers = (wanted ?? topics).map((topic) => topics.indexOf(topic));
  const rare = numbers.every((number) => number >= 4);
  const where = `${rare ? "topic >= 4 AND " : ""}topic IN (${numbers.join(", ")})`;
  return {
    indexed: rare && numbers.length === 1,
    select: db.prepare(
      `SELECT * FROM events WHERE ${where} AND offset >= ? AND offset <= ? ORDER BY offset LIMIT ?`,
    ),
  };
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

function filterOf(query: ActionListQuery): Filter {
  const where: string[] = [];
  const values: (string | number)[] = [];
  const equal = (column: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    where.push(`${column} = ?`);
    values.push(value);
  };
  equal("tenant", query.tenant);
  equal("command", query.command);
  equal("entity_id", query.entityId);
  equal("correlation_id", query.correlationId);
  let indexed = query.deadLetter !== undefined;
  if (query.deadLetter !== undefined) {
    where.push("dead_letter IS NOT NULL");
    equal("dead_letter", deadLetterStatuses.indexOf(query.deadLetter));
  }
  if (query.status !== undefined) {
    const statuses = query.status.map((status) => actionStatuses.indexOf(status));
    const endedBadly = statuses.every((status) => status >= 5);
    const open = statuses.every((status) => status < 4);
    where.push(`status IN (${statuses.join(", ")})`);
    if (endedBadly) where.push("status >= 5");
    if (open) where.push("terminal_offset IS NULL");
    indexed ||= endedBadly || open;
  }
  return { where, values, indexed };
}
