/**
 * The embedded log: one SQLite file in WAL mode with `synchronous=FULL`, one writer.
 *
 * The port's invariants hold by SQLite's transactions and by the commit engine; this file puts them
 * together. Who may write and what is checked at open: `file.ts`.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import type { Clock } from "../../base/clock.ts";
import { snowflakeMs } from "../../event/snowflake.ts";
import { createGroupCommit } from "../commit/group-commit.ts";
import { followByReading } from "../commit/follow.ts";
import { dedupWindowMsDefault } from "../commit/retention.ts";
import { LogError, type Log } from "../log.ts";
import { copyDatabase, openDatabase } from "./driver.ts";
import { logErrorOf } from "./errors.ts";
import { openLogFile, type LogFile, type LogFileOptions } from "./file.ts";
import { createIndexTail } from "./index-tail.ts";
import { createReads } from "./reads.ts";
import { retainEvents } from "./retention.ts";
import { examineFile } from "./schema.ts";
import { createStore } from "./store.ts";

export type SqliteLogOptions = LogFileOptions & {
  readonly clock: Clock;
  /** 0 to 1023, unique among those that mint ids for one log. Default 0. */
  readonly node?: number;
  /** How long a key is remembered at least, milliseconds. Default 7 days. */
  readonly dedupWindowMs?: number;
  readonly eventBytesMax?: number;
  /** Events whose index entries are kept in memory until they are written in one go. Default 4,096. */
  readonly tailEventsMax?: number;
};

/**
 * Opens or makes the log.
 *
 * @throws {LogError} `locked`, `corrupt`, `newer_version`, `full` or `io`; nothing was changed then.
 */
export function openSqliteLog(options: SqliteLogOptions): Promise<Log> {
  try {
    const file = openLogFile(options);
    try {
      return Promise.resolve(assemble(file, options));
    } catch (thrown) {
      file.close();
      throw thrown;
    }
  } catch (thrown) {
    return Promise.reject(logErrorOf(thrown, "open", options.path));
  }
}

function assemble(file: LogFile, options: SqliteLogOptions): Log {
  const { db, path } = file;
  const { clock } = options;
  const tail = createIndexTail(db, options.tailEventsMax);
  const reads = createReads(db, tail);
  for (const record of reads.unindexed()) tail.restore(record);
  const newest = reads.newest();
  const group = createGroupCommit({
    store: createStore(db, path, { reads, tail }),
    clock,
    node: options.node ?? 0,
    eventBytesMax: options.eventBytesMax,
    head: newest?.offset ?? 0,
    lastMintMs: newest === undefined ? 0 : snowflakeMs(newest.event.event_id),
  });
  let closed = false;
  const asked = async <T>(attempted: string, work: () => T | Promise<T>): Promise<T> => {
    if (closed) throw new LogError("closed", `Cannot ${attempted} ${path} as the log is closed`);
    try {
      return await work();
    } catch (thrown) {
      throw logErrorOf(thrown, attempted, path);
    }
  };
  const log: Log = {
    append: group.append,
    attach: group.attach,
    nudge: group.nudge,
    head: group.head,
    onCommit: group.onCommit,
    read: (query) => asked("read", () => reads.read(query)),
    readThread: (query) => asked("read", () => reads.thread(query)),
    findEvent: (id) => asked("read", () => reads.find(id)),
    follow: (query) => followByReading(log, query),
    getAction: (id) => asked("read", () => reads.action(id)),
    listActions: (query) => asked("read", () => reads.actions(query)),
    openActions: reads.openActions,
    getExecution: (id) => asked("read", () => reads.execution(id)),
    listExecutions: (query) => asked("read", () => reads.executions(query)),
    openExecutions: reads.openExecutions,
    timers: reads.timers,
    snapshots: reads.snapshots,
    reads: reads.stage,
    retain: (policy) =>
      asked("remove old events from", () => {
        const dedupWindowMs = options.dedupWindowMs ?? dedupWindowMsDefault;
        const limits = { nowMs: clock.nowMs(), dedupWindowMs };
        return retainEvents({ db, reads, tail, policy, limits, clock, stopped: () => closed });
      }),
    backup: (target) => asked("back up", () => backUpSqliteLog(path, target)),
    close: async () => {
      if (closed) return;
      await group.close();
      closed = true;
      file.close();
    },
  };
  return log;
}

/**
 * A copy as of now, made by a reader on a thread of its own: works beside a running writer, too, which
 * it does not hold up. The copy has its name only when it is whole.
 *
 * @throws {LogError} `exists`, or what kept it from being read or written.
 */
export async function backUpSqliteLog(path: string, target: string): Promise<void> {
  if (existsSync(target)) {
    throw new LogError(
      "exists",
      `Cannot back up to ${target} as it is there already. Give another path`,
    );
  }
  const partial = `${target}.partial`;
  try {
    rmSync(partial, { force: true });
    const db = openDatabase(path, { readOnly: true });
    try {
      examineFile(db, path);
      await copyDatabase(db, partial);
    } finally {
      db.close();
    }
    renameSync(partial, target);
  } catch (thrown) {
    rmSync(partial, { force: true });
    throw logErrorOf(thrown, `back up ${path} to`, target);
  }
}
