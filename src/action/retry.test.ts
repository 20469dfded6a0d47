import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deedError, type DeedError } from "../event/error.ts";
import { actionIdOf } from "../event/ids.ts";
import { firstAction, startMs } from "./given.ts";
import { requestLimits, type RetryPolicy } from "./request.ts";
import { afterFailure, retryWaitMsMax, type FailedAttempt } from "./retry.ts";

const refusedConnection = deedError("unavailable", "connection refused");

function after(
  attempt: number,
  more: Partial<FailedAttempt> = {},
): ReturnType<typeof afterFailure> {
  return afterFailure({
    actionId: firstAction,
    attempt,
    error: refusedConnection,
    policy: undefined,
    expiresAtMs: undefined,
    nowMs: startMs,
    ...more,
  });
}

function delays(attempts: number, policy: RetryPolicy): readonly (number | undefined)[] {
  return Array.from({ length: attempts }, (_, index) => {
    const next = after(index + 1, { policy: { attempts: 1_000, ...policy } });
    return next.kind === "retry" ? next.delayMs : undefined;
  });
}

function retryAfter(ms: number): DeedError {
  return deedError("rate_limited", "slow down", { retry_after_ms: ms });
}

const policies: fc.Arbitrary<RetryPolicy> = fc.record(
  {
    attempts: fc.integer({ min: 1, max: requestLimits.attemptsMax }),
    initial_ms: fc.double({ min: 0, max: requestLimits.delayMsMax, noNaN: true }),
    max_ms: fc.double({ min: 0, max: requestLimits.delayMsMax, noNaN: true }),
    multiplier: fc.double({ min: 1, max: requestLimits.multiplierMax, noNaN: true }),
  },
  { requiredKeys: [] },
);

describe("the delay", () => {
  test("is drawn from the action's id and the attempt: every replay draws the same", () => {
    const drawn = delays(6, {});
    expect(drawn).toEqual(delays(6, {}));
    expect(drawn).toEqual([118, 1_776, 2_090, 6_725, 11_250, 10_515]);
    const other = after(1, { actionId: actionIdOf("default", "k2") });
    expect(other).not.toEqual(after(1));
  });

  test("has full jitter: over many actions it fills all from 0 to the bound", () => {
    const drawn = Array.from({ length: 2_000 }, (_, index) => {
      const next = after(3, {
        actionId: actionIdOf("default", `k${String(index)}`),
        policy: { attempts: 9, initial_ms: 100 },
      });
      return next.kind === "retry" ? next.delayMs : NaN;
    });
    expect(Math.min(...drawn)).toBeLessThan(4);
    expect(Math.max(...drawn)).toBeGreaterThan(396);
    expect(Math.max(...drawn)).toBeLessThan(400);
    const mean = drawn.reduce((sum, delayMs) => sum + delayMs, 0) / drawn.length;
    expect(mean).toBeGreaterThan(190);
    expect(mean).toBeLessThan(210);
  });

  test("never leaves 0 to min(max, initial × multiplier^(attempt-1)), whatever the policy", () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 5_000 }), (policy, attempt) => {
        const next = after(attempt, { policy, expiresAtMs: startMs + 1e12 });
        if (next.kind !== "retry") {
          expect(policy.attempts).toBeLessThanOrEqual(attempt);
          return;
        }
        const { initial_ms: initial = 1_000, max_ms: max = 60_000, multiplier = 2 } = policy;
        const grown = initial === 0 ? 0 : initial * multiplier ** (attempt - 1);
        expect(next.attempt).toBe(attempt + 1);
        expect(next.delayMs).toBeGreaterThanOrEqual(0);
        expect(next.delayMs).toBeLessThanOrEqual(Math.min(max, grown));
        expect(Number.isInteger(next.delayMs)).toBe(true);
      }),
    );
  });

  test("of an initial 0 is 0 for ever, also where the growth leaves all numbers", () => {
    expect(after(2_000, { policy: { initial_ms: 0 }, expiresAtMs: startMs + 1_000 })).toEqual({
      kind: "retry",
      attempt: 2_001,
      delayMs: 0,
    });
  });
});

describe("Retry-After", () => {
  test("is a lower bound that jitter never undercuts and never adds to", () => {
    fc.assert(
      fc.property(policies, fc.integer({ min: 0, max: 100_000 }), (policy, ms) => {
        const drawn = after(1, { policy: { ...policy, attempts: 2 } });
        const told = after(1, { policy: { ...policy, attempts: 2 }, error: retryAfter(ms) });
        const drawnMs = drawn.kind === "retry" ? drawn.delayMs : NaN;
        expect(told).toEqual({ kind: "retry", attempt: 2, delayMs: Math.max(ms, drawnMs) });
      }),
    );
  });

  test("of a part of a millisecond is rounded up", () => {
    expect(after(1, { error: retryAfter(5_000.2) })).toMatchObject({ delayMs: 5_001 });
  });

  test("of more than 30 days is not waited for", () => {
    expect(after(1, { error: retryAfter(retryWaitMsMax) })).toMatchObject({ kind: "retry" });
    for (const ms of [retryWaitMsMax + 1, 1e300, Infinity]) {
      expect(after(1, { error: retryAfter(ms) })).toEqual({ kind: "fail", reason: "exhausted" });
    }
  });

  test("that is no number is not heard", () => {
    const error = deedError("rate_limited", "slow down", { retry_after_ms: "60" });
    expect(after(1, { error })).toEqual(after(1));
  });
});

describe("the end", () => {
  test("an error that is not retryable is final at once", () => {
    const error = deedError("not_found", "no such job");
    expect(after(1, { error })).toEqual({ kind: "fail", reason: "failed" });
  });

  test("without a policy and a ttl there are three attempts", () => {
    expect(after(2)).toMatchObject({ kind: "retry", attempt: 3 });
    expect(after(3)).toEqual({ kind: "fail", reason: "exhausted" });
  });

  test("a ttl gives a deadline in place of a count", () => {
    expect(after(500, { expiresAtMs: startMs + 60_001 })).toMatchObject({ attempt: 501 });
    const late = { error: retryAfter(1_000), policy: { initial_ms: 0 } };
    expect(after(1, { ...late, expiresAtMs: startMs + 1_001 })).toMatchObject({ delayMs: 1_000 });
    expect(after(1, { ...late, expiresAtMs: startMs + 1_000 })).toEqual({
      kind: "fail",
      reason: "deadline",
    });
  });

  test("a policy that names its attempts keeps them beside a ttl, and the deadline holds too", () => {
    const both = { policy: { attempts: 2, initial_ms: 0 }, expiresAtMs: startMs + 1_000 };
    expect(after(1, both)).toEqual({ kind: "retry", attempt: 2, delayMs: 0 });
    expect(after(2, both)).toEqual({ kind: "fail", reason: "exhausted" });
    expect(after(1, { ...both, nowMs: startMs + 1_000 })).toEqual({
      kind: "fail",
      reason: "deadline",
    });
  });
});
