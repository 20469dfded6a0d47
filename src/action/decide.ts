/**
 * What follows from an action's newest record for this action alone: the deciding half of the lifecycle.
 *
 * Who may start, and where, is not decided here but by `admission.ts`, which sees all open actions.
 * Time is the record's `ingestedAtMs`.
 */
import { timestamp } from "../base/clock.ts";
import { deedError, type DeedError } from "../event/error.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import {
  cancelledEvent,
  deadLetteredEvent,
  failedEvent,
  retryingEvent,
  type DeadLetterReason,
  type Moment,
} from "./lifecycle-event.ts";
import type { ActionState } from "./lifecycle.ts";
import { isPriority, requestEvent, type RequestAttrs, type RetryPolicy } from "./request.ts";
import { afterFailure, attemptsMaxOf } from "./retry.ts";

type Leased = Extract<ActionState, { phase: "accepted" | "started" }>;

const nothing: readonly NewEvent[] = [];

/**
 * @param state the action including `record`. A `worker.lost` record is not part of any action: it is
 *   decided with the state of each action that the lost worker holds.
 * @returns the events that follow, in order; most often none.
 */
export function decide(state: ActionState, record: LogRecord): readonly NewEvent[] {
  switch (record.event.event_type) {
    case "action.requested":
      return onRequest(state, record);
    case "action.cancel_requested":
      return waits(state)
        ? [cancelledEvent(state.identity, moment(state, record), reasonOf(record))]
        : nothing;
    case "action.retrying":
      return waits(state) && state.cancelRequested
        ? [cancelledEvent(state.identity, moment(state, record), "asked for")]
        : nothing;
    case "timer.fired":
      return onTimer(state, record);
    case "worker.lost":
      return leased(state) && state.workerId === record.event.attrs["worker_id"]
        ? onLeaseLost(state, record)
        : nothing;
    case "action.failed":
      return onFailure(state, record);
    case "action.redriven":
      return redrive(state, record);
    default:
      return nothing;
  }
}

function onRequest(state: ActionState, record: LogRecord): readonly NewEvent[] {
  if (state.phase !== "requested") return nothing;
  if (state.problem !== undefined) {
    return [
      failedEvent(state.identity, moment(state, record), deedError("unprocessable", state.problem)),
    ];
  }
  const late = state.expiresAtMs !== undefined && state.expiresAtMs <= record.ingestedAtMs;
  return late ? [expired(state, record)] : nothing;
}

function onTimer(state: ActionState, record: LogRecord): readonly NewEvent[] {
  const name = record.event.attrs["name"];
  if (name === "ttl" && waits(state)) return [expired(state, record)];
  return name === "lease" && leased(state) ? onLeaseLost(state, record) : nothing;
}

/** The executor's own promise decides what becomes of an attempt that nobody holds any more. */
function onLeaseLost(state: Leased, record: LogRecord): readonly NewEvent[] {
  const at = moment(state, record);
  if (state.phase === "started" && !state.idempotent) {
    const message = `Cannot tell what attempt ${String(state.attempt)} of ${state.attrs.command} has done as its worker was lost: it is not idempotent, so a person decides`;
    return [failedEvent(state.identity, at, deedError("outcome_unknown", message))];
  }
  if (state.cancelRequested) return [cancelledEvent(state.identity, at, "its worker was lost")];
  const error = deedError("unavailable", `The worker of attempt ${String(state.attempt)} was lost`);
  return retryOrFail(state, record, error);
}

/** Of an execution's action: its playbook decides about failures, but a worker's end is none of its tool's. */
const lostPolicy: RetryPolicy = { attempts: 10, initial_ms: 100 };

function retryOrFail(state: Leased, record: LogRecord, error: DeedError): readonly NewEvent[] {
  const at = moment(state, record);
  const next = afterFailure({
    actionId: state.identity.action_id,
    attempt: state.attempt,
    error,
    policy: state.identity.execution_id === undefined ? state.attrs.retry : lostPolicy,
    expiresAtMs: state.expiresAtMs,
    nowMs: record.ingestedAtMs,
  });
  if (next.kind === "fail") return [failedEvent(state.identity, at, error)];
  const retryAt = timestamp(record.ingestedAtMs + next.delayMs);
  const retry = { delayMs: next.delayMs, retryAt, error };
  return [retryingEvent(state.identity, { ...at, attempt: next.attempt }, retry)];
}

function onFailure(state: ActionState, record: LogRecord): readonly NewEvent[] {
  if (state.phase !== "failed") return nothing;
  const events: NewEvent[] = [];
  const reason = deadLetterReason(state);
  if (reason !== undefined) {
    const { attempt: attempts, error, attrs } = state;
    events.push(
      deadLetteredEvent(state.identity, moment(state, record), {
        reason,
        attempts,
        last_error: error,
        command: attrs.command,
      }),
    );
  }
  const { compensate, compensates } = state.attrs;
  if (compensate !== undefined && compensates === undefined && leftTraces(state)) {
    const { command, args } = compensate;
    const attrs = { command, args, compensates: state.identity.action_id };
    events.push(follower(state, record, { attrs, purpose: "compensate" }));
  }
  return events;
}

/**
 * A request that was never started because its time ran out, or that was refused, is no dead letter. Nor is one
 * of an execution: its playbook decides what follows, and ends as failed where nothing does.
 */
function deadLetterReason(
  state: Extract<ActionState, { phase: "failed" }>,
): DeadLetterReason | undefined {
  if (state.identity.execution_id !== undefined) return undefined;
  switch (state.errorKind) {
    case "ttl_expired":
      return state.startedAtMs === undefined ? undefined : "deadline";
    case "rejected":
    case "cancelled":
      return undefined;
    case "outcome_unknown":
      return "outcome_unknown";
    case "unprocessable":
    case "invalid_args":
      return "unprocessable";
    default:
      if (!state.error.retryable) return "failed";
      return state.expiresAtMs === undefined || state.attempt >= attemptsMax(state)
        ? "exhausted"
        : "deadline";
  }
}

function attemptsMax(state: ActionState): number {
  return attemptsMaxOf({ policy: state.attrs.retry, expiresAtMs: state.expiresAtMs });
}

/**
 * The dead letter is settled by the same record, so of all that ask at once one is heard. A request
 * that could not be read has nothing to ask for again.
 */
function redrive(state: ActionState, record: LogRecord): readonly NewEvent[] {
  if (state.phase !== "failed" || state.acceptedAtMs === undefined) return nothing;
  const attrs = { ...state.attrs, redrive_of: state.identity.action_id };
  return [follower(state, record, { attrs, purpose: "redrive" })];
}

/** A new action in the place of an ended one: its key is derived, so it is asked for once. */
function follower(
  state: ActionState,
  record: LogRecord,
  { attrs, purpose }: { readonly attrs: RequestAttrs; readonly purpose: "compensate" | "redrive" },
): NewEvent {
  const { identity } = state;
  const { tenant, priority } = identity.tags;
  return requestEvent({
    attrs,
    idempotencyKey: `${purpose}/${identity.action_id}`,
    entityId: identity.entity_id,
    ts: timestamp(record.ingestedAtMs),
    source: { system: "deed", ns: { component: "lifecycle" } },
    ...(typeof tenant === "string" ? { tenant } : {}),
    ...(isPriority(priority) ? { priority } : {}),
    ...(identity.correlation_id === undefined ? {} : { correlationId: identity.correlation_id }),
    ...(identity.execution_id === undefined ? {} : { executionId: identity.execution_id }),
    ...(identity.traceparent === undefined ? {} : { traceparent: identity.traceparent }),
    causationId: record.event.event_id,
    tags: identity.tags,
  });
}

function expired(state: ActionState, record: LogRecord): NewEvent {
  const what = state.startedAtMs === undefined ? "not started" : "not started again";
  const message = `${state.attrs.command} was ${what} within ${String(state.attrs.ttl_sec)} s of its request`;
  return failedEvent(state.identity, moment(state, record), deedError("ttl_expired", message));
}

function moment(state: ActionState, record: LogRecord): Moment {
  return {
    ts: timestamp(record.ingestedAtMs),
    causationId: record.event.event_id,
    attempt: state.attempt,
  };
}

function leased(state: ActionState): state is Leased {
  return state.phase === "accepted" || state.phase === "started";
}

/** True where no attempt is at work: the lifecycle itself may end it. */
function waits(state: ActionState): boolean {
  return state.phase === "requested" || state.phase === "accepted" || state.phase === "retrying";
}

function reasonOf(record: LogRecord): string | undefined {
  const reason = record.event.attrs["reason"];
  return typeof reason === "string" ? reason : undefined;
}

/** What was never started needs no compensation; what may or may not have happened needs a person. */
function leftTraces(state: Extract<ActionState, { phase: "failed" }>): boolean {
  return state.startedAtMs !== undefined && state.errorKind !== "outcome_unknown";
}
