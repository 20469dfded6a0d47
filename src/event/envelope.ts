/**
 * The one envelope, and the record that a log puts around it.
 *
 * Fields keep their wire names, so the object in memory is the object on the wire: nothing is
 * converted on the hot path. Source: contract, "Envelope".
 */
import type { JsonObject } from "../base/json.ts";
import {
  defaultTenant,
  type ActionId,
  type EventId,
  type ExecutionId,
  type Offset,
} from "./ids.ts";
import type { Topic } from "./topic.ts";

export type Scalar = string | number | boolean | null;

export type Tags = { readonly [name: string]: Scalar | undefined };

export type EventSource = {
  readonly system: string;
  readonly ns: { readonly [name: string]: string };
};

/** An event as its producer gives it: all but the id, which the log mints at append. */
export type NewEvent = {
  /** RFC 3339, UTC, milliseconds: event time, given by the producer. */
  readonly ts: string;
  readonly event_type: string;
  /** What it is about, by convention `<kind>:<id>`. */
  readonly entity_id: string;
  readonly correlation_id?: string;
  readonly causation_id?: EventId;
  /** Required on observations and requests; unique per tenant inside the window. */
  readonly idempotency_key?: string;
  readonly action_id?: ActionId;
  readonly execution_id?: ExecutionId;
  readonly parent_execution_id?: ExecutionId;
  /** >= 1, on lifecycle events. */
  readonly attempt?: number;
  readonly source: EventSource;
  readonly tags: Tags;
  readonly attrs: JsonObject;
  readonly traceparent?: string;
};

/** An event on the log. */
export type DeedEvent = NewEvent & { readonly event_id: EventId };

/** An event with its position. The offset is the order; clocks and ids are data. */
export type LogRecord = {
  readonly topic: Topic;
  /** 0 on an embedded log. */
  readonly partition: number;
  readonly offset: Offset;
  /** When the log took it in, milliseconds since the Unix epoch. */
  readonly ingestedAtMs: number;
  readonly event: DeedEvent;
};

/** Whose event it is. */
export function tenantOf(event: Pick<NewEvent, "tags">): string {
  const tenant = event.tags["tenant"];
  return typeof tenant === "string" ? tenant : defaultTenant;
}

/** What a partitioned log keeps in order: the execution if there is one, else the entity. */
export function partitionKeyOf(event: NewEvent): string {
  return event.execution_id ?? event.entity_id;
}

/** `tags.anomaly` of a lifecycle event that was kept and changed nothing. */
export const anomalyTag = "anomaly";

/** The serialised size of one event, in bytes, that a log takes unless it is configured otherwise. */
export const eventBytesMaxDefault = 256 * 1024;
