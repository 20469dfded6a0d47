import { expect, test } from "vitest";
import { kindOfStatus, retryableStatus, retryAfter } from "./status.ts";

test.each([
  ["7", 7_000],
  ["0", 0],
  [" 3 ", 3_000],
  ["Tue, 24 Nov 2026 05:00:10 GMT", 10_000],
  ["Tue, 24 Nov 2026 04:00:00 GMT", 0],
  ["Tuesday, 24-Nov-26 05:00:01 GMT", 1_000],
  ["99999999999999999999999", 86_400_000],
  ["Tue, 24 Nov 2099 05:00:00 GMT", 86_400_000],
  ["soon", undefined],
  ["-1", undefined],
  ["5.5", undefined],
  ["", undefined],
])("Retry-After %j is %j ms", (header, wantedMs) => {
  expect(retryAfter(header, Date.UTC(2026, 10, 24, 5))).toBe(wantedMs);
  expect(retryAfter([header, "9"], Date.UTC(2026, 10, 24, 5))).toBe(wantedMs);
});

test("no header, no wait", () => {
  expect(retryAfter(undefined, 0)).toBeUndefined();
});

test.each([
  [301, "executor_error", false, false],
  [400, "invalid_args", false, false],
  [401, "permission", false, false],
  [403, "permission", false, false],
  [404, "not_found", false, false],
  [408, "timeout", true, true],
  [409, "conflict", false, false],
  [410, "not_found", false, false],
  [412, "conflict", false, false],
  [418, "executor_error", false, false],
  [422, "unprocessable", false, false],
  [425, "unavailable", true, true],
  [429, "rate_limited", true, true],
  [500, "unavailable", true, false],
  [502, "unavailable", true, false],
  [503, "unavailable", true, true],
  [504, "unavailable", true, false],
] as const)("status %i is %s, again: %s where idempotent, %s where not", (...row) => {
  const [status] = row;
  expect([
    status,
    kindOfStatus(status),
    retryableStatus(status, true),
    retryableStatus(status, false),
  ]).toEqual(row);
});
