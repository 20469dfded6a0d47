/**
 * Approvals: an action that waits for a person.
 *
 * An `approval` is served by no executor. It is deferred (`approval`) where it was asked for, ends by the answer
 * of a person (`approval.answered`) or by its ttl, and can be cancelled like any action.
 *
 * 1. The first answer counts; an answer to what does not wait changes nothing.
 * 2. Its result is `{approved: true, by, reason}`. Where it is refused the action fails as `rejected`.
 */
import { isJsonObject, type Json } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { timestamp } from "../base/clock.ts";
import {
  acceptedEvent,
  deferredEvent,
  failedEvent,
  identityOf,
  startedEvent,
  succeededEvent,
} from "../action/lifecycle-event.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import { deedError } from "../event/error.ts";
import { workerId, type EventId } from "../event/ids.ts";
import type { Decider } from "./decider.ts";

export type ApprovalState =
  | { readonly phase: "none" | "waits" | "ended" }
  /** By the event of this id. */
  | { readonly phase: "answered"; readonly by: EventId };

/** The command of an action that a person answers. */
export const approvalCommand = "approval";

const nothing: readonly NewEvent[] = [];

const noKeys: readonly string[] = [];

/** Who "starts" an approval: the answer itself is the work, so nobody holds a lease. */
const person = workerId("person");

export function approvalDecider(): Decider<ApprovalState> {
  return {
    name: approvalCommand,
    version: "1",
    keysOf,
    initial: () => ({ phase: "none" }),
    evolve: (state, { event }) => {
      switch (event.event_type) {
        case "action.requested":
          return { phase: "waits" };
        case "approval.answered":
          return state.phase === "waits" ? { phase: "answered", by: event.event_id } : state;
        default:
          return state.phase === "none" ? state : { phase: "ended" };
      }
    },
    decide,
    due: () => [],
    encode: ({ phase }) => (phase === "waits" ? { phase } : undefined),
    decode,
  };
}

function keysOf({ event }: LogRecord): readonly string[] {
  const { action_id: action, event_type: type, tags } = event;
  if (action === undefined) return noKeys;
  switch (type) {
    case "action.requested":
    case "action.failed":
    case "action.cancelled":
      return tags["action"] === approvalCommand ? [action] : noKeys;
    case "approval.answered":
      return [action];
    default:
      return noKeys;
  }
}

function decide(state: ApprovalState, record: LogRecord): readonly NewEvent[] {
  const { event } = record;
  const { action_id: action, attrs } = event;
  if (action === undefined) return nothing;
  const at = { ts: timestamp(record.ingestedAtMs), causationId: event.event_id, attempt: 1 };
  const identity = identityOf(event, action);
  if (event.event_type === "action.requested") {
    return [deferredEvent(identity, at, { reason: "approval" })];
  }
  if (state.phase !== "answered" || state.by !== event.event_id) return nothing;
  const by = typeof attrs["by"] === "string" ? attrs["by"] : "";
  const reason = typeof attrs["reason"] === "string" ? attrs["reason"] : "";
  const lease = { worker_id: person, lease_until: at.ts, idempotent: false };
  const begun = [acceptedEvent(identity, at, lease), startedEvent(identity, at, lease)];
  if (attrs["approved"] === true) {
    return [...begun, succeededEvent(identity, at, { approved: true, by, reason })];
  }
  const why = reason === "" ? "" : `: ${reason}`;
  return [...begun, failedEvent(identity, at, deedError("rejected", `Refused by ${by}${why}`))];
}

function decode(snapshot: Json): Result<ApprovalState, string> {
  const phase = isJsonObject(snapshot) ? snapshot["phase"] : undefined;
  return phase === "waits" ? ok({ phase }) : err("not the state of an approval");
}
