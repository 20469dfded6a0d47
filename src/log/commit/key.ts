import { tenantOf, type NewEvent } from "../../event/envelope.ts";
import { keyHash } from "../../event/ids.ts";

/**
 * What the deduplication window is keyed by: 32 hex digits, or `undefined` for an event without a key.
 *
 * The hash in an action id is that of its key, so a request is hashed once.
 */
export function keyHashOf(event: NewEvent): string | undefined {
  if (event.idempotency_key === undefined) return undefined;
  if (event.event_type === "action.requested" && event.action_id !== undefined) {
    return event.action_id.slice("act_".length);
  }
  return keyHash(tenantOf(event), event.idempotency_key);
}
