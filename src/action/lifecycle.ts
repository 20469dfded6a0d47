/**
 * The life of one action, folded from its events.
 *
 *     requested → accepted → started → (retrying → started)* → succeeded | failed | cancelled
 *
 * Pure: every time here was read from a record, so the same records give the same state in the
 * kernel, in the simulator and in a backtest.
 *
 * Invariants
 * 1. An ended action never moves again, whatever arrives; so it has exactly one terminal event.
 * 2. Each assignment has a new attempt number. The number is the fence: what another attempt than the
 *    current one reports is refused as `superseded`.
 * 3. Nothing is accepted or started after its ttl or its cancel: `decide` ends it when the ttl fires or
 *    the cancel is asked for, admission offers neither, and the fold refuses what comes all the same.
 * 4. An open action always waits for something: a lease or a time (`dueOf`), or for room or a person,
 *    which `action.deferred` names.
 * 5. Whatever a record carries, it is folded or refused, and nothing throws.
 */
import { unreachable } from "../base/assert.ts";
import { isJsonObject, type JsonObject } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { deedError, isErrorKind, type DeedError, type ErrorKind } from "../event/error.ts";
import type { LogRecord } from "../event/envelope.ts";
import { workerId, type EventId, type Offset, type WorkerId } from "../event/ids.ts";
import {
  identityOf,
  isDeferReason,
  type ActionIdentity,
  type DeferReason,
} from "./lifecycle-event.ts";
import { requestProblem, type RequestAttrs } from "./request.ts";

/** What is known of an action in every phase. Times in milliseconds since the Unix epoch. */
type Common = {
  readonly identity: ActionIdentity;
  readonly attrs: RequestAttrs;
  /** Event time of the request: where its ttl counts from. */
  readonly requestedAtMs: number;
  /** `ttl_sec` after the request. */
  readonly expiresAtMs: number | undefined;
  readonly requestOffset: Offset;
  /** The newest record that counted. */
  readonly lastOffset: Offset;
  readonly lastEventId: EventId;
  /** The current attempt, from 1; while retrying, the one to come. */
  readonly attempt: number;
  readonly cancelRequested: boolean;
  /** Why it waits for room, as the log says; gone once it is accepted. */
  readonly deferred:
    { readonly reason: DeferReason; readonly limitKey: string | undefined } | undefined;
  /** The first time that a worker took it. */
  readonly acceptedAtMs: number | undefined;
  /** The first time that it was started. */
  readonly startedAtMs: number | undefined;
};

type Leased = {
  readonly workerId: WorkerId;
  readonly leaseUntilMs: number;
  readonly idempotent: boolean;
};

type Ended = { readonly endedAtMs: number; readonly terminalOffset: Offset };

/** Where an action stands. Each phase carries what is known by then, and nothing else. */
export type ActionState =
  | (Common & { readonly phase: "requested"; readonly problem: string | undefined })
  | (Common & Leased & { readonly phase: "accepted" })
  | (Common & Leased & { readonly phase: "started" })
  | (Common & {
      readonly phase: "retrying";
      readonly retryAtMs: number;
      /** Its time has come: it waits for room only. */
      readonly ready: boolean;
      readonly error: DeedError;
    })
  | (Common & Ended & { readonly phase: "succeeded" })
  | (Common &
      Ended & {
        readonly phase: "failed";
        readonly error: DeedError;
        readonly errorKind: ErrorKind;
        readonly deadLetter: "pending" | "redriven" | "discarded" | undefined;
      })
  | (Common & Ended & { readonly phase: "cancelled" });

/** Why a record changed nothing. It is kept on the log, marked with `kind` as its anomaly. */
export type OutOfOrder = {
  readonly kind:
    | "terminal"
    | "superseded"
    | "out_of_order"
    | "unknown_action"
    | "malformed"
    | "stale_timer"
    /** Accepted or started after the ttl. */
    | "expired"
    /** Accepted or started after the cancel was asked for. */
    | "cancel_requested";
  readonly message: string;
};

export function isTerminal(state: ActionState): boolean {
  return state.phase === "succeeded" || state.phase === "failed" || state.phase === "cancelled";
}

/** What the state waits for. Level-triggered: asked again after every move. */
export type ActionDue = { readonly name: "ttl" | "lease" | "retry"; readonly dueMs: number };

export function dueOf(state: ActionState): ActionDue | undefined {
  switch (state.phase) {
    case "requested":
      return ttlDue(state);
    case "accepted":
      return earlier(ttlDue(state), { name: "lease", dueMs: state.leaseUntilMs });
    case "started":
      return { name: "lease", dueMs: state.leaseUntilMs };
    case "retrying":
      if (state.ready) return ttlDue(state);
      return earlier(ttlDue(state), { name: "retry", dueMs: state.retryAtMs });
    case "succeeded":
    case "failed":
    case "cancelled":
      return undefined;
    default:
      return unreachable(state);
  }
}

/**
 * Moves an action by one record.
 *
 * @param state what the earlier records gave; `undefined` before the first one.
 * @returns the next state, or `OutOfOrder` where the lifecycle has no such step.
 *          Source: contract, "Action lifecycle".
 */
export function evolve(
  state: ActionState | undefined,
  record: LogRecord,
): Result<ActionState, OutOfOrder> {
  if (state === undefined) return begin(record);
  if (isTerminal(state)) return settleDeadLetter(state, record);
  switch (record.event.event_type) {
    case "action.accepted":
      return state.phase === "requested"
        ? takeLease(state, record, "accepted")
        : refused(state, record);
    case "action.started":
      return state.phase === "accepted" || state.phase === "retrying"
        ? takeLease(state, record, "started")
        : refused(state, record);
    case "action.deferred":
      return defer(state, record);
    case "action.progress":
      return progress(state, record);
    case "action.retrying":
      return retry(state, record);
    case "action.succeeded":
    case "action.failed":
    case "action.cancelled":
      return end(state, record);
    case "action.cancel_requested":
      return ok({ ...state, ...marks(record), cancelRequested: true });
    case "timer.fired":
      return fire(state, record);
    default:
      return refused(state, record);
  }
}

function begin(record: LogRecord): Result<ActionState, OutOfOrder> {
  const { event } = record;
  if (event.event_type !== "action.requested" || event.action_id === undefined) {
    return outOfOrder(
      "unknown_action",
      `${event.event_type} of an action that was never requested`,
    );
  }
  const atMs = timeOf(event.ts);
  const problem =
    requestProblem(event.attrs) ??
    (atMs === undefined ? "Cannot process the request as its ts is no time" : undefined);
  const attrs: RequestAttrs =
    problem === undefined ? (event.attrs as RequestAttrs) : { command: "unprocessable", args: {} };
  const requestedAtMs = atMs ?? record.ingestedAtMs;
  return ok({
    phase: "requested",
    identity: identityOf(event, event.action_id),
    attrs,
    problem,
    requestedAtMs,
    expiresAtMs: attrs.ttl_sec === undefined ? undefined : requestedAtMs + attrs.ttl_sec * 1_000,
    requestOffset: record.offset,
    lastOffset: record.offset,
    lastEventId: event.event_id,
    attempt: 1,
    cancelRequested: false,
    deferred: undefined,
    acceptedAtMs: undefined,
    startedAtMs: undefined,
  });
}

function takeLease(
  state: Extract<ActionState, { phase: "requested" | "accepted" | "retrying" }>,
  record: LogRecord,
  phase: "accepted" | "started",
): Result<ActionState, OutOfOrder> {
  const { event } = record;
  if (event.attempt !== state.attempt) return superseded(state, record);
  if (state.cancelRequested) return tooLate("cancel_requested", state, record);
  if (state.expiresAtMs !== undefined && state.expiresAtMs <= record.ingestedAtMs) {
    return tooLate("expired", state, record);
  }
  const worker = event.attrs["worker_id"];
  const leaseUntilMs = timeOf(event.attrs["lease_until"]);
  if (typeof worker !== "string" || leaseUntilMs === undefined) {
    return outOfOrder("malformed", `${event.event_type} names no worker or no readable lease`);
  }
  if (state.phase === "accepted" && state.workerId !== worker) return superseded(state, record);
  const atMs = timeOf(event.ts) ?? record.ingestedAtMs;
  return ok({
    phase,
    identity: state.identity,
    attrs: state.attrs,
    requestedAtMs: state.requestedAtMs,
    expiresAtMs: state.expiresAtMs,
    requestOffset: state.requestOffset,
    lastOffset: record.offset,
    lastEventId: event.event_id,
    attempt: state.attempt,
    cancelRequested: state.cancelRequested,
    deferred: undefined,
    acceptedAtMs: state.acceptedAtMs ?? atMs,
    startedAtMs: phase === "started" ? (state.startedAtMs ?? atMs) : state.startedAtMs,
    workerId: workerId(worker),
    leaseUntilMs,
    idempotent: event.attrs["idempotent"] === true,
  });
}

function defer(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  if (state.phase !== "requested" && state.phase !== "retrying") return refused(state, record);
  const { reason, limit_key: limitKey } = record.event.attrs;
  if (!isDeferReason(reason)) return outOfOrder("malformed", "action.deferred has no known reason");
  return ok({
    ...state,
    ...marks(record),
    deferred: { reason, limitKey: typeof limitKey === "string" ? limitKey : undefined },
  });
}

function progress(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  if (state.phase !== "started") return refused(state, record);
  const { event } = record;
  if (event.attempt !== state.attempt) return superseded(state, record);
  const leaseUntilMs = timeOf(event.attrs["lease_until"]);
  return ok({
    ...state,
    ...marks(record),
    leaseUntilMs: Math.max(state.leaseUntilMs, leaseUntilMs ?? 0),
  });
}

function retry(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  if (state.phase !== "accepted" && state.phase !== "started") return refused(state, record);
  const { event } = record;
  if (event.attempt !== state.attempt + 1) return superseded(state, record);
  const retryAtMs = timeOf(event.attrs["retry_at"]);
  if (retryAtMs === undefined)
    return outOfOrder("malformed", "action.retrying has no readable retry_at");
  return ok({
    ...common(state),
    ...marks(record),
    phase: "retrying",
    attempt: event.attempt,
    retryAtMs,
    ready: false,
    error: errorOf(event.attrs),
  });
}

function end(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  const { event } = record;
  if (event.attempt !== state.attempt) return superseded(state, record);
  if (event.event_type === "action.succeeded") {
    return state.phase === "requested"
      ? refused(state, record)
      : ok(ended(state, record, "succeeded"));
  }
  if (event.event_type === "action.cancelled") return ok(ended(state, record, "cancelled"));
  const error = errorOf(event.attrs);
  if (state.phase === "requested" && !endsRequest.has(error.kind)) return refused(state, record);
  const failed = ended(state, record, "failed");
  return ok({ ...failed, error, errorKind: error.kind, deadLetter: undefined });
}

function ended<P extends string>(
  state: Common,
  record: LogRecord,
  phase: P,
): Common & Ended & { readonly phase: P } {
  return {
    phase,
    identity: state.identity,
    attrs: state.attrs,
    requestedAtMs: state.requestedAtMs,
    expiresAtMs: state.expiresAtMs,
    requestOffset: state.requestOffset,
    lastOffset: record.offset,
    lastEventId: record.event.event_id,
    attempt: state.attempt,
    cancelRequested: state.cancelRequested,
    deferred: state.deferred,
    acceptedAtMs: state.acceptedAtMs,
    startedAtMs: state.startedAtMs,
    endedAtMs: timeOf(record.event.ts) ?? record.ingestedAtMs,
    terminalOffset: record.offset,
  };
}

/** How a request may fail that nobody has taken. */
const endsRequest: ReadonlySet<ErrorKind> = new Set(["ttl_expired", "rejected", "unprocessable"]);

function fire(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  const { name, due_ms: dueMs } = record.event.attrs;
  const due = dueOf(state);
  if (due === undefined || due.name !== name || due.dueMs !== dueMs) {
    const named = typeof name === "string" ? name : "without a name";
    return outOfOrder("stale_timer", `timer ${named} is not what the action waits for`);
  }
  if (state.phase === "retrying" && name === "retry") {
    return ok({ ...state, ...marks(record), ready: true });
  }
  return ok({ ...state, ...marks(record) });
}

/** An ended action takes nothing more, but what people do with its dead letter. */
function settleDeadLetter(state: ActionState, record: LogRecord): Result<ActionState, OutOfOrder> {
  const next = deadLetterOf[record.event.event_type];
  if (state.phase !== "failed" || next === undefined) {
    return outOfOrder("terminal", `${record.event.event_type} after ${state.phase}`);
  }
  const allowed =
    next === "pending" ? state.deadLetter === undefined : state.deadLetter === "pending";
  if (!allowed)
    return outOfOrder("terminal", `${record.event.event_type} of a settled dead letter`);
  return ok({ ...state, ...marks(record), deadLetter: next });
}

const deadLetterOf: { readonly [type: string]: "pending" | "redriven" | "discarded" | undefined } =
  {
    "action.dead_lettered": "pending",
    "action.redriven": "redriven",
    "action.discarded": "discarded",
  };

function ttlDue(state: Common): ActionDue | undefined {
  return state.expiresAtMs === undefined ? undefined : { name: "ttl", dueMs: state.expiresAtMs };
}

/** Of two that fall on one instant, the ttl: what could still be started then is over. */
function earlier(ttl: ActionDue | undefined, other: ActionDue): ActionDue {
  return ttl !== undefined && ttl.dueMs <= other.dueMs ? ttl : other;
}

function marks(record: LogRecord): Pick<Common, "lastOffset" | "lastEventId"> {
  return { lastOffset: record.offset, lastEventId: record.event.event_id };
}

/** The fields of every phase, without those of the phase that is left. */
function common(state: Common): Common {
  return {
    identity: state.identity,
    attrs: state.attrs,
    requestedAtMs: state.requestedAtMs,
    expiresAtMs: state.expiresAtMs,
    requestOffset: state.requestOffset,
    lastOffset: state.lastOffset,
    lastEventId: state.lastEventId,
    attempt: state.attempt,
    cancelRequested: state.cancelRequested,
    deferred: state.deferred,
    acceptedAtMs: state.acceptedAtMs,
    startedAtMs: state.startedAtMs,
  };
}

function timeOf(value: unknown): number | undefined {
  if (typeof value !== "string") return undefined;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : atMs;
}

function errorOf(attrs: JsonObject): DeedError {
  const error = attrs["error"];
  if (!isJsonObject(error) || !isErrorKind(error["kind"])) {
    return deedError("executor_error", "The error was not given in the contract's form");
  }
  const { kind, message, retryable, detail } = error;
  return {
    kind,
    message: typeof message === "string" ? message : "",
    retryable: retryable === true,
    ...(isJsonObject(detail) ? { detail } : {}),
  };
}

function refused(state: ActionState, record: LogRecord): Result<never, OutOfOrder> {
  return outOfOrder("out_of_order", `${record.event.event_type} in ${state.phase}`);
}

function superseded(state: ActionState, record: LogRecord): Result<never, OutOfOrder> {
  const { event_type: type, attempt } = record.event;
  return outOfOrder(
    "superseded",
    `${type} of attempt ${String(attempt)}, current is ${String(state.attempt)}`,
  );
}

function tooLate(
  kind: "expired" | "cancel_requested",
  state: ActionState,
  record: LogRecord,
): Result<never, OutOfOrder> {
  const why = kind === "expired" ? "its ttl has ended" : "its cancel was asked for";
  return outOfOrder(kind, `${record.event.event_type} in ${state.phase} as ${why}`);
}

function outOfOrder(kind: OutOfOrder["kind"], message: string): Result<never, OutOfOrder> {
  return err({ kind, message });
}
