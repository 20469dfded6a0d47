import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { present } from "../../base/assert.ts";
import { readSlots, type Slots } from "./cron.ts";
import { bruteSlots, crons, timezones } from "../../../test/brute-slots.ts";

const slotsOf = (cron: string, timezone = "Europe/Berlin"): Slots => {
  const read = readSlots(cron, timezone);
  if (!read.ok) throw new Error(read.error.message);
  return read.value;
};

const iso = (atMs: number | undefined): string =>
  new Date(present(atMs, "a slot")).toISOString().replace(":00.000Z", "Z");

/** The slots after one instant and up to another one, forward. */
function between(slots: Slots, fromMs: number, toMs: number): readonly number[] {
  const found: number[] = [];
  for (let at = slots.next(fromMs); at !== undefined && at <= toMs; at = slots.next(at)) {
    found.push(at);
  }
  return found;
}

function backwards(slots: Slots, fromMs: number, toMs: number): readonly number[] {
  const found: number[] = [];
  for (let at = slots.previous(toMs + 1); at !== undefined && at > fromMs;) {
    found.unshift(at);
    at = slots.previous(at);
  }
  return found;
}

describe("2. a slot is an instant", () => {
  test("next is the first one after the time, previous the last one before it", () => {
    const slots = slotsOf("*/15 * * * *", "UTC");
    const at = Date.UTC(2026, 10, 24, 5, 15);
    expect([at - 1, at, at + 1].map((ms) => iso(slots.next(ms)))).toEqual([
      "2026-11-24T05:15Z",
      "2026-11-24T05:30Z",
      "2026-11-24T05:30Z",
    ]);
    expect([at - 1, at, at + 1].map((ms) => iso(slots.previous(ms)))).toEqual([
      "2026-11-24T05:00Z",
      "2026-11-24T05:00Z",
      "2026-11-24T05:15Z",
    ]);
  });

  test("six fields count seconds", () => {
    const slots = slotsOf("*/20 0 5 * * *", "UTC");
    const from = Date.UTC(2026, 10, 24, 5) - 1;
    expect(between(slots, from, from + 3_600_000).map((ms) => (ms - from - 1) / 1_000)).toEqual([
      0, 20, 40,
    ]);
  });

  test("every slot that a look at each minute of the calendar finds, and no other, both ways", () => {
    fc.assert(
      fc.property(
        crons,
        timezones,
        fc.constantFrom(
          Date.UTC(2026, 2, 28, 20),
          Date.UTC(2026, 9, 24, 20),
          Date.UTC(2026, 2, 7, 20),
          Date.UTC(2026, 10, 1, 0),
          Date.UTC(2028, 1, 28, 3),
        ),
        fc.integer({ min: 0, max: 59_999 }),
        (cron, timezone, startMs, offMs) => {
          const fromMs = startMs + offMs;
          const toMs = fromMs + 30 * 3_600_000;
          const slots = slotsOf(cron, timezone);
          const expected = bruteSlots(cron, timezone, { fromMs, toMs });
          expect(between(slots, fromMs, toMs)).toEqual(expected);
          expect(backwards(slots, fromMs, toMs)).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("3. where the clocks change in Berlin", () => {
  const spring = Date.UTC(2026, 2, 28, 23);
  const autumn = Date.UTC(2026, 9, 24, 22);
  const day = 24 * 3_600_000;
  const on = (cron: string, fromMs: number): readonly string[] =>
    between(slotsOf(cron), fromMs - 1, fromMs + day - 1).map(iso);

  test("a fixed time in the gap falls due once, at the first instant after it", () => {
    expect(on("30 2 * * *", spring)).toEqual(["2026-03-29T01:00Z"]);
    expect(on("0,30 2 * * *", spring)).toEqual(["2026-03-29T01:00Z"]);
    expect(on("30 2,3 * * *", spring)).toEqual(["2026-03-29T01:00Z", "2026-03-29T01:30Z"]);
  });

  test("a step passes over the gap", () => {
    const quarters = on("*/15 1-3 * * *", spring);
    expect(quarters.slice(3, 6)).toEqual([
      "2026-03-29T00:45Z",
      "2026-03-29T01:00Z",
      "2026-03-29T01:15Z",
    ]);
    expect(quarters).toHaveLength(8);
    expect(on("*/30 2 * * *", spring)).toEqual([]);
  });

  test("a fixed time that comes twice falls due once, the first time", () => {
    expect(on("30 2 * * *", autumn)).toEqual(["2026-10-25T00:30Z"]);
    expect(on("30 2,14 * * *", autumn)).toEqual(["2026-10-25T00:30Z", "2026-10-25T13:30Z"]);
  });

  test("a step falls due in both of the two hours, at two instants", () => {
    expect(on("*/30 2 * * *", autumn)).toEqual([
      "2026-10-25T00:00Z",
      "2026-10-25T00:30Z",
      "2026-10-25T01:00Z",
      "2026-10-25T01:30Z",
    ]);
  });
});

describe("1. pure", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("the system's clock changes no slot", () => {
    const ask = (cron: string): readonly (number | undefined)[] => {
      const slots = slotsOf(cron);
      const at = Date.UTC(2026, 9, 25, 0, 30);
      return [slots.next(at), slots.previous(at), slots.next(0), slots.next(at + 1)];
    };
    const all = ["30 2 * * *", "*/15 * * * *", "? ? 1 * *", "0 0 29 2 *"];
    const now = all.map(ask);
    for (const time of [
      0,
      Date.UTC(1999, 11, 31),
      Date.UTC(2026, 9, 25, 0, 30),
      Date.UTC(2100, 1),
    ]) {
      vi.useFakeTimers({ now: time, toFake: ["Date"] });
      expect(all.map(ask)).toEqual(now);
      vi.useRealTimers();
    }
  });
});

describe("what is no schedule is refused with its part and the reason", () => {
  test.each([
    ["* * * *", "UTC", "cron", "has 4 fields"],
    ["* * * * * * *", "UTC", "cron", "has 7 fields"],
    ["@daily", "UTC", "cron", "has 1 fields"],
    ["2026-11-24T05:00:00Z", "UTC", "cron", "has 1 fields"],
    ["61 * * * *", "UTC", "cron", "Invalid value for minute: 61"],
    ["a b c d e", "UTC", "cron", "illegal characters"],
    ["0 0 30 2 *", "UTC", "cron", "never falls due"],
    ["* * * * *", "Europe/Nowhere", "timezone", "is no time zone"],
    ["x", "Mars", "timezone", "is no time zone"],
  ])("%s in %s", (cron, timezone, part, message) => {
    const read = readSlots(cron, timezone);
    expect(read.ok ? undefined : read.error.part).toBe(part);
    expect(read.ok ? undefined : read.error.message).toContain(message);
  });
});
