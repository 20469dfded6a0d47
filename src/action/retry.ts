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

/** No attempt is waited for longer than this: 30 days. A target that asks for more has given up. */
export const retryWaitMsMax = 2_592_000_000;

/**
 * Decides on another attempt.
 *
 * Exponential with full jitter: a delay between 0 and min(max, initial × multiplier^(attempt-1)), drawn
 * from a generator seeded with the action's id and the attempt, so that every replay draws the same.
 * `error.detail.retry_after_ms` is a lower bound that jitter never undercuts. A ttl gives a deadline
 * in place of a count; both hold where the policy names its attempts.
 *
 * @returns `retry`, or `fail` with why there is no other attempt: `failed` where the error is final,
 *   `exhausted` where the attempts are used up or the wait is over `retryWaitMsMax`, `deadline` where
 *   the ttl ends before the next attempt.
 */
export function afterFailure(failed: FailedAttempt): AfterFailure {
  const { attempt, error, expiresAtMs } = failed;
  if (!error.retryable) return { kind: "fail", reason: "failed" };
  if (attempt >= attemptsMaxOf(failed)) return { kind: "fail", reason: "exhausted" };
  const delayMs = delayBefore(failed);
  if (delayMs > retryWaitMsMax) return { kind: "fail", reason: "exhausted" };
  if (expiresAtMs !== undefined && failed.nowMs + delayMs >= expiresAtMs) {
    return { kind: "fail", reason: "deadline" };
  }
  return { kind: "retry", attempt: attempt + 1, delayMs };
}

/** How many attempts an action has; `Infinity` where its ttl alone ends it. */
export function attemptsMaxOf(limits: Pick<FailedAttempt, "policy" | "expiresAtMs">): number {
  const { policy, expiresAtMs } = limits;
  return policy?.attempts ?? (expiresAtMs === undefined ? retryDefaults.attempts : Infinity);
}

function delayBefore({ actionId, attempt, error, policy }: FailedAttempt): number {
  const initialMs = policy?.initial_ms ?? retryDefaults.initialMs;
  const maxMs = policy?.max_ms ?? retryDefaults.maxMs;
  const multiplier = policy?.multiplier ?? retryDefaults.multiplier;
  // The growth passes the largest number some day, and 0 × Infinity is no number.
  const boundMs = initialMs === 0 ? 0 : Math.min(maxMs, initialMs * multiplier ** (attempt - 1));
  const jitteredMs = Math.floor(seededRandom(`${actionId}/${String(attempt)}`)() * boundMs);
  const retryAfterMs = error.detail?.["retry_after_ms"];
  return typeof retryAfterMs === "number" && !Number.isNaN(retryAfterMs)
    ? Math.max(Math.ceil(retryAfterMs), jitteredMs)
    : jitteredMs;
}
