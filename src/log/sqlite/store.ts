/**
 * The writing half of the SQLite log: one transaction a commit, prepared statements only.
 *
 * Every statement that runs for each event takes many rows at once: crossing into SQLite costs more
 * than most of the rows do.
 */
import { present } from "../../base/assert.ts";
import type { Offset } from "../../event/ids.ts";
import { topics } from "../../event/topic.ts";
import type { CommitStore, Serialised } from "../commit/group-commit.ts";
import {
  actionStatuses,
  deadLetterStatuses,
  type ActionRow,
  type SnapshotWrite,
  type TimerWrite,
} from "../log.ts";
import type { Database, Statement } from "./driver.ts";
import { isStoreError, logErrorOf } from "./errors.ts";
import type { SqliteReads } from "./reads.ts";
import { ownersOf, slotOf } from "./threads.ts";

const topicNumbers = new Map(topics.map((topic, index) => [topic, index]));

const statusNumbers = new Map(actionStatuses.map((status, index) => [status, index]));

const deadLetterNumbers = new Map(deadLetterStatuses.map((status, index) => [status, index]));

/** Rows a multi-row insert takes: more gain nothing. */
const rowsAtOnce = 32;

export function createStore(db: Database, path: string, reads: SqliteReads): CommitStore {
  const claim = db.prepare("INSERT OR IGNORE INTO keys (hash, offset) VALUES (?, ?)");
  const holder = db.prepare("SELECT offset FROM keys WHERE hash = ?");
  const events = bulkInsert(db, "INSERT INTO events VALUES", 4);
  const threads = bulkInsert(db, "INSERT OR IGNORE INTO threads VALUES", 2);
  const putAction = db.prepare(
    `INSERT INTO actions VALUES (${"?, ".repeat(15)}?) ON CONFLICT (request_offset) DO UPDATE SET
      last_offset = excluded.last_offset, terminal_offset = excluded.terminal_offset, status = excluded.status,
      attempt = excluded.attempt, accepted_at = excluded.accepted_at, started_at = excluded.started_at,
      ended_at = excluded.ended_at, error_kind = excluded.error_kind, dead_letter = excluded.dead_letter`,
  );
  const putTimer = db.prepare("INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?)");
  const dropTimer = db.prepare(
    "DELETE FROM timers WHERE decider = ? AND instance = ? AND name = ?",
  );
  const putSnapshot = db.prepare("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)");
  const dropSnapshot = db.prepare("DELETE FROM snapshots WHERE decider = ? AND instance = ?");
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");

  const writeTimer = ({ decider, instance, name, dueMs }: TimerWrite): void => {
    if (dueMs === undefined) dropTimer.run(decider, instance, name);
    else putTimer.run(decider, instance, name, dueMs);
  };

  const writeSnapshot = ({ decider, instance, offset, state }: SnapshotWrite): void => {
    if (state === undefined) dropSnapshot.run(decider, instance);
    else putSnapshot.run(decider, instance, offset, JSON.stringify(state));
  };

  return {
    begin: () => {
      guarded("append to", path, () => begin.run());
    },
    claimKey: (hash, offset) =>
      guarded("append to", path, () => {
        const key = Buffer.from(hash, "hex");
        if (claim.run(key, offset).changes !== 0) return undefined;
        return (holder.get(key) as { offset: Offset }).offset;
      }),
    eventIdAt: (offset) =>
      guarded(
        "append to",
        path,
        () => present(reads.recordAt(offset), `event ${String(offset)}`).event.event_id,
      ),
    write: (records, { actions, timers, snapshots }) => {
      guarded("append to", path, () => {
        events(eventRows(records));
        threads(threadRows(records));
        for (const row of actions) putAction.run(...actionValues(row));
        for (const timer of timers) writeTimer(timer);
        for (const snapshot of snapshots) writeSnapshot(snapshot);
      });
    },
    commit: () => {
      guarded("append to", path, () => commit.run());
    },
    rollback: () => {
      if (db.isTransaction) db.exec("ROLLBACK");
    },
    reads: {
      actionThread: (id) => guarded("read", path, () => reads.stage.actionThread(id)),
      snapshot: (decider, instance) =>
        guarded("read", path, () => reads.stage.snapshot(decider, instance)),
    },
  };
}

function guarded<T>(attempted: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw isStoreError(thrown) ? logErrorOf(thrown, attempted, path) : thrown;
  }
}

type Value = string | number | null;

/** Inserts rows of `width` values that stand one after the other in a flat list. */
function bulkInsert(db: Database, head: string, width: number): (values: readonly Value[]) => void {
  const row = `(${Array.from({ length: width }, () => "?").join(", ")})`;
  const one = db.prepare(`${head} ${row}`);
  const many: Statement = db.prepare(
    `${head} ${Array.from({ length: rowsAtOnce }, () => row).join(", ")}`,
  );
  const step = width * rowsAtOnce;
  return (values) => {
    let at = 0;
    for (; at + step <= values.length; at += step) many.run(...values.slice(at, at + step));
    for (; at < values.length; at += width) one.run(...values.slice(at, at + width));
  };
}

function eventRows(records: readonly Serialised[]): readonly Value[] {
  const values: Value[] = [];
  for (const { record, body } of records) {
    values.push(record.offset, present(topicNumbers.get(record.topic), record.topic));
    values.push(record.ingestedAtMs, body);
  }
  return values;
}

function threadRows(records: readonly Serialised[]): readonly Value[] {
  const values: Value[] = [];
  for (const { record } of records) {
    for (const hash of ownersOf(record.event)) {
      values.push(slotOf(record.offset, hash), record.offset);
    }
  }
  return values;
}

function actionValues(row: ActionRow): Value[] {
  return [
    row.requestOffset,
    row.actionId,
    row.lastOffset,
    row.terminalOffset ?? null,
    row.tenant,
    row.command,
    row.entityId,
    row.correlationId ?? null,
    present(statusNumbers.get(row.status), row.status),
    row.attempt,
    row.requestedAtMs,
    row.acceptedAtMs ?? null,
    row.startedAtMs ?? null,
    row.endedAtMs ?? null,
    row.errorKind ?? null,
    row.deadLetter === undefined
      ? null
      : present(deadLetterNumbers.get(row.deadLetter), row.deadLetter),
  ];
}
