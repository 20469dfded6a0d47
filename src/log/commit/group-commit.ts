/**
 * Group commit: what every embedded log does between `append` and the store.
 *
 * It owns the queue of appends, deduplication inside a commit, offsets and event ids, the calls of the
 * stage and who is told what. It does not own how things are stored: that is `CommitStore`.
 *
 * 1. Appends that wait together share one commit; one commit at a time.
 * 2. An append that cannot be stored is refused before it joins a group.
 * 3. What the stage derives from a record is stepped before the next input, and before what else was
 *    derived beside it: depth first.
 * 4. Where the stage fails in a group of several, each append is tried again alone: a poison append
 *    fails by itself.
 * 5. A nudge whose commit the store refused is tried again: what waits for capacity is not forgotten.
 */
import type { Clock } from "../../base/clock.ts";
import { createSnowflake } from "../../event/snowflake.ts";
import {
  anomalyTag,
  eventBytesMaxDefault,
  type LogRecord,
  type NewEvent,
} from "../../event/envelope.ts";
import type { EventId, Offset } from "../../event/ids.ts";
import { topicOf } from "../../event/topic.ts";
import { LogError, type Receipt, type Stage, type StageReads, type StageWrites } from "../log.ts";
import { keyHashOf } from "./key.ts";

/** One commit of a store. Everything is synchronous; nothing is visible to readers before `commit`. */
export type CommitStore = {
  readonly begin: () => void;
  /** Claims a key for an offset, or says who has it. `hash` is 32 hex digits. */
  readonly claimKey: (hash: string, offset: Offset) => Offset | undefined;
  /** The id of a committed event. */
  readonly eventIdAt: (offset: Offset) => EventId;
  readonly write: (records: readonly Serialised[], writes: StageWrites) => void;
  /** Returns when everything written is durable. */
  readonly commit: () => void;
  readonly rollback: () => void;
  readonly reads: StageReads;
};

/** A record with its event as the one JSON text that is stored. */
export type Serialised = { readonly record: LogRecord; readonly body: string };

export type GroupCommit = {
  readonly append: (events: readonly NewEvent[]) => Promise<readonly Receipt[]>;
  readonly attach: (stage: Stage) => void;
  readonly nudge: () => void;
  readonly head: () => Offset;
  readonly onCommit: (listener: (records: readonly LogRecord[]) => void) => () => void;
  /** Commits what waits, then refuses what comes. */
  readonly close: () => Promise<void>;
};

export type GroupCommitOptions = {
  readonly store: CommitStore;
  readonly clock: Clock;
  /** 0 to 1023, unique among those that mint ids for this log. */
  readonly node: number;
  readonly eventBytesMax: number | undefined;
  readonly head: Offset;
  /** When the newest event id was minted; 0 on an empty log. */
  readonly lastMintMs: number;
};

/** Inputs of one commit at most: bounds how long a reader and the event loop wait. */
const groupEventsMax = 1_024;

/** What one input may lead to: more is a loop of deciders, never work. */
const derivedMax = 10_000;

/** What a nudge waits before it is tried again, where the store could not commit. */
const nudgeRetryMs = 1_000;

type Waiting = {
  readonly events: readonly NewEvent[];
  readonly resolve: (receipts: readonly Receipt[]) => void;
  readonly reject: (error: LogError) => void;
};

/** One commit under way. */
type Draft = {
  readonly nowMs: number;
  readonly records: LogRecord[];
  head: Offset;
};

const noStage: Stage = {
  step: () => ({ events: [] }),
  settle: () => [],
  writes: () => ({ actions: [], executions: [], timers: [], snapshots: [] }),
  committed: () => undefined,
  rolledBack: () => undefined,
};

export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const { store, clock } = options;
  const eventBytesMax = options.eventBytesMax ?? eventBytesMaxDefault;
  const snowflake = createSnowflake(options.node, options.lastMintMs);
  const listeners = new Set<(records: readonly LogRecord[]) => void>();
  let stage = noStage;
  let head = options.head;
  let waiting: Waiting[] = [];
  let scheduled = false;
  let nudged = false;
  let closed = false;

  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    clock.soon(flush);
  };

  const nudge = (): void => {
    if (closed) return;
    nudged = true;
    schedule();
  };

  const flush = (): void => {
    scheduled = false;
    if (waiting.length === 0 && !nudged) return;
    const owed = nudged;
    nudged = false;
    const group = takeGroup();
    if (waiting.length > 0) schedule();
    if (!commitOrFail(group) && owed) clock.after(nudgeRetryMs, nudge);
  };

  /** @returns false where the store failed: what a nudge asked for is owed still. */
  const commitOrFail = (group: readonly Waiting[]): boolean => {
    let committed: Committed;
    try {
      committed = commitGroup(group);
    } catch (thrown) {
      if (!(thrown instanceof LogError) && group.length > 1) {
        return group.map((one) => commitOrFail([one])).every(Boolean);
      }
      const error = toLogError(thrown, group[0]?.events[0]);
      for (const append of group) append.reject(error);
      return !error.retryable;
    }
    settleGroup(group, committed);
    return true;
  };

  const takeGroup = (): readonly Waiting[] => {
    let events = 0;
    let count = 0;
    for (const append of waiting) {
      if (count > 0 && events + append.events.length > groupEventsMax) break;
      events += append.events.length;
      count += 1;
    }
    const group = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return group;
  };

  type Committed = {
    readonly records: readonly LogRecord[];
    readonly receipts: (readonly Receipt[])[];
  };

  const commitGroup = (group: readonly Waiting[]): Committed => {
    const draft: Draft = { nowMs: clock.nowMs(), records: [], head };
    store.begin();
    try {
      const receipts = group.map(({ events }) => events.map((event) => input(draft, event)));
      settle(draft);
      store.write(draft.records.map(serialise), stage.writes());
      store.commit();
      head = draft.head;
      return { records: draft.records, receipts };
    } catch (thrown) {
      store.rollback();
      stage.rolledBack();
      throw thrown;
    }
  };

  const settleGroup = (group: readonly Waiting[], { records, receipts }: Committed): void => {
    try {
      stage.committed(records);
      if (records.length > 0) for (const listener of listeners) listener(records);
    } finally {
      group.forEach((append, index) => {
        append.resolve(receipts[index] ?? []);
      });
    }
  };

  const input = (draft: Draft, event: NewEvent): Receipt => {
    const taken = place(draft, event);
    if (taken.duplicate) return taken.receipt;
    stepAll(draft, taken.record);
    return taken.receipt;
  };

  const settle = (draft: Draft): void => {
    for (let round = 0; ; round += 1) {
      const derived = stage.settle(draft.nowMs, store.reads);
      if (derived.length === 0) return;
      if (round > derivedMax) throw new Error("Settling did not come to an end");
      for (const event of derived) input(draft, event);
    }
  };

  /**
   * Steps a record and, before anything else, all that follows from it: depth first, so that what a
   * decider said to one record has come back to it before it sees the next.
   */
  const stepAll = (draft: Draft, first: LogRecord): void => {
    const ahead: NewEvent[] = [];
    let record: LogRecord | undefined = first;
    for (let done = 0; record !== undefined; done += 1) {
      if (done > derivedMax) {
        throw new Error(
          `One ${first.event.event_type} led to more than ${String(derivedMax)} events`,
        );
      }
      const { events, anomaly } = stage.step(record, store.reads);
      if (anomaly !== undefined) markAnomaly(draft, record, anomaly);
      for (let index = events.length - 1; index >= 0; index -= 1) {
        const event = events[index];
        if (event !== undefined) ahead.push(event);
      }
      record = placeNext(draft, ahead);
    }
  };

  const placeNext = (draft: Draft, ahead: NewEvent[]): LogRecord | undefined => {
    for (let event = ahead.pop(); event !== undefined; event = ahead.pop()) {
      const taken = place(draft, event);
      if (!taken.duplicate) return taken.record;
    }
    return undefined;
  };

  const place = (
    draft: Draft,
    event: NewEvent,
  ):
    | { readonly duplicate: true; readonly receipt: Receipt }
    | { readonly duplicate: false; readonly receipt: Receipt; readonly record: LogRecord } => {
    const offset = draft.head + 1;
    const hash = keyHashOf(event);
    if (hash !== undefined) {
      const holder = store.claimKey(hash, offset);
      if (holder !== undefined) {
        const eventId = draft.records[holder - head - 1]?.event.event_id ?? store.eventIdAt(holder);
        return { duplicate: true, receipt: { eventId, offset: holder, duplicate: true } };
      }
    }
    draft.head = offset;
    const eventId = snowflake.next(draft.nowMs);
    const record: LogRecord = {
      topic: topicOf(event.event_type),
      partition: 0,
      offset,
      ingestedAtMs: draft.nowMs,
      event: { event_id: eventId, ...event },
    };
    draft.records.push(record);
    return { duplicate: false, record, receipt: { eventId, offset, duplicate: false } };
  };

  const markAnomaly = (draft: Draft, record: LogRecord, anomaly: string): void => {
    const tags = { ...record.event.tags, [anomalyTag]: anomaly };
    draft.records[record.offset - head - 1] = { ...record, event: { ...record.event, tags } };
  };

  const serialise = (record: LogRecord): Serialised => ({
    record,
    body: JSON.stringify(record.event),
  });

  return {
    append: (events) =>
      new Promise((resolve, reject) => {
        const refusal = closed ? closedError() : refuse(events, eventBytesMax);
        if (refusal !== undefined) {
          reject(refusal);
          return;
        }
        waiting.push({ events, resolve, reject });
        schedule();
      }),
    attach: (next) => {
      stage = next;
    },
    nudge,
    head: () => head,
    onCommit: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    close: async () => {
      closed = true;
      nudged = false;
      while (waiting.length > 0) flush();
      await Promise.resolve();
    },
  };
}

function refuse(events: readonly NewEvent[], eventBytesMax: number): LogError | undefined {
  if (events.length === 0) {
    return new LogError(
      "invalid",
      "Cannot append a batch as it must hold >= 1 event: current size is 0",
    );
  }
  for (const event of events) {
    const bytes = roughBytes(event, eventBytesMax);
    if (bytes > eventBytesMax) {
      return new LogError(
        "too_large",
        `Cannot append ${event.event_type} of ${event.entity_id} as one event may be ${String(eventBytesMax)} bytes: this one is ${String(bytes)}. Keep large results as a blob and refer to it`,
      );
    }
  }
  return undefined;
}

/** Exact only where it matters: an event whose strings are short cannot be over the limit. */
function roughBytes(event: NewEvent, eventBytesMax: number): number {
  if (boundedSize(event, eventBytesMax / 8) < eventBytesMax / 8) return 0;
  return new TextEncoder().encode(JSON.stringify(event)).length;
}

/** A count that is never below the number of UTF-16 units and members in a value, cut at `max`. */
function boundedSize(value: unknown, max: number): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  let size = 2;
  for (const key in value) {
    size += key.length + 4 + boundedSize((value as Record<string, unknown>)[key], max - size);
    if (size >= max) break;
  }
  return size;
}

function closedError(): LogError {
  return new LogError("closed", "Cannot append as the log is closed");
}

/** A store throws `LogError` only, so anything else came from the stage or from the event itself. */
function toLogError(thrown: unknown, first: NewEvent | undefined): LogError {
  if (thrown instanceof LogError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const what = first === undefined ? "a commit" : `${first.event_type} of ${first.entity_id}`;
  return new LogError("invalid", `Cannot append ${what}: ${message}`, thrown);
}
