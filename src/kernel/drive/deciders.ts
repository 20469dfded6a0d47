/**
 * Drives deciders whose state lives in instances: rules, schedules, executions of playbooks.
 *
 * 1. State changes are written with the commit that caused them, or can be folded again from it (`instances`).
 * 2. A decider that throws never stops the log: its failure is recorded and the others go on. A store
 *    that cannot be read is not a decider's failure: it fails the commit.
 * 3. A timer fires once for one due time, and its row goes with the commit of `timer.fired`. One that its
 *    instance no longer waits for wakes nobody.
 * 4. Which deciders are active is itself a fold of the log (`rule.activated`, `schedule.deactivated` …), beside
 *    those that are always there. A decider sees its own activation, once it is active, and its own
 *    deactivation, while it still is.
 * 5. What follows by itself is decided when all inputs are folded, one step of each instance at a time. A step that
 *    does not come back as a record that its instance folds is answered by `stuck`: nobody waits for it.
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { Result } from "../../base/result.ts";
import { timestamp } from "../../base/clock.ts";
import { changeOf, definitionKinds, type DefinitionKind } from "../../decider/activation.ts";
import type { Decider, Timer } from "../../decider/decider.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import type { EventId, Offset } from "../../event/ids.ts";
import type { SnapshotWrite, StageReads, TimerRow, TimerWrite } from "../../log/log.ts";
import { createAdvancing } from "./advancing.ts";
import { createInstances, type Address, type Instance } from "./instances.ts";

/** The decider under whose name what is active of a kind is kept as snapshots, one instance a definition. */
export function registryOf(kind: DefinitionKind): string {
  return `${kind}s`;
}

export type ActiveDecider = {
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  readonly file: string;
  /** From this offset on it decides. */
  readonly offset: number;
};

type Entry = { readonly about: ActiveDecider; readonly decider: Decider<unknown> };

export type Deciders = {
  readonly step: (record: LogRecord, reads: StageReads) => readonly NewEvent[];
  /** The next step of everything that follows by itself; empty where nothing does, or the commit is full. */
  readonly advance: (nowMs: number, reads: StageReads) => readonly NewEvent[];
  /** True where something goes on in the next commit. */
  readonly owes: () => boolean;
  readonly writes: () => { readonly snapshots: SnapshotWrite[]; readonly timers: TimerWrite[] };
  readonly committed: () => void;
  readonly rolledBack: () => void;
  readonly active: () => readonly ActiveDecider[];
  readonly instances: () => number;
  /** See {@link Instances.differing}. */
  readonly differing: (reads: StageReads) => readonly string[];
  /** Takes up a snapshot of a kind's registry at start. Returns why it could not. */
  readonly restore: (kind: DefinitionKind, state: Json) => string | undefined;
  /** Takes up an instance that was to go on in the next commit. */
  readonly restoreAdvancing: (key: string, state: Json) => void;
};

export type DecidersOptions = {
  /** Instances kept in memory between commits. */
  readonly instancesMax: number;
  /** Records that an execution has folded, at least, before it is written again. */
  readonly unsavedMin?: number;
  /** Steps that one commit takes. */
  readonly stepsMax?: number;
  /** Makes the decider that an activation stands for, or says why it cannot. */
  readonly build: (activation: LogRecord) => Result<Decider<unknown>, string>;
  /** Deciders that are always there. */
  readonly fixed?: readonly Decider<unknown>[];
};

export function createDeciders(options: DecidersOptions): Deciders {
  const { build, fixed = [] } = options;
  const always = fixed.map(entryAlways);
  let entries: readonly Entry[] = [];
  let entriesBefore: readonly Entry[] | undefined;
  const instances = createInstances(options.instancesMax, options.unsavedMin);
  const advancing = createAdvancing(options.stepsMax);
  const registry = new Map<string, SnapshotWrite>();
  const timerWrites = new Map<string, TimerWrite>();
  /** What instances decided in this round: each is folded before the next. */
  let steps: Step[] = [];

  const replace = (id: Registered, entry: Entry | undefined): void => {
    entriesBefore ??= entries;
    const others = entries.filter((other) => !isSame(other.about, id));
    entries = entry === undefined ? others : [...others, entry].sort(byName);
  };

  const register = ({ kind, name }: Registered, offset: number, state: Json | undefined): void => {
    const decider = registryOf(kind);
    registry.set(`${decider}\0${name}`, { decider, instance: name, offset, state });
  };

  const activate = (
    kind: DefinitionKind,
    record: LogRecord,
    reads: StageReads,
  ): readonly NewEvent[] => {
    const built = entryOf(kind, record, build);
    if (!built.ok) {
      return [failure(record, { kind, entityId: record.event.entity_id }, built.reason)];
    }
    const { about } = built.entry;
    replace(about, built.entry);
    register(about, record.offset, { ...about, text: record.event.attrs["text"] ?? "" });
    return stepOne(built.entry, record, reads);
  };

  const deactivate = (
    kind: DefinitionKind,
    record: LogRecord,
    reads: StageReads,
  ): readonly NewEvent[] => {
    const name = record.event.attrs["name"];
    if (typeof name !== "string") return [];
    const entry = entries.find(({ about }) => isSame(about, { kind, name }));
    const events = entry === undefined ? nothing : stepOne(entry, record, reads);
    replace({ kind, name }, undefined);
    register({ kind, name }, record.offset, undefined);
    return events;
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
      instance.unsaved += 1;
      instances.touch({ decider, key });
      if (decider.advance !== undefined) advancing.add({ decider, key });
    }
    return decider.decide(after, record);
  };

  const writeTimer = (write: TimerWrite): void => {
    timerWrites.set(`${write.decider}\0${write.instance}\0${write.name}`, write);
  };

  /** The row of a timer goes, even where its decider is no longer active and nobody is woken. */
  const spend = (record: LogRecord): void => {
    const fired = firedTimer(record);
    if (fired === undefined) return;
    const { decider: by, instance, name, dueMs } = fired;
    const decider = [...always, ...entries].find((entry) => entry.decider.name === by)?.decider;
    const held = decider === undefined ? undefined : instances.held({ decider, key: instance });
    const later = held?.timers.some((timer) => timer.name === name && timer.dueMs !== dueMs);
    if (later !== true) writeTimer({ decider: by, instance, name, dueMs: undefined });
  };

  /** What one decider makes of a record. What it throws becomes an event, what the store throws does not. */
  const stepOne = (entry: Entry, record: LogRecord, reads: StageReads): readonly NewEvent[] => {
    const keys = guarded(entry, record, () => keysFor(entry, record));
    if ("failed" in keys) return keys.failed;
    const events: NewEvent[] = [];
    for (const key of keys.value) {
      const instance = instances.load({ decider: entry.decider, key }, reads);
      if (!awaits(instance, record)) continue;
      const decided = guarded(entry, record, () => drive(entry, key, { instance, record }));
      events.push(...("failed" in decided ? decided.failed : decided.value));
    }
    return events;
  };

  /** Ends what cannot go on; where that is not taken either, only the record of it is left. */
  const unstuck = (
    address: Address,
    at: { readonly instance: Instance; readonly nowMs: number; readonly last: boolean },
    error: DeedError,
  ): readonly NewEvent[] => {
    const { decider, key } = address;
    const { instance, nowMs, last } = at;
    const events = last ? nothing : (decider.stuck?.(instance.state, error, nowMs) ?? nothing);
    if (events.length === 0) return [stuckEvent({ name: decider.name, key, nowMs }, error)];
    steps.push({ address, offset: instance.offset, last: true });
    return events;
  };

  return {
    step: (record, reads) => {
      const type = record.event.event_type;
      const change = changeOf(type);
      if (change !== undefined) {
        const { kind, active } = change;
        return active ? activate(kind, record, reads) : deactivate(kind, record, reads);
      }
      let events: NewEvent[] | undefined;
      const stepThe = (entry: Entry): void => {
        const decided = stepOne(entry, record, reads);
        if (decided.length > 0) (events ??= []).push(...decided);
      };
      for (const entry of always) stepThe(entry);
      for (const entry of entries) stepThe(entry);
      if (type === "timer.fired" && record.event.action_id === undefined) spend(record);
      return events ?? nothing;
    },
    advance: (nowMs, reads) => {
      const events: NewEvent[] = [];
      const asked = steps;
      steps = [];
      for (const { address, offset, last } of asked) {
        const instance = instances.load(address, reads);
        if (instance.offset !== offset) continue;
        events.push(...unstuck(address, { instance, nowMs, last }, keyTaken));
      }
      for (const address of advancing.take()) {
        const instance = instances.load(address, reads);
        try {
          const decided = address.decider.advance?.(instance.state, nowMs) ?? nothing;
          if (decided.length === 0) continue;
          steps.push({ address, offset: instance.offset, last: false });
          events.push(...decided);
        } catch (thrown) {
          const error = deedError("executor_error", reasonOf(thrown));
          events.push(...unstuck(address, { instance, nowMs, last: false }, error));
        }
      }
      return events;
    },
    owes: () => advancing.size() > 0,
    writes: () => ({
      snapshots: [...registry.values(), ...instances.snapshots(), ...advancing.writes()],
      timers: [...timerWrites.values()],
    }),
    committed: () => {
      forget();
      advancing.committed();
      instances.committed();
    },
    rolledBack: () => {
      if (entriesBefore !== undefined) entries = entriesBefore;
      advancing.rolledBack();
      instances.rolledBack();
      forget();
    },
    active: () => entries.map((entry) => entry.about),
    instances: instances.size,
    differing: instances.differing,
    restore: (kind, state) => {
      if (!isJsonObject(state)) return `the stored ${kind} is not an object`;
      const built = entryOf(kind, recordOf(kind, state), build);
      if (!built.ok) return built.reason;
      entries = [...entries, built.entry].sort(byName);
      return undefined;
    },
    restoreAdvancing: (key, state) => {
      const name = isJsonObject(state) ? state["decider"] : undefined;
      const entry = [...always, ...entries].find(({ decider }) => decider.name === name);
      if (entry !== undefined) advancing.restore({ decider: entry.decider, key });
    },
  };

  function forget(): void {
    entriesBefore = undefined;
    registry.clear();
    timerWrites.clear();
    steps = [];
  }
}

/** A step that an instance took. */
type Step = {
  readonly address: Address;
  /** The newest record that it had folded then. */
  readonly offset: Offset;
  /** It was taken because the one before was not. */
  readonly last: boolean;
};

const nothing: readonly NewEvent[] = [];

const keyTaken = deedError(
  "conflict",
  "Cannot go on as the log did not take what comes next: its key is another event's already",
);

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

function entryAlways(decider: Decider<unknown>): Entry {
  const { name, version } = decider;
  return { about: { kind: "rule", name, version, mode: "live", file: "", offset: 0 }, decider };
}

type Registered = Pick<ActiveDecider, "kind" | "name">;

function isSame(left: Registered, right: Registered): boolean {
  return left.kind === right.kind && left.name === right.name;
}

function byName({ about: left }: Entry, { about: right }: Entry): number {
  if (left.kind !== right.kind) return left.kind < right.kind ? -1 : 1;
  return left.name < right.name ? -1 : 1;
}

type Guarded<T> = { readonly value: T } | { readonly failed: readonly NewEvent[] };

/** Runs a decider's code. A failure is not recorded for a record that tells of one: it would never end. */
function guarded<T>(entry: Entry, record: LogRecord, decide: () => T): Guarded<T> {
  try {
    return { value: decide() };
  } catch (thrown) {
    if (definitionKinds.some((kind) => record.event.event_type === `${kind}.failed`)) {
      return { failed: nothing };
    }
    const { kind, name } = entry.about;
    const about = { kind, entityId: `${kind}:${name}` };
    return { failed: [failure(record, about, reasonOf(thrown))] };
  }
}

function entryOf(
  kind: DefinitionKind,
  record: LogRecord,
  build: DecidersOptions["build"],
): { readonly ok: true; readonly entry: Entry } | { readonly ok: false; readonly reason: string } {
  const decider = build(record);
  if (!decider.ok) return { ok: false, reason: decider.error };
  const { attrs } = record.event;
  const about = {
    kind,
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
function recordOf(kind: DefinitionKind, state: JsonObject): LogRecord {
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
      event_type: `${kind}.activated`,
      entity_id: `${kind}:${textOf(state["name"])}`,
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

function failure(
  record: LogRecord,
  of: { readonly kind: DefinitionKind; readonly entityId: string },
  reason: string,
): NewEvent {
  const { kind, entityId } = of;
  return {
    ts: timestamp(record.ingestedAtMs),
    event_type: `${kind}.failed`,
    entity_id: entityId,
    correlation_id: record.event.correlation_id ?? record.event.event_id,
    causation_id: record.event.event_id,
    idempotency_key: `${kind}.failed/${entityId}/${record.event.event_id}`,
    source: { system: "deed", ns: { component: "kernel" } },
    tags: record.event.tags,
    attrs: { reason },
  };
}

/** An instance that cannot take its next step: what it waits for is on the log, and why it cannot go on. */
function stuckEvent(
  { name, key, nowMs }: { readonly name: string; readonly key: string; readonly nowMs: number },
  { message }: DeedError,
): NewEvent {
  return {
    ts: timestamp(nowMs),
    event_type: "rule.failed",
    entity_id: `${name}:${key}`,
    source: { system: "deed", ns: { component: "kernel" } },
    tags: {},
    attrs: { reason: message },
  };
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
