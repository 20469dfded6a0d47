/**
 * All that waits for events of one log, behind one follower of it.
 *
 * 1. The log is followed while somebody waits, and not otherwise. A record is shown to those who wait for
 *    its type, and to those whose pattern may match it: how many wait for other types costs nothing.
 * 2. From the moment `join` returns no record is missed. What was committed before is the past, which each
 *    reads for itself.
 * 3. Where the log cannot be followed any more, all who wait are told so.
 */
import type { LogRecord } from "../../event/envelope.ts";

/** What there is to see of the log: wired by the app. */
export type EventFeed = {
  /**
   * The tenant's records that were taken in from `sinceMs` on, oldest first, up to the newest one there is
   * when it is asked for the first batch. Then it ends.
   */
  readonly past: (query: {
    readonly sinceMs: number;
    readonly tenant: string;
    readonly signal: AbortSignal;
  }) => AsyncIterable<readonly LogRecord[]>;
  /** What is committed from this call on, in batches, until `signal` is aborted. */
  readonly follow: (signal: AbortSignal) => AsyncIterable<readonly LogRecord[]>;
};

export type Waiter = {
  /** One event type, or a pattern of types. */
  readonly types: string | ((eventType: string) => boolean);
  readonly see: (record: LogRecord) => void;
  readonly broken: (thrown: unknown) => void;
};

export type Hub = {
  /** @returns what leaves the hub. */
  readonly join: (waiter: Waiter) => () => void;
};

export function createHub(feed: EventFeed): Hub {
  const byType = new Map<string, Set<Waiter>>();
  const byPattern = new Set<Waiter>();
  let following: AbortController | undefined;

  const show = (record: LogRecord): void => {
    const type = record.event.event_type;
    for (const waiter of byType.get(type) ?? []) waiter.see(record);
    for (const waiter of byPattern) {
      if (typeof waiter.types === "function" && waiter.types(type)) waiter.see(record);
    }
  };

  const follow = async (controller: AbortController): Promise<void> => {
    try {
      for await (const records of feed.follow(controller.signal)) {
        if (following !== controller) return;
        for (const record of records) show(record);
      }
      if (following === controller) throw new Error("the log is closed");
    } catch (thrown) {
      if (following !== controller) return;
      following = undefined;
      const all = [...byPattern, ...[...byType.values()].flatMap((waiters) => [...waiters])];
      for (const waiter of all) waiter.broken(thrown);
    }
  };

  const leave = (waiter: Waiter): void => {
    if (typeof waiter.types === "function") byPattern.delete(waiter);
    else {
      const others = byType.get(waiter.types);
      others?.delete(waiter);
      if (others?.size === 0) byType.delete(waiter.types);
    }
    if (byType.size + byPattern.size > 0) return;
    const ended = following;
    following = undefined;
    ended?.abort();
  };

  return {
    join: (waiter) => {
      if (typeof waiter.types === "function") byPattern.add(waiter);
      else {
        const others = byType.get(waiter.types) ?? new Set();
        byType.set(waiter.types, others.add(waiter));
      }
      if (following === undefined) {
        following = new AbortController();
        void follow(following);
      }
      return () => {
        leave(waiter);
      };
    },
  };
}
