/**
 * The source port: turns what happens outside into observations on the log.
 *
 * Invariants
 * 1. Every observation has an idempotency key that follows from what was observed, so that reading
 *    a thing again after a crash changes nothing.
 * 2. A source resumes where the log says that it was: its last `source.position` event, appended in
 *    one batch with what was read up to there.
 * 3. Input that cannot be mapped becomes `event.rejected` in `events.dlq`, whole, with the reason.
 * 4. `stop` ends it: no timer, socket or file handle is left.
 */
import type { Clock } from "../base/clock.ts";
import type { DeedEvent, NewEvent } from "../event/envelope.ts";

export type SourceContext = {
  /** Resolves when the events are durable. All of them, or none. */
  readonly append: (events: readonly NewEvent[]) => Promise<unknown>;
  /**
   * The newest event of this entity that this source itself has written (`source.ns.component` is its
   * name) and that has one of these types, to resume from.
   */
  readonly newest: (entityId: string, types: readonly string[]) => Promise<DeedEvent | undefined>;
  readonly clock: Clock;
  /** What went wrong and will be tried again: for the program's own log lines, never for the event log. */
  readonly warn: (message: string, detail?: Readonly<Record<string, unknown>>) => void;
};

export type Source = {
  /** Unique in the configuration; becomes `source.ns.component`. */
  readonly name: string;
  readonly start: (context: SourceContext) => Promise<void>;
  readonly stop: () => Promise<void>;
};
