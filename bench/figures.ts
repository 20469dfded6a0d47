/** The middle of the figures; the mean of the two middle ones where their number is even. */
export function median(figures: readonly number[]): number {
  return percentile(figures, 50);
}

/** The figure below which `percent` of all lie, rounded to a hundredth. */
export function percentile(figures: readonly number[], percent: number): number {
  const sorted = [...figures].sort((left, right) => left - right);
  const at = Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length));
  return Math.round((sorted[at] ?? NaN) * 100) / 100;
}
