/**
 * The file of a log: who may write it, what is checked before that, and when the WAL is folded back.
 *
 * The lock is a file of its own beside the log, so that readers (a backup, a person with `sqlite3`) may
 * look at any time. The system lets go of it when the process ends in whatever way.
 */
import { existsSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LogError } from "../log.ts";
import { openDatabase, type Database } from "./driver.ts";
import { isStoreError, logErrorOf } from "./errors.ts";
import { examineFile, makeTables, pragma, schemaVersion, upgradeTables } from "./schema.ts";

export type LogFileOptions = {
  /** The file; its folder is made where it is missing. */
  readonly path: string;
  /** Files up to this size are checked page by page at open, bytes. Default 256 MiB. */
  readonly checkBytesMax?: number;
  /** The file grows to this size at most, bytes; appends are refused with `full` then. Default: no limit. */
  readonly fileBytesMax?: number;
};

export type LogFile = {
  /** Where the file is, with no link in it. */
  readonly path: string;
  readonly db: Database;
  readonly close: () => void;
};

const checkBytesMaxDefault = 256 * 1024 * 1024;

/** The WAL is folded back into the file each time that it has grown by so many pages of 4 KiB. */
const checkpointPages = 4_000;

/** Locks, opens and checks the file of a log. What throws leaves no lock. */
export function openLogFile(options: LogFileOptions): LogFile {
  mkdirSync(dirname(options.path), { recursive: true });
  const path = realPathOf(options.path);
  const lock = lockWriter(path);
  let db: Database | undefined;
  try {
    db = openDatabase(path);
    prepare(db, { ...options, path });
    return { path, db, close: closing(db, lock) };
  } catch (thrown) {
    db?.close();
    lock.close();
    throw thrown;
  }
}

function closing(db: Database, lock: Database): () => void {
  return () => {
    foldBack(db);
    db.close();
    lock.close();
  };
}

/** Two names of one file have one lock. */
function realPathOf(path: string): string {
  return existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(path)), basename(path));
}

/** Looks at the file before anything in it is changed, then makes it ready to be written. */
function prepare(db: Database, options: LogFileOptions): void {
  const found = examineFile(db, options.path);
  db.exec("PRAGMA journal_mode = WAL");
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA busy_timeout = 5000");
  db.exec("PRAGMA cache_size = -65536");
  db.exec(`PRAGMA wal_autocheckpoint = ${String(checkpointPages)}`);
  if (options.fileBytesMax !== undefined) {
    const pagesMax = Math.floor(options.fileBytesMax / pragma(db, "page_size"));
    db.exec(`PRAGMA max_page_count = ${String(pagesMax)}`);
  }
  if (found === "new") makeTables(db);
  // SQLite opens a file that may not be written without a word: only a write says so.
  db.exec("BEGIN IMMEDIATE");
  db.exec(`PRAGMA user_version = ${String(schemaVersion)}`);
  db.exec("ROLLBACK");
  checkIntegrity(db, options.path, options.checkBytesMax ?? checkBytesMaxDefault);
  upgradeTables(db);
}

/**
 * Moves what stands in the WAL into the file, so that a log that was closed is one file. Waits for no
 * reader; where it cannot be done, the WAL is as durable as the file and the next open reads both.
 */
function foldBack(db: Database): void {
  try {
    db.exec("PRAGMA busy_timeout = 0");
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (thrown) {
    if (!isStoreError(thrown)) throw thrown;
  }
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
  if (pragma(db, "page_count") * pragma(db, "page_size") > bytesMax) return;
  const { quick_check: found } = db.prepare("PRAGMA quick_check(1)").get() as {
    quick_check: string;
  };
  if (found === "ok") return;
  throw new LogError(
    "corrupt",
    `Cannot open ${path} as the file is damaged (${found}). Stop, keep a copy of it, and restore the newest backup`,
  );
}
