import type { Clock } from "../../base/clock.ts";
import { present } from "../../base/assert.ts";
import type { LogRecord } from "../../event/envelope.ts";
import type { Offset } from "../../event/ids.ts";
import { topics } from "../../event/topic.ts";
import { isKept, removableBeforeMs, type RetentionLimits } from "../commit/retention.ts";
import { keyHashOf } from "../commit/key.ts";
import type { RetentionPolicy } from "../log.ts";
import type { Database } from "./driver.ts";
import type { IndexTail } from "./index-tail.ts";
import type { SqliteReads } from "./reads.ts";
import { offsetsIn, ownersOf, slotOf, threadRow, type ThreadRow } from "./threads.ts";

/** Events that one transaction looks at: bounds how long appends wait. */
const eventsAtOnce = 1_000;

export type RetentionOptions = {
  readonly db: Database;
  readonly reads: SqliteReads;
  readonly tail: IndexTail;
  readonly policy: RetentionPolicy;
  readonly limits: RetentionLimits;
  readonly clock: Clock;
  /** Asked between two transactions. */
  readonly stopped: () => boolean;
};

/**
 * Removes events older than their topic's time, oldest first, and all that pointed at them.
 *
 * Each transaction takes away some events whole, with their key, their places in threads and the row
 * of their action or execution; between two of them appends have a turn. The newest event stays, as offsets go on
 * from it.
 *
 * @returns the number of events removed.
 */
export async function retainEvents(options: RetentionOptions): Promise<number> {
  const { db, reads, policy, limits } = options;
  const scan = db.prepare(
    "SELECT offset, topic, ingested_at FROM events WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?",
  );
  const remove = remover(db);
  options.tail.flush();
  const newest = reads.newest()?.offset ?? 0;
  const youngestMs = removableBeforeMs(policy, limits);
  let removed = 0;
  for (let next: Offset = 1; !options.stopped();) {
    const rows = scan.all(next, newest, eventsAtOnce) as ScanRow[];
    const old = rows.filter(({ topic, ingested_at: atMs }) => {
      const keptMs = policy[present(topics[topic], "topic")];
      return keptMs !== undefined && atMs < limits.nowMs - keptMs;
    });
    const going = old
      .map(({ offset }) => present(reads.recordAt(offset), "an event that was just seen"))
      .filter((record) => !isKept(record, limits, reads));
    if (going.length > 0) remove(going);
    removed += going.length;
    const last = rows.at(-1);
    if (last === undefined || rows.length < eventsAtOnce) return removed;
    if (rows.every(({ ingested_at: atMs }) => atMs >= youngestMs)) return removed;
    next = last.offset + 1;
    await new Promise<void>((resolve) => {
      options.clock.soon(resolve);
    });
  }
  return removed;
}

type ScanRow = { offset: number; topic: number; ingested_at: number };

/** Removes events in one transaction, each with what points at it. */
function remover(db: Database): (records: readonly LogRecord[]) => void {
  const event = db.prepare("DELETE FROM events WHERE offset = ?");
  const key = db.prepare("DELETE FROM keys WHERE hash = ?");
  const place = threadRemover(db);
  const action = db.prepare("DELETE FROM actions WHERE request_offset = ?");
  const execution = db.prepare("DELETE FROM executions WHERE request_offset = ?");
  const removeOne = (record: LogRecord): void => {
    event.run(record.offset);
    const hash = keyHashOf(record.event);
    if (hash !== undefined) key.run(Buffer.from(hash, "hex"));
    for (const owner of ownersOf(record.event)) {
      place(owner, record.offset);
    }
    if (record.event.event_type === "action.requested") action.run(record.offset);
    if (record.event.execution_id !== undefined) execution.run(record.offset);
  };
  return (records) => {
    db.exec("BEGIN IMMEDIATE");
    try {
      for (const record of records) removeOne(record);
      db.exec("COMMIT");
    } catch (thrown) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw thrown;
    }
  };
}

/** Takes an offset out of its owner's thread. */
function threadRemover(db: Database): (owner: number, offset: Offset) => void {
  const rowWith = db.prepare(
    "SELECT * FROM threads WHERE slot = ? AND last >= ? ORDER BY last LIMIT 1",
  );
  const drop = db.prepare("DELETE FROM threads WHERE slot = ? AND last = ?");
  const put = db.prepare("INSERT INTO threads VALUES (?, ?, ?)");
  return (owner, offset) => {
    const row = rowWith.get(slotOf(offset, owner), offset) as ThreadRow | undefined;
    if (row === undefined) return;
    const rest = offsetsIn(row).filter((other) => other !== offset);
    drop.run(row.slot, row.last);
    if (rest.length > 0) put.run(...threadRow(owner, rest));
  };
}
