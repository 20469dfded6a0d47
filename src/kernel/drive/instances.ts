/**
 * The instances of deciders in memory: read from their snapshots, folded again from their threads.
 *
 * 1. Memory is only a cache. What a commit that failed has touched is dropped and read again.
 * 2. An instance whose decider has no thread is written with every commit that changed it. An execution is
 *    written now and then: seldom enough that the writing costs a part of the folding, however large it is,
 *    and often enough that folding the rest again takes a moment.
 * 3. Of an execution that has ended nothing is kept, neither here nor in a snapshot.
 */
import { canonicalJson } from "../../base/canonical-json.ts";
import type { Decider, Timer } from "../../decider/decider.ts";
import { executionId } from "../../event/ids.ts";
import { anomalyTag, type LogRecord } from "../../event/envelope.ts";
import type { SnapshotWrite, StageReads } from "../../log/log.ts";

export type Instance = {
  readonly address: Address;
  state: unknown;
  timers: readonly Timer[];
  /** The newest record that it has folded. */
  offset: number;
  /** Records folded since its snapshot. */
  unsaved: number;
  /** Characters of its snapshot; none where there is none. */
  savedChars: number | undefined;
};

/** One instance of one decider. */
export type Address = { readonly decider: Decider<unknown>; readonly key: string };

export type Instances = {
  readonly load: (address: Address, reads: StageReads) => Instance;
  readonly held: (address: Address) => Instance | undefined;
  /** The instance has folded a record: `instance` is as it is now. */
  readonly touch: (address: Address) => void;
  readonly snapshots: () => readonly SnapshotWrite[];
  readonly committed: () => void;
  readonly rolledBack: () => void;
  readonly size: () => number;
  /**
   * Folds each execution in memory again, from its first record and from its snapshot, and names those whose state
   * is not the same to the byte. Between commits; none, ever (I7).
   */
  readonly differing: (reads: StageReads) => readonly string[];
};

/** Records that an execution has folded, at least, before it is written again. */
const unsavedMinDefault = 256;

/** Characters of a snapshot that cost about as much as folding one record again. */
const charsPerRecord = 64;

/** Records of a thread that are read at one time. */
const pageSize = 1_000;

/**
 * @param max instances kept between commits.
 * @param unsavedMin records that an execution has folded, at least, before it is written again.
 */
export function createInstances(max: number, unsavedMin = unsavedMinDefault): Instances {
  const cache = new Map<string, Instance>();
  const touched = new Map<string, Address>();

  const forget = (): void => {
    touched.clear();
  };

  return {
    load: (address, reads) => {
      const id = idOf(address);
      const cached = cache.get(id);
      if (cached !== undefined) {
        cache.delete(id);
        cache.set(id, cached);
        return cached;
      }
      const instance = rebuilt(address, reads);
      cache.set(id, instance);
      return instance;
    },
    held: (address) => cache.get(idOf(address)),
    touch: (address) => {
      touched.set(idOf(address), address);
    },
    snapshots: () => {
      const writes: SnapshotWrite[] = [];
      for (const [id, address] of touched) {
        const instance = cache.get(id);
        const write =
          instance === undefined ? undefined : snapshotOf(address, instance, unsavedMin);
        if (write !== undefined) writes.push(write);
      }
      return writes;
    },
    committed: () => {
      for (const [id, { decider }] of touched) {
        const instance = cache.get(id);
        if (instance !== undefined && decider.thread?.ended(instance.state) === true) {
          cache.delete(id);
        }
      }
      forget();
      for (const id of cache.keys()) {
        if (cache.size <= max) break;
        cache.delete(id);
      }
    },
    rolledBack: () => {
      for (const id of touched.keys()) cache.delete(id);
      forget();
    },
    size: () => cache.size,
    differing: (reads) =>
      [...cache.values()]
        .filter((held) => differs(held, reads))
        .map(({ address }) => idOf(address)),
  };
}

export function idOf({ decider, key }: Address): string {
  return `${decider.name}\0${key}`;
}

function differs({ address, state }: Instance, reads: StageReads): boolean {
  const { decider } = address;
  if (decider.thread === undefined) return false;
  const bytesOf = (one: unknown): string => canonicalJson(decider.encode(one) ?? null);
  const whole = rebuilt(address, { ...reads, snapshot: () => undefined });
  const bytes = bytesOf(state);
  return bytesOf(whole.state) !== bytes || bytesOf(rebuilt(address, reads).state) !== bytes;
}

function rebuilt(address: Address, reads: StageReads): Instance {
  const { decider, key } = address;
  const snapshot = reads.snapshot(decider.name, key);
  const decoded = snapshot === undefined ? undefined : decider.decode(snapshot.state);
  const readable = decoded?.ok === true;
  const instance: Instance = {
    address,
    state: readable ? decoded.value : decider.initial(key),
    timers: [],
    offset: readable ? (snapshot?.offset ?? 0) : 0,
    unsaved: 0,
    savedChars: snapshot === undefined ? undefined : 0,
  };
  if (decider.thread !== undefined) foldThread(instance, reads);
  instance.timers = decider.due(instance.state);
  return instance;
}

/** Folds what came since the snapshot. An execution that has ended stays as if it had never been. */
function foldThread(instance: Instance, reads: StageReads): void {
  const { decider, key } = instance.address;
  const row = reads.execution(executionId(key));
  if (row === undefined || row.terminalOffset !== undefined) return;
  let page: readonly LogRecord[];
  do {
    const from = Math.max(instance.offset + 1, row.requestOffset);
    page = reads.executionThread(executionId(key), { from, limit: pageSize });
    for (const record of page) {
      if (record.event.tags[anomalyTag] !== undefined) continue;
      instance.state = decider.evolve(instance.state, record);
    }
    instance.offset = page.at(-1)?.offset ?? instance.offset;
    instance.unsaved += page.length;
  } while (page.length === pageSize);
}

/** What to write of an instance that a commit touched; none where that is not worth it yet. */
function snapshotOf(
  { decider, key }: Address,
  instance: Instance,
  unsavedMin: number,
): SnapshotWrite | undefined {
  const write = { decider: decider.name, instance: key, offset: instance.offset };
  if (decider.thread === undefined) return { ...write, state: decider.encode(instance.state) };
  if (decider.thread.ended(instance.state)) {
    return instance.savedChars === undefined ? undefined : { ...write, state: undefined };
  }
  const enough = Math.max(unsavedMin, (instance.savedChars ?? 0) / charsPerRecord);
  if (instance.unsaved < enough) return undefined;
  const state = decider.encode(instance.state);
  instance.unsaved = 0;
  instance.savedChars = JSON.stringify(state ?? null).length;
  return { ...write, state };
}
