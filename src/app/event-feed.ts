import type { LogRecord } from "../event/envelope.ts";
import type { Offset } from "../event/ids.ts";
import type { EventFeed } from "../executor/wait-for/wait-for.ts";
import type { Log } from "../log/log.ts";

const batchMax = 500;

type Readable = Pick<Log, "read" | "head" | "follow">;

/** The log as `wait_for` sees it: its past from a time on, and what comes. */
export function createEventFeed(log: Readable): EventFeed {
  return {
    past: ({ sinceMs, tenant, signal }) => past(log, { sinceMs, tenant, signal }),
    follow: (signal) => log.follow({ from: log.head() + 1, signal }),
  };
}

async function* past(
  log: Readable,
  { sinceMs, tenant, signal }: Parameters<EventFeed["past"]>[0],
): AsyncGenerator<readonly LogRecord[]> {
  const head = log.head();
  let from = await firstSince(log, head, sinceMs);
  while (from <= head && !signal.aborted) {
    const records = await log.read({ from, limit: batchMax, tenant });
    const last = records.at(-1);
    if (last === undefined) return;
    yield records;
    from = last.offset + 1;
  }
}

/**
 * The first offset that was taken in at `sinceMs` or later; past the head where there is none.
 *
 * It steps back from the head in growing strides, as most look for what is young, and then halves: some
 * 2·log2(n) reads for the n-th record from the end. A clock that stepped back leaves records out of order:
 * then it finds one of the places where they cross `sinceMs`.
 */
async function firstSince(log: Readable, head: Offset, sinceMs: number): Promise<Offset> {
  const isSince = async (offset: Offset): Promise<boolean> => {
    const [record] = await log.read({ from: offset, limit: 1 });
    return record === undefined || record.ingestedAtMs >= sinceMs;
  };
  let high = head + 1;
  let low = head;
  for (let stride = 1; low >= 1 && (await isSince(low)); stride *= 2) {
    high = low;
    low -= stride;
  }
  low = Math.max(0, low);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await isSince(middle)) high = middle;
    else low = middle;
  }
  return high;
}
