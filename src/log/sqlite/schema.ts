import { present } from "../../base/assert.ts";
import type { Database } from "./driver.ts";
import { LogError } from "../log.ts";

/** `DEED` in ASCII, written to `application_id`: says whose file it is. */
export const applicationId = 0x44454544;

/**
 * Few indexes, and those that there are grow at their end: indexes decide what an append costs.
 *
 * - `keys`: deduplication, and from an action's id to its request: both are the same 16 bytes.
 * - `threads`: who an event belongs to, in buckets of 16,384 offsets. Inserts touch the newest bucket
 *   only; a lookup seeks once a bucket. `slot` = bucket × 2^32 + a 32-bit hash of the owner. A row has what
 *   one flush brought of an owner: the last offset, and those before it.
 * - both are behind the events by what `index-tail.ts` keeps; `index_state.upto` is the last offset in them.
 * - rare topics and actions that are open, failed or dead-lettered have partial indexes.
 * - executions are far fewer than actions, so a look-up by id may cost an insert a page. A list by anything
 *   else goes along the table, newest first.
 *
 * Each entry brings a file to the next version, the first one an empty file: what stands here is on disks
 * and is never changed, only added to.
 */
const versions: readonly string[] = [
  `
CREATE TABLE events (offset INTEGER PRIMARY KEY, topic INTEGER NOT NULL, ingested_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX events_rare ON events (topic) WHERE topic >= 4;
CREATE TABLE keys (hash BLOB PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE threads (slot INTEGER NOT NULL, last INTEGER NOT NULL, earlier TEXT, PRIMARY KEY (slot, last)) WITHOUT ROWID;
CREATE TABLE index_state (upto INTEGER NOT NULL);
INSERT INTO index_state VALUES (0);
CREATE TABLE actions (
  request_offset INTEGER PRIMARY KEY, action_id TEXT NOT NULL, last_offset INTEGER NOT NULL,
  terminal_offset INTEGER, tenant TEXT NOT NULL, command TEXT NOT NULL, entity_id TEXT NOT NULL,
  correlation_id TEXT, status INTEGER NOT NULL, attempt INTEGER NOT NULL, requested_at INTEGER NOT NULL,
  accepted_at INTEGER, started_at INTEGER, ended_at INTEGER, error_kind TEXT, dead_letter INTEGER
);
CREATE INDEX actions_open ON actions (request_offset) WHERE terminal_offset IS NULL;
CREATE INDEX actions_ended_badly ON actions (status) WHERE status >= 5;
CREATE INDEX actions_dead ON actions (dead_letter) WHERE dead_letter IS NOT NULL;
CREATE TABLE timers (decider TEXT, instance TEXT, name TEXT, due_at INTEGER NOT NULL, PRIMARY KEY (decider, instance, name)) WITHOUT ROWID;
CREATE TABLE snapshots (decider TEXT, instance TEXT, offset INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (decider, instance)) WITHOUT ROWID;
`,
  `
CREATE TABLE executions (
  request_offset INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, last_offset INTEGER NOT NULL,
  terminal_offset INTEGER, tenant TEXT NOT NULL, playbook TEXT NOT NULL, digest TEXT, status INTEGER NOT NULL,
  parent_execution_id TEXT, rerun_of TEXT, schedule TEXT, correlation_id TEXT, requested_at INTEGER NOT NULL,
  started_at INTEGER, ended_at INTEGER, error_kind TEXT, failed_steps TEXT
);
CREATE UNIQUE INDEX executions_by_id ON executions (execution_id);
CREATE INDEX executions_open ON executions (request_offset) WHERE terminal_offset IS NULL;
CREATE INDEX executions_by_parent ON executions (parent_execution_id) WHERE parent_execution_id IS NOT NULL;
`,
];

/** Written to `user_version`. A file with a higher one is from a newer program and is not touched. */
export const schemaVersion = versions.length;

/** Whether a file holds a log already. Reads only. @throws {LogError} where it holds something else. */
export function examineFile(db: Database, path: string): "new" | "log" {
  const version = pragma(db, "user_version");
  const application = pragma(db, "application_id");
  const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (application === 0 && version === 0 && tables.n === 0) return "new";
  if (application !== applicationId) {
    throw new LogError(
      "corrupt",
      `Cannot open ${path} as it is a SQLite file of something else. Give another path`,
    );
  }
  if (version > schemaVersion) {
    throw new LogError(
      "newer_version",
      `Cannot open ${path} as a newer version of the program wrote it (schema ${String(version)}, this program knows ${String(schemaVersion)}). Run that version, or give another data folder`,
    );
  }
  return "log";
}

/** Makes a new file's tables, all or none. */
export function makeTables(db: Database): void {
  bringUp(db, 0);
}

/** Brings the tables of an older version's file to this one's, all or none; what the file holds stays. */
export function upgradeTables(db: Database): void {
  const version = pragma(db, "user_version");
  if (version < schemaVersion) bringUp(db, version);
}

/** Rolls back by itself where it fails: a closed connection may hold the file until it is collected. */
function bringUp(db: Database, version: number): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    for (const statements of versions.slice(version)) db.exec(statements);
    db.exec(`PRAGMA application_id = ${String(applicationId)}`);
    db.exec(`PRAGMA user_version = ${String(schemaVersion)}`);
    db.exec("COMMIT");
  } catch (thrown) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw thrown;
  }
}

/** The one number that a pragma gives. */
export function pragma(db: Database, name: string): number {
  const row = db.prepare(`PRAGMA ${name}`).get() as Record<string, number>;
  return present(row[name], `pragma ${name}`);
}
