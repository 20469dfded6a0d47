/**
 * The events of one action's life, each built in one place.
 *
 * All carry the entity, the correlation, the execution and the tags of the request: whoever reads one
 * of them alone knows whose it is. `tags` is shared, not copied.
 */
import type { Json, JsonObject } from "../base/json.ts";
import type { DeedError } from "../event/error.ts";
import type { DeedEvent, EventSource, NewEvent, Tags } from "../event/envelope.ts";
import type { ActionId, EventId, ExecutionId, WorkerId } from "../event/ids.ts";
import type { OwnEventType } from "../event/topic.ts";

/** What every event of an action repeats from its request. */
export type ActionIdentity = {
  readonly action_id: ActionId;
  readonly entity_id: string;
  readonly tags: Tags;
  readonly correlation_id?: string;
  readonly execution_id?: ExecutionId;
  readonly traceparent?: string;
};

/** Where an event stands in the action's life: its time, its cause, its attempt. */
export type Moment = {
  /** RFC 3339, UTC. */
  readonly ts: string;
  readonly causationId: EventId;
  readonly attempt: number;
};

/** `attrs` of `action.accepted` and `action.started`. */
export type LeaseAttrs = {
  readonly worker_id: WorkerId;
  /** RFC 3339, UTC: without a heartbeat until then, the attempt is taken away. */
  readonly lease_until: string;
  /** The executor's promise that a started attempt may run again. */
  readonly idempotent: boolean;
};

/**
 * Why an action waits. `limit` and `no_executor`: for room, and whoever gives it room starts it.
 * `approval`, `window` and `paused` are holds: room alone does not start it.
 */
export const deferReasons = ["limit", "no_executor", "approval", "window", "paused"] as const;

export type DeferReason = (typeof deferReasons)[number];

export function isDeferReason(value: unknown): value is DeferReason {
  return deferReasons.some((reason) => reason === value);
}

/** `attrs` of `action.deferred`: why it waits, and for whom. */
export type DeferredAttrs = {
  readonly reason: DeferReason;
  /** `concurrency:<key>`, `rate:<key>` or `executor:<command>`. */
  readonly limit_key?: string;
  /** Up to five of those that hold the limit. */
  readonly holders?: readonly ActionId[];
  readonly holders_total?: number;
};

export type DeadLetterReason =
  "exhausted" | "deadline" | "unprocessable" | "outcome_unknown" | "failed";

/** `attrs` of `action.dead_lettered`. */
export type DeadLetterAttrs = {
  readonly reason: DeadLetterReason;
  readonly attempts: number;
  readonly last_error: DeedError;
  readonly command: string;
};

/** Reads from the request what all later events repeat. */
export function identityOf(request: DeedEvent | NewEvent, actionId: ActionId): ActionIdentity {
  const { entity_id, tags, correlation_id, execution_id, traceparent } = request;
  return {
    action_id: actionId,
    entity_id,
    tags,
    ...(correlation_id === undefined ? {} : { correlation_id }),
    ...(execution_id === undefined ? {} : { execution_id }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

export function acceptedEvent(identity: ActionIdentity, at: Moment, lease: LeaseAttrs): NewEvent {
  return lifecycleEvent({ type: "action.accepted", attrs: lease }, identity, at);
}

export function startedEvent(identity: ActionIdentity, at: Moment, lease: LeaseAttrs): NewEvent {
  return lifecycleEvent({ type: "action.started", attrs: lease }, identity, at);
}

export function deferredEvent(
  identity: ActionIdentity,
  at: Moment,
  attrs: DeferredAttrs,
): NewEvent {
  return lifecycleEvent({ type: "action.deferred", attrs: attrs }, identity, at);
}

/** Progress for people (`percent`, `message`), or a heartbeat (`lease_until` alone). */
export function progressEvent(
  identity: ActionIdentity,
  at: Moment,
  attrs: { readonly percent?: number; readonly message?: string; readonly lease_until?: string },
): NewEvent {
  return lifecycleEvent({ type: "action.progress", attrs: attrs }, identity, at);
}

/** `at.attempt` is the number of the attempt to come. */
export function retryingEvent(
  identity: ActionIdentity,
  at: Moment,
  retry: { readonly delayMs: number; readonly retryAt: string; readonly error: DeedError },
): NewEvent {
  const attrs = { delay_ms: retry.delayMs, retry_at: retry.retryAt, error: retry.error };
  return lifecycleEvent({ type: "action.retrying", attrs: attrs }, identity, at);
}

export function succeededEvent(identity: ActionIdentity, at: Moment, result: Json): NewEvent {
  return lifecycleEvent({ type: "action.succeeded", attrs: { result } }, identity, at);
}

export function failedEvent(identity: ActionIdentity, at: Moment, error: DeedError): NewEvent {
  return lifecycleEvent({ type: "action.failed", attrs: { error } }, identity, at);
}

export function cancelledEvent(identity: ActionIdentity, at: Moment, reason?: string): NewEvent {
  return lifecycleEvent(
    { type: "action.cancelled", attrs: reason === undefined ? {} : { reason } },
    identity,
    at,
  );
}

export function cancelRequestedEvent(
  identity: ActionIdentity,
  at: Moment,
  asked: { readonly reason?: string; readonly by?: string },
): NewEvent {
  return lifecycleEvent({ type: "action.cancel_requested", attrs: asked }, identity, at);
}

/** A person's answer to an action that waits for one. */
export function approvalAnsweredEvent(
  identity: ActionIdentity,
  at: Moment,
  answer: { readonly approved: boolean; readonly by: string; readonly reason?: string },
): NewEvent {
  return lifecycleEvent({ type: "approval.answered", attrs: answer }, identity, at);
}

export function deadLetteredEvent(
  identity: ActionIdentity,
  at: Moment,
  attrs: DeadLetterAttrs,
): NewEvent {
  return lifecycleEvent({ type: "action.dead_lettered", attrs: attrs }, identity, at);
}

export function redrivenEvent(
  identity: ActionIdentity,
  at: Moment,
  attrs: { readonly new_action_id: ActionId; readonly by?: string },
): NewEvent {
  return lifecycleEvent({ type: "action.redriven", attrs: attrs }, identity, at);
}

export function discardedEvent(
  identity: ActionIdentity,
  at: Moment,
  attrs: { readonly by: string; readonly reason: string },
): NewEvent {
  return lifecycleEvent({ type: "action.discarded", attrs: attrs }, identity, at);
}

const source: EventSource = { system: "deed", ns: { component: "lifecycle" } };

function lifecycleEvent(
  { type, attrs }: { readonly type: OwnEventType; readonly attrs: JsonObject },
  identity: ActionIdentity,
  at: Moment,
): NewEvent {
  return {
    ts: at.ts,
    event_type: type,
    entity_id: identity.entity_id,
    ...(identity.correlation_id === undefined ? {} : { correlation_id: identity.correlation_id }),
    causation_id: at.causationId,
    action_id: identity.action_id,
    ...(identity.execution_id === undefined ? {} : { execution_id: identity.execution_id }),
    attempt: at.attempt,
    source,
    tags: identity.tags,
    attrs,
    ...(identity.traceparent === undefined ? {} : { traceparent: identity.traceparent }),
  };
}
