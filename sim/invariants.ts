/**
 * The invariants of system.md, judged from the records of a log alone.
 *
 * Written against the contract and not with the code that it judges: nothing here calls the lifecycle,
 * the admission or the kernel.
 */
import type { LogRecord } from "../src/event/envelope.ts";
import type { ActionRow } from "../src/log/log.ts";

/** One broken promise, with where it shows. */
export type Violation = { readonly invariant: string; readonly message: string };

/** What the log says of one action when it is read from the first record to the last. */
type Life = {
  readonly id: string;
  readonly tenant: string;
  readonly requestedAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly concurrency: { readonly key: string; readonly limit: number } | undefined;
  readonly rate:
    { readonly key: string; readonly limit: number; readonly perMs: number } | undefined;
  phase: "requested" | "accepted" | "started" | "retrying" | "succeeded" | "failed" | "cancelled";
  attempt: number;
  leased: boolean;
  deferred: boolean;
  dueAtMs: number | undefined;
  cancelRequested: boolean;
  everStarted: boolean;
  terminals: number;
};

const phaseOf: Readonly<Record<string, Life["phase"]>> = {
  "action.accepted": "accepted",
  "action.started": "started",
  "action.retrying": "retrying",
  "action.succeeded": "succeeded",
  "action.failed": "failed",
  "action.cancelled": "cancelled",
};

const terminal: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

export type Judgement = {
  readonly violations: readonly Violation[];
  readonly actions: number;
  readonly open: number;
};

/** Reads the whole log in order. `rows`, where given, are compared with what the events say (I10). */
export function judge(records: readonly LogRecord[], rows?: readonly ActionRow[]): Judgement {
  const violations: Violation[] = [];
  const lives = new Map<string, Life>();
  const running = new Map<string, Set<string>>();
  const starts = new Map<string, number[]>();
  const keys = new Map<string, string>();
  let lastOffset = 0;
  const broken = (invariant: string, message: string): void => {
    if (violations.length < 50) violations.push({ invariant, message });
  };

  for (const record of records) {
    if (record.offset <= lastOffset)
      broken("order", `offset ${String(record.offset)} after ${String(lastOffset)}`);
    lastOffset = record.offset;
    const { event } = record;
    judgeKey(record, keys, broken);
    if (event.tags["anomaly"] !== undefined || event.action_id === undefined) continue;
    if (event.event_type === "action.requested") {
      if (lives.has(event.action_id)) broken("I3", `${event.action_id} was requested twice`);
      lives.set(event.action_id, born(record));
      continue;
    }
    const life = lives.get(event.action_id);
    if (life === undefined) {
      broken("order", `${event.event_type} of ${event.action_id} has no request`);
      continue;
    }
    live(life, record, broken);
    judgeLimits(life, record, { running, starts, broken });
  }
  for (const life of lives.values()) {
    if (terminal.has(life.phase)) continue;
    if (!life.leased && !life.deferred && life.dueAtMs === undefined) {
      broken("I5", `${life.id} is open (${life.phase}) and neither leased, deferred nor due`);
    }
  }
  if (rows !== undefined) judgeRows(lives, rows, broken);
  const open = [...lives.values()].filter((life) => !terminal.has(life.phase)).length;
  return { violations, actions: lives.size, open };
}

type Broken = (invariant: string, message: string) => void;

function judgeKey(record: LogRecord, keys: Map<string, string>, broken: Broken): void {
  const { idempotency_key: key, event_id: id, tags } = record.event;
  if (key === undefined) return;
  const scoped = `${String(tags["tenant"] ?? "default")}\n${key}`;
  if (keys.has(scoped))
    broken("I3", `key ${key} is on the log twice: ${String(keys.get(scoped))} and ${id}`);
  keys.set(scoped, id);
}

function born(record: LogRecord): Life {
  const { event } = record;
  const attrs = event.attrs as {
    ttl_sec?: number;
    concurrency?: { key: string; limit: number };
    rate?: { key: string; limit: number; per_sec: number };
  };
  const requestedAtMs = Date.parse(event.ts);
  const expiresAtMs =
    attrs.ttl_sec === undefined ? undefined : requestedAtMs + attrs.ttl_sec * 1_000;
  return {
    id: String(event.action_id),
    tenant: String(event.tags["tenant"] ?? "default"),
    requestedAtMs,
    expiresAtMs,
    concurrency: attrs.concurrency,
    rate:
      attrs.rate === undefined
        ? undefined
        : { key: attrs.rate.key, limit: attrs.rate.limit, perMs: attrs.rate.per_sec * 1_000 },
    phase: "requested",
    attempt: 1,
    leased: false,
    deferred: false,
    dueAtMs: expiresAtMs,
    cancelRequested: false,
    everStarted: false,
    terminals: 0,
  };
}

/** Moves the life by one counted event and checks I2 and I4 on the way. */
function live(life: Life, record: LogRecord, broken: Broken): void {
  const { event } = record;
  const type = event.event_type;
  const ended = terminal.has(life.phase);
  if (type === "action.cancel_requested") life.cancelRequested = true;
  if (type === "action.deferred") life.deferred = true;
  if (type === "timer.fired" && life.phase === "retrying") life.deferred = true;
  const next = phaseOf[type];
  if (next === undefined) return;
  if (ended) broken("I2", `${life.id} moved to ${next} after ${life.phase}`);
  if (terminal.has(next)) {
    life.terminals += 1;
    if (life.terminals > 1) broken("I2", `${life.id} ended ${String(life.terminals)} times`);
  }
  if (type === "action.started") judgeStart(life, record, broken);
  if (type === "action.succeeded" && (event.attempt ?? 1) !== life.attempt) {
    broken(
      "I4",
      `${life.id} took the result of attempt ${String(event.attempt)} in attempt ${String(life.attempt)}`,
    );
  }
  if (type === "action.retrying") {
    const attempt = event.attempt ?? 0;
    if (attempt !== life.attempt + 1) broken("I4", `${life.id} retries as ${String(attempt)}`);
    life.attempt = attempt;
    life.dueAtMs = record.ingestedAtMs;
  }
  life.phase = next;
  life.leased = next === "accepted" || next === "started";
  if (life.leased) life.deferred = false;
}

function judgeStart(life: Life, record: LogRecord, broken: Broken): void {
  if (life.cancelRequested) broken("I4", `${life.id} was started after its cancel`);
  if (
    life.expiresAtMs !== undefined &&
    !life.everStarted &&
    record.ingestedAtMs > life.expiresAtMs
  ) {
    broken(
      "I4",
      `${life.id} was started ${String(record.ingestedAtMs - life.expiresAtMs)} ms after its ttl`,
    );
  }
  if ((record.event.attempt ?? 1) !== life.attempt) {
    broken(
      "I4",
      `${life.id} started attempt ${String(record.event.attempt)}, due was ${String(life.attempt)}`,
    );
  }
  life.everStarted = true;
}

/** I9: limits hold at every instant. */
function judgeLimits(
  life: Life,
  record: LogRecord,
  world: {
    readonly running: Map<string, Set<string>>;
    readonly starts: Map<string, number[]>;
    readonly broken: Broken;
  },
): void {
  if (life.concurrency !== undefined) {
    const key = `${life.tenant}\n${life.concurrency.key}`;
    const holders = world.running.get(key) ?? new Set<string>();
    world.running.set(key, holders);
    if (life.leased) holders.add(life.id);
    else holders.delete(life.id);
    if (life.leased && holders.size > life.concurrency.limit) {
      world.broken(
        "I9",
        `${String(holders.size)} hold ${life.concurrency.key}, limit ${String(life.concurrency.limit)}`,
      );
    }
  }
  if (life.rate !== undefined && record.event.event_type === "action.started") {
    const { perMs, limit } = life.rate;
    const key = `${life.tenant}\n${life.rate.key}`;
    const nowMs = record.ingestedAtMs;
    const recent = (world.starts.get(key) ?? []).filter((atMs) => atMs > nowMs - perMs);
    recent.push(nowMs);
    world.starts.set(key, recent);
    if (recent.length > limit) {
      world.broken(
        "I9",
        `${String(recent.length)} starts of ${life.rate.key} in ${String(perMs)} ms, limit ${String(limit)}`,
      );
    }
  }
}

/** I10: a view equals what the raw events say. */
function judgeRows(
  lives: ReadonlyMap<string, Life>,
  rows: readonly ActionRow[],
  broken: Broken,
): void {
  if (rows.length !== lives.size)
    broken("I10", `${String(rows.length)} rows for ${String(lives.size)} actions`);
  for (const row of rows) {
    const life = lives.get(row.actionId);
    if (life === undefined) broken("I10", `row of ${row.actionId}, which is not on the log`);
    else if (life.phase !== row.status || life.attempt !== row.attempt) {
      broken(
        "I10",
        `${row.actionId}: row says ${row.status}/${String(row.attempt)}, events say ${life.phase}/${String(life.attempt)}`,
      );
    }
  }
}
