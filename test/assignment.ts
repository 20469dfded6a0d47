import { timestamp } from "../src/base/clock.ts";
import { requestEvent, type RequestAttrs } from "../src/action/request.ts";
import { eventId } from "../src/event/ids.ts";
import type { Assignment } from "../src/executor/worker.ts";

/** An attempt as the kernel would assign it. Another `key` is another action. */
export function assignmentOf(
  attrs: RequestAttrs,
  at: {
    readonly nowMs: number;
    readonly key?: string;
    readonly attempt?: number;
    readonly leaseMs?: number;
  },
): Assignment {
  const request = requestEvent({
    attrs,
    idempotencyKey: at.key ?? "one",
    entityId: "service:web",
    ts: timestamp(at.nowMs),
    source: { system: "test", ns: {} },
    correlationId: "slot:1",
  });
  return {
    request: { ...request, event_id: eventId("1") },
    attempt: at.attempt ?? 1,
    startedEventId: eventId("2"),
    leaseUntilMs: at.nowMs + (at.leaseMs ?? 30_000),
  };
}
