/**
 * The records of actions as tests write them: only what matters is named, the rest is the same always.
 */
import { timestamp } from "../base/clock.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { deedError } from "../event/error.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import { actionIdOf, eventId, type ActionId } from "../event/ids.ts";
import { topicOf, topicOfType } from "../event/topic.ts";
import { decide } from "./decide.ts";
import { dueOf, evolve, type ActionState, type OutOfOrder } from "./lifecycle.ts";
import { requestEvent, type ActionRequest, type RequestAttrs } from "./request.ts";

/** 2026-01-01T00:00:00.000Z: when every story begins. */
export const startMs = 1_767_225_600_000;

/** The action of the idempotency key `k1` of the default tenant. */
export const firstAction: ActionId = actionIdOf("default", "k1");

/** A request, `{command: "job.run", args: {}}` by the key `k1` unless told otherwise. */
export function requested(
  attrs: Partial<RequestAttrs> = {},
  more: Partial<ActionRequest> = {},
): NewEvent {
  return requestEvent({
    attrs: { command: "job.run", args: {}, ...attrs },
    idempotencyKey: "k1",
    entityId: "job:nightly",
    ts: timestamp(startMs),
    source: { system: "test", ns: {} },
    ...more,
  });
}

/** A lifecycle event with exactly these attrs. */
export function happened(type: string, attempt: number | undefined, attrs: JsonObject): NewEvent {
  return {
    ts: timestamp(startMs),
    event_type: type,
    entity_id: "job:nightly",
    action_id: firstAction,
    ...(attempt === undefined ? {} : { attempt }),
    source: { system: "test", ns: {} },
    tags: { tenant: "default" },
    attrs,
  };
}

export function leaseAttrs(worker = "w1", leaseUntilMs = startMs + 30_000): JsonObject {
  return { worker_id: worker, lease_until: timestamp(leaseUntilMs), idempotent: true };
}

export function retryAttrs(retryAtMs = startMs + 5_000): JsonObject {
  const error = deedError("unavailable", "connection refused");
  return { delay_ms: retryAtMs - startMs, retry_at: timestamp(retryAtMs), error };
}

/** Every event type that an action may see. */
export const lifecycleTypes = [
  ...Object.keys(topicOfType).filter((type) => type.startsWith("action.")),
  "timer.fired",
];

export const letter = {
  reason: "exhausted",
  attempts: 1,
  last_error: deedError("timeout", "too slow"),
  command: "job.run",
};

export function timer(name: Json, dueMs: Json): NewEvent {
  return happened("timer.fired", undefined, { name, due_ms: dueMs });
}

/** An event of this type as it should come: well-formed and of the attempt that the state is in. */
export function fitting(type: string, state: ActionState | undefined): NewEvent {
  const attempt = state?.attempt ?? 1;
  switch (type) {
    case "action.requested":
      return requested({ ttl_sec: 3_600 });
    case "action.accepted":
    case "action.started":
      return happened(type, attempt, leaseAttrs());
    case "action.deferred":
      return happened(type, attempt, { reason: "limit", limit_key: "concurrency:a" });
    case "action.progress":
      return happened(type, attempt, { percent: 10 });
    case "action.retrying":
      return happened(type, attempt + 1, retryAttrs());
    case "action.failed":
      return happened(type, attempt, { error: deedError("rejected", "not approved") });
    case "action.dead_lettered":
      return happened(type, attempt, letter);
    case "timer.fired": {
      const due = state === undefined ? undefined : dueOf(state);
      return timer(due?.name ?? "ttl", due?.dueMs ?? startMs);
    }
    default:
      return happened(type, attempt, {});
  }
}

/** An event as the log has it. */
export function recordOf(event: NewEvent, offset: number, atMs = startMs): LogRecord {
  return {
    topic: topicOf(event.event_type),
    partition: 0,
    offset,
    ingestedAtMs: atMs,
    event: { ...event, event_id: eventId(String(1_000 + offset)) },
  };
}

/** One action on a log of its own: each event is folded, and what follows from it comes right behind it. */
export type Story = {
  readonly state: () => ActionState | undefined;
  readonly records: readonly LogRecord[];
  /** Those of the records that counted. */
  readonly folded: readonly LogRecord[];
  readonly refusals: readonly OutOfOrder[];
  /** Events that ask for other actions: they are not this action's. */
  readonly asked: readonly NewEvent[];
  readonly tell: (event: NewEvent, atMs?: number) => Story;
};

export function createStory(): Story {
  let state: ActionState | undefined;
  const records: LogRecord[] = [];
  const folded: LogRecord[] = [];
  const refusals: OutOfOrder[] = [];
  const asked: NewEvent[] = [];
  const story: Story = {
    state: () => state,
    records,
    folded,
    refusals,
    asked,
    tell: (first, atMs = startMs) => {
      const pending = [first];
      for (const event of pending) {
        if (event.event_type === "action.requested" && records.length > 0 && event !== first) {
          asked.push(event);
          continue;
        }
        const record = recordOf(event, records.length + 1, atMs);
        records.push(record);
        if (event.event_type !== "worker.lost") {
          const moved = evolve(state, record);
          if (!moved.ok) {
            refusals.push(moved.error);
            continue;
          }
          state = moved.value;
          folded.push(record);
        }
        if (state !== undefined) pending.push(...decide(state, record));
      }
      return story;
    },
  };
  return story;
}
