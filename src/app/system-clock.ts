import type { Clock } from "../base/clock.ts";

/** The process's clock. Its timers do not keep the process alive: servers and children do that. */
export function createSystemClock(): Clock {
  return {
    nowMs: Date.now,
    after: (delayMs, task) => {
      const timer = setTimeout(task, delayMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
      };
    },
    soon: setImmediate,
  };
}
