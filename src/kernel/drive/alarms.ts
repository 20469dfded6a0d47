/**
 * Everything that is due at a time: one heap, one timer of the clock.
 *
 * 1. A key has at most one due time; setting it again moves it, and the old entry is forgotten.
 * 2. Memory follows what is armed: entries that were moved or cleared are swept once they are the most.
 * 3. What is due is handed over once and is no longer armed. Whoever cannot take it gives it back by
 *    `postpone`, which arms only what nobody has set or cleared in the meantime.
 * 4. The clock is looked at once a minute at least while anything is armed, so a clock that steps
 *    forward, or a machine that slept, delays nothing by more than that.
 */
import TinyQueue from "tinyqueue";
import type { Clock } from "../../base/clock.ts";

export type Alarm<T> = { readonly key: string; readonly dueMs: number; readonly payload: T };

export type Alarms<T> = {
  readonly set: (alarm: Alarm<T>) => void;
  readonly clear: (key: string) => void;
  /** What was handed over has arrived. */
  readonly taken: (due: readonly Alarm<T>[]) => void;
  /** What was handed over could not be taken: it is handed over again at `againMs`. */
  readonly postpone: (due: readonly Alarm<T>[], againMs: number) => void;
  readonly size: () => number;
  /** Disarms all and holds no timer any more. */
  readonly stop: () => void;
};

/** Stale entries below this number are not worth a sweep. */
const staleMin = 1_024;

/** The clock's timer is set this far ahead at most, milliseconds. */
const delayMsMax = 60_000;

export function createAlarms<T>(clock: Clock, ring: (due: readonly Alarm<T>[]) => void): Alarms<T> {
  const armed = new Map<string, Alarm<T>>();
  /** Handed over, and neither taken nor set nor cleared since. */
  const handed = new Map<string, Alarm<T>>();
  let heap = newHeap<T>([]);
  let scheduledMs = Infinity;
  let cancel: (() => void) | undefined;

  const schedule = (): void => {
    const next = heap.peek();
    if (next === undefined || next.dueMs >= scheduledMs) return;
    cancel?.();
    scheduledMs = next.dueMs;
    const delayMs = Math.min(delayMsMax, Math.max(0, next.dueMs - clock.nowMs()));
    cancel = clock.after(delayMs, onTimer);
  };

  const onTimer = (): void => {
    cancel = undefined;
    scheduledMs = Infinity;
    const nowMs = clock.nowMs();
    const due: Alarm<T>[] = [];
    for (let top = heap.peek(); top !== undefined && top.dueMs <= nowMs; top = heap.peek()) {
      heap.pop();
      if (armed.get(top.key) !== top) continue;
      armed.delete(top.key);
      handed.set(top.key, top);
      due.push(top);
    }
    schedule();
    if (due.length > 0) ring(due);
  };

  const set = (alarm: Alarm<T>): void => {
    handed.delete(alarm.key);
    armed.set(alarm.key, alarm);
    heap.push(alarm);
    if (heap.length > 2 * armed.size + staleMin) heap = newHeap([...armed.values()]);
    schedule();
  };

  return {
    set,
    clear: (key) => {
      armed.delete(key);
      handed.delete(key);
    },
    taken: (due) => {
      for (const alarm of due) {
        if (handed.get(alarm.key) === alarm) handed.delete(alarm.key);
      }
    },
    postpone: (due, againMs) => {
      for (const alarm of due) {
        if (handed.get(alarm.key) === alarm) set({ ...alarm, dueMs: againMs });
      }
    },
    size: () => armed.size,
    stop: () => {
      armed.clear();
      handed.clear();
      heap = newHeap<T>([]);
      cancel?.();
      cancel = undefined;
      scheduledMs = Infinity;
    },
  };
}

function newHeap<T>(alarms: Alarm<T>[]): TinyQueue<Alarm<T>> {
  return new TinyQueue(alarms, (left, right) => left.dueMs - right.dueMs);
}
