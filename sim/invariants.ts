/**
 * The invariants of the system (docs/reference/invariants.md), judged from the records of a log alone.
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
  readonly command: string;
  readonly ofExecution: boolean;
  phase: "requested" | "accepted" | "started" | "retrying" | "succeeded" | "failed" | "cancelled";
  attempt: number;
  lastOffset: number;
  terminalOffset: number | undefined;
  errorKind: string | undefined;
  deadLetter: string | undefined;
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

const deadLetterOf: Readonly<Record<string, string>> = {
  "action.dead_lettered": "pending",
  "action.redriven": "redriven",
  "action.discarded": "discarded",
};

/** What fails for one of these was ended by its own time or by somebody, and is no dead letter. */
const noDeadLetter: ReadonlySet<string> = new Set(["ttl_expired", "rejected", "cancelled"]);

export type Judgement = {
  readonly violations: readonly Violation[];
  readonly actions: number;
  readonly open: number;
};

/** What else is known, and so can be judged. */
export type Known = {
  /** How many attempts of a command run at one time (I9). */
  readonly capacity?: ReadonlyMap<string, number>;
};

/** Reads the whole log in order. `rows`, where given, are compared with what the events say (I10). */
export function judge(
  records: readonly LogRecord[],
  rows?: readonly ActionRow[],
  known: Known = {},
): Judgement {
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
    if (event.event_type === "approval.answered") continue;
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
    const leasedBefore = life.leased;
    live(life, record, broken);
    judgeLimits(life, record, { running, starts, broken, leasedBefore, known });
  }
  for (const life of lives.values()) {
    if (terminal.has(life.phase)) {
      judgeDeadLetter(life, broken);
      continue;
    }
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
    command: textOf(event.attrs["command"]),
    ofExecution: event.execution_id !== undefined,
    phase: "requested",
    attempt: 1,
    lastOffset: record.offset,
    terminalOffset: undefined,
    errorKind: undefined,
    deadLetter: undefined,
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
  life.lastOffset = record.offset;
  const ended = terminal.has(life.phase);
  if (type === "action.cancel_requested") life.cancelRequested = true;
  if (type === "action.deferred") life.deferred = true;
  if (type === "timer.fired" && event.attrs["name"] === "retry") life.dueAtMs = life.expiresAtMs;
  life.deadLetter = deadLetterOf[type] ?? life.deadLetter;
  const next = phaseOf[type];
  if (next === undefined) return;
  if (ended) broken("I2", `${life.id} moved to ${next} after ${life.phase}`);
  if (type === "action.started") judgeStart(life, record, broken);
  if (terminal.has(next)) {
    life.terminals += 1;
    if (life.terminals > 1) broken("I2", `${life.id} ended ${String(life.terminals)} times`);
    if ((event.attempt ?? 1) !== life.attempt) {
      const of = `${String(event.attempt)} in attempt ${String(life.attempt)}`;
      broken("I4", `${life.id} took the result of attempt ${of}`);
    }
    life.terminalOffset = record.offset;
    if (next === "failed") life.errorKind = errorKindOf(record);
  }
  if (type === "action.retrying") {
    const attempt = event.attempt ?? 0;
    if (attempt !== life.attempt + 1) broken("I4", `${life.id} retries as ${String(attempt)}`);
    life.attempt = attempt;
  }
  life.phase = next;
  life.leased = next === "accepted" || next === "started";
  life.dueAtMs = next === "retrying" ? Date.parse(textOf(event.attrs["retry_at"])) : undefined;
  if (life.leased) life.deferred = false;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function errorKindOf({ event }: LogRecord): string | undefined {
  const error = event.attrs["error"];
  if (typeof error !== "object" || error === null || !("kind" in error)) return undefined;
  return typeof error.kind === "string" ? error.kind : undefined;
}

/**
 * Exhausted or unprocessable: FAILED and a record in `actions.dlq`; of an execution its playbook decides what
 * follows. Source: contract, rule 5.
 */
function judgeDeadLetter(life: Life, broken: Broken): void {
  if (life.phase !== "failed" || life.deadLetter !== undefined || life.ofExecution) return;
  if (life.errorKind !== undefined && noDeadLetter.has(life.errorKind)) return;
  broken("dlq", `${life.id} failed (${String(life.errorKind)}) and is no dead letter`);
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

/** I9: limits hold at every instant. A limit is that of the one that is admitted. */
function judgeLimits(
  life: Life,
  record: LogRecord,
  world: {
    readonly running: Map<string, Set<string>>;
    readonly starts: Map<string, number[]>;
    readonly broken: Broken;
    readonly leasedBefore: boolean;
    readonly known: Known;
  },
): void {
  const capacity = world.known.capacity?.get(life.command);
  const limits = [
    life.concurrency === undefined
      ? undefined
      : { key: `${life.tenant}\n${life.concurrency.key}`, limit: life.concurrency.limit },
    capacity === undefined ? undefined : { key: `\n${life.command}`, limit: capacity },
  ];
  for (const limit of limits) {
    if (limit === undefined) continue;
    const holders = world.running.get(limit.key) ?? new Set<string>();
    world.running.set(limit.key, holders);
    if (life.leased) holders.add(life.id);
    else holders.delete(life.id);
    if (life.leased && !world.leasedBefore && holders.size > limit.limit) {
      const key = limit.key.trim();
      world.broken("I9", `${String(holders.size)} hold ${key}, limit ${String(limit.limit)}`);
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
    else {
      const shown = [row.status, row.attempt, row.lastOffset, row.terminalOffset];
      const told = [life.phase, life.attempt, life.lastOffset, life.terminalOffset];
      const shownText = [...shown, row.errorKind, row.deadLetter].join(" ");
      const toldText = [...told, life.errorKind, life.deadLetter].join(" ");
      if (shownText !== toldText) {
        broken("I10", `${row.actionId}: row says ${shownText}, events say ${toldText}`);
      }
    }
  }
}
