import type { Schedule } from "./compile.ts";
import { readSlots, type Slots } from "./cron.ts";
import type {
  Decision,
  Memory,
  Range,
  Run,
  ScheduleState,
  SkipReason,
  Stretch,
  Trigger,
} from "./state.ts";

/** Slots that are counted one by one where they are skipped; of more it is said that there are more. */
const countMax = 1_000;

/** Stretches that are remembered; of older ones only the keys on the log are left. */
const stretchesMax = 64;

/** A state while one record changes it. Lists are replaced, and ranges changed in place: they are its own. */
export type Draft = {
  readonly now: number;
  readonly memory: {
    active: boolean;
    doneMs: number;
    nextMs: number | undefined;
    planned: Memory["planned"];
    runs: Run[];
    queuedMs: number | undefined;
    ranges: Range[];
    backfill: string | undefined;
  };
  readonly fire: (slotMs: number, trigger: Trigger) => void;
  readonly skip: (
    reason: SkipReason,
    of: { readonly fromMs: number; readonly toMs: number; readonly holder?: string | undefined },
  ) => void;
  readonly cancel: (run: Run, forMs: number) => void;
  readonly hasFired: (slotMs: number) => boolean;
  readonly forgetPlanned: () => void;
  /** The state that it has become. */
  readonly end: () => ScheduleState;
};

export function begin({ slots }: Schedule, before: Memory, now: number): Draft {
  const decisions: Decision[] = [];
  let { fired } = before;
  const memory: Draft["memory"] = {
    active: before.active,
    doneMs: before.doneMs,
    nextMs: before.nextMs,
    planned: before.planned,
    runs: before.runs,
    queuedMs: before.queuedMs,
    ranges: before.ranges.map((range) => ({ ...range })),
    backfill: before.backfill,
  };
  return {
    now,
    memory,
    fire: (slotMs, trigger) => {
      decisions.push({ kind: "fire", slotMs, trigger });
      memory.planned = [...memory.planned, { slotMs, trigger }];
      fired = withFired(fired, slots, slotMs);
    },
    skip: (reason, { fromMs, toMs, holder }) => {
      const counted = count(slots, fromMs, toMs);
      decisions.push({ kind: "skip", reason, fromMs, toMs, ...counted, holder });
    },
    cancel: (run, forMs) => {
      decisions.push({ kind: "cancel", run, forMs });
    },
    hasFired: (slotMs) => fired.some((stretch) => holds(stretch, slots, slotMs)),
    forgetPlanned: () => {
      memory.planned = [];
    },
    end: () => {
      const { nextMs, queuedMs, backfill, ...rest } = memory;
      const after: Memory = {
        ...rest,
        ...(nextMs === undefined ? {} : { nextMs }),
        ...(queuedMs === undefined ? {} : { queuedMs }),
        ...(backfill === undefined ? {} : { backfill }),
        workMs: Math.max(before.workMs + 1, now),
        fired,
      };
      return { memory: after, decisions };
    },
  };
}

function count(
  { next }: Slots,
  fromMs: number,
  toMs: number,
): { readonly count: number; readonly more: boolean } {
  let counted = 1;
  let slotMs = fromMs === toMs ? undefined : next(fromMs);
  for (; slotMs !== undefined && slotMs <= toMs; slotMs = next(slotMs)) {
    if (counted === countMax) return { count: counted, more: true };
    counted += 1;
  }
  return { count: counted, more: false };
}

function withFired(fired: readonly Stretch[], slots: Slots, slotMs: number): Stretch[] {
  const { cron, timezone } = slots;
  const nextMs = slots.next(slotMs) ?? slotMs;
  const before = fired.find((one) => isOf(one, slots) && one.nextMs === slotMs);
  const others = fired.filter((one) => one !== before);
  const fromMs = before?.fromMs ?? slotMs;
  return [...others, { cron, timezone, fromMs, toMs: slotMs, nextMs }].slice(-stretchesMax);
}

function holds(stretch: Stretch, slots: Slots, slotMs: number): boolean {
  if (slotMs < stretch.fromMs || slotMs > stretch.toMs) return false;
  if (isOf(stretch, slots)) return true;
  const then = readSlots(stretch.cron, stretch.timezone);
  return then.ok && then.value.next(slotMs - 1) === slotMs;
}

function isOf({ cron, timezone }: Stretch, slots: Slots): boolean {
  return cron === slots.cron && timezone === slots.timezone;
}
