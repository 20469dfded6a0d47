/**
 * Drives deciders whose state lives in snapshots: rules now, state machines and playbooks later.
 *
 * 1. State changes are written with the commit that caused them, so memory is only a cache: bounded,
 *    dropped on roll-back, filled from the store again.
 * 2. A decider that throws never stops the log: its failure is recorded and the others go on.
 * 3. Which deciders are active is itself a fold of the log (`rule.activated`, `rule.deactivated`).
 */
import type { Json } from "../../base/json.ts";
import { isJsonObject } from "../../base/json.ts";
import { timestamp } from "../../base/clock.ts";
import type { Decider, Timer } from "../../decider/decider.ts";
import { deciderFromActivation } from "../../decider/rule.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import type { EventId } from "../../event/ids.ts";
import type { SnapshotWrite, StageReads, TimerWrite } from "../../log/log.ts";

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

export function createDeciders(instancesMax: number): Deciders {
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

  const activate = (record: LogRecord): readonly NewEvent[] => {
    const built = entryOf(record);
    if (!built.ok) return [failure(record, record.event.entity_id, built.reason)];
    const { about } = built.entry;
    replace(about.name, built.entry);
    const state = { ...about, text: record.event.attrs["text"] ?? "" };
    registry.set(about.name, snapshotOf(rulesRegistry, about.name, record.offset, state));
    return [];
  };

  const deactivate = (record: LogRecord): readonly NewEvent[] => {
    const name = record.event.attrs["name"];
    if (typeof name !== "string") return [];
    replace(name, undefined);
    registry.set(name, snapshotOf(rulesRegistry, name, record.offset, undefined));
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
    at: { readonly record: LogRecord; readonly reads: StageReads },
  ): readonly NewEvent[] => {
    const { decider } = entry;
    const instance = load(entry, key, at.reads);
    const before = instance.state;
    const after = decider.evolve(before, at.record);
    if (after !== before) {
      const id = idOf(decider.name, key);
      instance.state = after;
      instance.offset = at.record.offset;
      touched.set(id, { entry, instance: key });
      const timers = decider.due(after);
      diffTimers({ decider: decider.name, instance: key }, instance.timers, timers, timerWrites);
      instance.timers = timers;
    }
    return decider.decide(after, at.record);
  };

  return {
    step: (record, reads) => {
      const type = record.event.event_type;
      if (type === "rule.activated") return activate(record);
      if (type === "rule.deactivated") return deactivate(record);
      let events: NewEvent[] | undefined;
      for (const entry of entries) {
        try {
          for (const key of keysFor(entry, record)) {
            const decided = drive(entry, key, { record, reads });
            if (decided.length > 0) (events ??= []).push(...decided);
          }
        } catch (thrown) {
          const reason = thrown instanceof Error ? thrown.message : String(thrown);
          if (type !== "rule.failed") {
            (events ??= []).push(failure(record, `rule:${entry.about.name}`, reason));
          }
        }
      }
      return events ?? nothing;
    },
    writes: () => {
      const snapshots = [...registry.values()];
      for (const [id, { entry, instance }] of touched) {
        const held = cache.get(id);
        if (held === undefined) continue;
        const state = entry.decider.encode(held.state);
        snapshots.push(snapshotOf(entry.decider.name, instance, held.offset, state));
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
      const built = entryOf(recordOf(state));
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
  const { decider, instance } = record.event.attrs;
  return decider === entry.decider.name && typeof instance === "string" ? [instance] : [];
}

function idOf(decider: string, instance: string): string {
  return `${decider}\0${instance}`;
}

function byName(left: Entry, right: Entry): number {
  return left.about.name < right.about.name ? -1 : 1;
}

function snapshotOf(
  decider: string,
  instance: string,
  offset: number,
  state: Json | undefined,
): SnapshotWrite {
  return { decider, instance, offset, state };
}

function entryOf(
  record: LogRecord,
): { readonly ok: true; readonly entry: Entry } | { readonly ok: false; readonly reason: string } {
  const decider = deciderFromActivation(record);
  if (!decider.ok) return { ok: false, reason: decider.error };
  const { name, version, mode, file } = record.event.attrs;
  const about = {
    name: String(name),
    version: String(version),
    mode: String(mode),
    file: String(file),
    offset: record.offset,
  };
  return { ok: true, entry: { about, decider: decider.value } };
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
      entity_id: `rule:${String(state["name"])}`,
      source: { system: "deed", ns: {} },
      tags: {},
      attrs,
    },
  };
}

function diffTimers(
  at: { readonly decider: string; readonly instance: string },
  before: readonly Timer[],
  after: readonly Timer[],
  writes: Map<string, TimerWrite>,
): void {
  for (const old of before) {
    if (after.some((timer) => timer.name === old.name)) continue;
    const write = { ...at, name: old.name, dueMs: undefined };
    writes.set(`${idOf(at.decider, at.instance)}\0${old.name}`, write);
  }
  for (const timer of after) {
    if (before.some((old) => old.name === timer.name && old.dueMs === timer.dueMs)) continue;
    const write = { ...at, name: timer.name, dueMs: timer.dueMs };
    writes.set(`${idOf(at.decider, at.instance)}\0${timer.name}`, write);
  }
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
