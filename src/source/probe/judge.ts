/** What a row of findings says of a target's health. Pure: the same findings, the same health. */
import type { Finding } from "./check.ts";

export type Health = "up" | "down" | "degraded";

export type Thresholds = {
  /** Failed checks in a row until it is down. */
  readonly failuresToDown: number;
  /** Good checks in a row until it is up again. */
  readonly successesToUp: number;
  /** Share of the last `window` checks that failed or were slow from which it is degraded, 0 to 1. */
  readonly degraded: { readonly share: number; readonly window: number } | undefined;
};

/** What the findings so far come to. */
export type Tally = {
  /** `undefined` until it is known: nothing is told before. */
  readonly health: Health | undefined;
  /** Failed checks in a row. */
  readonly failures: number;
  /** Good checks in a row. */
  readonly successes: number;
  /** The newest checks, true where one failed or was slow; empty again once it is down. */
  readonly recent: readonly boolean[];
};

export const unknown: Tally = { health: undefined, failures: 0, successes: 0, recent: [] };

/** Takes one finding in. Down outweighs degraded, degraded outweighs up; between them it stays what it was. */
export function judge(tally: Tally, finding: Finding, thresholds: Thresholds): Tally {
  const failures = finding.ok ? 0 : tally.failures + 1;
  const successes = finding.ok ? tally.successes + 1 : 0;
  const window = thresholds.degraded?.window ?? 0;
  const recent = window === 0 ? [] : [...tally.recent, !finding.ok || finding.slow].slice(-window);
  if (failures >= thresholds.failuresToDown) {
    return { health: "down", failures, successes, recent: [] };
  }
  const { degraded, successesToUp } = thresholds;
  if (degraded !== undefined && recent.length === window) {
    const share = recent.filter((unwell) => unwell).length / window;
    if (share >= degraded.share) return { health: "degraded", failures, successes, recent };
  }
  const health = successes >= successesToUp ? "up" : tally.health;
  return { health, failures, successes, recent };
}
