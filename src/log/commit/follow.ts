import type { LogRecord } from "../../event/envelope.ts";
import type { Offset } from "../../event/ids.ts";
import type { Log, ReadQuery } from "../log.ts";

const batchMax = 500;

/**
 * Follows a log by reading it: `Log.follow` for any log that reads and tells of its commits.
 *
 * Nothing is buffered for a consumer: a commit only wakes it, and it reads on from where it was.
 */
export async function* followByReading(
  log: Pick<Log, "read" | "head" | "onCommit">,
  query: Omit<ReadQuery, "limit"> & { readonly signal: AbortSignal },
): AsyncGenerator<readonly LogRecord[]> {
  const { signal } = query;
  let from: Offset = query.from;
  let wake: (() => void) | undefined;
  const rouse = (): void => wake?.();
  const stopListening = log.onCommit(rouse);
  signal.addEventListener("abort", rouse);
  try {
    while (!signal.aborted) {
      const head = log.head();
      const records = from > head ? [] : await log.read({ ...query, from, limit: batchMax });
      const last = records.at(-1);
      if (last !== undefined) {
        from = last.offset + 1;
        yield records;
      } else if (from <= head) {
        from = head + 1;
      } else {
        // Nothing comes between the look at the head and this: both are in one turn.
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", rouse);
  }
}
