/**
 * Which attempts may start now: the one place that sees all open actions together.
 *
 * A fold like everything else: it is told each move of each action and nothing but that. Slots are the
 * set of those that hold a lease, rate windows are the times of recorded starts; nothing is counted up
 * and down, so nothing can leak.
 *
 * Invariants
 * 1. Never more holders of a concurrency key than the limit of the one that is admitted next, never more
 *    starts in a rate window, never more attempts of a command than its executor takes.
 * 2. Higher priority first, then the older request.
 * 3. Whoever cannot start is told why, once a reason.
 * 4. A call costs what has changed since the last one, not what is waiting.
 * 5. Whoever's ttl has passed is not admitted, also where the timer that ends it has yet to fire.
 */
import TinyQueue from "tinyqueue";
import { tenantOf } from "../event/envelope.ts";
import type { ActionId } from "../event/ids.ts";
import type { DeferReason } from "./lifecycle-event.ts";
import type { ActionState } from "./lifecycle.ts";
import { isPriority, priorities } from "./request.ts";

export type Deferral = {
  readonly state: ActionState;
  readonly reason: DeferReason;
  readonly limitKey: string;
  /** Up to five of those that it waits for. */
  readonly holders: readonly ActionId[];
  readonly holdersTotal: number;
};

export type AdmissionChoice = {
  readonly admit: readonly ActionState[];
  readonly defer: readonly Deferral[];
  /** Their ttl is over: they are not started, also where the timer that says so is still to come. */
  readonly expired: readonly ActionState[];
  /** A rate window opens then: ask again. */
  readonly wakeAtMs: number | undefined;
};

/** The starts of one rate key that its window still sees, oldest first. */
export type RateWindow = { readonly key: string; readonly startsMs: readonly number[] };

export type Admission = {
  /** An action moved at `atMs`; `before` is undefined where it was not known. */
  readonly moved: (before: ActionState | undefined, after: ActionState, atMs: number) => void;
  /**
   * Chooses what starts at `nowMs`, at most `admitMax` attempts.
   *
   * @param capacity how many attempts of a command run at one time; undefined: nobody executes it.
   */
  readonly select: (
    nowMs: number,
    capacity: (command: string) => number | undefined,
    admitMax: number,
  ) => AdmissionChoice;
  /** The windows that changed since the last call, without starts where they may go: kept with the commit, given back by `restoreRate`. */
  readonly takeRateChanges: () => readonly RateWindow[];
  readonly restoreRate: (window: RateWindow) => void;
};

type Queue = TinyQueue<Waiter>;

/** An action that could start if there were room. It stands in one queue; older entries are void. */
type Waiter = {
  state: ActionState;
  queue: Queue | undefined;
  readonly rank: number;
  readonly concurrencyKey: string | undefined;
  readonly rateKey: string | undefined;
};

type Gate = { readonly queue: Queue; readonly holders: Set<ActionId> };

type Window = { readonly queue: Queue; startsMs: number[]; perMs: number; opensAtMs: number };

const holdersShown = 5;

/** A window that was read from a snapshot is kept for an hour at least: the longest that a rate may span. */
const restoredPerMs = 3_600_000;

/** So many rate windows are kept without a thought. */
const windowsMin = 1_024;

export function createAdmission(): Admission {
  const waiters = new Map<ActionId, Waiter>();
  const commands = new Map<string, Gate>();
  const keys = new Map<string, Gate>();
  const windows = new Map<string, Window>();
  /** Commands whose queue or room changed, keys whose slots were freed, windows that keep somebody waiting. */
  const stirred = new Set<string>();
  const freed = new Set<string>();
  const shut = new Set<string>();
  const rateChanges = new Set<string>();
  let newcomers: Waiter[] = [];
  let sweepAt = windowsMin;

  const enqueue = (waiter: Waiter): void => {
    const { command } = waiter.state.attrs;
    put(waiter, gateOf(commands, command).queue);
    stirred.add(command);
  };

  const leave = (id: ActionId, waiter: Waiter): void => {
    waiters.delete(id);
    waiter.queue = undefined;
    if (waiter.concurrencyKey !== undefined) freed.add(waiter.concurrencyKey);
  };

  const hold = (state: ActionState): void => {
    const id = state.identity.action_id;
    gateOf(commands, state.attrs.command).holders.add(id);
    const key = concurrencyKeyOf(state);
    if (key !== undefined) gateOf(keys, key).holders.add(id);
  };

  const release = (state: ActionState): void => {
    const id = state.identity.action_id;
    gateOf(commands, state.attrs.command).holders.delete(id);
    stirred.add(state.attrs.command);
    const key = concurrencyKeyOf(state);
    if (key === undefined) return;
    const gate = gateOf(keys, key);
    gate.holders.delete(id);
    if (gate.holders.size === 0 && gate.queue.length === 0) keys.delete(key);
    else freed.add(key);
  };

  const countStart = (state: ActionState, atMs: number): void => {
    const key = rateKeyOf(state);
    const rate = state.attrs.rate;
    if (key === undefined || rate === undefined) return;
    const window = windowOf(windows, key);
    window.perMs = rate.per_sec * 1_000;
    window.startsMs = window.startsMs.filter((startMs) => startMs > atMs - window.perMs);
    window.startsMs.push(atMs);
    rateChanges.add(key);
  };

  /** Gives those that wait for a key or a window back to their command's queue, as many as fit. */
  const wake = (nowMs: number): void => {
    for (const key of freed) {
      const gate = keys.get(key);
      if (gate === undefined) continue;
      for (let given = 0; ; given += 1) {
        const head = peek(gate.queue);
        const limit = head?.state.attrs.concurrency?.limit ?? 0;
        if (head === undefined || gate.holders.size + given >= limit) break;
        gate.queue.pop();
        enqueue(head);
      }
      if (gate.holders.size === 0 && gate.queue.length === 0) keys.delete(key);
    }
    freed.clear();
    for (const key of shut) {
      const window = windows.get(key);
      if (window === undefined || window.opensAtMs > nowMs) continue;
      shut.delete(key);
      for (
        let head = peek(window.queue), given = 0;
        head !== undefined;
        head = peek(window.queue)
      ) {
        given += 1;
        if (given > (head.state.attrs.rate?.limit ?? 1)) {
          shut.add(key);
          break;
        }
        window.queue.pop();
        enqueue(head);
      }
    }
  };

  const select: Admission["select"] = (nowMs, capacity, admitMax) => {
    const admit: ActionState[] = [];
    const defer: Deferral[] = [];
    const expired: ActionState[] = [];
    const taken = new Map<string, number>();
    wake(nowMs);
    if (windows.size > sweepAt) sweep(nowMs);
    for (const command of stirred) {
      const gate = gateOf(commands, command);
      const slots = capacity(command) ?? 0;
      for (let room = slots - gate.holders.size; room > 0 && admit.length < admitMax;) {
        const head = peek(gate.queue);
        if (head === undefined) break;
        gate.queue.pop();
        if (isExpired(head.state, nowMs)) {
          leave(head.state.identity.action_id, head);
          expired.push(head.state);
          continue;
        }
        const refusal = keyRefusal(head, taken) ?? rateRefusal(head, nowMs, taken);
        if (refusal !== undefined) {
          if (isNews(refusal)) defer.push(refusal);
          continue;
        }
        leaveAdmitted(head, taken);
        admit.push(head.state);
        room -= 1;
      }
      if (admit.length < admitMax) stirred.delete(command);
      if (gate.holders.size === 0 && peek(gate.queue) === undefined) commands.delete(command);
    }
    explainWaiting(capacity, defer);
    return { admit, defer, expired, wakeAtMs: nextOpening() };
  };

  /** Windows that see no start any more and keep nobody waiting say nothing: they go. */
  const sweep = (nowMs: number): void => {
    for (const [key, { queue, startsMs, perMs }] of windows) {
      if (queue.length > 0 || (startsMs.at(-1) ?? 0) > nowMs - perMs) continue;
      windows.delete(key);
      rateChanges.add(key);
    }
    sweepAt = Math.max(windowsMin, 2 * windows.size);
  };

  const leaveAdmitted = (waiter: Waiter, taken: Map<string, number>): void => {
    waiters.delete(waiter.state.identity.action_id);
    waiter.queue = undefined;
    for (const key of [waiter.concurrencyKey, waiter.rateKey]) {
      if (key !== undefined) taken.set(key, (taken.get(key) ?? 0) + 1);
    }
  };

  const keyRefusal = (waiter: Waiter, taken: Map<string, number>): Deferral | undefined => {
    const { concurrencyKey: key, state } = waiter;
    const limit = state.attrs.concurrency?.limit;
    if (key === undefined || limit === undefined) return undefined;
    const gate = gateOf(keys, key);
    const held = gate.holders.size + (taken.get(key) ?? 0);
    if (held < limit) return undefined;
    put(waiter, gate.queue);
    return deferral(state, `concurrency:${String(state.attrs.concurrency?.key)}`, gate.holders);
  };

  const rateRefusal = (
    waiter: Waiter,
    nowMs: number,
    taken: Map<string, number>,
  ): Deferral | undefined => {
    const { rateKey: key, state } = waiter;
    const { rate } = state.attrs;
    if (key === undefined || rate === undefined) return undefined;
    const window = windowOf(windows, key);
    const perMs = rate.per_sec * 1_000;
    const recent = window.startsMs.filter((startMs) => startMs > nowMs - perMs);
    if (recent.length + (taken.get(key) ?? 0) < rate.limit) return undefined;
    put(waiter, window.queue);
    if (waiter.concurrencyKey !== undefined) freed.add(waiter.concurrencyKey);
    window.opensAtMs = (recent[recent.length - rate.limit] ?? recent[0] ?? nowMs) + perMs;
    shut.add(key);
    return deferral(state, `rate:${rate.key}`, none);
  };

  /** Newcomers that found no room of their command hear of it; those refused by a key already did. */
  const explainWaiting = (
    capacity: (command: string) => number | undefined,
    defer: Deferral[],
  ): void => {
    for (const { queue, state } of newcomers) {
      const { command } = state.attrs;
      const gate = commands.get(command);
      if (gate === undefined || queue !== gate.queue) continue;
      const missing = capacity(command) === undefined;
      const told = deferral(state, `executor:${command}`, gate.holders);
      const reason: Deferral = missing ? { ...told, reason: "no_executor" } : told;
      if (isNews(reason)) defer.push(reason);
    }
    newcomers = [];
  };

  const nextOpening = (): number | undefined => {
    let earliestMs: number | undefined;
    for (const key of shut) {
      const opensAtMs = windows.get(key)?.opensAtMs ?? Infinity;
      if (earliestMs === undefined || opensAtMs < earliestMs) earliestMs = opensAtMs;
    }
    return earliestMs;
  };

  return {
    moved: (before, after, atMs) => {
      const id = after.identity.action_id;
      const held = holds(before);
      const holding = holds(after);
      if (held && !holding) release(after);
      if (!held && holding) hold(after);
      const starts =
        before !== undefined && before.phase !== "started" && after.phase === "started";
      if (starts) countStart(after, atMs);
      const waiter = waiters.get(id);
      if (!eligible(after)) {
        if (waiter !== undefined) leave(id, waiter);
      } else if (waiter !== undefined) {
        waiter.state = after;
      } else {
        const newcomer = waiterOf(after);
        waiters.set(id, newcomer);
        newcomers.push(newcomer);
        enqueue(newcomer);
      }
    },
    select,
    takeRateChanges: () => {
      const changes: RateWindow[] = [];
      for (const key of rateChanges)
        changes.push({ key, startsMs: windows.get(key)?.startsMs ?? [] });
      rateChanges.clear();
      return changes;
    },
    restoreRate: ({ key, startsMs }) => {
      const window = windowOf(windows, key);
      window.startsMs = [...startsMs];
      window.perMs = restoredPerMs;
    },
  };
}

const none: ReadonlySet<ActionId> = new Set();

function holds(state: ActionState | undefined): boolean {
  return state?.phase === "accepted" || state?.phase === "started";
}

function eligible(state: ActionState): boolean {
  if (state.cancelRequested) return false;
  return state.phase === "requested" || (state.phase === "retrying" && state.ready);
}

function isExpired({ expiresAtMs }: ActionState, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs;
}

function waiterOf(state: ActionState): Waiter {
  const { priority } = state.identity.tags;
  return {
    state,
    queue: undefined,
    rank: priorities.indexOf(isPriority(priority) ? priority : "normal"),
    concurrencyKey: concurrencyKeyOf(state),
    rateKey: rateKeyOf(state),
  };
}

function concurrencyKeyOf(state: ActionState): string | undefined {
  const key = state.attrs.concurrency?.key;
  return key === undefined ? undefined : `c\n${tenantOf(state.identity)}\n${key}`;
}

function rateKeyOf(state: ActionState): string | undefined {
  const key = state.attrs.rate?.key;
  return key === undefined ? undefined : `r\n${tenantOf(state.identity)}\n${key}`;
}

function gateOf(gates: Map<string, Gate>, key: string): Gate {
  let gate = gates.get(key);
  if (gate === undefined) {
    gate = { queue: newQueue(), holders: new Set() };
    gates.set(key, gate);
  }
  return gate;
}

function windowOf(windows: Map<string, Window>, key: string): Window {
  let window = windows.get(key);
  if (window === undefined) {
    window = { queue: newQueue(), startsMs: [], perMs: 0, opensAtMs: 0 };
    windows.set(key, window);
  }
  return window;
}

function newQueue(): Queue {
  return new TinyQueue<Waiter>([], (left, right) =>
    left.rank === right.rank
      ? left.state.requestOffset - right.state.requestOffset
      : left.rank - right.rank,
  );
}

function put(waiter: Waiter, queue: Queue): void {
  waiter.queue = queue;
  queue.push(waiter);
}

/** The first that still stands here; those that left or moved on are dropped on the way. */
function peek(queue: Queue): Waiter | undefined {
  for (let head = queue.peek(); head !== undefined; head = queue.peek()) {
    if (head.queue === queue) return head;
    queue.pop();
  }
  return undefined;
}

function deferral(state: ActionState, limitKey: string, holders: ReadonlySet<ActionId>): Deferral {
  const shown: ActionId[] = [];
  for (const holder of holders) {
    if (shown.length === holdersShown) break;
    shown.push(holder);
  }
  return { state, reason: "limit", limitKey, holders: shown, holdersTotal: holders.size };
}

function isNews({ state, reason, limitKey }: Deferral): boolean {
  const { deferred } = state;
  return deferred?.reason !== reason || deferred.limitKey !== limitKey;
}
