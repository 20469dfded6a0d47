import fc from "fast-check";
import { expect, test } from "vitest";
import { sha256Hex } from "../base/hash.ts";
import { actionIdOf, executionIdOf, keyHash, parseActionId } from "./ids.ts";

// Pinned: the ids of actions on every log were derived like this.
test("an action id is act_ and the first 32 hex digits over the tenant's length, the tenant and the key", () => {
  expect(actionIdOf("default", "k")).toBe(`act_${sha256Hex("7:default:k").slice(0, 32)}`);
  expect(actionIdOf("default", "k")).toBe("act_28ba78083e4156e392224e616d7ac470");
});

test("asking twice is one action, for one tenant", () => {
  expect(actionIdOf("a", "k")).toBe(actionIdOf("a", "k"));
  expect(actionIdOf("a", "k")).not.toBe(actionIdOf("b", "k"));
});

test("no two pairs of tenant and key share a hash, however they are cut", () => {
  const text = fc.stringMatching(/^[:a0-9]{0,8}$/);
  fc.assert(
    fc.property(fc.tuple(text, text), fc.tuple(text, text), (one, other) => {
      const same = one[0] === other[0] && one[1] === other[1];
      expect(keyHash(...one) === keyHash(...other)).toBe(same);
    }),
  );
  expect(keyHash("a", "b:c")).not.toBe(keyHash("a:b", "c"));
  expect(keyHash("1", ":1:a")).not.toBe(keyHash("1:1", ":a"));
});

test("an action id from outside is read where it has the form", () => {
  const id = actionIdOf("default", "k");
  expect(parseActionId(id)).toBe(id);
  for (const other of [
    "",
    "act_",
    id.toUpperCase(),
    `${id}0`,
    id.slice(0, -1),
    ` ${id}`,
    `${id}\n`,
  ]) {
    expect(parseActionId(other)).toBeUndefined();
  }
});

test("an execution id is a decimal that fits a signed 64-bit integer, the same for the same key", () => {
  const id = executionIdOf("default", "nightly/2026-11-25");
  expect(id).toBe(executionIdOf("default", "nightly/2026-11-25"));
  expect(id).toMatch(/^[0-9]+$/);
  expect(BigInt(id) < 2n ** 63n).toBe(true);
  expect(executionIdOf("other", "nightly/2026-11-25")).not.toBe(id);
});
