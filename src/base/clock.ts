/**
 * Time as an input. The process has one clock; a simulation moves its own.
 *
 * `after` is the only way code outside the adapters may wait: it makes every timer of the
 * kernel, the worker and the sources visible to the simulator.
 */
export type Clock = {
  /** Milliseconds since the Unix epoch, UTC. May step backwards: it is data, never order. */
  readonly nowMs: () => number;
  /** Calls `task` once, `delayMs` (>= 0) from now. The returned function cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Calls `task` as soon as what runs now has ended: what was asked meanwhile shares one turn. */
  readonly soon: (task: () => void) => void;
};

/** RFC 3339, UTC, milliseconds: `2026-11-24T05:00:00.000Z`. */
export function timestamp(atMs: number): string {
  return new Date(atMs).toISOString();
}
