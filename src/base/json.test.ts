import { expect, test } from "vitest";
import { isJsonObject, nestsDeeperThan } from "./json.ts";

test.each([
  [{}, true],
  [{ a: 1 }, true],
  [[], false],
  [null, false],
  ["a", false],
  [undefined, false],
])("%j is an object: %s", (value, is) => {
  expect(isJsonObject(value)).toBe(is);
});

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

test("depth counts arrays and objects, and is told of a million levels, too", () => {
  expect(nestsDeeperThan(1, 0)).toBe(false);
  expect(nestsDeeperThan([], 0)).toBe(true);
  expect(nestsDeeperThan([[], { a: 1 }], 2)).toBe(false);
  expect(nestsDeeperThan(nested(64), 64)).toBe(false);
  expect(nestsDeeperThan(nested(65), 64)).toBe(true);
  expect(nestsDeeperThan(nested(1_000_000), 64)).toBe(true);
});
