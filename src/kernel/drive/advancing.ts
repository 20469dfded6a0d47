/**
 * Which instances may still advance by themselves.
 *
 * 1. A commit takes a bounded number of steps. Who has more to decide goes on in the next one.
 * 2. Who goes on in the next commit is known to the store, so that it goes on after a crash, too.
 */
import type { SnapshotWrite } from "../../log/log.ts";
import { idOf, type Address } from "./instances.ts";

/** The decider under whose name those are kept that go on in the next commit. */
export const advancingRegistry = "advancing";

/** Steps that one commit takes: bounds the commit, not the throughput. */
const stepsMaxDefault = 2_000;

export type Advancing = {
  readonly add: (address: Address) => void;
  /** Those whose turn it is, each once; empty where nobody has anything to decide, or the commit is full. */
  readonly take: () => readonly Address[];
  readonly size: () => number;
  readonly writes: () => readonly SnapshotWrite[];
  readonly committed: () => void;
  readonly rolledBack: () => void;
  /** Takes up at start what was advancing. */
  readonly restore: (address: Address) => void;
};

export function createAdvancing(stepsMax = stepsMaxDefault): Advancing {
  let now = new Map<string, Address>();
  /** As they were when the commit began; `undefined` while it has changed nothing. */
  let before: ReadonlyMap<string, Address> | undefined;
  /** Those that the store knows of. */
  let stored: ReadonlyMap<string, Address> = new Map();
  let stepsLeft = stepsMax;

  const change = (): Map<string, Address> => {
    if (before === undefined) {
      before = now;
      now = new Map(now);
    }
    return now;
  };

  return {
    add: (address) => {
      change().set(idOf(address), address);
    },
    take: () => {
      if (now.size === 0 || stepsLeft <= 0) return [];
      const turn = [...now.values()].slice(0, stepsLeft);
      stepsLeft -= turn.length;
      for (const address of turn) change().delete(idOf(address));
      return turn;
    },
    size: () => now.size,
    writes: () => {
      const writes: SnapshotWrite[] = [];
      for (const [id, address] of now) if (!stored.has(id)) writes.push(written(address, true));
      for (const [id, address] of stored) if (!now.has(id)) writes.push(written(address, false));
      return writes;
    },
    committed: () => {
      stored = new Map(now);
      before = undefined;
      stepsLeft = stepsMax;
    },
    rolledBack: () => {
      if (before !== undefined) now = new Map(before);
      before = undefined;
      stepsLeft = stepsMax;
    },
    restore: (address) => {
      now.set(idOf(address), address);
      stored = new Map(now);
    },
  };
}

function written({ decider, key }: Address, owes: boolean): SnapshotWrite {
  const state = owes ? { decider: decider.name } : undefined;
  return { decider: advancingRegistry, instance: key, offset: 0, state };
}
