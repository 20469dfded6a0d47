/** Core events as a log would give them back: `meta.tags` say where an action stands. */
import type { Json, JsonObject } from "../../base/json.ts";
import { statusOfType, type CoreEvent } from "../../event/core-event.ts";
import { eventId, executionId } from "../../event/ids.ts";
import type { Place, RecordedAt } from "../decision.ts";

/** An event before it is recorded. */
export type Written = {
  readonly type: string;
  readonly place?: Place;
  readonly context?: JsonObject;
  readonly result?: Json;
};

export function placed(written: Written, place: Place): Written {
  return { ...written, place };
}

export function eventAt({ type, place, context, result }: Written, at: RecordedAt): CoreEvent {
  return {
    event_id: eventId(at.eventId),
    execution_id: executionId(at.executionId),
    event_type: type,
    ...(place === undefined ? {} : inPlace(place)),
    status: statusOfType(type),
    ...(context === undefined || Object.keys(context).length === 0 ? {} : { context }),
    ...(result === undefined ? {} : { result }),
    timestamp: at.timestamp,
  };
}

function inPlace({ step, activation, item, task, attempt }: Place): Partial<CoreEvent> {
  return { node_name: step, meta: { tags: { activation, item, task, attempt } }, attempt: 1 };
}
