import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../base/clock.ts";
import { createAlarms, type Alarm, type Alarms } from "./alarms.ts";

/** A clock without promises: `pass` moves time, `step` moves what the clock says of it. */
function createWall(): Clock & {
  pass: (byMs: number) => void;
  step: (byMs: number) => void;
  waiting: () => number;
} {
  const timers = new Map<number, { readonly atMs: number; readonly task: () => void }>();
  let elapsedMs = 0;
  let skewMs = 0;
  let count = 0;
  return {
    nowMs: () => 1_000_000 + elapsedMs + skewMs,
    after: (delayMs, task) => {
      count += 1;
      const id = count;
      timers.set(id, { atMs: elapsedMs + delayMs, task });
      return () => void timers.delete(id);
    },
    soon: (task) => {
      task();
    },
    pass: (byMs) => {
      const untilMs = elapsedMs + byMs;
      for (;;) {
        const [next] = [...timers].sort(([, left], [, right]) => left.atMs - right.atMs);
        if (next === undefined || next[1].atMs > untilMs) break;
        timers.delete(next[0]);
        elapsedMs = Math.max(elapsedMs, next[1].atMs);
        next[1].task();
      }
      elapsedMs = untilMs;
    },
    step: (byMs) => {
      skewMs += byMs;
    },
    waiting: () => timers.size,
  };
}

function collect(clock: Clock): { alarms: Alarms<string>; rung: string[]; due: Alarm<string>[] } {
  const rung: string[] = [];
  const due: Alarm<string>[] = [];
  const alarms = createAlarms<string>(clock, (all) => {
    due.push(...all);
    rung.push(...all.map(({ payload }) => payload));
  });
  return { alarms, rung, due };
}

describe("alarms", () => {
  it("1. a key that is set again rings once, at its new time and for its new reason", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    const nowMs = wall.nowMs();
    alarms.set({ key: "a", dueMs: nowMs + 100, payload: "old" });
    alarms.set({ key: "a", dueMs: nowMs + 300, payload: "late" });
    wall.pass(200);
    expect(rung).toEqual([]);
    alarms.set({ key: "a", dueMs: nowMs + 300, payload: "same time, other reason" });
    wall.pass(200);
    expect(rung).toEqual(["same time, other reason"]);
  });

  it("1. a key that is cleared does not ring", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    alarms.set({ key: "a", dueMs: wall.nowMs() + 100, payload: "a" });
    alarms.clear("a");
    wall.pass(1_000);
    expect(rung).toEqual([]);
    expect(alarms.size()).toBe(0);
  });

  it("3. what could not be taken rings again", () => {
    const wall = createWall();
    const { alarms, rung, due } = collect(wall);
    alarms.set({ key: "a", dueMs: wall.nowMs() + 100, payload: "a" });
    wall.pass(100);
    expect(alarms.size()).toBe(0);
    alarms.postpone(due, wall.nowMs() + 1_000);
    wall.pass(999);
    expect(rung).toEqual(["a"]);
    wall.pass(1);
    expect(rung).toEqual(["a", "a"]);
  });

  type Meanwhile = (alarms: Alarms<string>, due: readonly Alarm<string>[], dueMs: number) => void;
  const meanwhiles: readonly (readonly [string, Meanwhile, readonly string[]])[] = [
    ["set", (alarms, _, dueMs) => alarms.set({ key: "a", dueMs, payload: "b" }), ["a", "b"]],
    ["cleared", (alarms) => alarms.clear("a"), ["a"]],
    ["taken", (alarms, due) => alarms.taken(due), ["a"]],
  ];
  it.each(meanwhiles)("3. what was %s since it rang does not come back", (_, meanwhile, all) => {
    const wall = createWall();
    const { alarms, rung, due } = collect(wall);
    const laterMs = wall.nowMs() + 5_000;
    alarms.set({ key: "a", dueMs: wall.nowMs() + 100, payload: "a" });
    wall.pass(100);
    const handed = [...due];
    meanwhile(alarms, handed, laterMs);
    alarms.postpone(handed, wall.nowMs() + 1_000);
    wall.pass(2_000);
    expect(rung).toEqual(["a"]);
    wall.pass(5_000);
    expect(rung).toEqual(all);
  });

  it("4. a time that is years away is waited for", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    const delayMs = 40 * 86_400_000;
    alarms.set({ key: "a", dueMs: wall.nowMs() + delayMs, payload: "a" });
    wall.pass(delayMs - 1);
    expect(rung).toEqual([]);
    wall.pass(1);
    expect(rung).toEqual(["a"]);
  });

  it("4. a clock that steps forward delays nothing by more than a minute", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    alarms.set({ key: "a", dueMs: wall.nowMs() + 3_600_000, payload: "a" });
    wall.step(3_600_000);
    wall.pass(60_000);
    expect(rung).toEqual(["a"]);
  });

  it("4. a clock that steps back loses nothing: it rings when the clock says so", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    alarms.set({ key: "a", dueMs: wall.nowMs() + 1_000, payload: "a" });
    wall.step(-10_000);
    wall.pass(1_000);
    expect(rung).toEqual([]);
    wall.pass(10_000);
    expect(rung).toEqual(["a"]);
  });

  it("2. setting one key for ever keeps neither entries nor timers", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    for (let turn = 0; turn < 20_000; turn += 1) {
      alarms.set({ key: "a", dueMs: wall.nowMs() + 30_000 + turn, payload: "a" });
    }
    expect(alarms.size()).toBe(1);
    expect(wall.waiting()).toBe(1);
    wall.pass(60_000);
    expect(rung).toEqual(["a"]);
  });

  it("stops for good", () => {
    const wall = createWall();
    const { alarms, rung } = collect(wall);
    alarms.set({ key: "a", dueMs: wall.nowMs() + 100, payload: "a" });
    alarms.stop();
    wall.pass(1_000);
    expect(rung).toEqual([]);
    expect(wall.waiting()).toBe(0);
  });

  it("rings like a list that is searched for what is due", () => {
    const action = fc.record({
      key: fc.constantFrom("a", "b", "c"),
      delayMs: fc.option(fc.integer({ min: 0, max: 200_000 }), { nil: undefined }),
      passMs: fc.integer({ min: 0, max: 90_000 }),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const wall = createWall();
        const { alarms, due } = collect(wall);
        const model = new Map<string, number>();
        const expected: string[] = [];
        for (const { key, delayMs, passMs } of actions) {
          if (delayMs === undefined) {
            alarms.clear(key);
            model.delete(key);
          } else {
            alarms.set({ key, dueMs: wall.nowMs() + delayMs, payload: key });
            model.set(key, wall.nowMs() + delayMs);
          }
          wall.pass(passMs);
          for (const [name, dueMs] of [...model].sort((left, right) => left[1] - right[1])) {
            if (dueMs > wall.nowMs()) continue;
            expected.push(`${name} ${String(dueMs)}`);
            model.delete(name);
          }
        }
        const rung = due.map(({ key, dueMs }) => `${key} ${String(dueMs)}`);
        expect(rung.sort()).toEqual(expected.sort());
        expect(alarms.size()).toBe(model.size);
      }),
      { numRuns: 200 },
    );
  });
});
