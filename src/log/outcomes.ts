import type { LogRecord } from "../event/envelope.ts";
import { anomalyTag } from "../event/envelope.ts";
import type { ActionId } from "../event/ids.ts";
import type { Log } from "./log.ts";

/** Waits for actions to end; see {@link createOutcomes}. */
export type Outcomes = {
  /**
   * The terminal record of an action, now or when it comes.
   *
   * @returns `undefined` where the time ran out or the signal was aborted before.
   */
  readonly wait: (
    action: ActionId,
    options: {
      readonly timeoutMs?: number;
      readonly signal?: AbortSignal;
      /** False where the action cannot have ended yet, as it is still to be asked for. Default true. */
      readonly lookBack?: boolean;
    },
  ) => Promise<LogRecord | undefined>;
  /** How many waits are under way. */
  readonly size: () => number;
  /** Answers all waits with `undefined`. */
  readonly close: () => void;
};

type Waiter = (record: LogRecord | undefined) => void;

const terminal: ReadonlySet<string> = new Set([
  "action.succeeded",
  "action.failed",
  "action.cancelled",
]);

/** One listener on the log serves every wait: a commit looks each terminal event up in a map. */
export function createOutcomes(log: Log): Outcomes {
  const waiters = new Map<ActionId, Set<Waiter>>();
  const stopListening = log.onCommit((records) => {
    if (waiters.size === 0) return;
    for (const record of records) {
      const { action_id: action, event_type: type, tags } = record.event;
      if (action === undefined || !terminal.has(type) || tags[anomalyTag] !== undefined) continue;
      const waiting = waiters.get(action);
      if (waiting === undefined) continue;
      waiters.delete(action);
      for (const waiter of waiting) waiter(record);
    }
  });

  let closed = false;

  const already = async (action: ActionId): Promise<LogRecord | undefined> => {
    const row = await log.getAction(action);
    if (row?.terminalOffset === undefined) return undefined;
    const [record] = await log.read({ from: row.terminalOffset, limit: 1 });
    return record;
  };

  return {
    wait: (action, { timeoutMs, signal, lookBack = true }) =>
      new Promise((resolve, reject) => {
        if (closed) {
          resolve(undefined);
          return;
        }
        let timer: ReturnType<typeof setTimeout> | undefined;
        const done: Waiter = (record) => {
          const waiting = waiters.get(action);
          waiting?.delete(done);
          if (waiting?.size === 0) waiters.delete(action);
          clearTimeout(timer);
          signal?.removeEventListener("abort", giveUp);
          resolve(record);
        };
        const giveUp = (): void => {
          done(undefined);
        };
        const waiting = waiters.get(action);
        if (waiting === undefined) waiters.set(action, new Set([done]));
        else waiting.add(done);
        if (timeoutMs !== undefined) timer = setTimeout(giveUp, timeoutMs);
        if (signal?.aborted === true) giveUp();
        else signal?.addEventListener("abort", giveUp);
        if (!lookBack) return;
        already(action).then(
          (record) => {
            if (record !== undefined) done(record);
          },
          (thrown: unknown) => {
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
            giveUp();
          },
        );
      }),
    size: () => waiters.size,
    close: () => {
      closed = true;
      stopListening();
      for (const waiting of [...waiters.values()])
        for (const waiter of [...waiting]) waiter(undefined);
    },
  };
}
