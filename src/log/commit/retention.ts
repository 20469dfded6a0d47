import type { LogRecord } from "../../event/envelope.ts";
import type { ActionId } from "../../event/ids.ts";
import type { ActionRow, RetentionPolicy } from "../log.ts";

/** How long a key is remembered unless a log is configured otherwise: 7 days. */
export const dedupWindowMsDefault = 7 * 24 * 3_600_000;

export type RetentionLimits = {
  readonly nowMs: number;
  /** An event with a key stays for so long, whatever its topic says. */
  readonly dedupWindowMs: number;
};

/** True where an event stays although its topic's time is over. */
export function isKept(
  record: LogRecord,
  limits: RetentionLimits,
  actionOf: (id: ActionId) => ActionRow | undefined,
): boolean {
  const { idempotency_key: key, action_id: action } = record.event;
  if (key !== undefined && record.ingestedAtMs >= limits.nowMs - limits.dedupWindowMs) return true;
  const row = action === undefined ? undefined : actionOf(action);
  return row !== undefined && row.terminalOffset === undefined;
}

/** Nothing that was taken in at this time or later is old enough to go. */
export function removableBeforeMs(policy: RetentionPolicy, { nowMs }: RetentionLimits): number {
  return nowMs - Math.min(...Object.values(policy));
}
