import type { Clock } from "../base/clock.ts";
import { LogError, type Log } from "../log/log.ts";

export type Readiness = {
  /** The log, watched: what its appends come to decides. */
  readonly append: Log["append"];
  /** Undefined where requests can be served; else why not. */
  readonly notReady: () => string | undefined;
  readonly stopping: () => void;
};

/** A failure is forgotten after this time: somebody has to try, to see that there is space again. */
const failureMs = 10_000;

/** Whether a node can take requests: not while it stops, nor right after its log could not take events. */
export function createReadiness(log: Pick<Log, "append">, clock: Clock): Readiness {
  let stopping = false;
  let failure: { readonly message: string; readonly atMs: number } | undefined;
  return {
    append: async (events) => {
      try {
        const receipts = await log.append(events);
        failure = undefined;
        return receipts;
      } catch (thrown) {
        if (thrown instanceof LogError && thrown.retryable)
          failure = { message: thrown.message, atMs: clock.nowMs() };
        throw thrown;
      }
    },
    notReady: () => {
      if (stopping) return "the program is stopping";
      const recent = failure !== undefined && clock.nowMs() - failure.atMs < failureMs;
      return recent ? failure?.message : undefined;
    },
    stopping: () => {
      stopping = true;
    },
  };
}
