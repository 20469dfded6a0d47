import { expect, test } from "vitest";
import { assert, AssertionError, present, unreachable } from "./assert.ts";

test("a fact that holds passes, one that does not throws with its message", () => {
  expect(() => {
    assert(true, "never");
  }).not.toThrow();
  expect(() => {
    assert(false, "Size must be >= 1: got 0");
  }).toThrow(new AssertionError("Size must be >= 1: got 0"));
});

test("`present` gives the value back, also where it is falsy", () => {
  expect(present(0, "a count")).toBe(0);
  expect(present("", "a name")).toBe("");
  expect(() => present(undefined, "a name")).toThrow("Expected a name: got none");
  expect(() => present(null, "a name")).toThrow(AssertionError);
});

test("a variant that the types forgot is named", () => {
  expect(() => unreachable({ kind: "new" } as never)).toThrow(
    'Unreachable variant: {"kind":"new"}',
  );
});
