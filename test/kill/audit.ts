/**
 * Judges a storm: what was answered, what stands on the log and what was really done must agree.
 *
 * 1. I1: what was acknowledged is on the log, at the place and with the id that the answer named.
 * 2. I2: each action has exactly one terminal event.
 * 3. I3: a repeated key is answered with the first id; one key has one effect. What is not idempotent
 *    leaves one line at most, what is idempotent never more lines than the log has starts.
 * 4. I4 and I9: nothing starts after its ttl or its cancel, limits hold (`sim/invariants.ts`).
 * 5. I5: whatever a kill left open is leased, deferred or due, and the next program takes every lease
 *    of the last one from it.
 * 6. Nothing is on the log that nobody asked for.
 */
import type { LogRecord } from "../../src/event/envelope.ts";
import type { ActionRow } from "../../src/log/log.ts";
import { judge, type Violation } from "../../sim/invariants.ts";
import type { Submission } from "./plan.ts";

/** One acknowledgement: the action's or the event's id, and the offset where it stands. */
export type Answer = { readonly id: string; readonly offset: number; readonly duplicate: boolean };

export type Evidence = {
  readonly submissions: readonly Submission[];
  /** All that was acknowledged, by idempotency key. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  /** The whole log, in order. */
  readonly records: readonly LogRecord[];
  readonly rows: readonly ActionRow[];
  /** The lines that the shell actions appended: the key of each. */
  readonly effects: readonly string[];
};

type Broken = (invariant: string, message: string) => void;

const terminals = new Set(["action.succeeded", "action.failed", "action.cancelled"]);

export function audit(evidence: Evidence): readonly Violation[] {
  const violations: Violation[] = [...judge(evidence.records, evidence.rows).violations];
  const broken: Broken = (invariant, message) => {
    violations.push({ invariant, message });
  };
  const lives = livesOf(evidence.records);
  auditAnswers(evidence, broken);
  auditEnds(lives, broken);
  auditEffects(evidence, lives, broken);
  auditRestarts(evidence.records, broken);
  return violations;
}

/** What counted of each action, by its idempotency key. */
type Life = {
  readonly action: string;
  starts: number;
  readonly ends: LogRecord[];
};

function livesOf(records: readonly LogRecord[]): ReadonlyMap<string, Life> {
  const lives = new Map<string, Life>();
  const keys = new Map<string, string>();
  for (const record of counted(records)) {
    const { action_id: action, event_type: type, idempotency_key: key } = record.event;
    if (action === undefined) continue;
    if (type === "action.requested" && key !== undefined) {
      keys.set(action, key);
      if (!lives.has(key)) lives.set(key, { action, starts: 0, ends: [] });
    }
    const life = lives.get(keys.get(action) ?? "");
    if (type === "action.started" && life !== undefined) life.starts += 1;
    if (terminals.has(type)) life?.ends.push(record);
  }
  return lives;
}

function counted(records: readonly LogRecord[]): readonly LogRecord[] {
  return records.filter(({ event }) => event.tags["anomaly"] === undefined);
}

function auditAnswers({ submissions, answers, records }: Evidence, broken: Broken): void {
  const byOffset = new Map(records.map((record) => [record.offset, record]));
  for (const { key, kind } of submissions) {
    const [first, ...more] = answers.get(key) ?? [];
    if (first === undefined) {
      broken("I1", `${key} was never acknowledged`);
      continue;
    }
    const event = byOffset.get(first.offset)?.event;
    const id = kind === "observed" ? event?.event_id : event?.action_id;
    if (event?.idempotency_key !== key || id !== first.id) {
      broken("I1", `${key} was acknowledged as ${first.id} at ${String(first.offset)}: not there`);
    }
    for (const other of more) {
      if (other.id !== first.id || other.offset !== first.offset)
        broken("I3", `${key} was answered with ${first.id} and with ${other.id}`);
    }
    const taken = [first, ...more].filter(({ duplicate }) => !duplicate).length;
    if (taken > 1) broken("I3", `${key} was taken as new ${String(taken)} times`);
  }
  const asked = new Set(submissions.map(({ key }) => key));
  for (const { event } of records) {
    const key = event.idempotency_key ?? "";
    const ours = event.event_type === "action.requested" || event.event_type === "storm.seen";
    if (ours && !asked.has(key)) broken("I3", `${key} is on the log and nobody asked for it`);
  }
}

function auditEnds(lives: ReadonlyMap<string, Life>, broken: Broken): void {
  for (const [key, { action, ends }] of lives) {
    if (ends.length !== 1)
      broken("I2", `${action} (${key}) has ${String(ends.length)} terminal events`);
  }
}

function auditEffects(
  { submissions, effects }: Evidence,
  lives: ReadonlyMap<string, Life>,
  broken: Broken,
): void {
  const lines = new Map<string, number>();
  for (const key of effects) lines.set(key, (lines.get(key) ?? 0) + 1);
  const shell = new Map(
    submissions
      .filter(({ kind }) => kind === "once" || kind === "again" || kind === "brief")
      .map(({ key, kind }) => [key, kind]),
  );
  for (const key of lines.keys()) {
    if (!shell.has(key)) broken("I3", `"${key}" had an effect and nobody asked for it`);
  }
  for (const [key, kind] of shell) {
    const done = lines.get(key) ?? 0;
    const life = lives.get(key);
    const starts = life?.starts ?? 0;
    const end = life?.ends[0]?.event;
    const told = `${key} (${kind}) was done ${String(done)} times`;
    if (done > starts) broken("I3", `${told}, the log has ${String(starts)} starts`);
    if (kind === "once" && done > 1) broken("I3", `${told} and is not idempotent`);
    if (end?.event_type === "action.succeeded" && done === 0) broken("I3", `${told} and succeeded`);
    if (kind !== "brief" && end?.event_type !== "action.succeeded") {
      const error = errorKind(end?.attrs["error"]);
      const explained = kind === "once" && error === "outcome_unknown";
      if (!explained) broken("I3", `${told} and ended as ${String(end?.event_type)}: ${error}`);
    }
  }
}

function errorKind(error: unknown): string {
  return typeof error === "object" && error !== null && "kind" in error ? String(error.kind) : "";
}

/** Every start of a program stands on the log: what is before it is what the kill left. */
function auditRestarts(records: readonly LogRecord[], broken: Broken): void {
  const holders = new Map<string, unknown>();
  const isCounted = new Set(counted(records));
  let started: LogRecord | undefined;
  records.forEach((record, index) => {
    if (started !== undefined && record.ingestedAtMs !== started.ingestedAtMs) {
      auditHolders(holders, started, broken);
      started = undefined;
    }
    const { action_id: action, event_type: type, attrs } = record.event;
    if (action !== undefined && isCounted.has(record)) {
      if (type === "action.accepted" || type === "action.started")
        holders.set(action, attrs["worker_id"]);
      if (type === "action.retrying" || terminals.has(type)) holders.delete(action);
    }
    if (type !== "worker.started") return;
    started = record;
    const left = judge(records.slice(0, index)).violations.filter((one) => one.invariant === "I5");
    for (const { message } of left)
      broken("I5", `before offset ${String(record.offset)}: ${message}`);
  });
  if (started !== undefined) auditHolders(holders, started, broken);
}

/** The commit of a start (what the log took in at one time) takes every attempt from whoever was before. */
function auditHolders(
  holders: ReadonlyMap<string, unknown>,
  { offset, event }: LogRecord,
  broken: Broken,
): void {
  const worker = event.attrs["worker_id"];
  for (const [held, by] of holders) {
    if (by !== worker)
      broken("I5", `${held} is still held by ${String(by)} after the start at ${String(offset)}`);
  }
}
