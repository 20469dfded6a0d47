/**
 * A log in memory, for tests and the simulation: the same commit engine as the SQLite log, over a
 * `MemoryDisk` that outlives the log object as a file outlives a process.
 */
import type { Clock } from "../../base/clock.ts";
import { present } from "../../base/assert.ts";
import { snowflakeMs } from "../../event/snowflake.ts";
import { tenantOf, type LogRecord } from "../../event/envelope.ts";
import type { ActionId, EventId, Offset } from "../../event/ids.ts";
import { createGroupCommit, type CommitStore } from "../commit/group-commit.ts";
import { followByReading } from "../commit/follow.ts";
import {
  LogError,
  type ActionRow,
  type Log,
  type ReadQuery,
  type Snapshot,
  type StageWrites,
  type ThreadQuery,
  type TimerRow,
} from "../log.ts";

/** What is durable. Only a commit changes it, at once and as a whole. */
export type MemoryDisk = {
  readonly records: Map<Offset, LogRecord>;
  head: Offset;
  readonly keys: Map<string, Offset>;
  readonly actions: Map<ActionId, ActionRow>;
  readonly threads: Map<ActionId, LogRecord[]>;
  readonly timers: Map<string, TimerRow>;
  readonly snapshots: Map<
    string,
    Snapshot & { readonly decider: string; readonly instance: string }
  >;
};

export function createMemoryDisk(): MemoryDisk {
  return {
    records: new Map(),
    head: 0,
    keys: new Map(),
    actions: new Map(),
    threads: new Map(),
    timers: new Map(),
    snapshots: new Map(),
  };
}

export type MemoryLogOptions = {
  readonly clock: Clock;
  readonly disk?: MemoryDisk;
  readonly node?: number;
  readonly eventBytesMax?: number;
  /** Asked before each commit: throws to make it fail, as a full disk would. */
  readonly beforeCommit?: (commit: { readonly events: number }) => void;
};

export function createMemoryLog(options: MemoryLogOptions): Log {
  const disk = options.disk ?? createMemoryDisk();
  const newest = disk.records.get(disk.head);
  const group = createGroupCommit({
    store: memoryStore(disk, options.beforeCommit),
    clock: options.clock,
    node: options.node ?? 0,
    eventBytesMax: options.eventBytesMax,
    head: disk.head,
    lastMintMs: newest === undefined ? 0 : snowflakeMs(newest.event.event_id),
  });
  const log: Log = {
    append: group.append,
    attach: group.attach,
    nudge: group.nudge,
    head: group.head,
    onCommit: group.onCommit,
    close: group.close,
    read: (query) => Promise.resolve(readFrom(disk, query)),
    readThread: (query) => Promise.resolve(threadOf(disk, query)),
    findEvent: (id) => Promise.resolve(find(disk, id)),
    follow: (query) => followByReading(log, query),
    getAction: (id) => Promise.resolve(disk.actions.get(id)),
    listActions: (query) => {
      const rows = rowsOf(disk)
        .reverse()
        .filter((row) => matches(row, query));
      return Promise.resolve(rows.slice(0, query.limit));
    },
    openActions: () => rowsOf(disk).filter((row) => row.terminalOffset === undefined),
    timers: () => [...disk.timers.values()],
    snapshots: (decider) => [...disk.snapshots.values()].filter((held) => held.decider === decider),
    reads: readsOf(disk),
    retain: (policy) => {
      const nowMs = options.clock.nowMs();
      let removed = 0;
      for (const [offset, record] of disk.records) {
        const keptMs = policy[record.topic];
        if (keptMs === undefined || record.ingestedAtMs >= nowMs - keptMs) continue;
        if (isOpen(disk, record)) continue;
        disk.records.delete(offset);
        removed += 1;
      }
      return Promise.resolve(removed);
    },
    backup: () =>
      Promise.reject(new LogError("invalid", "Cannot back up a log that lives in memory")),
  };
  return log;
}

function memoryStore(
  disk: MemoryDisk,
  beforeCommit: MemoryLogOptions["beforeCommit"],
): CommitStore {
  let keys = new Map<string, Offset>();
  let records: readonly LogRecord[] = [];
  let writes: StageWrites | undefined;
  const forget = (): void => {
    keys = new Map();
    records = [];
    writes = undefined;
  };
  return {
    begin: forget,
    claimKey: (hash, offset) => {
      const holder = disk.keys.get(hash) ?? keys.get(hash);
      if (holder === undefined) keys.set(hash, offset);
      return holder;
    },
    eventIdAt: (offset) =>
      present(disk.records.get(offset), `event ${String(offset)}`).event.event_id,
    write: (serialised, staged) => {
      records = serialised.map(({ record, body }) => ({
        ...record,
        event: JSON.parse(body) as LogRecord["event"],
      }));
      writes = staged;
    },
    commit: () => {
      beforeCommit?.({ events: records.length });
      for (const [hash, offset] of keys) disk.keys.set(hash, offset);
      for (const record of records) keepRecord(disk, record);
      if (writes !== undefined) keepWrites(disk, writes);
      forget();
    },
    rollback: forget,
    reads: readsOf(disk),
  };
}

function keepRecord(disk: MemoryDisk, record: LogRecord): void {
  disk.records.set(record.offset, record);
  disk.head = record.offset;
  const action = record.event.action_id;
  if (action === undefined) return;
  const thread = disk.threads.get(action);
  if (thread === undefined) disk.threads.set(action, [record]);
  else thread.push(record);
}

function keepWrites(disk: MemoryDisk, { actions, timers, snapshots }: StageWrites): void {
  for (const row of actions) disk.actions.set(row.actionId, row);
  for (const { decider, instance, name, dueMs } of timers) {
    const key = `${decider}\0${instance}\0${name}`;
    if (dueMs === undefined) disk.timers.delete(key);
    else disk.timers.set(key, { decider, instance, name, dueMs });
  }
  for (const { decider, instance, offset, state } of snapshots) {
    const key = `${decider}\0${instance}`;
    if (state === undefined) disk.snapshots.delete(key);
    else disk.snapshots.set(key, { decider, instance, offset, state });
  }
}

function readsOf(disk: MemoryDisk): CommitStore["reads"] {
  return {
    actionThread: (id) => disk.threads.get(id)?.slice() ?? [],
    snapshot: (decider, instance) => disk.snapshots.get(`${decider}\0${instance}`),
  };
}

function readFrom(disk: MemoryDisk, query: ReadQuery): readonly LogRecord[] {
  const found: LogRecord[] = [];
  for (let offset = Math.max(1, query.from); offset <= disk.head; offset += 1) {
    if (found.length >= query.limit) break;
    const record = disk.records.get(offset);
    if (record === undefined) continue;
    if (query.topics !== undefined && !query.topics.includes(record.topic)) continue;
    if (query.tenant !== undefined && tenantOf(record.event) !== query.tenant) continue;
    found.push(record);
  }
  return found;
}

function threadOf(disk: MemoryDisk, query: ThreadQuery): readonly LogRecord[] {
  const { of: thread, from = 1, limit, order = "oldest", tenant } = query;
  const found: LogRecord[] = [];
  for (const record of disk.records.values()) {
    const { event } = record;
    const belongs =
      "action" in thread
        ? event.action_id === thread.action
        : "execution" in thread
          ? event.execution_id === thread.execution
          : event.entity_id === thread.entity;
    if (!belongs || record.offset < from) continue;
    if (tenant === undefined || tenantOf(event) === tenant) found.push(record);
  }
  return (order === "newest" ? found.reverse() : found).slice(0, limit);
}

function find(disk: MemoryDisk, id: EventId): LogRecord | undefined {
  for (const record of disk.records.values()) if (record.event.event_id === id) return record;
  return undefined;
}

function rowsOf(disk: MemoryDisk): ActionRow[] {
  return [...disk.actions.values()].sort((left, right) => left.requestOffset - right.requestOffset);
}

function matches(row: ActionRow, query: Parameters<Log["listActions"]>[0]): boolean {
  return (
    (query.before === undefined || row.requestOffset < query.before) &&
    (query.tenant === undefined || row.tenant === query.tenant) &&
    (query.status?.includes(row.status) ?? true) &&
    (query.command === undefined || row.command === query.command) &&
    (query.entityId === undefined || row.entityId === query.entityId) &&
    (query.correlationId === undefined || row.correlationId === query.correlationId) &&
    (query.deadLetter === undefined || row.deadLetter === query.deadLetter)
  );
}

function isOpen(disk: MemoryDisk, record: LogRecord): boolean {
  const action = record.event.action_id;
  const row = action === undefined ? undefined : disk.actions.get(action);
  return row !== undefined && row.terminalOffset === undefined;
}
