/**
 * The writing half of the SQLite log: one transaction a commit, prepared statements only.
 */
import { present } from "../../base/assert.ts";
import { topics } from "../../event/topic.ts";
import type { CommitStore, Serialised } from "../commit/group-commit.ts";
import {
  actionStatuses,
  deadLetterStatuses,
  type ActionRow,
  type SnapshotWrite,
  type TimerWrite,
} from "../log.ts";
import { bulkInsert, type Value } from "./bulk-insert.ts";
import type { Database } from "./driver.ts";
import { executionWriter } from "./executions.ts";
import { isStoreError, logErrorOf } from "./errors.ts";
import type { IndexTail } from "./index-tail.ts";
import type { SqliteReads } from "./reads.ts";

const topicNumbers = new Map(topics.map((topic, index) => [topic, index]));

const statusNumbers = new Map(actionStatuses.map((status, index) => [status, index]));

const deadLetterNumbers = new Map(deadLetterStatuses.map((status, index) => [status, index]));

export function createStore(
  db: Database,
  path: string,
  { reads, tail }: { readonly reads: SqliteReads; readonly tail: IndexTail },
): CommitStore {
  const events = bulkInsert(db, "INSERT INTO events VALUES", 4);
  const newActions = bulkInsert(db, "INSERT INTO actions VALUES", 16);
  const moveAction = db.prepare(
    `UPDATE actions SET last_offset = ?, terminal_offset = ?, status = ?, attempt = ?, accepted_at = ?,
      started_at = ?, ended_at = ?, error_kind = ?, dead_letter = ? WHERE request_offset = ?`,
  );
  const writeExecutions = executionWriter(db);
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
    claimKey: (hash, offset) => guarded("append to", path, () => tail.claim(hash, offset)),
    eventIdAt: (offset) =>
      guarded(
        "append to",
        path,
        () => present(reads.recordAt(offset), `event ${String(offset)}`).event.event_id,
      ),
    write: (records, { actions, executions, timers, snapshots }) => {
      guarded("append to", path, () => {
        events(eventRows(records));
        tail.write(records.map(({ record }) => record));
        const first = records[0]?.record.offset ?? Infinity;
        newActions(actions.filter((row) => row.requestOffset >= first).flatMap(actionValues));
        for (const row of actions) {
          if (row.requestOffset < first) moveAction.run(...movedValues(row));
        }
        writeExecutions(executions, first);
        for (const timer of timers) writeTimer(timer);
        for (const snapshot of snapshots) writeSnapshot(snapshot);
      });
    },
    commit: () => {
      guarded("append to", path, () => commit.run());
      tail.committed();
    },
    rollback: () => {
      tail.rolledBack();
      if (db.isTransaction) db.exec("ROLLBACK");
    },
    reads: {
      actionThread: (id, to) => guarded("read", path, () => reads.stage.actionThread(id, to)),
      execution: (id) => guarded("read", path, () => reads.stage.execution(id)),
      executionThread: (id, range) =>
        guarded("read", path, () => reads.stage.executionThread(id, range)),
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

function eventRows(records: readonly Serialised[]): readonly Value[] {
  const values: Value[] = [];
  for (const { record, body } of records) {
    values.push(record.offset, present(topicNumbers.get(record.topic), record.topic));
    values.push(record.ingestedAtMs, body);
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
    deadLetterNumber(row),
  ];
}

/** What of a row can change, and where. */
function movedValues(row: ActionRow): Value[] {
  return [
    row.lastOffset,
    row.terminalOffset ?? null,
    present(statusNumbers.get(row.status), row.status),
    row.attempt,
    row.acceptedAtMs ?? null,
    row.startedAtMs ?? null,
    row.endedAtMs ?? null,
    row.errorKind ?? null,
    deadLetterNumber(row),
    row.requestOffset,
  ];
}

function deadLetterNumber({ deadLetter }: ActionRow): number | null {
  return deadLetter === undefined ? null : present(deadLetterNumbers.get(deadLetter), deadLetter);
}
