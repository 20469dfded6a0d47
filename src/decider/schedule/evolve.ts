/**
 * What a schedule makes of a record: which slots are started, which are not, what it waits for.
 *
 * Invariants
 * 1. A slot is started at most once. What falls due lies behind `doneMs`, which only rises, also where the
 *    clock steps back; a backfill passes over what was started (`fired`); and the keys on the log are
 *    derived from the slot, so that a second node, or a lost state, asks for nothing new.
 * 2. Every slot of an active schedule is started, or told to be skipped with the reason.
 * 3. After every record the next slot lies in the future of that record: a timer that was lost cannot stop
 *    a schedule for longer than to its next activation.
 * 4. Without `overlap: allow` at most one run of the schedule has not ended. Backfill and catch-up are
 *    started one after the other; with `allow`, at most `rangeRunsMax` of them run.
 * 5. Runs are counted by what is on the log: their requests and their ends. A request that the log did not
 *    take, as its key was there, holds up nothing.
 *
 * A paused execution has not ended: it counts as running.
 */
import type { LogRecord } from "../../event/envelope.ts";
import { scheduledKey, slotTag } from "./naming.ts";
import type { Schedule } from "./compile.ts";
import { begin, type Draft } from "./draft.ts";
import type { Memory, ScheduleState } from "./state.ts";

/** The newest slot counts as on time up to this age: timers may be that late. */
export const onTimeMs = 60_000;

/** Runs of one schedule with `overlap: allow`, at most. */
export const runsMax = 256;

/** Runs of backfill and catch-up among them, at most. */
export const rangeRunsMax = 16;

/** Slots that a backfill passes over in one step, at most. */
const passedMax = 1_000;

export function evolveSchedule(
  schedule: Schedule,
  state: ScheduleState,
  record: LogRecord,
): ScheduleState {
  const { event, ingestedAtMs: nowMs } = record;
  const draft = begin(schedule, state.memory, nowMs);
  switch (event.event_type) {
    case "schedule.activated":
      draft.forgetPlanned();
      if (schedule.mode === "live") activate(draft, schedule);
      else deactivate(draft, schedule);
      break;
    case "schedule.deactivated":
      draft.forgetPlanned();
      deactivate(draft, schedule);
      break;
    case "timer.fired":
      draft.forgetPlanned();
      if (event.attrs["name"] === slotTimer) fallDue(draft, schedule);
      startWaiting(draft, schedule);
      break;
    case "action.requested":
    case "execution.requested":
      if (!noteRequest(draft, schedule, record)) return unmoved(state);
      break;
    default:
      if (!noteEnd(draft, record)) return unmoved(state);
      startWaiting(draft, schedule);
  }
  return draft.end();
}

/** What was decided is told once. */
function unmoved(state: ScheduleState): ScheduleState {
  return state.decisions.length === 0 ? state : { ...state, decisions: [] };
}

export const slotTimer = "slot";

export const workTimer = "work";

/** True where something waits and nothing keeps it from being started. */
export function hasWork(schedule: Schedule, memory: Memory): boolean {
  if (!memory.active) return false;
  const { queuedMs, ranges, runs } = memory;
  if (queuedMs !== undefined && runs.length === 0) return true;
  return ranges.length > 0 && hasRoom(schedule, { runs, queuedMs, planned: [] });
}

function activate(draft: Draft, schedule: Schedule): void {
  const { now } = draft;
  const memory = draft.memory;
  if (memory.active && memory.nextMs !== undefined && memory.nextMs <= now) {
    fallDue(draft, schedule);
  } else memory.doneMs = Math.max(memory.doneMs, now);
  memory.active = true;
  memory.nextMs = schedule.slots.next(memory.doneMs);
  setBackfill(draft, schedule);
  startWaiting(draft, schedule);
}

/** What waits is given up, and told; a backfill goes on where it stopped once the schedule is active again. */
function deactivate(draft: Draft, schedule: Schedule): void {
  const { memory } = draft;
  const { queuedMs } = memory;
  if (queuedMs !== undefined) draft.skip("inactive", { fromMs: queuedMs, toMs: queuedMs });
  memory.queuedMs = undefined;
  for (const { trigger, nextMs, toMs } of memory.ranges) {
    if (trigger === "catch_up") draft.skip("inactive", { fromMs: nextMs, toMs });
  }
  memory.ranges = memory.ranges.filter(({ trigger }) => trigger === "backfill");
  const { nextMs } = memory;
  const lastMs = schedule.slots.previous(draft.now + 1);
  if (nextMs !== undefined && lastMs !== undefined && nextMs <= lastMs) {
    draft.skip("inactive", { fromMs: nextMs, toMs: lastMs });
  }
  memory.doneMs = Math.max(memory.doneMs, draft.now);
  memory.active = false;
  memory.nextMs = undefined;
}

/** The range's name is its times: a new version with the same backfill goes on with it. */
function setBackfill(draft: Draft, { backfill, slots }: Schedule): void {
  const { memory } = draft;
  const name =
    backfill === undefined ? undefined : `${String(backfill.fromMs)}/${String(backfill.toMs)}`;
  if (backfill === undefined || name === undefined) {
    memory.ranges = memory.ranges.filter(({ trigger }) => trigger !== "backfill");
  } else if (memory.backfill !== name) {
    const others = memory.ranges.filter(({ trigger }) => trigger !== "backfill");
    const nextMs = slots.next(backfill.fromMs - 1);
    const toMs = Math.min(backfill.toMs, memory.doneMs);
    const some = nextMs !== undefined && nextMs <= toMs;
    memory.ranges = some ? [...others, { trigger: "backfill", nextMs, toMs }] : others;
    memory.backfill = name;
  }
  memory.ranges = memory.ranges.flatMap((range) => {
    const nextMs = slots.next(range.nextMs - 1);
    return nextMs === undefined || nextMs > range.toMs ? [] : [{ ...range, nextMs }];
  });
}

/** The slots from the one that the timer was for up to now: the newest, and those that were missed before it. */
function fallDue(draft: Draft, schedule: Schedule): void {
  const { memory } = draft;
  const { slots } = schedule;
  const fromMs = memory.nextMs;
  if (fromMs === undefined) return;
  const endMs = Math.max(draft.now, fromMs);
  const first = slots.next(fromMs - 1);
  if (first === undefined || first > endMs) {
    memory.doneMs = Math.max(memory.doneMs, endMs);
    memory.nextMs = slots.next(memory.doneMs);
    return;
  }
  const second = slots.next(first);
  const alone = second === undefined || second > endMs;
  const newest = alone ? first : (slots.previous(endMs + 1) ?? first);
  const start = firstToStart(draft, schedule, { first, newest });
  if (start === undefined) draft.skip("missed", { fromMs: first, toMs: newest });
  else if (start > first) {
    draft.skip("missed", { fromMs: first, toMs: slots.previous(start) ?? first });
  }
  memory.doneMs = newest;
  memory.nextMs = alone ? second : slots.next(newest);
  if (start === undefined) return;
  if (start < newest) memory.ranges.push({ trigger: "catch_up", nextMs: start, toMs: newest });
  else startDue(draft, schedule, newest);
}

/** The oldest of these slots that is still to be started; all behind it are, too. */
function firstToStart(
  { now }: Draft,
  { catchUp, slots }: Schedule,
  { first, newest }: { readonly first: number; readonly newest: number },
): number | undefined {
  const onTime = now - newest <= onTimeMs ? newest : undefined;
  if (catchUp.policy === "none") return onTime;
  const oldestMs = now - catchUp.windowMs;
  if (catchUp.policy === "last") return newest >= oldestMs ? newest : onTime;
  const within = slots.next(Math.max(first, oldestMs) - 1);
  return within !== undefined && within <= newest ? within : onTime;
}

/** A slot that falls due now. */
function startDue(draft: Draft, schedule: Schedule, slotMs: number): void {
  const { memory } = draft;
  const runs = memory.runs.length + memory.planned.length;
  if (schedule.overlap === "allow") {
    if (runs < runsMax) draft.fire(slotMs, "slot");
    else draft.skip("limit", { fromMs: slotMs, toMs: slotMs });
    return;
  }
  const catchingUp = memory.ranges.findLast(({ trigger }) => trigger === "catch_up");
  if (catchingUp !== undefined && schedule.catchUp.policy === "all") catchingUp.toMs = slotMs;
  else if (runs === 0 && memory.queuedMs === undefined) draft.fire(slotMs, "slot");
  else overlap(draft, schedule, slotMs);
}

/** One slot at most waits. For a run of a backfill or a catch-up a slot waits whatever the policy. */
function overlap(draft: Draft, schedule: Schedule, slotMs: number): void {
  const { memory } = draft;
  const { queuedMs } = memory;
  const holder = memory.runs[0]?.id;
  const waits =
    schedule.overlap !== "skip" || memory.runs.every(({ trigger }) => trigger !== "slot");
  if (waits && queuedMs === undefined) memory.queuedMs = slotMs;
  else if (schedule.overlap === "cancel_previous" && queuedMs !== undefined) {
    draft.skip("overlap", { fromMs: queuedMs, toMs: queuedMs, holder });
    memory.queuedMs = slotMs;
  } else draft.skip("overlap", { fromMs: slotMs, toMs: slotMs, holder });
  if (schedule.overlap !== "cancel_previous") return;
  memory.runs = memory.runs.map((run) => {
    if (run.trigger !== "slot" || run.cancelling) return run;
    draft.cancel(run, slotMs);
    return { ...run, cancelling: true };
  });
}

/** Starts what waits, as far as there is room: the slot that fell due first, then ranges in their order. */
function startWaiting(draft: Draft, schedule: Schedule): void {
  const { memory } = draft;
  const { slots } = schedule;
  if (!memory.active) return;
  const { queuedMs } = memory;
  const free = memory.runs.length + memory.planned.length === 0;
  if (queuedMs !== undefined && (free || schedule.overlap === "allow")) {
    draft.fire(queuedMs, "slot");
    memory.queuedMs = undefined;
  }
  for (let passed = 0; passed < passedMax; passed += 1) {
    const range = memory.ranges.find(({ trigger }) => trigger === "catch_up") ?? memory.ranges[0];
    if (range === undefined || !hasRoom(schedule, memory)) return;
    const slotMs = range.nextMs;
    if (!draft.hasFired(slotMs)) draft.fire(slotMs, range.trigger);
    const nextMs = slots.next(slotMs);
    if (nextMs === undefined || nextMs > range.toMs) {
      memory.ranges = memory.ranges.filter((other) => other !== range);
    } else range.nextMs = nextMs;
  }
}

function hasRoom(
  { overlap }: Schedule,
  { runs, planned, queuedMs }: Pick<Draft["memory"], "runs" | "planned" | "queuedMs">,
): boolean {
  const all = [...runs, ...planned];
  if (overlap !== "allow") return all.length === 0 && queuedMs === undefined;
  return (
    all.length < runsMax && all.filter(({ trigger }) => trigger !== "slot").length < rangeRunsMax
  );
}

/** @returns true where its own request has come to the log: from here on it runs. */
function noteRequest(draft: Draft, { name }: Schedule, { event }: LogRecord): boolean {
  const { memory } = draft;
  const slot = event.tags[slotTag];
  const slotMs = typeof slot === "string" ? Date.parse(slot) : NaN;
  const id = event.action_id ?? event.execution_id;
  if (id === undefined || Number.isNaN(slotMs)) return false;
  if (event.idempotency_key !== scheduledKey(name, slotMs)) return false;
  const kind = event.action_id === undefined ? "execution" : "action";
  const planned = memory.planned.find((one) => one.slotMs === slotMs);
  memory.planned = memory.planned.filter((one) => one !== planned);
  const trigger = planned?.trigger ?? "slot";
  const { entity_id: entity } = event;
  memory.runs = [...memory.runs, { slotMs, trigger, kind, id, entity, cancelling: false }];
  return true;
}

/** @returns true where one of its runs has ended. */
function noteEnd({ memory }: Draft, { event }: LogRecord): boolean {
  const id = event.action_id ?? event.execution_id;
  const left = memory.runs.filter((run) => run.id !== id);
  const ended = left.length < memory.runs.length;
  memory.runs = left;
  return ended;
}
