import { beforeEach, describe, expect, test } from "vitest";
import {
  createTestClock,
  eventOf,
  rejectionOf,
  requestOf,
  rowStage,
} from "../../test/log/fixture.ts";
import { actionIdOf } from "../event/ids.ts";
import type { Log } from "./log.ts";
import { createMemoryLog } from "./memory/memory-log.ts";
import { createOutcomes, type Outcomes } from "./outcomes.ts";

const action = actionIdOf("default", "a");
const other = actionIdOf("default", "b");

let log: Log;
let outcomes: Outcomes;

beforeEach(async () => {
  log = createMemoryLog({ clock: createTestClock() });
  log.attach(rowStage(log));
  outcomes = createOutcomes(log);
  await log.append([requestOf("a"), requestOf("b")]);
});

const end = (of = action, type = "action.succeeded") => log.append([eventOf({ type, action: of })]);

describe("waiting for an action to end", () => {
  test.each(["action.succeeded", "action.failed", "action.cancelled"])(
    "gives the terminal record when it comes: %s",
    async (type) => {
      const waiting = outcomes.wait(action, {});
      await end(other);
      await log.append([eventOf({ type: "action.started", action })]);
      expect(outcomes.size()).toBe(1);
      await end(action, type);
      expect((await waiting)?.event).toMatchObject({ event_type: type, action_id: action });
      expect(outcomes.size()).toBe(0);
    },
  );

  test("gives the terminal record of an action that ended before", async () => {
    await end();
    expect((await outcomes.wait(action, {}))?.offset).toBe(3);
    expect(outcomes.size()).toBe(0);
  });

  test("does not look back where it is told that there is nothing", async () => {
    await end();
    expect(await outcomes.wait(action, { lookBack: false, timeoutMs: 1 })).toBeUndefined();
  });

  test("an anomaly ends nothing", async () => {
    const waiting = outcomes.wait(action, { lookBack: false });
    await log.append([
      { ...eventOf({ type: "action.failed", action }), tags: { anomaly: "late" } },
    ]);
    expect(outcomes.size()).toBe(1);
    await end();
    expect((await waiting)?.event.event_type).toBe("action.succeeded");
  });

  test("all who wait for one action are told", async () => {
    const all = Promise.all([1, 2, 3].map(() => outcomes.wait(action, {})));
    await end();
    expect((await all).map((record) => record?.offset)).toEqual([3, 3, 3]);
  });

  test("gives up when the time is over or the signal is aborted, and forgets", async () => {
    expect(await outcomes.wait(action, { timeoutMs: 1 })).toBeUndefined();
    const ends = new AbortController();
    const waiting = outcomes.wait(action, { signal: ends.signal });
    ends.abort();
    expect(await waiting).toBeUndefined();
    expect(await outcomes.wait(action, { signal: AbortSignal.abort() })).toBeUndefined();
    expect(outcomes.size()).toBe(0);
  });

  test("where the log cannot be read, the wait fails and is forgotten", async () => {
    await log.close();
    expect(await rejectionOf(outcomes.wait(action, {}))).toMatchObject({ code: "closed" });
    expect(outcomes.size()).toBe(0);
  });

  test("close answers those who wait, and those who come later", async () => {
    const waiting = outcomes.wait(action, { lookBack: false });
    outcomes.close();
    expect(await waiting).toBeUndefined();
    expect(await outcomes.wait(action, {})).toBeUndefined();
    expect(outcomes.size()).toBe(0);
  });
});
