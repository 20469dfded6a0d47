/** What a schedule's decisions are on the log: what it records, and what it asks for. */
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import { unreachable } from "../../base/assert.ts";
import { executionCancelEvent, executionRequestEvent } from "../../action/execution-request.ts";
import { cancelRequestedEvent } from "../../action/lifecycle-event.ts";
import { requestEvent } from "../../action/request.ts";
import type { EventSource, LogRecord, NewEvent, Tags } from "../../event/envelope.ts";
import { actionIdOf, defaultTenant, executionId, executionIdOf } from "../../event/ids.ts";
import type { Schedule } from "./compile.ts";
import { scheduledKey, scheduleTag, slotCorrelation, slotTag } from "./naming.ts";
import type { Decision, ScheduleState } from "./state.ts";

export function decideSchedule(
  schedule: Schedule,
  { decisions }: ScheduleState,
  record: LogRecord,
): readonly NewEvent[] {
  return decisions.flatMap((decision) => eventsOf(schedule, decision, record));
}

function eventsOf(schedule: Schedule, decision: Decision, record: LogRecord): readonly NewEvent[] {
  switch (decision.kind) {
    case "fire":
      return [firedEvent(schedule, decision, record), startEvent(schedule, decision, record)];
    case "skip":
      return [skippedEvent(schedule, decision, record)];
    case "cancel":
      return [cancelEvent(schedule, decision, record)];
    default:
      return unreachable(decision);
  }
}

type Of<K extends Decision["kind"]> = Extract<Decision, { readonly kind: K }>;

function firedEvent(schedule: Schedule, decision: Of<"fire">, record: LogRecord): NewEvent {
  const { slotMs, trigger } = decision;
  const key = scheduledKey(schedule.name, slotMs);
  const started =
    schedule.start.kind === "playbook"
      ? { playbook: schedule.start.path, execution_id: executionIdOf(defaultTenant, key) }
      : { command: schedule.start.attrs.command, action_id: actionIdOf(defaultTenant, key) };
  return ownEvent("schedule.fired", schedule, {
    record,
    slotMs,
    key: timestamp(slotMs),
    attrs: {
      slot: timestamp(slotMs),
      due: timestamp(slotMs),
      late_ms: Math.max(0, record.ingestedAtMs - slotMs),
      correlation: slotCorrelation(slotMs),
      trigger,
      ...started,
    },
  });
}

function startEvent(schedule: Schedule, { slotMs }: Of<"fire">, record: LogRecord): NewEvent {
  const { name, start } = schedule;
  const slot = timestamp(slotMs);
  const common = {
    idempotencyKey: scheduledKey(name, slotMs),
    ts: timestamp(record.ingestedAtMs),
    source: sourceOf(schedule),
    correlationId: slotCorrelation(slotMs),
    causationId: record.event.event_id,
    tags: tagsOf(schedule, slotMs),
  };
  if (start.kind === "playbook") {
    return executionRequestEvent({
      ...common,
      attrs: {
        playbook: start.path,
        ...(start.digest === undefined ? {} : { digest: start.digest }),
        payload: { slot, schedule: name, ...start.input },
      },
    });
  }
  return requestEvent({
    ...common,
    attrs: start.attrs,
    entityId: start.entity,
    ...(start.priority === undefined ? {} : { priority: start.priority }),
  });
}

function skippedEvent(schedule: Schedule, decision: Of<"skip">, record: LogRecord): NewEvent {
  const { reason, fromMs, toMs, count, more, holder } = decision;
  const from = timestamp(fromMs);
  const to = timestamp(toMs);
  const slots =
    fromMs === toMs ? { slot: from } : { from, to, count, ...(more ? { more: true } : {}) };
  return ownEvent("schedule.skipped", schedule, {
    record,
    slotMs: toMs,
    key: fromMs === toMs ? from : `${from}/${to}`,
    attrs: { reason, ...slots, ...(holder === undefined ? {} : { holder }) },
  });
}

function cancelEvent(schedule: Schedule, decision: Of<"cancel">, record: LogRecord): NewEvent {
  const { run, forMs } = decision;
  const { name } = schedule;
  const asked = { reason: `slot ${timestamp(forMs)} is due`, by: `schedule:${name}` };
  const causationId = record.event.event_id;
  const ts = timestamp(record.ingestedAtMs);
  const of = {
    entity_id: run.entity,
    tags: tagsOf(schedule, run.slotMs),
    correlation_id: slotCorrelation(run.slotMs),
  };
  if (run.kind === "execution") {
    const at = { ts, causationId, source: sourceOf(schedule) };
    return executionCancelEvent({ ...of, execution_id: executionId(run.id) }, at, asked);
  }
  const actionId = actionIdOf(defaultTenant, scheduledKey(name, run.slotMs));
  return cancelRequestedEvent(
    { ...of, action_id: actionId },
    // A cancel is of the action, whatever its attempt.
    { ts, causationId, attempt: 1 },
    asked,
  );
}

function tagsOf({ name }: Schedule, slotMs: number): Tags {
  return { [scheduleTag]: name, [slotTag]: timestamp(slotMs), tenant: defaultTenant };
}

function sourceOf({ name }: Schedule): EventSource {
  return { system: "deed", ns: { component: "schedules", schedule: name } };
}

function ownEvent(
  type: "schedule.fired" | "schedule.skipped",
  schedule: Schedule,
  of: {
    readonly record: LogRecord;
    readonly slotMs: number;
    readonly key: string;
    readonly attrs: JsonObject;
  },
): NewEvent {
  const { name, version } = schedule;
  return {
    ts: timestamp(of.record.ingestedAtMs),
    event_type: type,
    entity_id: `schedule:${name}`,
    correlation_id: slotCorrelation(of.slotMs),
    causation_id: of.record.event.event_id,
    idempotency_key: `${type}/${name}/${of.key}`,
    source: sourceOf(schedule),
    tags: { tenant: defaultTenant },
    attrs: { schedule: name, version, ...of.attrs },
  };
}
