import { err, ok, type Result } from "./result.ts";

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A hundred years: what is longer was mistyped. */
const durationMsMax = 36_500 * unitMs.d;

type Unit = keyof typeof unitMs;

/**
 * Reads a duration as people write it: `250ms`, `30s`, `10m`, `2h`, `7d`, or parts in a row (`1h30m`).
 *
 * @returns whole milliseconds (rounded); refused with a sentence that says what was given and what is accepted.
 */
export function parseDurationMs(text: string): Result<number, string> {
  const trimmed = text.trim();
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const read = parts.map((part) => part[0]).join("");
  if (parts.length === 0 || read !== trimmed) {
    return err(
      `"${text}" is not a duration: write a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d`,
    );
  }
  let totalMs = 0;
  for (const part of parts) totalMs += Number(part[1]) * unitMs[part[2] as Unit];
  const roundedMs = Math.round(totalMs);
  if (roundedMs > durationMsMax) {
    return err(`"${text}" is too long for a duration: at most 36500d`);
  }
  return ok(roundedMs);
}
