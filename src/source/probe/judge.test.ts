import fc from "fast-check";
import { expect, test } from "vitest";
import type { Finding } from "./check.ts";
import { judge, unknown, type Tally, type Thresholds } from "./judge.ts";

/** `.` a good check, `s` a slow one, `x` a failed one. */
function finding(mark: string): Finding {
  return { ok: mark !== "x", slow: mark === "s", latencyMs: 1, reason: mark };
}

function spelled(tally: Tally): string {
  return { up: "U", down: "D", degraded: "G", none: "?" }[tally.health ?? "none"];
}

function row(marks: string, thresholds: Thresholds): string {
  let tally = unknown;
  return Array.from(marks)
    .map((mark) => spelled((tally = judge(tally, finding(mark), thresholds))))
    .join("");
}

const plain: Thresholds = { failuresToDown: 2, successesToUp: 1, degraded: undefined };

test.each([
  ["..xx.x.xx.", "UUUDUUUUDU", plain],
  ["x", "?", plain],
  ["xx", "?D", plain],
  ["x.", "?U", plain],
  ["sss", "UUU", plain],
  ["xx..x..", "?DDUUUU", { ...plain, successesToUp: 2 }],
  ["..", "?U", { ...plain, successesToUp: 2 }],
  ["xxx.", "??DU", { ...plain, failuresToDown: 3 }],
  ["x", "D", { ...plain, failuresToDown: 1 }],
  ["....x.x....", "UUUUUUGGUUU", { ...plain, degraded: { share: 0.5, window: 4 } }],
  ["s.s.", "UUUG", { ...plain, degraded: { share: 0.5, window: 4 } }],
  ["s.s", "UUU", { ...plain, degraded: { share: 0.5, window: 4 } }],
  ["x.x.x.x.xx", "?UUUGUGUGD", { ...plain, degraded: { share: 0.6, window: 5 } }],
])("%s gives %s", (marks, wanted, thresholds) => {
  expect(row(marks, thresholds)).toBe(wanted);
});

test("what failed before it was down does not make it degraded once it is up again", () => {
  const thresholds = { ...plain, degraded: { share: 0.25, window: 4 } };
  expect(row("....xx....", thresholds)).toBe("UUUUGDUUUU");
});

test("an error rate is degraded long before it is down", () => {
  const thresholds = { failuresToDown: 8, successesToUp: 1, degraded: { share: 0.4, window: 10 } };
  expect(row(".x..x..xx.x", thresholds).slice(-2)).toBe("GG");
  expect(row(".x..x..x...", thresholds)).not.toContain("G");
});

test("down exactly where the last checks all failed", () => {
  const marks = fc.string({ unit: fc.constantFrom(".", "s", "x"), minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(
      marks,
      fc.integer({ min: 1, max: 4 }),
      fc.boolean(),
      (given, failuresToDown, windowed) => {
        const thresholds: Thresholds = {
          failuresToDown,
          successesToUp: 1,
          degraded: windowed ? { share: 0.5, window: 4 } : undefined,
        };
        const health = row(given, thresholds);
        Array.from(health).forEach((mark, index) => {
          const failed = given.slice(0, index + 1).endsWith("x".repeat(failuresToDown));
          expect(mark === "D").toBe(failed);
        });
      },
    ),
  );
});
