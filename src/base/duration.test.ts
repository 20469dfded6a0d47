import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDurationMs } from "./duration.ts";

describe("parseDurationMs", () => {
  test.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
    ["1h30m", 5_400_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["1.5h", 5_400_000],
    ["1.005s", 1_005],
    [" 10s ", 10_000],
    ["0s", 0],
  ])("reads %j as %d ms", (text, ms) => {
    expect(parseDurationMs(text)).toEqual({ ok: true, value: ms });
  });

  test.each(["", "10", "s", "10 s", "-5s", "1w", "10minutes", "1h 30m", "1e3s", ".5s", "5S"])(
    "refuses %j and says what is accepted",
    (text) => {
      expect(parseDurationMs(text)).toEqual({
        ok: false,
        error: `"${text}" is not a duration: write a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d`,
      });
    },
  );

  test.each(["36501d", `${"9".repeat(400)}d`])(
    "refuses %s as longer than a hundred years",
    (text) => {
      expect(parseDurationMs(text)).toEqual({
        ok: false,
        error: `"${text}" is too long for a duration: at most 36500d`,
      });
      expect(parseDurationMs("36500d")).toEqual({ ok: true, value: 3_153_600_000_000 });
    },
  );

  test("gives back any whole number of milliseconds, in one part or in several", () => {
    fc.assert(
      fc.property(fc.nat(), (ms) => {
        const parts = `${String(Math.floor(ms / 1_000))}s${String(ms % 1_000)}ms`;
        expect(parseDurationMs(`${String(ms)}ms`)).toEqual({ ok: true, value: ms });
        expect(parseDurationMs(parts)).toEqual({ ok: true, value: ms });
      }),
    );
  });
});
