/**
 * Those that wait, in lines: all members of one line have the same command and the same limits, so
 * where the first has no room, none has. Lines stand before gates, and only their first is looked at.
 */
import { tenantOf } from "../../event/envelope.ts";
import type { ActionId } from "../../event/ids.ts";
import type { ActionState } from "../lifecycle.ts";
import { isPriority, priorities } from "../request.ts";
import { createHeap, type Heap } from "./heap.ts";
import type { RateStarts } from "./rate-starts.ts";

/** An action that could start if there were room. */
export type Waiter = {
  state: ActionState;
  /** 0 is the highest. */
  readonly priority: number;
  readonly line: Line;
  /** False once it has left: its entry in the line is void. */
  waiting: boolean;
};

export type Line = {
  readonly key: string;
  /** In the order in which they are asked: the command, the concurrency key, the rate key. */
  readonly gates: readonly Gate[];
  readonly limits: Limits;
  readonly waiters: Heap<Waiter>;
  /** Where it stands: at the gate that refused it, or at none and is to be looked at. */
  rank: Rank | undefined;
  entry: Entry | undefined;
};

/** The place of a line in a rank, as good as its first member. A line has one; older ones are void. */
export type Entry = { readonly line: Line; readonly head: Waiter };

/** Lines for which the same gate has the same room, the best first. */
export type Rank = {
  readonly gate: Gate | undefined;
  readonly limit: number;
  readonly perMs: number;
  readonly lines: Heap<Entry>;
  /** Of a rate: when the next of its starts leaves the window. */
  opensAtMs: number | undefined;
};

/** What may refuse: a command's executor, a concurrency key or a rate key. */
export type Gate = {
  readonly kind: "executor" | "concurrency" | "rate";
  readonly key: string;
  readonly lines: Set<Line>;
  readonly ranks: Map<string, Rank>;
  /** Those that hold a lease; of a rate: none. */
  readonly holders: Set<ActionId>;
  /** Of a rate: the starts that its window may see. */
  readonly starts: RateStarts;
};

/** What the gates of a line are asked for; `Infinity` where there is no such limit. */
export type Limits = {
  readonly command: string;
  readonly concurrencyKey: string | undefined;
  readonly concurrency: number;
  readonly rateKey: string | undefined;
  readonly rate: number;
  readonly perMs: number;
};

export function limitsOf({ attrs, identity }: ActionState): Limits {
  const { command, concurrency, rate } = attrs;
  const tenant = tenantOf(identity);
  return {
    command,
    concurrencyKey: concurrency && JSON.stringify([tenant, concurrency.key]),
    concurrency: concurrency?.limit ?? Infinity,
    rateKey: rate && JSON.stringify([tenant, rate.key]),
    rate: rate?.limit ?? Infinity,
    perMs: (rate?.per_sec ?? 0) * 1_000,
  };
}

export function lineKeyOf(limits: Limits): string {
  const { command, concurrencyKey, concurrency, rateKey, rate, perMs } = limits;
  if (concurrencyKey === undefined && rateKey === undefined) return command;
  return JSON.stringify([command, concurrencyKey, concurrency, rateKey, rate, perMs]);
}

export function createLine(key: string, limits: Limits, gates: readonly Gate[]): Line {
  const waiters = createHeap<Waiter>(olderFirst, (waiter) => waiter.waiting);
  return { key, limits, gates, waiters, rank: undefined, entry: undefined };
}

export function createGate(names: Pick<Gate, "kind" | "key">): Gate {
  return {
    ...names,
    lines: new Set(),
    ranks: new Map(),
    holders: new Set(),
    starts: { startsMs: [], perMs: 0 },
  };
}

/** What a gate is asked by such a line. */
export function askOf({ kind }: Gate, limits: Limits): Pick<Rank, "limit" | "perMs"> {
  switch (kind) {
    case "executor":
      return asksExecutor;
    case "concurrency":
      return { limit: limits.concurrency, perMs: 0 };
    case "rate":
      return { limit: limits.rate, perMs: limits.perMs };
  }
}

const asksExecutor = { limit: Infinity, perMs: 0 };

/** The rank of a gate in which a line stands: others of that rank have room when it has. */
export function rankOf(gate: Gate, limits: Limits): Rank {
  const { limit, perMs } = askOf(gate, limits);
  const key = `${String(limit)}/${String(perMs)}`;
  let rank = gate.ranks.get(key);
  if (rank === undefined) {
    rank = createRank({ gate, limit, perMs });
    gate.ranks.set(key, rank);
  }
  return rank;
}

export function createRank(of: Pick<Rank, "gate" | "limit" | "perMs">): Rank {
  const lines = createHeap<Entry>(
    (left, right) => olderFirst(left.head, right.head),
    (entry) => entry.line.entry === entry,
  );
  return { ...of, lines, opensAtMs: undefined };
}

/** Higher priority first, then the older request. */
function olderFirst(left: Waiter, right: Waiter): number {
  return left.priority === right.priority
    ? left.state.requestOffset - right.state.requestOffset
    : left.priority - right.priority;
}

export function priorityOf(state: ActionState): number {
  const { priority } = state.identity.tags;
  return priorities.indexOf(isPriority(priority) ? priority : "normal");
}
