/**
 * One schedule on a log, for tests: what comes in is folded and decided, what was decided comes back through
 * the fold before the next input, keys are taken once, and timers fire when the test moves the clock.
 */
import { timestamp } from "../../base/clock.ts";
import { formatProblem } from "../../base/document.ts";
import { present } from "../../base/assert.ts";
import type { Json } from "../../base/json.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import { topicOf } from "../../event/topic.ts";
import { activationEvent, deactivationEvent, parseDefinitions } from "../activation.ts";
import { scheduleDecider } from "../schedule.ts";
import type { Schedule } from "./compile.ts";
import { initialState, type ScheduleState } from "./state.ts";

/** 2026-11-24T05:00:00Z, a Tuesday: the clock of these logs begins here. */
export const t0 = Date.UTC(2026, 10, 24, 5);

export const minute = 60_000;

export const hour = 60 * minute;

/** A schedule with this `spec` in YAML; where it starts nothing, it asks for `noop`. */
export function scheduleOf(spec: string): Schedule {
  const parsed = parseDefinitions(textOf(spec), "s.yaml");
  if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
  const [found] = parsed.value;
  if (found?.kind !== "schedule") throw new Error("no schedule");
  return found;
}

export function textOf(spec: string): string {
  const start = /^(request|playbook):/m.test(spec) ? "" : "\n  request: {command: noop}";
  return `apiVersion: deed/v1\nkind: Schedule\nmetadata: {name: nightly}\nspec:\n${spec.replace(/^/gm, "  ")}${start}\n`;
}

export type ScheduleLog = {
  readonly now: () => number;
  readonly state: () => ScheduleState;
  readonly records: readonly LogRecord[];
  readonly activate: (spec: string) => void;
  readonly deactivate: () => void;
  /** The node runs up to this time: timers fire when they are due. */
  readonly run: (untilMs: number) => void;
  /** Nothing happens up to this time; then the node starts, and reads its state from the snapshot. */
  readonly down: (untilMs: number) => void;
  /** The clock stands at this time, whatever it was. */
  readonly setClock: (atMs: number) => void;
  /** The snapshot is lost. */
  readonly lose: () => void;
  /** The deduplication window has passed. */
  readonly forgetKeys: () => void;
  /** What the slot started ends. */
  readonly end: (slotMs: number, how?: "succeeded" | "failed" | "cancelled") => void;
  /** Puts an event on the log by hand. */
  readonly put: (event: NewEvent) => void;
  /** Slots that were asked for, in the order of the log. */
  readonly started: () => readonly number[];
  /** `started 05:15`, `skipped 05:15 overlap`, `cancel 05:15`: since it was last asked. */
  readonly told: () => readonly string[];
};

export function createScheduleLog(): ScheduleLog {
  let nowMs = t0;
  let state: ScheduleState = initialState;
  let schedule: Schedule | undefined;
  let toldUpTo = 0;
  const records: LogRecord[] = [];
  const keys = new Set<string>();

  const put = (event: NewEvent): void => {
    const key = event.idempotency_key;
    if (key !== undefined && keys.has(key)) return;
    if (key !== undefined) keys.add(key);
    const offset = records.length + 1;
    const stored = { ...event, event_id: eventId(String(1_000 + offset)) };
    const topic = topicOf(event.event_type);
    const record = { topic, partition: 0, offset, ingestedAtMs: nowMs, event: stored };
    records.push(record);
    if (schedule === undefined) return;
    const decider = scheduleDecider(schedule);
    const isTimer = event.event_type === "timer.fired";
    if (!isTimer && decider.keysOf(record).length === 0) return;
    state = decider.evolve(state, record);
    for (const decided of decider.decide(state, record)) put(decided);
  };

  const timers = (): readonly { readonly name: string; readonly dueMs: number }[] =>
    schedule === undefined
      ? []
      : [...scheduleDecider(schedule).due(state)].sort((left, right) => left.dueMs - right.dueMs);

  const ring = (untilMs: number): void => {
    for (let turn = 0; ; turn += 1) {
      const [timer] = timers();
      if (timer === undefined || timer.dueMs > untilMs) return;
      if (turn > 100_000) throw new Error("timers never end");
      nowMs = Math.max(nowMs, timer.dueMs);
      put({
        ts: timestamp(timer.dueMs),
        event_type: "timer.fired",
        entity_id: "timer:x",
        idempotency_key: `timer/${timer.name}/${String(timer.dueMs)}`,
        source: { system: "deed", ns: {} },
        tags: {},
        attrs: { name: timer.name, due_ms: timer.dueMs },
      });
    }
  };

  const change = (): { file: string; ts: string; replaces: string } => ({
    file: "s.yaml",
    ts: timestamp(nowMs),
    replaces: String(records.length),
  });

  const restart = (): void => {
    if (schedule === undefined) return;
    const decider = scheduleDecider(schedule);
    const read = decider.decode(JSON.parse(JSON.stringify(decider.encode(state))) as Json);
    if (!read.ok) throw new Error(read.error);
    state = read.value;
  };

  return {
    now: () => nowMs,
    state: () => state,
    records,
    activate: (spec) => {
      schedule = scheduleOf(spec);
      put(activationEvent(schedule, textOf(spec), change()));
    },
    deactivate: () => {
      put(deactivationEvent(present(schedule, "a schedule"), change()));
      schedule = undefined;
    },
    run: (untilMs) => {
      ring(untilMs);
      nowMs = Math.max(nowMs, untilMs);
    },
    down: (untilMs) => {
      nowMs = untilMs;
      restart();
      ring(untilMs);
    },
    setClock: (atMs) => {
      nowMs = atMs;
    },
    lose: () => {
      state = initialState;
    },
    forgetKeys: () => {
      keys.clear();
    },
    end: (slotMs, how = "succeeded") => {
      const asked = records.findLast(
        ({ event }) => isStart(event) && event.tags["slot"] === timestamp(slotMs),
      );
      const { event } = present(asked, "a request");
      const { action_id: action, execution_id: execution, entity_id, tags } = event;
      const ended = how === "succeeded" ? "completed" : how;
      put({
        ts: timestamp(nowMs),
        event_type: action === undefined ? `execution.${ended}` : `action.${how}`,
        entity_id,
        ...(action === undefined ? {} : { action_id: action }),
        ...(execution === undefined ? {} : { execution_id: execution }),
        source: { system: "deed", ns: {} },
        tags,
        attrs: {},
      });
      ring(nowMs);
    },
    put,
    started: () =>
      records.flatMap(({ event }) =>
        isStart(event) ? [Date.parse(String(event.tags["slot"]))] : [],
      ),
    told: () => {
      const since = records.slice(toldUpTo);
      toldUpTo = records.length;
      return since.flatMap(tell);
    },
  };
}

function isStart({ event_type: type, tags }: NewEvent): boolean {
  return /^(action|execution)\.requested$/.test(type) && tags["schedule"] === "nightly";
}

/** The time of day, where it is the first day. */
function clockOf(value: unknown): string {
  return String(value).replace("2026-11-24T", "").replace(":00.000Z", "");
}

function tell({ event }: LogRecord): readonly string[] {
  const { event_type: type, attrs, tags } = event;
  if (isStart(event)) return [`started ${clockOf(tags["slot"])}`];
  if (type.endsWith(".cancel_requested")) return [`cancel ${clockOf(tags["slot"])}`];
  if (type !== "schedule.skipped") return [];
  const { slot, from, to, count, reason } = attrs;
  const which =
    slot === undefined
      ? `${clockOf(from)}-${clockOf(to)} (${String(Number(count))})`
      : clockOf(slot);
  return [`skipped ${which} ${typeof reason === "string" ? reason : "?"}`];
}
