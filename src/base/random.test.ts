import { expect, test } from "vitest";
import { seededRandom } from "./random.ts";

const first = (seed: string, count: number): readonly number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, random);
};

// Pinned: jitter is derived from action ids, so another row would move the retries of a log that is replayed.
test("a seed gives this very row of numbers, on every machine", () => {
  expect(first("act_0", 4).map((one) => one * 4_294_967_296)).toEqual([
    2_250_986_188, 1_359_937_670, 1_672_086_377, 1_464_135_463,
  ]);
});

test("the same seed gives the same row, another seed another one", () => {
  expect(first("a", 100)).toEqual(first("a", 100));
  expect(first("a", 100)).not.toEqual(first("b", 100));
});

test("numbers lie in [0, 1) and spread evenly over it", () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const one of first("spread", 10_000)) {
    expect(one).toBeGreaterThanOrEqual(0);
    expect(one).toBeLessThan(1);
    const tenth = Math.floor(one * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
});

test("the first numbers of seeds that differ in one letter spread, too", () => {
  const firsts = Array.from(
    { length: 1_000 },
    (_, index) => first(`act_${String(index)}`, 1)[0] ?? 0,
  );
  const mean = firsts.reduce((sum, one) => sum + one, 0) / firsts.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
});
