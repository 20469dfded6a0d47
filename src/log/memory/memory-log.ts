/**
 * A log in memory, for tests and the simulation: the same commit engine as the SQLite log, over a
 * `MemoryDisk` that outlives the log object as a file outlives a process.
 */
import type { Clock } from "../../base/clock.ts";
import { present } from "../../base/assert.ts";
import { snowflakeMs } from "../../event/snowflake.ts";
import { tenantOf, type LogRecord } from "../../event/envelope.ts";
import type { ActionId, EventId, ExecutionId, Offset } from "../../event/ids.ts";
import { createGroupCommit, type CommitStore } from "../commit/group-commit.ts";
import { followByReading } from "../commit/follow.ts";
import { keyHashOf } from "../commit/key.ts";
import {
  dedupWindowMsDefault,
  isKept,
  type RetentionLimits,
  type RowsByKey,
} from "../commit/retention.ts";
import {
  LogError,
  type ActionRow,
  type ExecutionRow,
  type Log,
  type ReadQuery,
  type RetentionPolicy,
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
  readonly executions: Map<ExecutionId, ExecutionRow>;
  /** The events of each action, rising. */
  readonly threads: Map<ActionId, LogRecord[]>;
  /** The events of each execution, and those of its children that name it as their parent, rising. */
  readonly executionThreads: Map<ExecutionId, LogRecord[]>;
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
    executions: new Map(),
    threads: new Map(),
    executionThreads: new Map(),
    timers: new Map(),
    snapshots: new Map(),
  };
}

export type MemoryLogOptions = {
  readonly clock: Clock;
  readonly disk?: MemoryDisk;
  readonly node?: number;
  readonly eventBytesMax?: number;
  /** How long a key is remembered at least, milliseconds. Default 7 days. */
  readonly dedupWindowMs?: number;
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
  let closed = false;
  const asked = <T>(work: () => T): Promise<T> =>
    closed
      ? Promise.reject(new LogError("closed", "Cannot read the log as it is closed"))
      : Promise.resolve(work());
  const log: Log = {
    append: group.append,
    attach: group.attach,
    nudge: group.nudge,
    head: group.head,
    onCommit: group.onCommit,
    close: async () => {
      await group.close();
      closed = true;
    },
    read: (query) => asked(() => readFrom(disk, query)),
    readThread: (query) => asked(() => threadOf(disk, query)),
    findEvent: (id) => asked(() => find(disk, id)),
    follow: (query) => followByReading(log, query),
    getAction: (id) => asked(() => disk.actions.get(id)),
    listActions: (query) =>
      asked(() => {
        const rows = oldestFirst(disk.actions).reverse();
        return rows.filter((row) => matches(row, query)).slice(0, query.limit);
      }),
    openActions: () => openIn(disk.actions),
    getExecution: (id) => asked(() => disk.executions.get(id)),
    listExecutions: (query) =>
      asked(() => {
        const rows = oldestFirst(disk.executions).reverse();
        return rows.filter((row) => executionMatches(row, query)).slice(0, query.limit);
      }),
    openExecutions: () => openIn(disk.executions),
    timers: () => [...disk.timers.values()],
    snapshots: (decider) =>
      [...disk.snapshots.values()]
        .filter((held) => held.decider === decider)
        .map(({ instance, offset, state }) => ({ instance, offset, state })),
    reads: readsOf(disk),
    retain: (policy) => {
      const nowMs = options.clock.nowMs();
      const dedupWindowMs = options.dedupWindowMs ?? dedupWindowMsDefault;
      return asked(() => retainRecords(disk, policy, { nowMs, dedupWindowMs }));
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
  if (action !== undefined) addTo(disk.threads, action, record);
  for (const id of executionsOf(record)) addTo(disk.executionThreads, id, record);
}

/** The executions whose threads an event is in, each once. */
function executionsOf({ event }: LogRecord): ReadonlySet<ExecutionId> {
  const { execution_id: execution, parent_execution_id: parent } = event;
  return new Set([execution, parent].filter((id) => id !== undefined));
}

function addTo<Id>(threads: Map<Id, LogRecord[]>, id: Id, record: LogRecord): void {
  const thread = threads.get(id);
  if (thread === undefined) threads.set(id, [record]);
  else thread.push(record);
}

function dropFrom<Id>(threads: Map<Id, LogRecord[]>, id: Id, offset: Offset): void {
  const rest = threads.get(id)?.filter((record) => record.offset !== offset);
  if (rest === undefined || rest.length === 0) threads.delete(id);
  else threads.set(id, rest);
}

function keepWrites(disk: MemoryDisk, writes: StageWrites): void {
  const { actions, executions, timers, snapshots } = writes;
  for (const row of actions) disk.actions.set(row.actionId, row);
  for (const row of executions) disk.executions.set(row.executionId, row);
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
    actionThread: (id, to = Infinity) => {
      const start = requestOffset(disk, id);
      if (start === undefined) return [];
      const thread = disk.threads.get(id) ?? [];
      return thread.filter(({ offset }) => offset >= start && offset <= to);
    },
    execution: (id) => disk.executions.get(id),
    executionThread: (id, { from, to = Infinity, limit = Infinity }) => {
      const thread = disk.executionThreads.get(id) ?? [];
      const start = placeOf(thread, from);
      return thread.slice(start, Math.min(start + limit, placeOf(thread, to + 1)));
    },
    snapshot: (decider, instance) => {
      const held = disk.snapshots.get(`${decider}\0${instance}`);
      return held === undefined ? undefined : { offset: held.offset, state: held.state };
    },
  };
}

/** Where the first record from `offset` on stands in a thread. */
function placeOf(thread: readonly LogRecord[], offset: Offset): number {
  let low = 0;
  let high = thread.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((thread[middle]?.offset ?? Infinity) < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The hash in an action's id is that of its request's key. */
function requestOffset(disk: MemoryDisk, id: ActionId): Offset | undefined {
  return disk.keys.get(id.slice("act_".length));
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
  const { of: thread, limit, order = "oldest", tenant } = query;
  const start = "action" in thread ? requestOffset(disk, thread.action) : 1;
  if (start === undefined) return [];
  const from = Math.max(query.from ?? 1, start);
  const found: LogRecord[] = [];
  for (const record of disk.records.values()) {
    const { event } = record;
    const belongs =
      "action" in thread
        ? event.action_id === thread.action
        : "execution" in thread
          ? event.execution_id === thread.execution ||
            event.parent_execution_id === thread.execution
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

function oldestFirst<Row extends ActionRow | ExecutionRow>(rows: ReadonlyMap<string, Row>): Row[] {
  return [...rows.values()].sort((left, right) => left.requestOffset - right.requestOffset);
}

function openIn<Row extends ActionRow | ExecutionRow>(rows: ReadonlyMap<string, Row>): Row[] {
  return oldestFirst(rows).filter((row) => row.terminalOffset === undefined);
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

function executionMatches(row: ExecutionRow, query: Parameters<Log["listExecutions"]>[0]): boolean {
  return (
    (query.before === undefined || row.requestOffset < query.before) &&
    (query.tenant === undefined || row.tenant === query.tenant) &&
    (query.status?.includes(row.status) ?? true) &&
    (query.playbook === undefined || row.playbook === query.playbook) &&
    (query.parent === undefined || row.parentExecutionId === query.parent) &&
    (query.rootsOnly !== true || row.parentExecutionId === undefined) &&
    (query.correlationId === undefined || row.correlationId === query.correlationId)
  );
}

function retainRecords(disk: MemoryDisk, policy: RetentionPolicy, limits: RetentionLimits): number {
  const rows: RowsByKey = {
    action: (id) => disk.actions.get(id),
    execution: (id) => disk.executions.get(id),
  };
  const going = [...disk.records.values()].filter((record) => {
    const keptMs = policy[record.topic];
    if (keptMs === undefined || record.ingestedAtMs >= limits.nowMs - keptMs) return false;
    return record.offset !== disk.head && !isKept(record, limits, rows);
  });
  for (const record of going) dropRecord(disk, record);
  return going.length;
}

function dropRecord(disk: MemoryDisk, record: LogRecord): void {
  const { offset, event } = record;
  disk.records.delete(offset);
  const hash = keyHashOf(event);
  if (hash !== undefined) disk.keys.delete(hash);
  const { action_id: action, execution_id: execution } = event;
  if (action !== undefined) {
    if (event.event_type === "action.requested") disk.actions.delete(action);
    dropFrom(disk.threads, action, offset);
  }
  if (execution !== undefined && disk.executions.get(execution)?.requestOffset === offset) {
    disk.executions.delete(execution);
  }
  for (const id of executionsOf(record)) dropFrom(disk.executionThreads, id, offset);
}
