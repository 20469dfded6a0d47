import { describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import { createManualClock, type ManualClock } from "../../../test/manual-clock.ts";
import { createEventFeed } from "../../app/event-feed.ts";
import { timestamp } from "../../base/clock.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { watchedCondition, watchedTypes } from "../../decider/rule.ts";
import type { NewEvent } from "../../event/envelope.ts";
import { actionIdOf, executionId } from "../../event/ids.ts";
import type { Log } from "../../log/log.ts";
import { createMemoryLog } from "../../log/memory/memory-log.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { createWaitFor, type EventFeed } from "./wait-for.ts";

type World = {
  readonly clock: ManualClock;
  readonly log: Log;
  readonly executor: Executor;
  /** Followers of the log now, and reads of its past in all. */
  readonly seen: { followers: number; pasts: number };
  /** Puts events on the log one after the other, `n` in their attrs. */
  readonly put: (...events: readonly Partial<NewEvent>[]) => Promise<void>;
  /** Waits as one that was asked for `agoMs` before now. */
  readonly wait: (args: JsonObject, more?: Partial<ExecutionContext>) => Promise<Json>;
};

function world(): World {
  const clock = createManualClock();
  const log = createMemoryLog({ clock });
  const inner = createEventFeed(log);
  const seen = { followers: 0, pasts: 0 };
  const feed: EventFeed = {
    past: (query) => {
      seen.pasts += 1;
      return inner.past(query);
    },
    follow: (signal) => {
      seen.followers += 1;
      signal.addEventListener("abort", () => (seen.followers -= 1));
      return inner.follow(signal);
    },
  };
  const executor = createWaitFor({ feed, pattern: watchedTypes, condition: watchedCondition });
  let count = 0;
  return {
    clock,
    log,
    executor,
    seen,
    put: async (...events) => {
      for (const event of events) {
        count += 1;
        await log.append([
          {
            ts: timestamp(clock.nowMs()),
            event_type: "job.done",
            entity_id: "job:1",
            idempotency_key: `key-${String(count)}`,
            source: { system: "test", ns: {} },
            tags: {},
            attrs: { n: count },
            ...event,
          },
        ]);
      }
    },
    wait: (args, more = {}) =>
      executor.execute(args, { ...contextOf(), requestedAtMs: clock.nowMs(), ...more }),
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

const n = (event: Json): unknown => ((event as JsonObject)["attrs"] as JsonObject)["n"];

executorContract("wait_for", async () => {
  const { executor, seen, put, log } = world();
  await put({});
  const broken = (name: string, feed: Partial<EventFeed>): Executor =>
    createWaitFor({
      feed: { ...createEventFeed(log), ...feed },
      pattern: watchedTypes,
      condition: (text) => (text === name ? watchedCondition("true") : watchedCondition(text)),
    });
  const gone = broken("past", {
    past: () => {
      throw new Error("the disk is gone");
    },
  });
  const refused = (name: string, args: JsonObject) =>
    ({ name, args, kind: "invalid_args", retryable: false }) as const;
  return {
    executor: {
      ...executor,
      execute: (args, context) =>
        args["when"] === "past" ? gone.execute(args, context) : executor.execute(args, context),
    },
    works: {
      args: { event: "job.*", when: "event.attrs.n == 1", entity: "job:1", look_back: "1m" },
      result: {
        ts: "2026-11-24T05:00:00.000Z",
        event_id: expect.stringMatching(/^\d+$/) as string,
        event_type: "job.done",
        entity_id: "job:1",
        idempotency_key: "key-1",
        source: { system: "test", ns: {} },
        tags: {},
        attrs: { n: 1 },
      },
    },
    hangs: {
      args: { event: "job.never" },
      started: () => eventually(() => seen.followers, 1),
      held: () => seen.followers,
    },
    fails: [
      refused("no pattern", { event: "job.d*" }),
      refused("an event that there cannot be", { event: "action.done" }),
      refused("no CEL", { event: "a", when: "event." }),
      refused("CEL that is no condition", { event: "a", when: "1 + 1" }),
      refused("no duration", { event: "a", look_back: "soon" }),
      {
        name: "a log that cannot be read",
        args: { event: "a", when: "past" },
        kind: "unavailable",
        retryable: true,
      },
    ],
    promises: [{ args: { event: "a" }, idempotent: true }],
    close: () => log.close(),
  };
});

describe("1. the window begins before the request and does not move", () => {
  test("what came before it does not count, what came in it does, the first of the window wins", async () => {
    const { clock, put, wait } = world();
    for (let minute = 0; minute < 10; minute += 1) {
      await put({});
      await clock.advance(60_000);
    }
    const args = { event: "job.done" };
    expect(n(await wait({ ...args, look_back: "5m" }))).toBe(6);
    expect(n(await wait({ ...args, look_back: 300 }))).toBe(6);
    expect(n(await wait({ ...args, look_back: "5m1ms" }))).toBe(6);
    expect(n(await wait({ ...args, look_back: "4m59s" }))).toBe(7);
    expect(n(await wait({ ...args, look_back: "1d" }))).toBe(1);
  });

  test("an attempt that begins again later finds what came meanwhile", async () => {
    const { clock, put, wait } = world();
    await put({});
    await clock.advance(1_000);
    const requestedAtMs = clock.nowMs();
    await clock.advance(1_000);
    await put({}, {});
    await clock.advance(3_600_000);
    expect(n(await wait({ event: "job.done" }, { requestedAtMs }))).toBe(2);
    expect(n(await wait({ event: "job.done" }, { requestedAtMs, attempt: 2 }))).toBe(2);
  });

  test("every time of a long log is found", async () => {
    const { clock, put, wait } = world();
    const startMs = clock.nowMs();
    for (let index = 0; index < 1_100; index += 1) {
      await put({});
      await clock.advance(index % 3 === 0 ? 1_000 : 0);
    }
    await clock.advance(1_000);
    const found = [];
    for (const second of [0, 1, 2, 99, 366, 367]) {
      found.push(n(await wait({ event: "job.done" }, { requestedAtMs: startMs + second * 1_000 })));
    }
    expect(found).toEqual([1, 2, 5, 296, 1_097, 1_100]);
  });
});

test("1. what is older than the window does not count where a follower that lags shows it late", async () => {
  const { clock, log, put } = world();
  await put({});
  await clock.advance(1_000);
  await put({});
  const feed: EventFeed = {
    past: async function* () {
      await settle();
      yield [];
    },
    follow: (signal) => log.follow({ from: 1, signal }),
  };
  const executor = createWaitFor({ feed, pattern: watchedTypes, condition: watchedCondition });
  const context = { ...contextOf(), requestedAtMs: clock.nowMs() };
  expect(n(await executor.execute({ event: "job.done" }, context))).toBe(2);
});

describe("2. the first event that matches", () => {
  test("of those that come while it waits", async () => {
    const { put, wait } = world();
    const waiting = wait({
      event: "job.*",
      when: "event.attrs.n > 2 && event.attrs.state == 'ok'",
      entity: "job:2",
    });
    await settle();
    await put(
      { attrs: { n: 3, state: "ok" } },
      { entity_id: "job:2", attrs: { n: 4 } },
      { entity_id: "job:2", attrs: { n: 5, state: "bad" } },
      { entity_id: "job:2", event_type: "job", attrs: { n: 6, state: "ok" } },
      { entity_id: "job:2", event_type: "job.end", attrs: { n: 7, state: "ok" } },
      { entity_id: "job:2", attrs: { n: 8, state: "ok" } },
    );
    expect(n(await waiting)).toBe(7);
  });

  test("also of those that come while the past is read: the past comes first", async () => {
    const { log, put } = world();
    await put({}, { event_type: "other" });
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const inner = createEventFeed(log);
    let found = 1;
    const executor = createWaitFor({
      feed: {
        ...inner,
        past: async function* (query) {
          await held;
          for await (const records of inner.past(query)) yield records.slice(found);
        },
      },
      pattern: watchedTypes,
      condition: watchedCondition,
    });
    const waitBoth = (): Promise<Json>[] =>
      ["job.done", "job.**"].map((event) => executor.execute({ event }, contextOf()));
    const missed = waitBoth();
    await settle();
    await put({}, {});
    goOn();
    expect((await Promise.all(missed)).map(n)).toEqual([3, 3]);
    found = 0;
    expect((await Promise.all(waitBoth())).map(n)).toEqual([1, 1]);
  });
});

describe("3. whose events count", () => {
  test("those of the tenant alone, from the past and as they come", async () => {
    const { put, wait } = world();
    await put({ tags: { tenant: "b" } });
    const [ours, theirs] = [
      wait({ event: "job.done" }),
      wait({ event: "job.done" }, { tenant: "b" }),
    ];
    expect(n(await theirs)).toBe(1);
    await put({ tags: { tenant: "b" } }, {});
    expect(n(await ours)).toBe(3);
  });

  test("none that the waiting or its own execution made; but observations, and those of others", async () => {
    const { put, wait } = world();
    const own = executionId("7");
    const action = { event_type: "action.succeeded", attrs: { result: null, n: 0 } };
    const actionId = actionIdOf("default", "x");
    const waiting = ["action.*", "action.succeeded", "**"].map((event) =>
      wait({ event }, { executionId: own, actionId }),
    );
    await settle();
    await put(
      { ...action, action_id: actionId },
      { ...action, action_id: actionIdOf("default", "y"), execution_id: own },
    );
    await settle();
    await put({ execution_id: own, attrs: { n: 1 } });
    await put({ ...action, attrs: { n: 2 }, action_id: actionIdOf("default", "z") });
    expect((await Promise.all(waiting)).map(n)).toEqual([2, 2, 1]);
  });
});

describe("4. it holds nothing but its place", () => {
  test("ten thousand wait behind one follower, and each gets its own event", async () => {
    const { seen, put, wait } = world();
    const many = Array.from({ length: 10_000 }, (_, index) =>
      wait({ event: "order.paid", entity: `order:${String(index)}` }),
    );
    const others = Array.from({ length: 100 }, () => wait({ event: "order.lost.*" }));
    await eventually(() => seen.pasts, 10_100);
    expect(seen.followers).toBe(1);
    await put({ event_type: "order.lost.now" });
    await put(
      ...[9_999, 0, 5_000].map((index) => ({
        event_type: "order.paid",
        entity_id: `order:${String(index)}`,
      })),
    );
    expect((await Promise.all(others)).map(n)).toEqual(Array.from({ length: 100 }, () => 1));
    expect(n((await many[9_999]) ?? null)).toBe(2);
    expect(n((await many[0]) ?? null)).toBe(3);
    expect(n((await many[5_000]) ?? null)).toBe(4);
    expect(seen.followers).toBe(1);
  });

  test("the last one that leaves ends the follower, however it ended", async () => {
    const { seen, put, wait } = world();
    const controller = new AbortController();
    const [one, two] = [
      wait({ event: "job.done" }),
      wait({ event: "job.*" }, { signal: controller.signal }),
    ];
    await eventually(() => seen.followers, 1);
    controller.abort();
    expect(await faultOf(two)).toMatchObject({
      kind: "cancelled",
      message: "Waiting for job.* was ended",
    });
    expect(seen.followers).toBe(1);
    await put({});
    expect(n(await one)).toBe(1);
    await eventually(() => seen.followers, 0);
    const again = wait({ event: "job.done" });
    await eventually(() => seen.followers, 1);
    await put({});
    expect(n(await again)).toBe(1);
  });

  test("a log that ends under it: all who wait are told, and may try again", async () => {
    const { log } = world();
    const feed: EventFeed = {
      ...createEventFeed(log),
      follow: async function* () {
        await settle();
        yield [];
        throw new Error("the disk is gone");
      },
    };
    const executor = createWaitFor({ feed, pattern: watchedTypes, condition: watchedCondition });
    const errors = ["a", "b.*"].map((event) => errorOf(executor, { event }));
    expect(await Promise.all(errors)).toEqual(
      ["a", "b.*"].map((event) => ({
        kind: "unavailable",
        message: `Cannot wait for ${event} as the log cannot be read: the disk is gone`,
        retryable: true,
      })),
    );
  });
});

describe("5. conditions", () => {
  test("one that cannot be judged does not hold, and is told", async () => {
    const { executor, put, clock } = world();
    const context = { ...contextOf(), requestedAtMs: clock.nowMs() };
    const waiting = executor.execute({ event: "job.done", when: "event.attrs.n > 3" }, context);
    await settle();
    await put({ attrs: { n: "many" } }, { attrs: {} }, { attrs: { n: 4 } });
    expect(n(await waiting)).toBe(4);
    expect(context.told).toEqual([
      [undefined, expect.stringMatching(/^when cannot be judged for \d+: no such overload/)],
    ]);
  });
});
