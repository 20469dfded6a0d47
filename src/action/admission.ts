/**
 * Which attempts may start now: the one place that sees all open actions together.
 *
 * A fold like everything else: it is told each move of each action and nothing but that. Slots are the
 * set of those that hold a lease, rate windows are the times of recorded starts; nothing is counted up
 * and down, so nothing can leak.
 *
 * Those that wait stand in lines of equal command and limits. A line stands in the rank of the gate
 * that refused it (the command's executor, a concurrency key, a rate key) and is looked at again when
 * that gate may have room: when a lease was given back, a window opened, or another line left its place.
 *
 * Invariants
 * 1. Never more holders of a concurrency key than the limit of the one that is admitted next, never more
 *    starts in a rate window, never more attempts of a command than its executor takes.
 * 2. Higher priority first, then the older request; whoever has room starts, whoever waits before it.
 * 3. Whoever cannot start is told why when it comes to wait, and again when it is the first of its line
 *    and the reason is another one.
 * 4. A call costs what has changed since the last one, not what is waiting.
 * 5. The same open actions and rate windows give the same choice, in whatever order they were told.
 * 6. Nothing is admitted after its ttl, its cancel, or under a hold (approval, window, paused).
 */
import type { ActionId } from "../event/ids.ts";
import {
  askOf,
  createGate,
  createLine,
  createRank,
  limitsOf,
  lineKeyOf,
  priorityOf,
  rankOf,
  type Gate,
  type Limits,
  type Line,
  type Rank,
  type Waiter,
} from "./admission/line.ts";
import { createHeap } from "./admission/heap.ts";
import { addStart, opensAt, startsWithin } from "./admission/rate-starts.ts";
import type { DeferReason } from "./lifecycle-event.ts";
import type { ActionState } from "./lifecycle.ts";

export type Deferral = {
  readonly state: ActionState;
  readonly reason: DeferReason;
  readonly limitKey: string;
  /** Up to five of those that it waits for. */
  readonly holders: readonly ActionId[];
  readonly holdersTotal: number;
};

export type AdmissionChoice = {
  /** In the order in which they are to start. */
  readonly admit: readonly ActionState[];
  readonly defer: readonly Deferral[];
  /** Their ttl is over: they are not started, also where the timer that says so is still to come. */
  readonly expired: readonly ActionState[];
  /** A rate window opens then: ask again. */
  readonly wakeAtMs: number | undefined;
};

/** The starts of one rate key that its widest window still sees, oldest first. */
export type RateWindow = {
  readonly key: string;
  readonly perMs: number;
  readonly startsMs: readonly number[];
};

/** How many attempts of a command run at one time; undefined: nobody executes it. */
export type Capacity = (command: string) => number | undefined;

export type Admission = {
  /** An action moved at `atMs`; `before` is undefined where it was not known. */
  readonly moved: (before: ActionState | undefined, after: ActionState, atMs: number) => void;
  /** Chooses what starts at `nowMs`, at most `admitMax` attempts. Where these are chosen: ask again. */
  readonly select: (nowMs: number, capacity: Capacity, admitMax: number) => AdmissionChoice;
  /** The windows that changed since the last call, without starts where they may go: kept with the commit, given back by `restoreRate`. */
  readonly takeRateChanges: () => readonly RateWindow[];
  readonly restoreRate: (window: RateWindow) => void;
};

/** One call of `select`: `taken` are those that it has admitted, by gate, until the fold says so. */
type Selection = {
  readonly nowMs: number;
  readonly capacity: Capacity;
  readonly taken: Map<Gate, ActionId[]>;
  readonly admit: ActionState[];
  readonly expired: ActionState[];
};

type Opening = { readonly rank: Rank; readonly atMs: number };

const holdersShown = 5;

/** So many rate windows are kept without a thought. */
const windowsMin = 1_024;

export function createAdmission(): Admission {
  const waiters = new Map<ActionId, Waiter>();
  const lines = new Map<string, Line>();
  const commands = new Map<string, Gate>();
  const keys = new Map<string, Gate>();
  const windows = new Map<string, Gate>();
  /** The lines that no gate has refused. */
  const ready = createRank({ gate: undefined, limit: Infinity, perMs: 0 });
  const openings = createHeap<Opening>(
    (left, right) => left.atMs - right.atMs,
    ({ rank, atMs }) => rank.opensAtMs === atMs,
  );
  /** Gates that may have room for another line than those that are ready. */
  const touched = new Set<Gate>();
  const rateChanges = new Set<string>();
  /** Those that came to wait or to the head of a line, and may not know why they wait. */
  let curious = new Set<Waiter>();
  let sweepAt = windowsMin;

  const gateOf = (kind: Gate["kind"], limits: Limits): Gate | undefined => {
    const { command, concurrencyKey, rateKey } = limits;
    switch (kind) {
      case "executor":
        return findGate(commands, kind, command);
      case "concurrency":
        return concurrencyKey === undefined ? undefined : findGate(keys, kind, concurrencyKey);
      case "rate": {
        if (rateKey === undefined) return undefined;
        const gate = findGate(windows, kind, rateKey);
        gate.starts.perMs = Math.max(gate.starts.perMs, limits.perMs);
        return gate;
      }
    }
  };

  const lineOf = (state: ActionState): Line => {
    const limits = limitsOf(state);
    const key = lineKeyOf(limits);
    const known = lines.get(key);
    if (known !== undefined) return known;
    const gates = gateKinds.flatMap((kind) => gateOf(kind, limits) ?? []);
    const line = createLine(key, limits, gates);
    lines.set(key, line);
    for (const gate of gates) gate.lines.add(line);
    return line;
  };

  /** Puts a line where it belongs; the one that has nobody left goes. */
  const stand = (line: Line, rank: Rank): void => {
    const head = line.waiters.peek();
    if (head === undefined) {
      line.entry = undefined;
      lines.delete(line.key);
      for (const gate of line.gates) {
        gate.lines.delete(line);
        tidy(gate);
      }
      return;
    }
    line.rank = rank;
    line.entry = { line, head };
    rank.lines.push(line.entry);
    curious.add(head);
  };

  const tidy = (gate: Gate): void => {
    if (gate.lines.size > 0 || gate.holders.size > 0) return;
    if (gate.kind === "executor") commands.delete(gate.key);
    if (gate.kind === "concurrency") keys.delete(gate.key);
  };

  /** The head of a line came or left: whoever counted on its place is looked at again. */
  const headChanged = (line: Line): void => {
    const rank = line.rank ?? ready;
    stand(line, rank);
    if (rank.gate !== undefined) touched.add(rank.gate);
    else for (const gate of line.gates) touched.add(gate);
  };

  const join = (id: ActionId, state: ActionState): void => {
    const line = lineOf(state);
    const waiter: Waiter = { state, priority: priorityOf(state), line, waiting: true };
    waiters.set(id, waiter);
    line.waiters.push(waiter);
    curious.add(waiter);
    if (line.waiters.peek() !== waiter) return;
    if (line.rank === undefined) stand(line, ready);
    else headChanged(line);
  };

  const leave = (id: ActionId, waiter: Waiter): void => {
    waiters.delete(id);
    curious.delete(waiter);
    waiter.waiting = false;
    if (waiter.line.entry?.head === waiter) headChanged(waiter.line);
  };

  const hold = (state: ActionState): void => {
    const limits = limitsOf(state);
    gateOf("executor", limits)?.holders.add(state.identity.action_id);
    gateOf("concurrency", limits)?.holders.add(state.identity.action_id);
  };

  const release = (state: ActionState): void => {
    const limits = limitsOf(state);
    for (const kind of ["executor", "concurrency"] as const) {
      const gate = gateOf(kind, limits);
      if (gate === undefined) continue;
      gate.holders.delete(state.identity.action_id);
      touched.add(gate);
      tidy(gate);
    }
  };

  const countStart = (state: ActionState, atMs: number): void => {
    const gate = gateOf("rate", limitsOf(state));
    if (gate === undefined) return;
    addStart(gate.starts, atMs);
    touched.add(gate);
    rateChanges.add(gate.key);
  };

  /** Makes ready the best lines of each rank of a gate, as many as it has room for. */
  const give = (gate: Gate, selection: Selection): void => {
    for (const [key, rank] of gate.ranks) {
      for (let room = roomOf(gate, rank, selection); room > 0; room -= 1) {
        const entry = rank.lines.pop();
        if (entry === undefined) break;
        stand(entry.line, ready);
      }
      if (rank.lines.peek() === undefined) {
        rank.opensAtMs = undefined;
        gate.ranks.delete(key);
      } else if (gate.kind === "rate") {
        rank.opensAtMs = opensAt(gate.starts, rank, selection.nowMs);
        if (rank.opensAtMs !== undefined) openings.push({ rank, atMs: rank.opensAtMs });
      }
    }
  };

  /** Admits the first of a line, or sends the line to the gate that refuses it. */
  const examine = (line: Line, head: Waiter, selection: Selection): void => {
    const { state } = head;
    const id = state.identity.action_id;
    if (isExpired(state, selection.nowMs)) {
      selection.expired.push(state);
      leave(id, head);
      return;
    }
    const refusing = line.gates.find(
      (gate) => roomOf(gate, askOf(gate, line.limits), selection) <= 0,
    );
    if (refusing !== undefined) {
      stand(line, rankOf(refusing, line.limits));
      // A rate has to say when it opens; the others may have room for who comes next.
      for (const gate of line.gates) {
        if (gate !== refusing || gate.kind === "rate") touched.add(gate);
      }
      return;
    }
    waiters.delete(id);
    curious.delete(head);
    head.waiting = false;
    selection.admit.push(state);
    for (const gate of line.gates) {
      const taken = selection.taken.get(gate);
      if (taken === undefined) selection.taken.set(gate, [id]);
      else taken.push(id);
    }
    stand(line, ready);
  };

  const select: Admission["select"] = (nowMs, capacity, admitMax) => {
    const selection: Selection = { nowMs, capacity, taken: new Map(), admit: [], expired: [] };
    const { admit, expired } = selection;
    if (windows.size > sweepAt) sweep(nowMs);
    for (let next = openings.peek(); next !== undefined; next = openings.peek()) {
      if (next.atMs > nowMs) break;
      openings.pop();
      next.rank.opensAtMs = undefined;
      if (next.rank.gate !== undefined) touched.add(next.rank.gate);
    }
    while (admit.length < admitMax) {
      for (const gate of touched) give(gate, selection);
      touched.clear();
      const entry = ready.lines.pop();
      if (entry === undefined) break;
      examine(entry.line, entry.head, selection);
    }
    const defer = explain(selection);
    return { admit, defer, expired, wakeAtMs: openings.peek()?.atMs };
  };

  /** Tells the curious what they wait for; those that were not looked at yet have to be patient. */
  const explain = (selection: Selection): readonly Deferral[] => {
    const defer: Deferral[] = [];
    const patient = new Set<Waiter>();
    for (const waiter of curious) {
      const gate = waiter.line.rank?.gate;
      if (gate === undefined) {
        patient.add(waiter);
        continue;
      }
      const told = deferral(waiter.state, gate, selection);
      if (isNews(told)) defer.push(told);
    }
    curious = patient;
    return defer;
  };

  /** Windows that see no start any more and that nobody waits for say nothing: they go. */
  const sweep = (nowMs: number): void => {
    for (const [key, { lines: standing, starts }] of windows) {
      if (standing.size > 0 || startsWithin(starts, starts.perMs, nowMs) > 0) continue;
      windows.delete(key);
      rateChanges.add(key);
    }
    sweepAt = Math.max(windowsMin, 2 * windows.size);
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
      if (!isEligible(after)) {
        if (waiter !== undefined) leave(id, waiter);
      } else if (waiter !== undefined) waiter.state = after;
      else join(id, after);
    },
    select,
    takeRateChanges: () => {
      const changes: RateWindow[] = [];
      for (const key of rateChanges) {
        const { startsMs, perMs } = windows.get(key)?.starts ?? { startsMs: [], perMs: 0 };
        changes.push({ key, perMs, startsMs: [...startsMs] });
      }
      rateChanges.clear();
      return changes;
    },
    restoreRate: ({ key, perMs, startsMs }) => {
      const gate = findGate(windows, "rate", key);
      gate.starts.startsMs = [...startsMs];
      gate.starts.perMs = Math.max(gate.starts.perMs, perMs);
      touched.add(gate);
    },
  };
}

const gateKinds = ["executor", "concurrency", "rate"] as const;

function findGate(gates: Map<string, Gate>, kind: Gate["kind"], key: string): Gate {
  const known = gates.get(key);
  if (known !== undefined) return known;
  const gate = createGate({ kind, key });
  gates.set(key, gate);
  return gate;
}

/** How many more may start of those that ask a gate for the same. */
function roomOf(
  gate: Gate,
  { limit, perMs }: Pick<Rank, "limit" | "perMs">,
  { nowMs, capacity, taken }: Selection,
): number {
  const given = gate.holders.size + (taken.get(gate)?.length ?? 0);
  switch (gate.kind) {
    case "executor":
      return (capacity(gate.key) ?? 0) - given;
    case "concurrency":
      return limit - given;
    case "rate":
      return limit - given - startsWithin(gate.starts, perMs, nowMs);
  }
}

function holds(state: ActionState | undefined): boolean {
  return state?.phase === "accepted" || state?.phase === "started";
}

function isEligible(state: ActionState): boolean {
  if (state.cancelRequested || isHold(state.deferred?.reason)) return false;
  if (state.phase === "requested") return state.problem === undefined;
  return state.phase === "retrying" && state.ready;
}

/** Room alone does not start it: a person or a calendar has the word. */
function isHold(reason: DeferReason | undefined): boolean {
  return reason === "approval" || reason === "window" || reason === "paused";
}

function isExpired({ expiresAtMs }: ActionState, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs;
}

function deferral(state: ActionState, gate: Gate, { capacity, taken }: Selection): Deferral {
  const took = gate.kind === "rate" ? [] : (taken.get(gate) ?? []);
  const missing = gate.kind === "executor" && capacity(gate.key) === undefined;
  return {
    state,
    reason: missing ? "no_executor" : "limit",
    limitKey: limitKeyOf(gate, state),
    holders: firstOf(gate.holders, took),
    holdersTotal: gate.holders.size + took.length,
  };
}

function firstOf(holders: ReadonlySet<ActionId>, took: readonly ActionId[]): readonly ActionId[] {
  const shown: ActionId[] = [];
  for (const holder of holders) {
    if (shown.length === holdersShown) return shown;
    shown.push(holder);
  }
  return shown.concat(took.slice(0, holdersShown - shown.length));
}

/** A limit as people know it. */
function limitKeyOf({ kind }: Gate, { attrs }: ActionState): string {
  switch (kind) {
    case "executor":
      return `executor:${attrs.command}`;
    case "concurrency":
      return `concurrency:${attrs.concurrency?.key ?? ""}`;
    case "rate":
      return `rate:${attrs.rate?.key ?? ""}`;
  }
}

function isNews({ state, reason, limitKey }: Deferral): boolean {
  const { deferred } = state;
  return deferred?.reason !== reason || deferred.limitKey !== limitKey;
}
