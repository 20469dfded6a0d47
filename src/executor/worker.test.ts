import { describe, expect, test } from "vitest";
import { bench, failing, logIsBusy, typesOf } from "../../test/worker-bench.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { fault } from "../event/error.ts";
import type { NewEvent } from "../event/envelope.ts";
import { actionIdOf } from "../event/ids.ts";
import { createMemoryBlobs } from "./blob/memory.ts";
import { isBlobRef, readThrough } from "./blob.ts";
import type { BlobStore } from "./executor.ts";

describe("1. one report for each attempt", () => {
  test("a success, with all that tells whose it is", async () => {
    const { clock, worker, call, run, reported } = bench();
    const action = run({ args: { n: 1 } });
    expect(worker.running()).toBe(1);
    expect(call(0).args).toEqual({ n: 1 });
    expect(call(0).context).toMatchObject({
      actionId: action,
      attempt: 1,
      tenant: "default",
      entityId: "service:web",
      executionId: undefined,
      requestedAtMs: Date.parse("2026-11-24T05:00:00.000Z"),
    });
    call(0).succeed({ done: [1] });
    await clock.settle();
    expect(reported).toEqual([
      {
        ts: "2026-11-24T05:00:00.000Z",
        event_type: "action.succeeded",
        entity_id: "service:web",
        correlation_id: "slot:1",
        causation_id: "2",
        action_id: action,
        attempt: 1,
        source: { system: "deed", ns: { component: "lifecycle" } },
        tags: { tenant: "default", priority: "normal", action: "held" },
        attrs: { result: { done: [1] } },
      },
    ]);
    expect(worker.running()).toBe(0);
    expect(clock.armed()).toBe(0);
  });

  test("a failure that may be tried again is retrying, with the attempt to come", async () => {
    const { clock, call, run, reported } = bench();
    run();
    call(0).fail(fault("rate_limited", "slow down", { retry_after_ms: 7_000 }));
    await clock.settle();
    expect(reported).toMatchObject([
      {
        event_type: "action.retrying",
        attempt: 2,
        attrs: {
          delay_ms: 7_000,
          retry_at: "2026-11-24T05:00:07.000Z",
          error: { kind: "rate_limited", message: "slow down", retryable: true },
        },
      },
    ]);
  });

  test.each([Infinity, 1e300])(
    "a retry_after_ms of %d is longer than any retry waits: the attempt was the last",
    async (ms) => {
      const { clock, call, run, reported } = bench();
      run();
      call(0).fail(fault("rate_limited", "slow down", { retry_after_ms: ms }));
      await clock.settle();
      expect(reported.map(({ event_type: type }) => type)).toEqual(["action.failed"]);
    },
  );

  test("a retry_after_ms that is no number says nothing", async () => {
    const { clock, call, run, reported } = bench();
    run();
    call(0).fail(fault("rate_limited", "slow down", { retry_after_ms: Number.NaN }));
    await clock.settle();
    expect(reported[0]?.event_type).toBe("action.retrying");
    expect(reported[0]?.attrs["delay_ms"]).toBeLessThanOrEqual(1_000);
  });

  test("a failure that may not be tried again, or too often already, is failed", async () => {
    const { clock, call, run, reported } = bench();
    run();
    call(0).fail(fault("not_found", "gone"));
    run({ retry: { attempts: 2 } }, "two", 2);
    call(1).fail(fault("unavailable", "down"));
    await clock.settle();
    expect(reported.map(({ event_type, attempt }) => [event_type, attempt])).toEqual([
      ["action.failed", 1],
      ["action.failed", 2],
    ]);
  });

  test("whatever is thrown becomes an error of the taxonomy that the log can take", async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = cyclic;
    const thrown: unknown[] = [
      new Error("plain"),
      "text",
      undefined,
      fault("conflict", "x".repeat(10_000), cyclic as JsonObject),
      fault("conflict", "large", { body: "x".repeat(100_000) }),
    ];
    const { clock, call, run, reported } = bench();
    thrown.forEach((one, index) => {
      run({}, `key-${String(index)}`);
      call(index).fail(one);
    });
    await clock.settle();
    expect(reported.map(({ attrs }) => attrs["error"])).toEqual([
      { kind: "executor_error", message: "plain", retryable: false },
      { kind: "executor_error", message: "text", retryable: false },
      { kind: "executor_error", message: "undefined", retryable: false },
      {
        kind: "conflict",
        message: `${"x".repeat(4_000)} …`,
        retryable: false,
        detail: { left_out: "not JSON" },
      },
      { kind: "conflict", message: "large", retryable: false, detail: { left_out: 100_011 } },
    ]);
  });

  test.each([undefined, 10n, () => 1])("a result that is no JSON fails: %s", async (result) => {
    const { clock, call, run, reported } = bench();
    run();
    call(0).succeed(result);
    await clock.settle();
    expect(reported[0]).toMatchObject({
      event_type: "action.failed",
      attrs: { error: { kind: "executor_error" } },
    });
  });

  test("a cancel is reported once the executor has ended, and not before", async () => {
    const { clock, worker, call, run, reported } = bench({ deaf: true });
    const action = run();
    worker.cancel(action, "cancelled");
    worker.cancel(action, "cancelled");
    await clock.settle();
    expect(call(0).context.signal.aborted).toBe(true);
    expect(reported).toEqual([]);
    call(0).fail(new Error("aborted"));
    await clock.settle();
    expect(typesOf(reported)).toEqual(["action.cancelled"]);
  });

  test("a fence reports nothing, also where it comes after a cancel", async () => {
    const { clock, worker, run, reported } = bench();
    worker.cancel(run({}, "one"), "fenced");
    const two = run({}, "two");
    worker.cancel(two, "cancelled");
    worker.cancel(two, "fenced");
    await clock.settle();
    expect(reported).toEqual([]);
    expect(worker.running()).toBe(0);
  });

  test("a cancel of what does not run does nothing", async () => {
    const { clock, worker, reported } = bench();
    worker.cancel(actionIdOf("default", "nobody"), "cancelled");
    await clock.settle();
    expect(reported).toEqual([]);
  });

  test("a newer attempt of the same action fences the one that still runs", async () => {
    const { clock, worker, call, run, reported } = bench({ deaf: true });
    run({}, "one", 1);
    run({}, "one", 2);
    expect(call(0).context.signal.aborted).toBe(true);
    expect(call(1).context.signal.aborted).toBe(false);
    call(0).succeed("late");
    call(1).succeed("new");
    await clock.settle();
    expect(reported.map(({ attempt, attrs }) => [attempt, attrs["result"]])).toEqual([[2, "new"]]);
    expect(worker.running()).toBe(0);
  });

  test("all that is assigned runs at one time: how many is the kernel's decision", () => {
    const { worker, calls, run } = bench();
    for (let index = 0; index < 10; index += 1) run({}, `key-${String(index)}`);
    expect(calls).toHaveLength(10);
    expect(worker.running()).toBe(10);
    expect(worker.executors.get("held")?.concurrency).toBe(4);
  });
});

describe("2. a report is repeated until the log takes it", () => {
  test("with growing pauses, and the effect is not done again", async () => {
    const taken: NewEvent[] = [];
    const { clock, worker, calls, call, run, warnings } = bench({
      report: failing(3, logIsBusy, taken),
    });
    const action = run();
    call(0).succeed("done");
    await clock.settle();
    for (const waitMs of [50, 100, 200]) {
      expect(taken).toEqual([]);
      expect(worker.running()).toBe(1);
      await clock.advance(waitMs);
    }
    expect(taken.map(({ attrs }) => attrs["result"])).toEqual(["done"]);
    expect(calls).toHaveLength(1);
    expect(worker.running()).toBe(0);
    expect(warnings).toEqual(
      Array.from(
        { length: 3 },
        () => `The outcome of ${action} could not be stored and will be tried again`,
      ),
    );
  });

  test("a cancel or a time-out that comes meanwhile does not change the outcome", async () => {
    const taken: NewEvent[] = [];
    const { clock, worker, call, run } = bench({
      report: failing(3, logIsBusy, taken),
      leaseMs: 1e9,
    });
    const action = run({ timeout_sec: 0.1 });
    call(0).succeed("done");
    await clock.settle();
    worker.cancel(action, "cancelled");
    await clock.advance(5_000);
    expect(typesOf(taken)).toEqual(["action.succeeded"]);
  });

  test("a fence that comes meanwhile ends the repeating", async () => {
    const taken: NewEvent[] = [];
    const { clock, worker, call, run } = bench({ report: failing(1, logIsBusy, taken) });
    const action = run();
    call(0).succeed("done");
    await clock.settle();
    worker.cancel(action, "fenced");
    await clock.advance(10_000);
    expect(taken).toEqual([]);
    expect(worker.running()).toBe(0);
  });

  test("what the log refuses for good fails with that reason", async () => {
    const taken: NewEvent[] = [];
    const refusal = Object.assign(new Error("the event is too large"), { retryable: false });
    const { clock, worker, call, run } = bench({ report: failing(1, refusal, taken) });
    run();
    call(0).succeed("done");
    await clock.settle();
    expect(taken).toMatchObject([
      {
        event_type: "action.failed",
        attrs: {
          error: {
            kind: "unprocessable",
            message: "The log refused action.succeeded of attempt 1: the event is too large",
          },
        },
      },
    ]);
    expect(worker.running()).toBe(0);
  });

  test("a log that refuses everything is told of, and nothing hangs", async () => {
    const refusal = Object.assign(new Error("closed"), { retryable: false });
    const { clock, worker, call, run, warnings } = bench({ report: failing(9, refusal, []) });
    const action = run();
    call(0).succeed("done");
    await clock.settle();
    expect(warnings).toEqual([`The outcome of ${action} was refused by the log`]);
    expect(worker.running()).toBe(0);
  });

  test("a result that cannot be stored aside is kept until it can, whatever is asked meanwhile", async () => {
    const memory = createMemoryBlobs();
    let broken = 2;
    const blobs: BlobStore = {
      ...memory,
      put: (bytes) => {
        broken -= 1;
        if (broken >= 0) return Promise.reject(fault("unavailable", "the disk is full"));
        return memory.put(bytes);
      },
    };
    const { clock, worker, calls, call, run, reported } = bench({ blobs, inlineBytesMax: 10 });
    const action = run();
    call(0).succeed("a long result");
    await clock.settle();
    worker.cancel(action, "cancelled");
    await clock.advance(1_000);
    expect(typesOf(reported)).toEqual(["action.succeeded"]);
    expect(calls).toHaveLength(1);
    expect(await readThrough(blobs, reported[0]?.attrs["result"] ?? null)).toBe("a long result");
  });
});

describe("3. arguments are checked", () => {
  test("an executor never sees arguments that do not fit its schema", async () => {
    const { clock, calls, run, reported } = bench();
    run({ args: { n: "one", m: 2 } });
    await clock.settle();
    expect(calls).toEqual([]);
    expect(reported[0]).toMatchObject({
      event_type: "action.failed",
      attrs: {
        error: {
          kind: "invalid_args",
          message: "Cannot run held as /m is not known",
          retryable: false,
          detail: {
            problems: [
              { pointer: "/m", message: "is not known" },
              { pointer: "/n", message: "must be number" },
            ],
          },
        },
      },
    });
  });
});

describe("5. large results", () => {
  test.each([
    ["a string", "ä".repeat(1_000)],
    ["an object", { rows: Array.from({ length: 500 }, (_, row) => ({ row })) }],
  ])(
    "%s over the limit becomes a reference that reads as the inline value",
    async (_, result: Json) => {
      const { clock, call, run, reported, blobs } = bench({ inlineBytesMax: 1_000 });
      run();
      call(0).succeed(result);
      await clock.settle();
      const stored = reported[0]?.attrs["result"] ?? null;
      expect(isBlobRef(stored)).toBe(true);
      expect(await readThrough(blobs, stored)).toEqual(result);
    },
  );

  test("at the limit it stays inline, one byte more and it does not", async () => {
    const { clock, call, run, reported } = bench({ inlineBytesMax: 100 });
    run({}, "one");
    run({}, "two");
    call(0).succeed("x".repeat(98));
    call(1).succeed("x".repeat(99));
    await clock.settle();
    const [inline, aside] = reported.map(({ attrs }) => attrs["result"]);
    expect(inline).toBe("x".repeat(98));
    expect(aside).toMatchObject({ size: 101 });
  });

  test("what an executor keeps itself reads the same way", async () => {
    const { clock, call, run, reported, blobs } = bench();
    run();
    const { context, succeed } = call(0);
    succeed({ status: 200, body: await context.keep({ a: [1, "ä"] }) });
    await clock.settle();
    const result = reported[0]?.attrs["result"] ?? null;
    expect(await readThrough(blobs, result)).toEqual({ status: 200, body: { a: [1, "ä"] } });
  });
});
