/**
 * The embedded log: one SQLite file in WAL mode with `synchronous=FULL`, one writer.
 *
 * The port's invariants hold by SQLite's transactions; this file adds who may write (a lock beside the
 * file, let go by the system when the process ends in whatever way), what is checked at open, and when
 * the WAL is folded back.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { snowflakeMs } from "../../event/snowflake.ts";
import { createGroupCommit } from "../commit/group-commit.ts";
import { followByReading } from "../commit/follow.ts";
import { LogError, type Log } from "../log.ts";
import { openDatabase, type Database } from "./driver.ts";
import { logErrorOf } from "./errors.ts";
import { createReads } from "./reads.ts";
import { retainEvents } from "./retention.ts";
import { prepareSchema } from "./schema.ts";
import { createStore } from "./store.ts";

export type SqliteLogOptions = {
  /** The file; its folder is made where it is missing. */
  readonly path: string;
  readonly clock: Clock;
  /** 0 to 1023, unique among those that mint ids for one log. Default 0. */
  readonly node?: number;
  /** How long a key is remembered at least, milliseconds. Default 7 days. */
  readonly dedupWindowMs?: number;
  readonly eventBytesMax?: number;
  /** Files up to this size are checked page by page at open, bytes. Default 256 MiB. */
  readonly checkBytesMax?: number;
};

const dedupWindowMsDefault = 7 * 24 * 3_600_000;

const checkBytesMaxDefault = 256 * 1024 * 1024;

/** The WAL is folded back into the file each time that it has grown by so many pages of 4 KiB. */
const checkpointPages = 4_000;

/**
 * Opens or makes the log.
 *
 * @throws {LogError} `locked`, `corrupt`, `newer_version`, `full` or `io`; nothing was changed then.
 */
export function openSqliteLog(options: SqliteLogOptions): Promise<Log> {
  try {
    return Promise.resolve(open(options));
  } catch (thrown) {
    return Promise.reject(logErrorOf(thrown, "open", options.path));
  }
}

function open(options: SqliteLogOptions): Log {
  const { path, clock } = options;
  mkdirSync(dirname(path), { recursive: true });
  const lock = lockWriter(path);
  let db: Database | undefined;
  try {
    db = openDatabase(path);
    db.exec("PRAGMA journal_mode = WAL");
    db.exec("PRAGMA synchronous = FULL");
    db.exec("PRAGMA busy_timeout = 5000");
    db.exec("PRAGMA cache_size = -65536");
    db.exec(`PRAGMA wal_autocheckpoint = ${String(checkpointPages)}`);
    prepareSchema(db, path);
    checkIntegrity(db, path, options.checkBytesMax ?? checkBytesMaxDefault);
    return assemble({ ...options, clock, db, lock });
  } catch (thrown) {
    db?.close();
    lock.close();
    throw thrown;
  }
}

function assemble(
  options: SqliteLogOptions & { readonly db: Database; readonly lock: Database },
): Log {
  const { db, lock, path, clock } = options;
  const reads = createReads(db);
  const newest = reads.newest();
  const group = createGroupCommit({
    store: createStore(db, path, reads),
    clock,
    node: options.node ?? 0,
    eventBytesMax: options.eventBytesMax,
    head: newest?.offset ?? 0,
    lastMintMs: newest === undefined ? 0 : snowflakeMs(newest.event.event_id),
  });
  const asked = <T>(attempted: string, work: () => T): Promise<T> => {
    try {
      return Promise.resolve(work());
    } catch (thrown) {
      return Promise.reject(logErrorOf(thrown, attempted, path));
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
    timers: reads.timers,
    snapshots: reads.snapshots,
    reads: reads.stage,
    retain: (policy) =>
      asked("remove old events from", () =>
        retainEvents(db, policy, {
          nowMs: clock.nowMs(),
          dedupWindowMs: options.dedupWindowMs ?? dedupWindowMsDefault,
        }),
      ),
    backup: (target) => asked("back up", () => backUp(db, target)),
    close: async () => {
      await group.close();
      db.close();
      lock.close();
    },
  };
  return log;
}

/** A copy as of now, made by a reader: works beside a running writer, too. @throws {LogError} */
export function backUpSqliteLog(path: string, target: string): void {
  const db = openDatabase(path, { readOnly: true });
  try {
    backUp(db, target);
  } catch (thrown) {
    throw logErrorOf(thrown, "back up", path);
  } finally {
    db.close();
  }
}

function backUp(db: Database, target: string): void {
  if (existsSync(target)) {
    throw new LogError(
      "exists",
      `Cannot back up to ${target} as it is there already. Give another path`,
    );
  }
  db.prepare("VACUUM INTO ?").run(target);
}

/** Holds a lock file's write lock for as long as the process lives. */
function lockWriter(path: string): Database {
  const lockPath = `${path}.lock`;
  const lock = openDatabase(lockPath);
  try {
    lock.exec("PRAGMA journal_mode = DELETE");
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (thrown) {
    lock.close();
    throw logErrorOf(thrown, "open", path);
  }
}

function checkIntegrity(db: Database, path: string, bytesMax: number): void {
  const { page_count: pages } = db.prepare("PRAGMA page_count").get() as { page_count: number };
  const { page_size: pageBytes } = db.prepare("PRAGMA page_size").get() as { page_size: number };
  if (pages * pageBytes > bytesMax) return;
  const { quick_check: found } = db.prepare("PRAGMA quick_check(1)").get() as {
    quick_check: string;
  };
  if (found === "ok") return;
  throw new LogError(
    "corrupt",
    `Cannot open ${path} as the file is damaged (${found}). Stop, keep a copy of it, and restore the newest backup`,
  );
}
