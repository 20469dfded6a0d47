/** What the worker does by the clock. The numbers are those of `worker.ts`. */
import { describe, expect, test } from "vitest";
import { bench, failing, logIsBusy, typesOf } from "../../../test/worker-bench.ts";
import type { NewEvent } from "../../event/envelope.ts";

describe("4. heartbeats", () => {
  test("what runs longer than a third of its lease extends it, and what is shorter says nothing", async () => {
    const { clock, call, run, reported } = bench({ leaseMs: 3_000 });
    run();
    await clock.advance(900);
    expect(reported).toEqual([]);
    await clock.advance(200);
    expect(reported).toMatchObject([
      { event_type: "action.progress", attrs: { lease_until: "2026-11-24T05:00:04.000Z" } },
    ]);
    await clock.advance(2_000);
    expect(reported.map(({ attrs }) => attrs["lease_until"])).toEqual([
      "2026-11-24T05:00:04.000Z",
      "2026-11-24T05:00:05.000Z",
      "2026-11-24T05:00:06.000Z",
    ]);
    call(0).succeed(1);
    await clock.settle();
    expect(clock.armed()).toBe(0);
  });

  test("the lease never runs out while an attempt runs, reports or ends", async () => {
    const taken: NewEvent[] = [];
    let broken = false;
    const leaseMs = 1_500;
    const { clock, worker, call, run } = bench({
      leaseMs,
      deaf: true,
      report: (events) => {
        const beats = events.every(({ event_type }) => event_type === "action.progress");
        if (broken && !beats) return Promise.reject(logIsBusy);
        taken.push(...events);
        return Promise.resolve();
      },
    });
    const reporting = run({}, "reporting");
    const ending = run({}, "ending");
    await clock.advance(2_000);
    broken = true;
    call(0).succeed("done");
    worker.cancel(ending, "cancelled");
    await clock.advance(4_000);
    for (const action of [reporting, ending]) {
      const untilMs = taken
        .filter(({ action_id: id }) => id === action)
        .map(({ attrs }) => Date.parse(attrs["lease_until"] as string));
      const gaps = untilMs.slice(1).map((atMs, index) => atMs - (untilMs[index] ?? 0));
      expect(Math.max(...gaps)).toBeLessThan(leaseMs);
      expect(untilMs.at(-1)).toBeGreaterThan(clock.nowMs());
    }
  });

  test("an attempt that ignores its abort is given up, so that its lease runs out", async () => {
    const { clock, worker, run, reported } = bench({ leaseMs: 1_500, deaf: true });
    const action = run();
    worker.cancel(action, "cancelled");
    await clock.advance(20_000);
    const last = reported.at(-1)?.attrs["lease_until"];
    expect(last).toBe("2026-11-24T05:00:06.000Z");
  });

  test("one timer serves all that run", async () => {
    const { clock, run } = bench();
    for (let index = 0; index < 50; index += 1) run({}, `key-${String(index)}`);
    expect(clock.armed()).toBe(1);
    await clock.advance(1_000);
    expect(clock.armed()).toBe(1);
  });

  test("heartbeats that cannot be recorded are no failure of the attempt", async () => {
    const taken: NewEvent[] = [];
    const { clock, call, run, warnings } = bench({
      leaseMs: 3_000,
      report: failing(1, logIsBusy, taken),
    });
    run();
    await clock.advance(1_100);
    expect(warnings).toEqual(["Heartbeats could not be recorded"]);
    call(0).succeed(1);
    await clock.settle();
    expect(typesOf(taken)).toEqual(["action.succeeded"]);
  });
});

describe("progress", () => {
  test("it is thinned out to the newest of each second", async () => {
    const { clock, call, run, reported } = bench();
    run();
    for (let percent = 0; percent <= 40; percent += 1) {
      call(0).context.progress(percent, `step ${String(percent)}`);
      await clock.advance(50);
    }
    const told = reported.map(({ attrs }) => attrs["percent"]);
    expect(told).toHaveLength(2);
    expect(reported[0]?.attrs).toEqual({
      percent: 1,
      message: "step 1",
      lease_until: "2026-11-24T05:00:30.100Z",
    });
  });

  test("it is brought into bounds", async () => {
    const { clock, call, run, reported } = bench();
    run();
    const odd: [number | undefined, string | undefined][] = [
      [150, undefined],
      [-1, undefined],
      [Number.NaN, "x".repeat(2_000)],
      [undefined, "words"],
    ];
    for (const [percent, message] of odd) {
      call(0).context.progress(percent, message);
      await clock.advance(1_100);
    }
    expect(reported.map(({ attrs: { percent, message } }) => [percent, message])).toEqual([
      [100, undefined],
      [0, undefined],
      [undefined, "x".repeat(1_000)],
      [undefined, "words"],
    ]);
  });
});

describe("6. time-outs", () => {
  test("an idempotent attempt that runs out of its time is aborted and tried again", async () => {
    const { clock, call, run, reported } = bench({ leaseMs: 600_000 });
    run({ timeout_sec: 2 });
    await clock.advance(1_900);
    expect(call(0).context.signal.aborted).toBe(false);
    await clock.advance(100);
    expect(call(0).context.signal.aborted).toBe(true);
    expect(reported).toMatchObject([
      {
        event_type: "action.retrying",
        attempt: 2,
        attrs: {
          error: {
            kind: "timeout",
            message: "held attempt 1 did not end by 2026-11-24T05:00:02.000Z",
            retryable: true,
          },
        },
      },
    ]);
  });

  test("one that is not idempotent fails, as nobody knows what it had done", async () => {
    const { clock, run, reported } = bench({ leaseMs: 600_000, idempotent: false });
    run({ timeout_sec: 2 });
    await clock.advance(2_000);
    expect(reported).toMatchObject([
      { event_type: "action.failed", attrs: { error: { kind: "timeout", retryable: false } } },
    ]);
  });

  test("without timeout_sec the executor's own limit holds", async () => {
    const { clock, run, reported } = bench({ leaseMs: 600_000 });
    run();
    await clock.advance(59_900);
    expect(reported).toEqual([]);
    await clock.advance(100);
    expect(typesOf(reported)).toEqual(["action.retrying"]);
  });
});

describe("stop", () => {
  test("what ends within the grace is reported, the rest is aborted without a report", async () => {
    const { clock, worker, call, run, reported } = bench();
    run({}, "quick");
    run({}, "slow");
    const stopped = worker.stop(1_000);
    await clock.advance(500);
    call(0).succeed("in time");
    await clock.advance(400);
    expect(call(1).context.signal.aborted).toBe(false);
    await clock.advance(200);
    await stopped;
    expect(call(1).context.signal.aborted).toBe(true);
    expect(reported.map(({ attrs }) => attrs["result"])).toEqual(["in time"]);
    expect(worker.running()).toBe(0);
    expect(clock.armed()).toBe(0);
  });

  test("it waits no longer than it must", async () => {
    const { clock, worker, call, run } = bench();
    run();
    const stopped = worker.stop(60_000);
    call(0).succeed(1);
    await clock.settle();
    await stopped;
    expect(clock.nowMs()).toBe(Date.UTC(2026, 10, 24, 5));
  });

  test("nothing begins afterwards", async () => {
    const { worker, calls, run } = bench();
    await worker.stop(0);
    run();
    expect(calls).toEqual([]);
    expect(worker.running()).toBe(0);
  });

  test("attempts that do not end when aborted are told of, and not waited for without end", async () => {
    const { clock, worker, run, warnings } = bench({ deaf: true });
    run();
    const stopped = worker.stop(0);
    await clock.advance(5_000);
    await stopped;
    expect(warnings).toEqual(["Attempts did not end when aborted"]);
  });
});
