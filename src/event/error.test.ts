import { expect, test } from "vitest";
import { deedError, errorKinds, fault, Fault, isErrorKind, toDeedError } from "./error.ts";

// Source: contract, "Errors: one closed taxonomy".
test("the taxonomy is closed: these thirteen kinds", () => {
  expect(errorKinds.join(" · ")).toBe(
    "timeout · unavailable · rate_limited · conflict · not_found · permission · invalid_args · unprocessable · rejected · ttl_expired · outcome_unknown · cancelled · executor_error",
  );
  for (const kind of errorKinds) expect(isErrorKind(kind)).toBe(true);
  for (const other of ["Timeout", "unknown", "toString", "", 1, null, undefined]) {
    expect(isErrorKind(other)).toBe(false);
  }
});

test("what may pass by itself is retryable, nothing else", () => {
  const retryable = errorKinds.filter((kind) => deedError(kind, "x").retryable);
  expect(retryable).toEqual(["timeout", "unavailable", "rate_limited"]);
});

test("an error carries its detail where it has one, and no empty member where not", () => {
  expect(deedError("conflict", "m", { a: 1 })).toEqual({
    kind: "conflict",
    message: "m",
    retryable: false,
    detail: { a: 1 },
  });
  expect(Object.keys(deedError("conflict", "m"))).toEqual(["kind", "message", "retryable"]);
});

test("a fault carries its error up, with its cause", () => {
  const cause = new Error("socket closed");
  const thrown = new Fault(deedError("unavailable", "Cannot call"), cause);
  expect(thrown.message).toBe("Cannot call");
  expect(thrown.cause).toBe(cause);
  expect(toDeedError(thrown)).toBe(thrown.error);
  expect(fault("not_found", "m").error).toEqual(deedError("not_found", "m"));
});

test.each([
  [new Error("broken"), "broken"],
  ["a text", "a text"],
  [undefined, "undefined"],
])("whatever else is thrown is an executor_error: %s", (thrown, message) => {
  expect(toDeedError(thrown)).toEqual({ kind: "executor_error", message, retryable: false });
});
