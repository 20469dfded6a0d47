import type { LogRecord } from "../../event/envelope.ts";
import type { ActionId, ExecutionId } from "../../event/ids.ts";
import type { ActionRow, ExecutionRow, RetentionPolicy } from "../log.ts";

/** How long a key is remembered unless a log is configured otherwise: 7 days. */
export const dedupWindowMsDefault = 7 * 24 * 3_600_000;

export type RetentionLimits = {
  readonly nowMs: number;
  /** An event with a key stays for so long, whatever its topic says. */
  readonly dedupWindowMs: number;
};

/** Who is asked whether an event's action or execution has ended. */
export type RowsByKey = {
  readonly action: (id: ActionId) => ActionRow | undefined;
  readonly execution: (id: ExecutionId) => ExecutionRow | undefined;
};

/** True where an event stays although its topic's time is over. */
export function isKept(record: LogRecord, limits: RetentionLimits, rows: RowsByKey): boolean {
  const {
    idempotency_key: key,
    action_id: action,
    execution_id: execution,
    parent_execution_id: parent,
  } = record.event;
  if (key !== undefined && record.ingestedAtMs >= limits.nowMs - limits.dedupWindowMs) return true;
  return (
    (action !== undefined && isOpen(rows.action(action))) ||
    (execution !== undefined && isOpen(rows.execution(execution))) ||
    (parent !== undefined && isOpen(rows.execution(parent)))
  );
}

function isOpen(row: ActionRow | ExecutionRow | undefined): boolean {
  return row !== undefined && row.terminalOffset === undefined;
}

/** Nothing that was taken in at this time or later is old enough to go. */
export function removableBeforeMs(policy: RetentionPolicy, { nowMs }: RetentionLimits): number {
  return nowMs - Math.min(...Object.values(policy));
}
