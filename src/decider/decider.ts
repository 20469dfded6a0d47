/**
 * The one contract of everything that decides: the action lifecycle, rules, schedules, playbooks, and later
 * state machines and models.
 *
 * Invariants
 * 1. Pure: the same records in the same order give the same state and the same events, byte for byte.
 *    Time is `record.ingestedAtMs` and what events carry.
 * 2. `evolve` sees every record of the instance first, then `decide` sees the state that includes it.
 * 3. What `decide` returns is appended in the same commit, and comes back through `evolve` before the
 *    next input is looked at. Decided events have derived idempotency keys where they ask for actions.
 * 4. `due` says what the state waits for. It is level-triggered: the kernel arms what it names and
 *    disarms what it no longer names, so no timer can be lost or left over.
 * 5. `advance` is asked when the records of a commit are folded, again and again until it gives nothing: one
 *    step at a time, each on the log and folded before the next.
 * 6. A state may be owned by whoever drives it: `evolve` may change it in place, and gives back another object
 *    wherever anything changed.
 */
import type { Json } from "../base/json.ts";
import type { Result } from "../base/result.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import type { DeedError } from "../event/error.ts";

/** A wake-up that a state waits for: it arrives as a `timer.fired` event with this name. */
export type Timer = { readonly name: string; readonly dueMs: number };

export type Decider<S> = {
  /** Unique among the deciders of a log, e.g. `rule/restart-crashed`. */
  readonly name: string;
  /** Content hash or version: recorded with what it decides. */
  readonly version: string;
  /** The instances that a record concerns; most often none. Called for every record: must be cheap. */
  readonly keysOf: (record: LogRecord) => readonly string[];
  readonly initial: (key: string) => S;
  readonly evolve: (state: S, record: LogRecord) => S;
  readonly decide: (state: S, record: LogRecord) => readonly NewEvent[];
  /**
   * What follows by itself from a state that `evolve` changed.
   *
   * @param nowMs the time of the commit.
   */
  readonly advance?: (state: S, nowMs: number) => readonly NewEvent[];
  /**
   * What becomes of an instance whose next step cannot be taken: `advance` threw, or the log did not take what it
   * gave, as somebody else's event has its key. Without an answer it would wait for ever.
   *
   * @param error why.
   */
  readonly stuck?: (state: S, error: DeedError, nowMs: number) => readonly NewEvent[];
  /**
   * Set: each instance is an execution, and can be folded again from its thread. Then snapshots are written
   * now and then instead of with every commit.
   */
  readonly thread?: { readonly ended: (state: S) => boolean };
  readonly due: (state: S) => readonly Timer[];
  /**
   * The state in a snapshot; `undefined` where there is nothing to keep. `decode` reads it back and refuses
   * what another version wrote.
   */
  readonly encode: (state: S) => Json | undefined;
  readonly decode: (snapshot: Json) => Result<S, string>;
};

/**
 * A decider among others. Whoever drives it keeps its states without looking into them, and each comes back only
 * to the decider that made it.
 */
export function untyped<S>(decider: Decider<S>): Decider<unknown> {
  return decider as Decider<unknown>;
}

/** `attrs` of `timer.fired`: routes the wake-up to its instance. */
export type TimerFiredAttrs = {
  readonly decider: string;
  readonly instance: string;
  readonly name: string;
  /** Milliseconds since the Unix epoch. */
  readonly due_ms: number;
};
