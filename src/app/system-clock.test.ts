import { afterEach, expect, it, vi } from "vitest";
import { createSystemClock } from "./system-clock.ts";

afterEach(() => {
  vi.useRealTimers();
});

it("waits longer than a timer of the system can, and can be cancelled in between", () => {
  vi.useFakeTimers();
  const clock = createSystemClock();
  const dayMs = 86_400_000;
  const rung: string[] = [];
  clock.after(60 * dayMs, () => rung.push("kept"));
  const cancel = clock.after(60 * dayMs, () => rung.push("cancelled"));
  vi.advanceTimersByTime(59 * dayMs);
  expect(rung).toEqual([]);
  cancel();
  vi.advanceTimersByTime(dayMs);
  expect(rung).toEqual(["kept"]);
});
