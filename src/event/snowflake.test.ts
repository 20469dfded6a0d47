import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSnowflake, snowflakeEpochMs, snowflakeMs } from "./snowflake.ts";

const t0 = Date.UTC(2026, 10, 24, 5);

const value = (id: string): bigint => BigInt(id);

test("an id is milliseconds, node and sequence in 63 bits, as decimal text", () => {
  const id = createSnowflake(5).next(t0);
  expect(value(id) >> 22n).toBe(BigInt(t0 - snowflakeEpochMs));
  expect((value(id) >> 12n) & 1_023n).toBe(5n);
  expect(value(id) & 4_095n).toBe(0n);
  expect(snowflakeMs(id)).toBe(t0);
  const last = createSnowflake(1_023).next(snowflakeEpochMs + 2 ** 41 - 1);
  expect(value(last) < 2n ** 63n).toBe(true);
});

describe("ids of one generator rise strictly", () => {
  test("4,097 of one millisecond borrow from the next one", () => {
    const snowflake = createSnowflake(0);
    const ids = Array.from({ length: 4_097 }, () => snowflake.next(t0));
    expect(snowflakeMs(ids[4_095] ?? ids[0]!)).toBe(t0);
    expect(snowflakeMs(ids[4_096] ?? ids[0]!)).toBe(t0 + 1);
    for (const [index, id] of ids.entries()) {
      if (index > 0) expect(value(id) > value(ids[index - 1]!)).toBe(true);
    }
  });

  test("where the clock steps back, ids go on from where they were", () => {
    const snowflake = createSnowflake(0);
    const before = snowflake.next(t0);
    const after = snowflake.next(t0 - 3_600_000);
    expect(value(after) > value(before)).toBe(true);
    expect(snowflakeMs(after)).toBe(t0);
  });

  test("after a restart with the newest id's time, also where the clock stepped back meanwhile", () => {
    const before = createSnowflake(7);
    for (let count = 0; count < 10; count += 1) before.next(t0);
    const newest = before.next(t0);
    const restarted = createSnowflake(7, snowflakeMs(newest));
    const next = restarted.next(t0 - 1_000);
    expect(value(next) > value(newest)).toBe(true);
    const otherNode = createSnowflake(0, snowflakeMs(newest));
    expect(value(otherNode.next(t0)) > value(newest)).toBe(true);
  });

  test("whatever the clock does, and across any restarts", () => {
    const clock = fc.array(
      fc.record({
        stepMs: fc.integer({ min: -5_000, max: 5_000 }),
        count: fc.integer({ min: 1, max: 20 }),
        restart: fc.boolean(),
        node: fc.integer({ min: 0, max: 1_023 }),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(clock, fc.constantFrom(0, snowflakeEpochMs, t0), (steps, startMs) => {
        let nowMs = startMs;
        let snowflake = createSnowflake(0);
        let newest = snowflake.next(nowMs);
        for (const { stepMs, count, restart, node } of steps) {
          nowMs += stepMs;
          if (restart) snowflake = createSnowflake(node, snowflakeMs(newest));
          for (let index = 0; index < count; index += 1) {
            const id = snowflake.next(nowMs);
            expect(value(id) > value(newest)).toBe(true);
            newest = id;
          }
        }
      }),
    );
  });
});

test("a clock before the epoch gives ids from the epoch on, never a negative one", () => {
  const snowflake = createSnowflake(0);
  expect(snowflake.next(0)).toBe("0");
  expect(snowflake.next(5)).toBe("1");
  expect(snowflakeMs(snowflake.next(snowflakeEpochMs + 5))).toBe(snowflakeEpochMs + 5);
});

test.each([-1, 1_024, 0.5, Number.NaN])("node %d is a bug of the caller", (node) => {
  expect(() => createSnowflake(node)).toThrow(`Node must be 0 to 1023: got ${String(node)}`);
});
