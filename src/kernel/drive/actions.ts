/**
 * Drives the action lifecycle: folds every open action, admits attempts to the worker, and says what
 * must start or stop once the commit is durable.
 *
 * 1. Every open action is in memory and none that ended: what arrives late is judged by its own
 *    events, read again.
 * 2. A roll-back restores what each touched action was before the commit.
 * 3. Nothing reaches the worker before the commit that says so is durable.
 */
import { timestamp } from "../../base/clock.ts";
import { isJsonObject } from "../../base/json.ts";
import { createAdmission, type Admission, type Deferral } from "../../action/admission.ts";
import { decide } from "../../action/decide.ts";
import { dueOf, evolve, isTerminal, type ActionState } from "../../action/lifecycle.ts";
import {
  acceptedEvent,
  deferredEvent,
  failedEvent,
  startedEvent,
} from "../../action/lifecycle-event.ts";
import { approvalCommand } from "../../decider/approval.ts";
import { deedError } from "../../event/error.ts";
import type { DeedEvent, LogRecord, NewEvent } from "../../event/envelope.ts";
import type { ActionId, EventId, WorkerId } from "../../event/ids.ts";
import type { ActionRow, Snapshot, SnapshotWrite, StageReads, StepResult } from "../../log/log.ts";
import type { Assignment, Worker } from "../../executor/worker.ts";
import { actionRowOf } from "./action-row.ts";

/** An open action: its state, and the request that it began with. */
type Held = { readonly state: ActionState; readonly request: DeedEvent };

/** What a durable commit sets in motion. */
export type Effects = {
  readonly start: readonly Assignment[];
  readonly cancel: readonly ActionId[];
  /** Attempts that lost their lease: abort them, whatever they report is refused. */
  readonly fence: readonly ActionId[];
  /** What each touched action waits for now; no due time: nothing. */
  readonly due: readonly ActionDue[];
  /** A rate window opens then. */
  readonly wakeAtMs: number | undefined;
};

export type ActionDue = {
  readonly action: ActionId;
  readonly due: { readonly name: string; readonly dueMs: number } | undefined;
};

export type Actions = {
  readonly step: (record: LogRecord, reads: StageReads) => StepResult;
  /** @param paused the kernel stops: nothing starts, and whoever comes is told so. */
  readonly settle: (nowMs: number, paused: boolean) => readonly NewEvent[];
  readonly rows: () => readonly ActionRow[];
  /** The rate windows that this commit changed. */
  readonly rateSnapshots: () => readonly SnapshotWrite[];
  readonly restoreRate: (snapshot: Snapshot & { readonly instance: string }) => void;
  readonly committed: () => Effects;
  readonly rolledBack: () => void;
  /** Takes up an open action at start, from its own events. */
  readonly restore: (thread: readonly LogRecord[]) => void;
  readonly dues: () => readonly ActionDue[];
  /** Who holds attempts, as the log says. */
  readonly workers: () => ReadonlySet<WorkerId>;
  /** The wake-up of an action, as an event. */
  readonly timerFired: (due: {
    action: ActionId;
    name: string;
    dueMs: number;
  }) => NewEvent | undefined;
  readonly open: () => number;
  readonly running: () => number;
};

/** The decider under whose name rate windows are kept as snapshots, one instance a key. */
export const ratesRegistry = "rates";

/** Attempts that one settle may admit: bounds the commit, not the throughput. */
const admitPerSettleMax = 512;

const none: StepResult = { events: [] };

export function createActions(options: {
  readonly worker: Worker;
  readonly leaseMs: number;
}): Actions {
  const { worker, leaseMs } = options;
  const held = new Map<ActionId, Held>();
  /** Every action that this commit touched, as it was before; `undefined`: it was not held. */
  const journal = new Map<ActionId, Held | undefined>();
  /** Workers that this commit tells to be gone. */
  const lost = new Map<string, LogRecord>();
  let started: { readonly action: ActionId; readonly event: EventId }[] = [];
  let cancel: ActionId[] = [];
  let fence: ActionId[] = [];
  let wakeAtMs: number | undefined;
  let admission: Admission = createAdmission();
  let running = 0;
  const capacityOf = (command: string): number | undefined =>
    worker.executors.get(command)?.concurrency;

  const put = (next: Held, before: Held | undefined, record: LogRecord): void => {
    const action = next.state.identity.action_id;
    if (!journal.has(action)) journal.set(action, before);
    held.set(action, next);
    admission.moved(before?.state, next.state, record.ingestedAtMs);
    running += holds(next.state) - holds(before?.state);
  };

  /** An action that is not in memory has ended, or never was: its own events say which. */
  const recall = (action: ActionId, reads: StageReads): Held | undefined => {
    const thread = reads.actionThread(action);
    return foldThread(thread);
  };

  const stepOne = (action: ActionId, record: LogRecord, reads: StageReads): StepResult => {
    const { event } = record;
    const before =
      held.get(action) ??
      (event.event_type === "action.requested" ? undefined : recall(action, reads));
    const moved = evolve(before?.state, record);
    if (!moved.ok) return { events: [], anomaly: moved.error.kind };
    const state = moved.value;
    put({ state, request: before?.request ?? event }, before, record);
    if (event.event_type === "action.started") started.push({ action, event: event.event_id });
    if (event.event_type === "action.cancel_requested" && holds(state) === 1) cancel.push(action);
    const events = unserved(state, record) ?? decide(state, record);
    if (holds(state) === 1 && events.some(endsAttempt)) fence.push(action);
    return events.length === 0 ? none : { events };
  };

  /** A command of an execution that nobody serves fails: what would wait for it would wait for ever. */
  const unserved = (
    state: ActionState,
    { event, ingestedAtMs }: LogRecord,
  ): NewEvent[] | undefined => {
    const { command } = state.attrs;
    const asked = event.event_type === "action.requested" && event.execution_id !== undefined;
    if (!asked || state.phase !== "requested" || state.problem !== undefined) return undefined;
    if (command === approvalCommand || capacityOf(command) !== undefined) return undefined;
    const served = [...worker.executors.keys()].sort().join(", ");
    const message = `Cannot run ${command} as no executor serves it: ${served === "" ? "none is there" : served}`;
    const at = { ts: timestamp(ingestedAtMs), causationId: event.event_id, attempt: 1 };
    return [failedEvent(state.identity, at, deedError("unprocessable", message))];
  };

  /** What becomes of the attempts of workers that are gone. However many: each is an input of its own. */
  const takeFromLost = (): readonly NewEvent[] => {
    if (lost.size === 0) return none.events;
    const events: NewEvent[] = [];
    for (const { state } of held.values()) {
      const record = "workerId" in state ? lost.get(state.workerId) : undefined;
      if (record !== undefined) events.push(...decide(state, record));
    }
    lost.clear();
    return events;
  };

  /** What comes while nothing may start is told so; the next kernel looks at it anew. */
  const postpone = (ts: string): readonly NewEvent[] => {
    const events: NewEvent[] = [];
    for (const action of journal.keys()) {
      const state = held.get(action)?.state;
      if (state === undefined || state.deferred !== undefined || !isReady(state)) continue;
      const at = { ts, causationId: state.lastEventId, attempt: state.attempt };
      const limitKey = `executor:${state.attrs.command}`;
      events.push(
        deferredEvent(state.identity, at, { reason: "no_executor", limit_key: limitKey }),
      );
    }
    return events;
  };

  return {
    step: (record, reads) => {
      const { action_id: action, event_type: type } = record.event;
      if (action !== undefined && isLifecycle(type)) return stepOne(action, record, reads);
      if (type === "worker.lost") lost.set(textOf(record.event.attrs["worker_id"]), record);
      return none;
    },
    settle: (nowMs, paused) => {
      const taken = takeFromLost();
      if (taken.length > 0) return taken;
      if (paused) return postpone(timestamp(nowMs));
      const choice = admission.select(nowMs, capacityOf, admitPerSettleMax);
      wakeAtMs = choice.wakeAtMs;
      const { admit, defer, expired } = choice;
      if (admit.length + defer.length + expired.length === 0) return none.events;
      const ts = timestamp(nowMs);
      const leaseUntil = timestamp(nowMs + leaseMs);
      const events: NewEvent[] = expired.flatMap(ttlEvent);
      for (const state of admit) {
        const at = { ts, causationId: state.lastEventId, attempt: state.attempt };
        const idempotent = isIdempotent(worker, state);
        const lease = { worker_id: worker.id, lease_until: leaseUntil, idempotent };
        if (state.phase === "requested") events.push(acceptedEvent(state.identity, at, lease));
        events.push(startedEvent(state.identity, at, lease));
      }
      for (const deferral of defer) events.push(deferralEvent(deferral, ts));
      return events;
    },
    rateSnapshots: () =>
      admission.takeRateChanges().map(({ key, perMs, startsMs }) => ({
        decider: ratesRegistry,
        instance: key,
        offset: 0,
        state: startsMs.length === 0 ? undefined : { per_ms: perMs, starts_ms: startsMs },
      })),
    restoreRate: ({ instance, state }) => {
      if (!isJsonObject(state)) return;
      const { per_ms: perMs, starts_ms: starts } = state;
      if (typeof perMs !== "number" || !Array.isArray(starts)) return;
      const startsMs = starts.filter((startMs) => typeof startMs === "number");
      admission.restoreRate({ key: instance, perMs, startsMs });
    },
    rows: () => {
      const rows: ActionRow[] = [];
      for (const action of journal.keys()) {
        const now = held.get(action);
        if (now !== undefined) rows.push(actionRowOf(now.state));
      }
      return rows;
    },
    committed: () => {
      const start: Assignment[] = [];
      for (const { action, event } of started) {
        const now = held.get(action);
        if (now?.state.phase !== "started" || now.state.workerId !== worker.id) continue;
        const { attempt, leaseUntilMs } = now.state;
        start.push({ request: now.request, attempt, startedEventId: event, leaseUntilMs });
      }
      const due: ActionDue[] = [];
      for (const action of journal.keys()) {
        const now = held.get(action);
        if (now === undefined) continue;
        due.push({ action, due: dueOf(now.state) });
        if (isTerminal(now.state)) held.delete(action);
      }
      const effects = { start, cancel, fence, due, wakeAtMs };
      forget();
      return effects;
    },
    rolledBack: () => {
      for (const [action, before] of journal) {
        if (before === undefined || isTerminal(before.state)) held.delete(action);
        else held.set(action, before);
      }
      forget();
      readmit();
    },
    restore: (thread) => {
      const folded = foldThread(thread);
      if (folded === undefined || isTerminal(folded.state)) return;
      held.set(folded.state.identity.action_id, folded);
      admission.moved(undefined, folded.state, 0);
      running += holds(folded.state);
    },
    dues: () => [...held].map(([action, { state }]) => ({ action, due: dueOf(state) })),
    workers: () => {
      const workers = new Set<WorkerId>();
      for (const { state } of held.values()) {
        if (holds(state) === 1 && "workerId" in state) workers.add(state.workerId);
      }
      return workers;
    },
    timerFired: (due) => {
      const state = held.get(due.action)?.state;
      return state === undefined ? undefined : timerEvent(state, due);
    },
    open: () => held.size,
    running: () => running,
  };

  function forget(): void {
    journal.clear();
    lost.clear();
    started = [];
    cancel = [];
    fence = [];
    wakeAtMs = undefined;
  }

  function readmit(): void {
    admission = createAdmission();
    running = 0;
    const states = [...held.values()].map(({ state }) => state);
    states.sort((left, right) => left.requestOffset - right.requestOffset);
    for (const state of states) {
      admission.moved(undefined, state, 0);
      running += holds(state);
    }
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function deferralEvent(deferral: Deferral, ts: string): NewEvent {
  const { state, reason, limitKey, holders, holdersTotal } = deferral;
  const at = { ts, causationId: state.lastEventId, attempt: state.attempt };
  const attrs = { reason, limit_key: limitKey, holders, holders_total: holdersTotal };
  return deferredEvent(state.identity, at, attrs);
}

/** 1 where the state holds a lease, and so a slot. */
function holds(state: ActionState | undefined): 0 | 1 {
  return state?.phase === "accepted" || state?.phase === "started" ? 1 : 0;
}

/** It waits for room alone. */
function isReady(state: ActionState): boolean {
  return state.phase === "requested" || (state.phase === "retrying" && state.ready);
}

function isLifecycle(type: string): boolean {
  return type.startsWith("action.") || type === "timer.fired";
}

function endsAttempt(event: NewEvent): boolean {
  const type = event.event_type;
  return type === "action.retrying" || type === "action.failed" || type === "action.cancelled";
}

function foldThread(thread: readonly LogRecord[]): Held | undefined {
  let state: ActionState | undefined;
  for (const record of thread) {
    const moved = evolve(state, record);
    if (moved.ok) state = moved.value;
  }
  const request = thread[0]?.event;
  return state === undefined || request === undefined ? undefined : { state, request };
}

/** The ttl's own timer, where it is noticed before the timer rings. */
function ttlEvent(state: ActionState): readonly NewEvent[] {
  const { expiresAtMs: dueMs, identity } = state;
  if (dueMs === undefined) return [];
  return [timerEvent(state, { action: identity.action_id, name: "ttl", dueMs })];
}

/** An executor that cannot say so for these arguments has not promised it. */
function isIdempotent(worker: Worker, state: ActionState): boolean {
  try {
    return worker.executors.get(state.attrs.command)?.idempotent(state.attrs.args) ?? false;
  } catch {
    return false;
  }
}

function timerEvent(
  state: ActionState,
  due: { readonly action: ActionId; readonly name: string; readonly dueMs: number },
): NewEvent {
  const { identity } = state;
  return {
    ts: timestamp(due.dueMs),
    event_type: "timer.fired",
    entity_id: identity.entity_id,
    ...(identity.correlation_id === undefined ? {} : { correlation_id: identity.correlation_id }),
    causation_id: state.lastEventId,
    idempotency_key: `timer/${due.action}/${String(state.attempt)}/${due.name}/${String(due.dueMs)}`,
    action_id: due.action,
    source: { system: "deed", ns: { component: "kernel" } },
    tags: identity.tags,
    attrs: { decider: "lifecycle", instance: due.action, name: due.name, due_ms: due.dueMs },
  };
}
