import type { Clock } from "../src/base/clock.ts";

/** A clock that a test moves by hand. Nothing happens on it by itself but what was asked for `soon`. */
export type ManualClock = Clock & {
  /**
   * Moves time on and calls what falls due on the way, in order; between any two calls, what was
   * waiting for a promise goes on.
   */
  readonly advance: (byMs: number) => Promise<void>;
  /** Lets all that waits for nothing but promises go on. */
  readonly settle: () => Promise<void>;
  /** Timers that are armed: what is left behind shows here. */
  readonly armed: () => number;
};

/** @param startMs milliseconds since the Unix epoch. Default 2026-11-24T05:00:00Z. */
export function createManualClock(startMs = Date.UTC(2026, 10, 24, 5)): ManualClock {
  type Timer = { readonly dueMs: number; readonly order: number; readonly task: () => void };
  const timers = new Set<Timer>();
  let nowMs = startMs;
  let order = 0;

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  const earliest = (untilMs: number): Timer | undefined =>
    [...timers]
      .filter(({ dueMs }) => dueMs <= untilMs)
      .sort((left, right) => left.dueMs - right.dueMs || left.order - right.order)[0];

  return {
    nowMs: () => nowMs,
    after: (delayMs, task) => {
      order += 1;
      const timer: Timer = { dueMs: nowMs + delayMs, order, task };
      timers.add(timer);
      return () => {
        timers.delete(timer);
      };
    },
    soon: (task) => {
      setImmediate(task);
    },
    advance: async (byMs) => {
      const untilMs = nowMs + byMs;
      await settle();
      for (let timer = earliest(untilMs); timer !== undefined; timer = earliest(untilMs)) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.task();
        await settle();
      }
      nowMs = untilMs;
    },
    settle,
    armed: () => timers.size,
  };
}
