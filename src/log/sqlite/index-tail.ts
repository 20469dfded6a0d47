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
import { bucketSize, ownersOf, threadRow } from "./threads.ts";

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

/** Three owners an event, and a commit more than the tail holds; the few events of a fourth make it grow. */
const placesAtFirst = 16_384;

export function createIndexTail(db: Database, eventsMax = eventsMaxDefault): IndexTail {
  const holder = db.prepare("SELECT offset FROM keys WHERE hash = ?");
  const putUpto = db.prepare("UPDATE index_state SET upto = ?");
  const insertKeys = bulkInsert(db, "INSERT OR IGNORE INTO keys VALUES", 2);
  const insertThreads = bulkInsert(db, "INSERT OR IGNORE INTO threads VALUES", 3);
  const keys = new Map<string, Offset>();
  const places = createPlaces();
  /** What is committed of the tail, and what the commit under way adds to it. */
  let kept = { events: 0, places: 0, head: 0 };
  let draft = kept;
  let claimed: string[] = [];
  let moved = false;

  const take = (records: readonly LogRecord[]): void => {
    for (const { event, offset } of records) {
      for (const hash of ownersOf(event)) places.add(hash, offset);
    }
    const head = records.at(-1)?.offset ?? kept.head;
    draft = { events: kept.events + records.length, places: places.size(), head };
  };

  const offsetOf = (hash: string): Offset | undefined => {
    const recent = keys.get(hash);
    if (recent !== undefined) return recent;
    return (holder.get(Buffer.from(hash, "hex")) as { offset: Offset } | undefined)?.offset;
  };

  const move = (): void => {
    insertKeys(keyRows(keys));
    insertThreads(places.rows());
    putUpto.run(draft.head);
  };

  const clear = (): void => {
    keys.clear();
    places.cut(0);
    kept = { events: 0, places: 0, head: draft.head };
  };

  return {
    restore: (record) => {
      const hash = keyHashOf(record.event);
      if (hash !== undefined) keys.set(hash, record.offset);
      take([record]);
      kept = draft;
    },
    claim: (hash, offset) => {
      const taken = offsetOf(hash);
      if (taken !== undefined) return taken;
      keys.set(hash, offset);
      claimed.push(hash);
      return undefined;
    },
    write: (records) => {
      take(records);
      moved = draft.events >= eventsMax;
      if (moved) move();
    },
    committed: () => {
      if (moved) clear();
      else kept = draft;
      claimed = [];
      moved = false;
    },
    rolledBack: () => {
      for (const hash of claimed) keys.delete(hash);
      places.cut(kept.places);
      draft = kept;
      claimed = [];
      moved = false;
    },
    offsetOf,
    thread: places.of,
    flush: () => {
      if (kept.events === 0) return;
      db.exec("BEGIN IMMEDIATE");
      try {
        move();
        db.exec("COMMIT");
        clear();
      } catch (thrown) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw thrown;
      }
    },
  };
}

/** Rows of `keys`, in the order of the table. */
function keyRows(keys: ReadonlyMap<string, Offset>): readonly Value[] {
  const rows: Value[] = [];
  for (const hash of [...keys.keys()].sort()) {
    rows.push(Buffer.from(hash, "hex"), keys.get(hash) ?? 0);
  }
  return rows;
}

/** Who an event belongs to and its offset, in the order of the log: flat, so that there is nothing to collect. */
type Places = {
  readonly add: (hash: number, offset: Offset) => void;
  readonly size: () => number;
  /** Forgets all but the first `size`. */
  readonly cut: (size: number) => void;
  readonly of: (hash: number) => readonly Offset[];
  /** Rows of `threads`, in the order of the table. */
  readonly rows: () => readonly Value[];
};

function createPlaces(): Places {
  let hashes = new Uint32Array(placesAtFirst);
  let offsets = new Float64Array(placesAtFirst);
  let size = 0;

  const grow = (): void => {
    const [moreHashes, moreOffsets] = [new Uint32Array(2 * size), new Float64Array(2 * size)];
    moreHashes.set(hashes);
    moreOffsets.set(offsets);
    [hashes, offsets] = [moreHashes, moreOffsets];
  };

  /** Where the bucket of the place at `start` ends. */
  const bucketEnd = (start: number): number => {
    const bucket = Math.floor((offsets[start] ?? 0) / bucketSize);
    let end = start + 1;
    while (end < size && Math.floor((offsets[end] ?? 0) / bucketSize) === bucket) end += 1;
    return end;
  };

  return {
    add: (hash, offset) => {
      if (size === hashes.length) grow();
      hashes[size] = hash;
      offsets[size] = offset;
      size += 1;
    },
    size: () => size,
    cut: (to) => {
      size = to;
    },
    of: (hash) => {
      const found: Offset[] = [];
      for (let at = 0; at < size; at += 1) if (hashes[at] === hash) found.push(offsets[at] ?? 0);
      return found;
    },
    rows: () => {
      const rows: Value[] = [];
      for (let start = 0, end = 0; start < size; start = end) {
        end = bucketEnd(start);
        // Hash and place in one number, so that they are sorted natively: exact up to 2^21 places.
        const order = new Float64Array(end - start);
        for (let at = start; at < end; at += 1) order[at - start] = (hashes[at] ?? 0) * size + at;
        order.sort();
        for (let next = 0; next < order.length;) {
          const run: Offset[] = [];
          const hash = Math.floor((order[next] ?? 0) / size);
          for (; next < order.length && Math.floor((order[next] ?? 0) / size) === hash; next += 1) {
            run.push(offsets[(order[next] ?? 0) % size] ?? 0);
          }
          rows.push(...threadRow(hash, run));
        }
      }
      return rows;
    },
  };
}
