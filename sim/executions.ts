/**
 * The invariants of executions, judged from the records alone: nothing here calls the decider or the kernel. The
 * core is asked for one thing only (I7): folded again from its thread, does an execution decide what was decided?
 */
import { canonicalJson } from "../src/base/canonical-json.ts";
import { sha256Hex } from "../src/base/hash.ts";
import type { Json } from "../src/base/json.ts";
import { recordOf } from "../src/core/decision.ts";
import { decide, evaluate } from "../src/core/evaluate.ts";
import { parsePlaybook } from "../src/core/parse.ts";
import { compileProgram, type Program } from "../src/core/program.ts";
import { due, encodeState, evolve, hasEnded, initialState } from "../src/core/state.ts";
import { coreEventOf, type CoreEvent } from "../src/event/core-event.ts";
import type { LogRecord } from "../src/event/envelope.ts";
import type { ExecutionRow } from "../src/log/log.ts";
import type { MemoryDisk } from "../src/log/memory/memory-log.ts";
import type { Violation } from "./invariants.ts";

type Broken = (invariant: string, message: string) => void;

const ends: Readonly<Record<string, string>> = {
  "execution.completed": "completed",
  "execution.failed": "failed",
  "execution.cancelled": "cancelled",
};

const actionEnds = new Set(["action.succeeded", "action.failed", "action.cancelled"]);

/** An execution as its own events tell it. */
type Told = {
  readonly row: Record<string, Json | undefined>;
  paused: boolean;
  ended: boolean;
  /** By activation: the limit of its loop, and the items that have an open command. */
  readonly loops: Map<string, { readonly limit: number; readonly open: Map<string, string> }>;
  /** Its open commands: of actions and of sub-playbooks. */
  readonly open: Set<string>;
  /** Where its commands stand, each of them asked for once. */
  readonly places: Set<string>;
};

/** All that can be judged from the records: I2, I9, I10 and that nothing is begun while it is paused. */
export function judgeExecutions(
  records: readonly LogRecord[],
  rows: readonly ExecutionRow[],
): readonly Violation[] {
  const violations: Violation[] = [];
  const broken: Broken = (invariant, message) => {
    if (violations.length < 20) violations.push({ invariant, message });
  };
  const told = new Map<string, Told>();
  for (const record of records) {
    if (record.event.tags["anomaly"] !== undefined) continue;
    tell(told, record, broken);
  }
  if (rows.length !== told.size) {
    broken("I10", `${String(rows.length)} rows for ${String(told.size)} executions`);
  }
  for (const row of rows) {
    const one = told.get(row.executionId);
    const shown = canonicalJson(row);
    const said = canonicalJson(defined(one?.row ?? {}));
    if (shown !== said) broken("I10", `row ${shown}, events say ${said}`);
  }
  return violations;
}

function defined(row: Record<string, Json | undefined>): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(row).filter((entry): entry is [string, Json] => entry[1] !== undefined),
  );
}

function tell(told: Map<string, Told>, record: LogRecord, broken: Broken): void {
  const { event } = record;
  const { execution_id: id, parent_execution_id: parent, event_type: type } = event;
  if (id === undefined) return;
  if (type === "execution.requested") {
    if (told.has(id)) broken("I3", `${id} was requested twice`);
    told.set(id, born(record));
    if (parent !== undefined) begun(told.get(parent), record, { id, broken });
    return;
  }
  const one = told.get(id);
  if (one === undefined) return;
  if (type === "action.requested") begun(one, record, { id: String(event.action_id), broken });
  else if (actionEnds.has(type)) gone(one, String(event.action_id));
  if (one.ended && /^(execution|step|loop|task)\./.test(type)) {
    broken("I2", `${type} of ${id} counted after its end`);
  }
  if (type === "loop.started") {
    const limit = Number(event.attrs["max_in_flight"]);
    one.loops.set(activationOf(record), { limit, open: new Map() });
  }
  if (type.startsWith("execution.") && type !== "execution.cancel_requested") moved(one, record);
  if (type === "execution.paused") one.paused = true;
  if (type === "execution.resumed") one.paused = false;
  const end = ends[type];
  if (end === undefined) return;
  one.ended = true;
  if (one.open.size > 0 && !isAbrupt(record)) {
    broken("I6", `${id} ended while ${[...one.open].join(" ")} is open`);
  }
  if (parent !== undefined) {
    const above = told.get(parent);
    if (above !== undefined) gone(above, id);
  }
}

/** One that could never begin, or that a fault ended, ends with nothing awaited. */
function isAbrupt({ event }: LogRecord): boolean {
  const failed = event.attrs["failed"];
  return event.event_type === "execution.failed" && Array.isArray(failed) && failed.length === 0;
}

function activationOf({ event }: LogRecord): string {
  return `${String(event.tags["step"])}/${String(event.tags["activation"])}`;
}

/** A command of an execution: while it is paused there is none, and a loop has no more than it says. */
function begun(
  one: Told | undefined,
  record: LogRecord,
  { id, broken }: { readonly id: string; readonly broken: Broken },
): void {
  if (one === undefined) return;
  const at = `${id} at ${String(record.offset)}`;
  if (one.paused) broken("pause", `${at} was asked for by an execution that is paused`);
  if (one.ended) broken("I2", `${at} was asked for by an execution that has ended`);
  const { step, activation, item, task, attempt } = record.event.tags;
  const place = [step, activation, item, task, attempt].join("/");
  if (one.places.has(place)) broken("I3", `${at}, ${place}, was asked for before`);
  one.places.add(place);
  one.open.add(id);
  const loop = one.loops.get(activationOf(record));
  if (loop === undefined || (task === "claim" && String(item).startsWith("claim-"))) return;
  loop.open.set(id, String(item));
  if (loop.open.size > loop.limit) {
    broken(
      "I9",
      `${String(loop.open.size)} items in flight at ${at}, ${String(loop.limit)} may be`,
    );
  }
}

function gone(one: Told, id: string): void {
  one.open.delete(id);
  for (const { open } of one.loops.values()) open.delete(id);
}

function born(record: LogRecord): Told {
  const { event, offset } = record;
  const { playbook, digest, rerun_of: rerunOf } = event.attrs;
  return {
    row: {
      executionId: event.execution_id,
      requestOffset: offset,
      lastOffset: offset,
      tenant: event.tags["tenant"],
      playbook,
      digest,
      status: "requested",
      parentExecutionId: event.parent_execution_id,
      rerunOf,
      correlationId: event.correlation_id,
      requestedAtMs: Date.parse(event.ts),
    },
    paused: false,
    ended: false,
    loops: new Map(),
    open: new Set(),
    places: new Set(),
  };
}

function moved({ row, ...one }: Told, { event, offset }: LogRecord): void {
  const { event_type: type, attrs } = event;
  const end = ends[type];
  row["lastOffset"] = offset;
  if (type === "execution.started") {
    row["startedAtMs"] = Date.parse(event.ts);
    row["digest"] = attrs["digest"];
    if (row["status"] !== "paused") row["status"] = "running";
  }
  if (type === "execution.paused") row["status"] = "paused";
  if (type === "execution.resumed") {
    row["status"] = row["startedAtMs"] === undefined ? "requested" : "running";
  }
  if (end === undefined) return;
  row["status"] = end;
  row["endedAtMs"] = Date.parse(event.ts);
  row["terminalOffset"] = offset;
  if (end !== "failed" || one.ended) return;
  const { error, failed } = attrs as {
    error: { kind: string };
    failed: readonly { step: string }[];
  };
  row["errorKind"] = error.kind;
  row["failedSteps"] = failed.map(({ step }) => step);
}

/** I6, of what is durable: an open execution is asked for, paused, decides in the next commit, or waits. */
export function judgeLiveWork(disk: MemoryDisk): readonly Violation[] {
  const live = new Set<string>();
  for (const row of disk.executions.values()) {
    if (row.terminalOffset !== undefined) continue;
    if (row.status === "paused") live.add(row.executionId);
    if (row.parentExecutionId !== undefined) live.add(row.parentExecutionId);
  }
  for (const row of disk.actions.values()) {
    const id = disk.records.get(row.requestOffset)?.event.execution_id;
    if (row.terminalOffset === undefined && id !== undefined) live.add(id);
  }
  for (const { decider, instance } of disk.timers.values()) {
    if (decider === "playbook") live.add(instance);
  }
  for (const { decider, instance } of disk.snapshots.values()) {
    if (decider === "advancing") live.add(instance);
  }
  return [...disk.executions.values()]
    .filter((row) => row.terminalOffset === undefined && !live.has(row.executionId))
    .map(({ executionId: id, status }) => ({
      invariant: "I6",
      message: `${id} (${status}) is open and nothing of it is live`,
    }));
}

/** I6: what an open execution waits for is armed in the store, so that it rings after a crash, too. */
export function judgeTimers(records: readonly LogRecord[], disk: MemoryDisk): readonly Violation[] {
  const texts = textsOf(records);
  const armed = new Map<string, string[]>();
  for (const { decider, instance, name, dueMs } of disk.timers.values()) {
    if (decider !== "playbook") continue;
    armed.set(instance, [...(armed.get(instance) ?? []), `${name} ${String(dueMs)}`]);
  }
  const violations: Violation[] = [];
  for (const { executionId: id, digest = "", terminalOffset } of disk.executions.values()) {
    const program = terminalOffset === undefined ? programOf(texts.get(digest) ?? "") : undefined;
    const state = initialState(id);
    for (const record of program === undefined ? [] : (disk.executionThreads.get(id) ?? [])) {
      const read = coreEventOf(record);
      if (record.event.tags["anomaly"] !== undefined || !read.ok || program === undefined) continue;
      evolve(state, read.value, program);
    }
    const waits = due(state).map(({ name, dueMs }) => `${name} ${String(dueMs)}`);
    const rings = armed.get(id) ?? [];
    if (waits.sort().join() === rings.sort().join()) continue;
    const message = `${id} waits for ${waits.join()}, armed is ${rings.join()}`;
    violations.push({ invariant: "I6", message });
  }
  return violations;
}

function textsOf(records: readonly LogRecord[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const { event } of records) {
    const { digest, text } = event.attrs;
    if (event.event_type === "playbook.registered") texts.set(textOf(digest), textOf(text));
  }
  return texts;
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** I10 of the catalog: the last version of each path, what it is held at, and every text. */
export function judgeCatalog(
  records: readonly LogRecord[],
  disk: MemoryDisk,
): readonly Violation[] {
  const paths = new Map<string, { versions: string[]; pinned: string | undefined }>();
  const texts = new Set<string>();
  for (const { event } of records) {
    const { path, digest } = event.attrs;
    if (event.tags["anomaly"] !== undefined || typeof path !== "string") continue;
    const entry = paths.get(path) ?? { versions: [], pinned: undefined };
    if (event.event_type === "playbook.registered") {
      const others = entry.versions.filter((one) => one !== digest);
      paths.set(path, { ...entry, versions: [...others, textOf(digest)] });
      texts.add(textOf(digest));
    }
    if (event.event_type === "playbook.pinned")
      paths.set(path, { ...entry, pinned: textOf(digest) });
    if (event.event_type === "playbook.unpinned") paths.set(path, { ...entry, pinned: undefined });
  }
  const told = [...paths].map(
    ([path, { versions, pinned }]) => `${path} ${versions.join()} ${String(pinned)}`,
  );
  const shown: string[] = [];
  const kept = new Set<string>();
  for (const { decider, instance, state } of disk.snapshots.values()) {
    if (decider === "playbook-texts") {
      kept.add(sha256Hex((state as { text: string }).text));
    }
    if (decider !== "playbooks") continue;
    const entry = state as { versions: readonly { digest: string }[]; pinned?: string };
    const versions = entry.versions.map(({ digest }) => digest).join();
    shown.push(`${instance} ${versions} ${String(entry.pinned)}`);
  }
  const same =
    told.sort().join("\n") === shown.sort().join("\n") &&
    [...texts].every((digest) => kept.has(digest)) &&
    kept.size === texts.size;
  if (same) return [];
  return [{ invariant: "I10", message: `the catalog is ${shown.join("; ")}: ${told.join("; ")}` }];
}

const programs = new Map<string, Program>();

function programOf(text: string): Program | undefined {
  const known = programs.get(text);
  if (known !== undefined) return known;
  const parsed = parsePlaybook(text, "playbook.yaml");
  const compiled = parsed.ok ? compileProgram(parsed.value.playbook) : undefined;
  if (compiled?.ok !== true) return undefined;
  programs.set(text, compiled.value);
  return compiled.value;
}

/**
 * I7: each execution, folded again record by record, decides what stands on the log, one by one and byte for byte;
 * and where no two inputs came in one commit, `evaluate` makes the same state of its whole history.
 */
export function judgeHistories(records: readonly LogRecord[]): readonly Violation[] {
  const violations: Violation[] = [];
  const texts = textsOf(records);
  const threads = new Map<string, LogRecord[]>();
  for (const record of records) {
    const { event } = record;
    if (event.tags["anomaly"] !== undefined) continue;
    for (const id of new Set([event.execution_id, event.parent_execution_id])) {
      if (id === undefined) continue;
      const thread = threads.get(id);
      if (thread === undefined) threads.set(id, [record]);
      else thread.push(record);
    }
  }
  for (const [id, thread] of threads) {
    const started = thread.find(
      ({ event }) => event.event_type === "execution.started" && event.execution_id === id,
    );
    const program = programOf(texts.get(textOf(started?.event.attrs["digest"])) ?? "");
    if (started === undefined || program === undefined) continue;
    const problem = replayed(id, thread, program);
    if (problem !== undefined) violations.push({ invariant: "I7", message: `${id}: ${problem}` });
  }
  return violations;
}

function replayed(id: string, thread: readonly LogRecord[], program: Program): string | undefined {
  const state = initialState(id);
  const history: CoreEvent[] = [];
  let together = false;
  for (const record of thread) {
    const read = coreEventOf(record);
    if (!read.ok) continue;
    const { event } = record;
    const own = keyOfOwn(record, id);
    const next = hasEnded(state) ? undefined : decide(state, program);
    const [command] = next?.commands ?? [];
    const [decision] = next?.events ?? [];
    if (own !== undefined) {
      const expected =
        command === undefined
          ? decision && keyOfDecision(decision)
          : commandKey(command.key, command.do);
      if (own !== expected) {
        return `at ${String(record.offset)} stands ${own}, decided is ${String(expected)}`;
      }
    } else if (command !== undefined || decision !== undefined) {
      together ||= isInput(record, id);
    }
    evolve(state, read.value, program);
    if (own !== undefined || isInput(record, id) || event.event_type.endsWith("cancel_requested")) {
      history.push(read.value);
    }
  }
  if (together) return undefined;
  const whole = evaluate(history, program);
  const { events, commands } = whole.decision;
  if (events.length + commands.length > 0) return "evaluate decides anew what stands on the log";
  return encodeState(whole.state) === encodeState(state)
    ? undefined
    : "evaluate gives another state";
}

/** What comes from outside and is waited for. Of sub-playbooks that is their end. */
function isInput({ event }: LogRecord, id: string): boolean {
  const { event_type: type, execution_id: execution, attrs } = event;
  if (type === "timer.fired") return attrs["decider"] === "playbook";
  if (execution !== id) return type in ends;
  return actionEnds.has(type) || (type.startsWith("execution.") && !decisions.test(type));
}

function commandKey(key: string, does: "request" | "cancel"): string {
  return `${does} ${key}`;
}

function keyOfDecision(decision: Parameters<typeof recordOf>[0]): string {
  const { event_type: type, tags, attrs } = recordOf(decision);
  return canonicalJson({ type, tags, attrs });
}

const decisions = /^(step|loop|task)\.|^execution\.(started|completed|failed|cancelled)$/;

/** What the core decided, as it stands on the log; undefined for what came from outside. */
function keyOfOwn({ event }: LogRecord, id: string): string | undefined {
  const { event_type: type, execution_id: execution, idempotency_key: key = "" } = event;
  const mine = execution === id;
  if (type === "action.requested") return mine ? commandKey(key, "request") : undefined;
  if (type === "execution.requested") return mine ? undefined : commandKey(key, "request");
  if (!mine || !decisions.test(type)) return undefined;
  const tags: Record<string, string | number> = {};
  for (const name of ["step", "activation", "item", "task", "attempt"]) {
    const value = event.tags[name];
    const placed = type.startsWith("execution.") ? undefined : value;
    if (typeof placed === "string" || typeof placed === "number") tags[name] = placed;
  }
  const attrs = { ...event.attrs };
  if (type === "execution.started") delete attrs["digest"];
  return canonicalJson({ type, tags, attrs });
}
