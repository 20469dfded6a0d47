import type { ActionState } from "../../action/lifecycle.ts";
import { tenantOf } from "../../event/envelope.ts";
import type { ActionRow } from "../../log/log.ts";

/** The row of `action_state_current` that a folded action gives. */
export function actionRowOf(state: ActionState): ActionRow {
  const { identity } = state;
  const row: { -readonly [K in keyof ActionRow]: ActionRow[K] } = {
    actionId: identity.action_id,
    requestOffset: state.requestOffset,
    lastOffset: state.lastOffset,
    tenant: tenantOf(identity),
    command: state.attrs.command,
    entityId: identity.entity_id,
    status: state.phase,
    attempt: state.attempt,
    requestedAtMs: state.requestedAtMs,
  };
  if (identity.correlation_id !== undefined) row.correlationId = identity.correlation_id;
  if (state.acceptedAtMs !== undefined) row.acceptedAtMs = state.acceptedAtMs;
  if (state.startedAtMs !== undefined) row.startedAtMs = state.startedAtMs;
  if ("endedAtMs" in state) row.endedAtMs = state.endedAtMs;
  if ("terminalOffset" in state) row.terminalOffset = state.terminalOffset;
  if (state.phase === "failed") {
    row.errorKind = state.errorKind;
    if (state.deadLetter !== undefined) row.deadLetter = state.deadLetter;
  }
  return row;
}
