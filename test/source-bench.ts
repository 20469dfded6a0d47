/** A source over a log in memory, on a clock that the test moves. The log outlives the source. */
import type { DeedEvent, NewEvent } from "../src/event/envelope.ts";
import { createMemoryLog } from "../src/log/memory/memory-log.ts";
import type { Log } from "../src/log/log.ts";
import type { Source, SourceContext } from "../src/source/source.ts";
import { createManualClock, type ManualClock } from "./manual-clock.ts";

export type SourceBench = {
  readonly clock: ManualClock;
  readonly log: Log;
  readonly warnings: string[];
  /** Makes the next appends fail with these errors, one each. */
  readonly failures: Error[];
  readonly start: (source: Source) => Promise<void>;
  /** Every event on the log, of one type where it is named. */
  readonly events: (type?: string) => Promise<readonly DeedEvent[]>;
};

export function sourceBench(options: { readonly eventBytesMax?: number } = {}): SourceBench {
  const clock = createManualClock();
  const log = createMemoryLog({ clock, ...options });
  const warnings: string[] = [];
  const failures: Error[] = [];
  const contextOf = (name: string): SourceContext => ({
    append: (events: readonly NewEvent[]) => {
      const failure = failures.shift();
      return failure === undefined ? log.append(events) : Promise.reject(failure);
    },
    newest: async (entity, types) => {
      const records = await log.readThread({ of: { entity }, order: "newest", limit: 1_000 });
      return records.find(
        ({ event }) => types.includes(event.event_type) && event.source.ns["component"] === name,
      )?.event;
    },
    clock,
    warn: (message) => warnings.push(message),
  });
  return {
    clock,
    log,
    warnings,
    failures,
    start: (source) => source.start(contextOf(source.name)),
    events: async (type) => {
      const records = await log.read({ from: 1, limit: 100_000 });
      const events = records.map(({ event }) => event);
      return type === undefined ? events : events.filter((event) => event.event_type === type);
    },
  };
}
