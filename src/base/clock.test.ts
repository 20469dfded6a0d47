import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTimestampMs, timestamp } from "./clock.ts";

describe("parseTimestampMs", () => {
  test.each([
    ["2026-11-24T05:00:00Z", "2026-11-24T05:00:00.000Z"],
    ["2026-11-24t05:00:00z", "2026-11-24T05:00:00.000Z"],
    ["2026-11-24T05:00:00.123456789Z", "2026-11-24T05:00:00.123Z"],
    ["2026-11-24T05:00:00+02:00", "2026-11-24T03:00:00.000Z"],
    ["2024-02-29T23:30:00-01:00", "2024-03-01T00:30:00.000Z"],
    ["0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ])("reads %s as %s", (text, utc) => {
    expect(timestamp(parseTimestampMs(text) ?? Number.NaN)).toBe(utc);
  });

  test.each([
    ["a day that February does not have", "2026-02-30T00:00:00Z"],
    ["the 29th of February in a common year", "2026-02-29T00:00:00Z"],
    ["the 29th of February in 1900", "1900-02-29T00:00:00Z"],
    ["the 31st of November", "2026-11-31T00:00:00Z"],
    ["a month 13", "2026-13-01T00:00:00Z"],
    ["an hour 24", "2026-11-24T24:00:00Z"],
    ["a leap second", "2016-12-31T23:59:60Z"],
    ["a zone of 24 hours", "2026-11-24T05:00:00+24:00"],
    ["a time without a zone", "2026-11-24T05:00:00"],
    ["a date alone", "2026-11-24"],
    ["a space for the T", "2026-11-24 05:00:00Z"],
    ["a year 10000 in UTC", "9999-12-31T23:59:59-10:00"],
    ["a year before 0 in UTC", "0000-01-01T00:00:00+10:00"],
    ["milliseconds as digits", "1795496400000"],
    ["no text", ""],
  ])("refuses %s", (_what, text) => {
    expect(parseTimestampMs(text)).toBeUndefined();
  });

  test("gives back every time that `timestamp` writes", () => {
    const times = fc.integer({ min: -62_167_219_200_000, max: 253_402_300_799_999 });
    fc.assert(
      fc.property(times, (atMs) => {
        expect(parseTimestampMs(timestamp(atMs))).toBe(atMs);
      }),
    );
  });
});
