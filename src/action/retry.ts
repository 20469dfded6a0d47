import { seededRandom } from "../base/random.ts";
import type { DeedError } from "../event/error.ts";
import type { ActionId } from "../event/ids.ts";
import type { RetryPolicy } from "./request.ts";

export const retryDefaults = {
  attempts: 3,
  initialMs: 1_000,
  maxMs: 60_000,
  multiplier: 2,
} as const;

/** An attempt that failed, with all that decides whether there will be another. */
export type FailedAttempt = {
  readonly actionId: ActionId;
  /** The attempt that failed, from 1. */
  readonly attempt: number;
  readonly error: DeedError;
  readonly policy: RetryPolicy | undefined;
  /** The end of the request's ttl, milliseconds since the Unix epoch. */
  readonly expiresAtMs: number | undefined;
  readonly nowMs: number;
};

export type AfterFailure =
  | { readonly kind: "retry"; readonly attempt: number; readonly delayMs: number }
  | { readonly kind: "fail"; readonly reason: "exhausted" | "deadline" | "failed" };

/**
 * Decides on another attempt.
 *
 * Exponential with full jitter: a delay between 0 and min(max, initial × multiplier^(attempt-1)), drawn
 * from a generator seeded with the action's id and the attempt, so that every replay draws the same.
 * `error.detail.retry_after_ms` is a lower bound that jitter never undercuts. A ttl gives a deadline
 * in place of a count; both hold where the policy names its attempts.
 */
export function afterFailure(failed: FailedAttempt): AfterFailure {
  const { attempt, error, policy, expiresAtMs } = failed;
  if (!error.retryable) return { kind: "fail", reason: "failed" };
  const attemptsMax =
    policy?.attempts ?? (expiresAtMs === undefined ? retryDefaults.attempts : Infinity);
  if (attempt >= attemptsMax) return { kind: "fail", reason: "exhausted" };
  const delayMs = delayBefore(failed);
  if (expiresAtMs !== undefined && failed.nowMs + delayMs >= expiresAtMs) {
    return { kind: "fail", reason: "deadline" };
  }
  return { kind: "retry", attempt: attempt + 1, delayMs };
}

function delayBefore({ actionId, attempt, error, policy }: FailedAttempt): number {
  const initialMs = policy?.initial_ms ?? retryDefaults.initialMs;
  const maxMs = policy?.max_ms ?? retryDefaults.maxMs;
  const multiplier = policy?.multiplier ?? retryDefaults.multiplier;
  const boundMs = Math.min(maxMs, initialMs * multiplier ** (attempt - 1));
  const jitteredMs = Math.floor(seededRandom(`${actionId}/${String(attempt)}`)() * boundMs);
  const retryAfterMs = error.detail?.["retry_after_ms"];
  return typeof retryAfterMs === "number" ? Math.max(retryAfterMs, jitteredMs) : jitteredMs;
}
