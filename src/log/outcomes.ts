import type { LogRecord } from "../event/envelope.ts";
import { anomalyTag } from "../event/envelope.ts";
import type { ActionId, ExecutionId } from "../event/ids.ts";
import type { Log } from "./log.ts";

export type WaitOptions = {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** False where it cannot have ended yet, as it is still to be asked for. Default true. */
  readonly lookBack?: boolean;
};

/** Waits for actions and executions to end; see {@link createOutcomes}. */
export type Outcomes = {
  /**
   * The terminal record of an action, now or when it comes.
   *
   * @returns `undefined` where the time ran out or the signal was aborted before.
   */
  readonly wait: (action: ActionId, options: WaitOptions) => Promise<LogRecord | undefined>;
  /** The same of an execution. */
  readonly waitExecution: (
    execution: ExecutionId,
    options: WaitOptions,
  ) => Promise<LogRecord | undefined>;
  /** How many waits are under way. */
  readonly size: () => number;
  /** Answers all waits with `undefined`. */
  readonly close: () => void;
};

type Waiter = (record: LogRecord | undefined) => void;

/** Whose end an event is. An id of one kind is never one of the other. */
type Ended = ActionId | ExecutionId;

const endOf: ReadonlyMap<string, "action_id" | "execution_id"> = new Map([
  ["action.succeeded", "action_id"],
  ["action.failed", "action_id"],
  ["action.cancelled", "action_id"],
  ["execution.completed", "execution_id"],
  ["execution.failed", "execution_id"],
  ["execution.cancelled", "execution_id"],
]);

/** One listener on the log serves every wait: a commit looks each terminal event up in a map. */
export function createOutcomes(log: Log): Outcomes {
  const waiters = new Map<Ended, Set<Waiter>>();
  const stopListening = log.onCommit((records) => {
    if (waiters.size === 0) return;
    for (const record of records) {
      const { event_type: type, tags } = record.event;
      const member = endOf.get(type);
      const ended = member === undefined ? undefined : record.event[member];
      if (ended === undefined || tags[anomalyTag] !== undefined) continue;
      const waiting = waiters.get(ended);
      if (waiting === undefined) continue;
      waiters.delete(ended);
      for (const waiter of waiting) waiter(record);
    }
  });

  let closed = false;

  const recordAt = async (offset: number | undefined): Promise<LogRecord | undefined> => {
    if (offset === undefined) return undefined;
    const [record] = await log.read({ from: offset, limit: 1 });
    return record;
  };

  const waitFor = (
    id: Ended,
    { timeoutMs, signal, lookBack = true }: WaitOptions,
    terminalOffset: () => Promise<number | undefined>,
  ): Promise<LogRecord | undefined> =>
    new Promise((resolve, reject) => {
      if (closed) {
        resolve(undefined);
        return;
      }
      let timer: ReturnType<typeof setTimeout> | undefined;
      const done: Waiter = (record) => {
        const waiting = waiters.get(id);
        waiting?.delete(done);
        if (waiting?.size === 0) waiters.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener("abort", giveUp);
        resolve(record);
      };
      const giveUp = (): void => {
        done(undefined);
      };
      const waiting = waiters.get(id);
      if (waiting === undefined) waiters.set(id, new Set([done]));
      else waiting.add(done);
      if (timeoutMs !== undefined) timer = setTimeout(giveUp, timeoutMs);
      if (signal?.aborted === true) giveUp();
      else signal?.addEventListener("abort", giveUp);
      if (!lookBack) return;
      terminalOffset()
        .then(recordAt)
        .then(
          (record) => {
            if (record !== undefined) done(record);
          },
          (thrown: unknown) => {
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
            giveUp();
          },
        );
    });

  return {
    wait: (action, options) =>
      waitFor(action, options, async () => (await log.getAction(action))?.terminalOffset),
    waitExecution: (execution, options) =>
      waitFor(execution, options, async () => (await log.getExecution(execution))?.terminalOffset),
    size: () => waiters.size,
    close: () => {
      closed = true;
      stopListening();
      for (const waiting of [...waiters.values()])
        for (const waiter of [...waiting]) waiter(undefined);
    },
  };
}
