/**
 * The keys and threads of the newest events, in memory until a sorted insert of many is worth it.
 *
 * Both tables are ordered by hashes: an insert for each event would write a page for nearly each of them,
 * and the pages that a commit writes are what it costs. What stands in the tail follows from the events,
 * and is read from them again at open: nothing is lost with the process.
 *
 * 1. Every committed event is in the tables (offset <= `index_state.upto`) or in the tail.
 * 2. The tail holds the entries of `eventsMax` events and of one commit at most.
 * 3. A commit that is rolled back leaves the tail as it was.
 */
import type { LogRecord } from "../../event/envelope.ts";
import type { Offset } from "../../event/ids.ts";
import { keyHashOf } from "../commit/key.ts";
import { bulkInsert, type Value } from "./bulk-insert.ts";
import type { Database } from "./driver.ts";
import { ownersOf, slotOf } from "./threads.ts";

export type IndexTail = {
  /** Takes up a committed event that the tables do not have yet: at open, in offset order. */
  readonly restore: (record: LogRecord) => void;
  /** Claims a key for an event of the commit under way, or says which offset has it. */
  readonly claim: (hash: string, offset: Offset) => Offset | undefined;
  /** Takes in what the commit under way holds; moves all into the tables where that is many. */
  readonly write: (records: readonly LogRecord[]) => void;
  readonly committed: () => void;
  readonly rolledBack: () => void;
  /** The offset of a key's first event. */
  readonly offsetOf: (hash: string) => Offset | undefined;
  /** The offsets of a thread that its table does not have yet, rising. */
  readonly thread: (hash: number) => readonly Offset[];
  /** Moves all into the tables, in a transaction of its own. */
  readonly flush: () => void;
};

/** Sorting and inserting the entries of so many takes a few milliseconds. */
const eventsMaxDefault = 4_096;

export function createIndexTail(db: Database, eventsMax = eventsMaxDefault): IndexTail {
  const holder = db.prepare("SELECT offset FROM keys WHERE hash = ?");
  const putUpto = db.prepare("UPDATE index_state SET upto = ?");
  const insertKeys = bulkInsert(db, "INSERT OR IGNORE INTO keys VALUES", 2);
  const insertThreads = bulkInsert(db, "INSERT OR IGNORE INTO threads VALUES", 2);
  const keys = new Map<string, Offset>();
  const threads = new Map<number, Offset[]>();
  let events = 0;
  let head: Offset = 0;
  let draft: { claimed: string[]; records: readonly LogRecord[]; moved: boolean } = emptyDraft();

  const take = ({ event, offset }: LogRecord): void => {
    for (const hash of ownersOf(event)) {
      const offsets = threads.get(hash);
      if (offsets === undefined) threads.set(hash, [offset]);
      else offsets.push(offset);
    }
    events += 1;
    head = offset;
  };

  const offsetOf = (hash: string): Offset | undefined => {
    const recent = keys.get(hash);
    if (recent !== undefined) return recent;
    return (holder.get(Buffer.from(hash, "hex")) as { offset: Offset } | undefined)?.offset;
  };

  const move = (records: readonly LogRecord[]): void => {
    insertKeys(keyRows(keys));
    insertThreads(threadRows(threads, records));
    putUpto.run(records.at(-1)?.offset ?? head);
  };

  const clear = (): void => {
    keys.clear();
    threads.clear();
    events = 0;
  };

  return {
    restore: (record) => {
      const hash = keyHashOf(record.event);
      if (hash !== undefined) keys.set(hash, record.offset);
      take(record);
    },
    claim: (hash, offset) => {
      const taken = offsetOf(hash);
      if (taken !== undefined) return taken;
      keys.set(hash, offset);
      draft.claimed.push(hash);
      return undefined;
    },
    write: (records) => {
      draft.records = records;
      draft.moved = events + records.length >= eventsMax;
      if (draft.moved) move(records);
    },
    committed: () => {
      const { records, moved } = draft;
      draft = emptyDraft();
      if (!moved) for (const record of records) take(record);
      else {
        clear();
        head = records.at(-1)?.offset ?? head;
      }
    },
    rolledBack: () => {
      for (const hash of draft.claimed) keys.delete(hash);
      draft = emptyDraft();
    },
    offsetOf,
    thread: (hash) => threads.get(hash) ?? none,
    flush: () => {
      if (events === 0) return;
      db.exec("BEGIN IMMEDIATE");
      try {
        move([]);
        db.exec("COMMIT");
        clear();
      } catch (thrown) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw thrown;
      }
    },
  };
}

const none: readonly Offset[] = [];

function emptyDraft(): { claimed: string[]; records: readonly LogRecord[]; moved: boolean } {
  return { claimed: [], records: [], moved: false };
}

/** Rows of `keys`, in the order of the table. */
function keyRows(keys: ReadonlyMap<string, Offset>): readonly Value[] {
  const rows: Value[] = [];
  for (const hash of [...keys.keys()].sort()) {
    rows.push(Buffer.from(hash, "hex"), keys.get(hash) ?? 0);
  }
  return rows;
}

/** Rows of `threads`, in the order of the table. */
function threadRows(
  threads: ReadonlyMap<number, readonly Offset[]>,
  records: readonly LogRecord[],
): readonly Value[] {
  const places: (readonly [slot: number, offset: Offset])[] = [];
  for (const [hash, offsets] of threads) {
    for (const offset of offsets) places.push([slotOf(offset, hash), offset]);
  }
  for (const { event, offset } of records) {
    for (const hash of ownersOf(event)) places.push([slotOf(offset, hash), offset]);
  }
  places.sort((left, right) => left[0] - right[0] || left[1] - right[1]);
  return places.flat();
}
