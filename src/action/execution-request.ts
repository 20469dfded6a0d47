/**
 * The event that asks for a playbook to run: built in one place, for people (API, CLI), schedules, rules and
 * parents alike.
 */
import type { Json, JsonObject } from "../base/json.ts";
import { defaultTenant, executionIdOf, type EventId, type ExecutionId } from "../event/ids.ts";
import {
  tenantOf,
  type DeedEvent,
  type EventSource,
  type NewEvent,
  type Tags,
} from "../event/envelope.ts";

/** `attrs` of `execution.requested`. */
export type ExecutionRequestAttrs = {
  /** Where the catalog knows the playbook. */
  readonly playbook: string;
  /** The version to run; the one that stands there when it starts, where it is left out. */
  readonly digest?: string;
  /** Merged over the playbook's workload. */
  readonly payload: JsonObject;
  /** Names of the environment that the configuration lets playbooks see, as they were then. */
  readonly env?: JsonObject;
  /** The step whose data is the result. */
  readonly return_step?: string;
  /** How many parents it has; 0 where it is left out. */
  readonly depth?: number;
  /** The execution that is run again. */
  readonly rerun_of?: ExecutionId;
  /** Begin at a step of it, with what it knew there. */
  readonly restart?: Restart;
};

/** What a restarted execution begins with. */
export type Restart = {
  readonly step: string;
  readonly workload: JsonObject;
  readonly ctx: JsonObject;
  /** Data of the steps that were completed by then: `{data, tasks?}` by name. */
  readonly steps: { readonly [step: string]: { readonly data: Json; readonly tasks?: JsonObject } };
};

export type ExecutionRequest = {
  readonly attrs: ExecutionRequestAttrs;
  /** Asking twice with one key is one execution: its id follows from tenant and key. */
  readonly idempotencyKey: string;
  /** Event time of the request, RFC 3339. */
  readonly ts: string;
  readonly source: EventSource;
  readonly tenant?: string;
  readonly correlationId?: string;
  readonly causationId?: EventId;
  /** The execution whose step asked; its place there travels as tags. */
  readonly parentId?: ExecutionId;
  readonly traceparent?: string;
  readonly tags?: Tags;
};

export function executionRequestEvent(
  request: ExecutionRequest,
): NewEvent & { readonly execution_id: ExecutionId } {
  const tenant = request.tenant ?? defaultTenant;
  const { parentId, correlationId, causationId, traceparent } = request;
  return {
    ts: request.ts,
    event_type: "execution.requested",
    entity_id: playbookEntity(request.attrs.playbook),
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    ...(causationId === undefined ? {} : { causation_id: causationId }),
    idempotency_key: request.idempotencyKey,
    execution_id: executionIdOf(tenant, request.idempotencyKey),
    ...(parentId === undefined ? {} : { parent_execution_id: parentId }),
    source: request.source,
    tags: { ...request.tags, tenant },
    attrs: request.attrs,
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

/** What people ask of an execution that has begun. */
export type ExecutionControl = {
  readonly type: "execution.cancel_requested" | "execution.paused" | "execution.resumed";
  /** RFC 3339. */
  readonly ts: string;
  readonly reason?: string;
  readonly by?: string;
};

/**
 * Asks the execution of a request to end, to hold, or to go on. It names no parent: a cancel that carries one is
 * the parent's own command.
 */
export function executionControlEvent(request: DeedEvent, asked: ExecutionControl): NewEvent {
  const { execution_id: execution, entity_id, event_id, correlation_id: correlation } = request;
  const { type, ts, reason, by } = asked;
  return {
    ts,
    event_type: type,
    entity_id,
    correlation_id: correlation ?? event_id,
    causation_id: event_id,
    ...(execution === undefined ? {} : { execution_id: execution }),
    source: { system: "deed", ns: { component: "api" } },
    tags: { tenant: tenantOf(request) },
    attrs: { ...(reason === undefined ? {} : { reason }), ...(by === undefined ? {} : { by }) },
  };
}

/** The entity of everything that happens to the executions of a playbook. */
export function playbookEntity(path: string): string {
  return `playbook:${path}`;
}

/** What every event of an execution repeats from its request. */
export type ExecutionIdentity = Pick<NewEvent, "entity_id" | "tags" | "correlation_id"> & {
  readonly execution_id: ExecutionId;
};

/** The event that asks a running execution to end. `at`: its time (RFC 3339), its cause, and who asks. */
export function executionCancelEvent(
  identity: ExecutionIdentity,
  at: { readonly ts: string; readonly causationId: EventId; readonly source: EventSource },
  asked: { readonly reason: string; readonly by: string },
): NewEvent {
  return {
    ...identity,
    ts: at.ts,
    event_type: "execution.cancel_requested",
    causation_id: at.causationId,
    source: at.source,
    attrs: asked,
  };
}
