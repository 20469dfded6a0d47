import type { Clock } from "../base/clock.ts";

/** The longest that a timer of the system can wait, milliseconds: it fires at once for more. */
const timerMsMax = 2 ** 31 - 1;

/** The process's clock. Its timers do not keep the process alive: servers and children do that. */
export function createSystemClock(): Clock {
  return {
    nowMs: Date.now,
    after: (delayMs, task) => {
      let timer: NodeJS.Timeout;
      const wait = (leftMs: number): void => {
        const partMs = Math.min(leftMs, timerMsMax);
        timer = setTimeout(() => {
          if (leftMs > partMs) wait(leftMs - partMs);
          else task();
        }, partMs);
        timer.unref();
      };
      wait(delayMs);
      return () => {
        clearTimeout(timer);
      };
    },
    soon: setImmediate,
  };
}
