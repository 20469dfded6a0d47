/** The recorded starts of one rate key, as far back as the widest window that was asked for sees. */
export type RateStarts = {
  /** Milliseconds since the Unix epoch, oldest first. */
  startsMs: number[];
  /** The widest window. */
  perMs: number;
};

/** Keeps a start, and forgets those that no window sees any more. */
export function addStart(starts: RateStarts, atMs: number): void {
  const { startsMs, perMs } = starts;
  startsMs.splice(0, firstAfter(startsMs, atMs - perMs));
  // The clock may step back: the row stays in order.
  startsMs.splice(firstAfter(startsMs, atMs), 0, atMs);
}

/** How many starts a window of `perMs` sees at `nowMs`: one of exactly `perMs` ago is over. */
export function startsWithin({ startsMs }: RateStarts, perMs: number, nowMs: number): number {
  return startsMs.length - firstAfter(startsMs, nowMs - perMs);
}

/** When the window has room for one more than at `nowMs`; `undefined` where it sees no start. */
export function opensAt(
  starts: RateStarts,
  { limit, perMs }: { readonly limit: number; readonly perMs: number },
  nowMs: number,
): number | undefined {
  const seen = startsWithin(starts, perMs, nowMs);
  const leaves = starts.startsMs[starts.startsMs.length - Math.min(seen, limit)];
  return leaves === undefined ? undefined : leaves + perMs;
}

/** The index of the first start that is later than `sinceMs`. */
function firstAfter(startsMs: readonly number[], sinceMs: number): number {
  let low = 0;
  for (let high = startsMs.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((startsMs[middle] ?? Infinity) > sinceMs) high = middle;
    else low = middle + 1;
  }
  return low;
}
