/**
 * Drives deciders whose state lives in snapshots: rules now, state machines and playbooks later.
 *
 * 1. State changes are written with the commit that caused them, so memory is only a cache: bounded,
 *    dropped on roll-back, filled from the store again.
 * 2. A decider that throws never stops the log: its failure is recorded and the others go on. A store
 *    that cannot be read is not a decider's failure: it fails the commit.
 * 3. A timer fires once for one due time, and its row goes with the commit of `timer.fired`. One that its
 *    instance no longer waits for wakes nobody.
 * 4. Which deciders are active is itself a fold of the log (`rule.activated`, `rule.deactivated`).
 */
import type { Json } from "../../base/json.ts";
import { isJsonObject } from "../../base/json.ts";
import type { Result } from "../../base/result.ts";
import { timestamp } from "../../base/clock.ts";
import type { Decider, Timer } from "../../decider/decider.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import type { EventId } from "../../event/ids.ts";
import type { SnapshotWrite, StageReads, TimerRow, TimerWrite } from "../../log/log.ts";

/** The decider under whose name the active rules are kept as snapshots, one instance a rule. */
export const rulesRegistry = "rules";

export type ActiveRule = {
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  readonly file: string;
  /** From this offset on it decides. */
  readonly offset: number;
};

type Entry = { readonly about: ActiveRule; readonly decider: Decider<unknown> };

type Instance = { state: unknown; timers: readonly Timer[]; offset: number };

export type Deciders = {
  readonly step: (record: LogRecord, reads: StageReads) => readonly NewEvent[];
  readonly writes: () => { readonly snapshots: SnapshotWrite[]; readonly timers: TimerWrite[] };
  readonly committed: () => void;
  readonly rolledBack: () => void;
  readonly active: () => readonly ActiveRule[];
  readonly instances: () => number;
  /** Takes up a registry snapshot at start. Returns why it could not. */
  readonly restore: (state: Json) => string | undefined;
};

export type DecidersOptions = {
  /** Instances kept in memory between commits. */
  readonly instancesMax: number;
  /** Makes the decider that an activation stands for, or says why it cannot. */
  readonly build: (activation: LogRecord) => Result<Decider<unknown>, string>;
};

export function createDeciders({ instancesMax, build }: DecidersOptions): Deciders {
  let entries: readonly Entry[] = [];
  let entriesBefore: readonly Entry[] | undefined;
  const cache = new Map<string, Instance>();
  const touched = new Map<string, { readonly entry: Entry; readonly instance: string }>();
  const registry = new Map<string, SnapshotWrite>();
  const timerWrites = new Map<string, TimerWrite>();

  const replace = (name: string, entry: Entry | undefined): void => {
    entriesBefore ??= entries;
    const others = entries.filter((other) => other.about.name !== name);
    entries = entry === undefined ? others : [...others, entry].sort(byName);
  };

  const register = (write: Omit<SnapshotWrite, "decider">): void => {
    registry.set(write.instance, { decider: rulesRegistry, ...write });
  };

  const activate = (record: LogRecord): readonly NewEvent[] => {
    const built = entryOf(record, build);
    if (!built.ok) return [failure(record, record.event.entity_id, built.reason)];
    const { about } = built.entry;
    replace(about.name, built.entry);
    const state = { ...about, text: record.event.attrs["text"] ?? "" };
    register({ instance: about.name, offset: record.offset, state });
    return [];
  };

  const deactivate = (record: LogRecord): readonly NewEvent[] => {
    const name = record.event.attrs["name"];
    if (typeof name !== "string") return [];
    replace(name, undefined);
    register({ instance: name, offset: record.offset, state: undefined });
    return [];
  };

  const load = (entry: Entry, key: string, reads: StageReads): Instance => {
    const { decider } = entry;
    const id = idOf(decider.name, key);
    const cached = cache.get(id);
    if (cached !== undefined) {
      cache.delete(id);
      cache.set(id, cached);
      return cached;
    }
    const snapshot = reads.snapshot(decider.name, key);
    const decoded = snapshot === undefined ? undefined : decider.decode(snapshot.state);
    const state = decoded?.ok === true ? decoded.value : decider.initial(key);
    const instance = { state, timers: decider.due(state), offset: snapshot?.offset ?? 0 };
    cache.set(id, instance);
    return instance;
  };

  const drive = (
    entry: Entry,
    key: string,
    at: { readonly instance: Instance; readonly record: LogRecord },
  ): readonly NewEvent[] => {
    const { decider } = entry;
    const { instance, record } = at;
    const before = instance.state;
    const after = decider.evolve(before, record);
    if (after !== before) {
      const timers = decider.due(after);
      for (const { name, dueMs } of timerChanges(instance.timers, timers)) {
        writeTimer({ decider: decider.name, instance: key, name, dueMs });
      }
      instance.state = after;
      instance.offset = record.offset;
      instance.timers = timers;
      touched.set(idOf(decider.name, key), { entry, instance: key });
    }
    return decider.decide(after, record);
  };

  const writeTimer = (write: TimerWrite): void => {
    timerWrites.set(`${idOf(write.decider, write.instance)}\0${write.name}`, write);
  };

  /** The row of a timer goes, even where its decider is no longer active and nobody is woken. */
  const spend = (record: LogRecord): void => {
    const fired = firedTimer(record);
    if (fired === undefined) return;
    const { decider, instance, name, dueMs } = fired;
    const held = cache.get(idOf(decider, instance));
    const later = held?.timers.some((timer) => timer.name === name && timer.dueMs !== dueMs);
    if (later !== true) writeTimer({ decider, instance, name, dueMs: undefined });
  };

  /** What one decider makes of a record. What it throws becomes an event, what the store throws does not. */
  const stepOne = (entry: Entry, record: LogRecord, reads: StageReads): readonly NewEvent[] => {
    const keys = guarded(entry, record, () => keysFor(entry, record));
    if ("failed" in keys) return keys.failed;
    const events: NewEvent[] = [];
    for (const key of keys.value) {
      const instance = load(entry, key, reads);
      if (!awaits(instance, record)) continue;
      const decided = guarded(entry, record, () => drive(entry, key, { instance, record }));
      events.push(...("failed" in decided ? decided.failed : decided.value));
    }
    return events;
  };

  return {
    step: (record, reads) => {
      const type = record.event.event_type;
      if (type === "rule.activated") return activate(record);
      if (type === "rule.deactivated") return deactivate(record);
      let events: NewEvent[] | undefined;
      for (const entry of entries) {
        const decided = stepOne(entry, record, reads);
        if (decided.length > 0) (events ??= []).push(...decided);
      }
      if (type === "timer.fired" && record.event.action_id === undefined) spend(record);
      return events ?? nothing;
    },
    writes: () => {
      const snapshots = [...registry.values()];
      for (const [id, { entry, instance }] of touched) {
        const held = cache.get(id);
        if (held === undefined) continue;
        const { decider } = entry;
        const state = decider.encode(held.state);
        snapshots.push({ decider: decider.name, instance, offset: held.offset, state });
      }
      return { snapshots, timers: [...timerWrites.values()] };
    },
    committed: () => {
      forget();
      for (const id of cache.keys()) {
        if (cache.size <= instancesMax) break;
        cache.delete(id);
      }
    },
    rolledBack: () => {
      if (entriesBefore !== undefined) entries = entriesBefore;
      for (const id of touched.keys()) cache.delete(id);
      forget();
    },
    active: () => entries.map((entry) => entry.about),
    instances: () => cache.size,
    restore: (state) => {
      if (!isJsonObject(state)) return "the stored rule is not an object";
      const built = entryOf(recordOf(state), build);
      if (!built.ok) return built.reason;
      entries = [...entries, built.entry].sort(byName);
      return undefined;
    },
  };

  function forget(): void {
    entriesBefore = undefined;
    touched.clear();
    registry.clear();
    timerWrites.clear();
  }
}

const nothing: readonly NewEvent[] = [];

/** A timer wakes the one instance that armed it; every other record goes where the decider says. */
function keysFor(entry: Entry, record: LogRecord): readonly string[] {
  if (record.event.event_type !== "timer.fired") return entry.decider.keysOf(record);
  const fired = firedTimer(record);
  return fired?.decider === entry.decider.name ? [fired.instance] : [];
}

/** False for a timer that the instance has moved or disarmed since. */
function awaits({ timers }: Instance, record: LogRecord): boolean {
  if (record.event.event_type !== "timer.fired") return true;
  const fired = firedTimer(record);
  return timers.some(({ name, dueMs }) => name === fired?.name && dueMs === fired.dueMs);
}

function firedTimer({ event }: LogRecord): TimerRow | undefined {
  const { decider, instance, name, due_ms: dueMs } = event.attrs;
  const known =
    typeof decider === "string" &&
    typeof instance === "string" &&
    typeof name === "string" &&
    typeof dueMs === "number";
  return known ? { decider, instance, name, dueMs } : undefined;
}

function idOf(decider: string, instance: string): string {
  return `${decider}\0${instance}`;
}

function byName(left: Entry, right: Entry): number {
  return left.about.name < right.about.name ? -1 : 1;
}

type Guarded<T> = { readonly value: T } | { readonly failed: readonly NewEvent[] };

/** Runs a decider's code. A failure is not recorded for a record that tells of one: it would never end. */
function guarded<T>(entry: Entry, record: LogRecord, decide: () => T): Guarded<T> {
  try {
    return { value: decide() };
  } catch (thrown) {
    if (record.event.event_type === "rule.failed") return { failed: nothing };
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return { failed: [failure(record, `rule:${entry.about.name}`, reason)] };
  }
}

function entryOf(
  record: LogRecord,
  build: DecidersOptions["build"],
): { readonly ok: true; readonly entry: Entry } | { readonly ok: false; readonly reason: string } {
  const decider = build(record);
  if (!decider.ok) return { ok: false, reason: decider.error };
  const { attrs } = record.event;
  const about = {
    name: textOf(attrs["name"]),
    version: textOf(attrs["version"]),
    mode: textOf(attrs["mode"]),
    file: textOf(attrs["file"]),
    offset: record.offset,
  };
  return { ok: true, entry: { about, decider: decider.value } };
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The activation as it stood on the log, as far as a decider is built from it. */
function recordOf(state: { readonly [key: string]: Json | undefined }): LogRecord {
  const offset = typeof state["offset"] === "number" ? state["offset"] : 0;
  const attrs = { ...state, offset: undefined };
  return {
    topic: "decisions",
    partition: 0,
    offset,
    ingestedAtMs: 0,
    event: {
      event_id: "0" as EventId,
      ts: timestamp(0),
      event_type: "rule.activated",
      entity_id: `rule:${textOf(state["name"])}`,
      source: { system: "deed", ns: {} },
      tags: {},
      attrs,
    },
  };
}

/** What to arm and, with no due time, to disarm so that `after` is armed where `before` was. */
function timerChanges(
  before: readonly Timer[],
  after: readonly Timer[],
): readonly Pick<TimerWrite, "name" | "dueMs">[] {
  const gone = before.filter((old) => !after.some((timer) => timer.name === old.name));
  const armed = after.filter(
    (timer) => !before.some((old) => old.name === timer.name && old.dueMs === timer.dueMs),
  );
  return [...gone.map(({ name }) => ({ name, dueMs: undefined })), ...armed];
}

function failure(record: LogRecord, entityId: string, reason: string): NewEvent {
  return {
    ts: timestamp(record.ingestedAtMs),
    event_type: "rule.failed",
    entity_id: entityId,
    correlation_id: record.event.correlation_id ?? record.event.event_id,
    causation_id: record.event.event_id,
    idempotency_key: `rule.failed/${entityId}/${record.event.event_id}`,
    source: { system: "deed", ns: { component: "kernel" } },
    tags: record.event.tags,
    attrs: { reason },
  };
}
