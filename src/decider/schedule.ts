/**
 * Schedules: `kind: Schedule` documents, each a decider that starts a playbook or an action at the slots of a
 * cron expression. How they become active: `activation.ts`. What they promise: `schedule/evolve.ts`.
 */
import type { LogRecord } from "../event/envelope.ts";
import { anomalyTag } from "../event/envelope.ts";
import type { Decider, Timer } from "./decider.ts";
import type { Schedule } from "./schedule/compile.ts";
import { decideSchedule } from "./schedule/decide.ts";
import { evolveSchedule, hasWork, slotTimer, workTimer } from "./schedule/evolve.ts";
import { scheduleTag } from "./schedule/naming.ts";
import { decodeState, encodeState, initialState, type ScheduleState } from "./schedule/state.ts";

export { scheduleSchema } from "./schedule/schedule-schema.ts";

/** The decider of a schedule: one instance, of the schedule's name. */
export function scheduleDecider(schedule: Schedule): Decider<ScheduleState> {
  const own = [schedule.name];
  return {
    name: `schedule/${schedule.name}`,
    version: schedule.version,
    keysOf: (record) => (concerns(schedule, record) ? own : nobody),
    initial: () => initialState,
    evolve: (state, record) => evolveSchedule(schedule, state, record),
    decide: (state, record) => decideSchedule(schedule, state, record),
    due: (state) => dueOf(schedule, state),
    encode: encodeState,
    decode: decodeState,
  };
}

const nobody: readonly string[] = [];

/**
 * Its own changes, and the requests and the ends of what it started. What a playbook asks for carries the tags
 * of its execution, and is not the schedule's.
 */
function concerns({ name }: Schedule, { event }: LogRecord): boolean {
  if (event.event_type === "schedule.activated" || event.event_type === "schedule.deactivated") {
    return event.attrs["name"] === name;
  }
  if (event.tags[scheduleTag] !== name || event.tags[anomalyTag] !== undefined) return false;
  return event.action_id === undefined
    ? event.parent_execution_id === undefined && ofExecutions.has(event.event_type)
    : event.execution_id === undefined && ofActions.has(event.event_type);
}

const ofActions: ReadonlySet<string> = new Set([
  "action.requested",
  "action.succeeded",
  "action.failed",
  "action.cancelled",
]);

const ofExecutions: ReadonlySet<string> = new Set([
  "execution.requested",
  "execution.completed",
  "execution.failed",
  "execution.cancelled",
]);

/**
 * The next slot; and a look at once where something waits though nothing keeps it: what was asked for it
 * last was not taken, as the log had it already.
 */
function dueOf(schedule: Schedule, { memory }: ScheduleState): readonly Timer[] {
  const { nextMs, workMs } = memory;
  return [
    ...(nextMs === undefined ? [] : [{ name: slotTimer, dueMs: nextMs }]),
    ...(hasWork(schedule, memory) ? [{ name: workTimer, dueMs: workMs }] : []),
  ];
}
