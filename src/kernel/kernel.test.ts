import { describe, expect, it } from "vitest";
import {
  ask,
  attrsOf,
  callOf,
  createHandExecutor,
  createSilentWorker,
  leaseMs,
  startNode,
  typesOf,
} from "../../test/node.ts";
import { createManualClock } from "../../test/manual-clock.ts";
import { cancelRequestedEvent, identityOf, succeededEvent } from "../action/lifecycle-event.ts";
import { fault } from "../event/error.ts";
import { eventId, type ActionId } from "../event/ids.ts";
import { present } from "../base/assert.ts";

const limited = { concurrency: { key: "one", limit: 1 } };

describe("1. the atomic step", () => {
  it("commits what a request leads to with it, and starts it afterwards", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a"));
    expect(typesOf(node, -1)).toEqual(["action.requested", "action.accepted", "action.started"]);
    expect(executor.calls.map(({ context }) => context.attempt)).toEqual([1]);
  });

  it("commits a result together with the start of the one that waited for its slot", async () => {
    const executor = createHandExecutor({ concurrency: 1 });
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a"), ask("b"));
    callOf(executor, 0).resolve(null);
    await node.clock.settle();
    expect(typesOf(node, -1)).toEqual(["action.succeeded", "action.accepted", "action.started"]);
    expect(executor.calls.map(({ context }) => context.actionId)).toEqual([
      ask("a").action_id,
      ask("b").action_id,
    ]);
  });

  it("executes nothing of a commit that failed", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    node.disrupt(true);
    await expect(node.put(ask("a"))).rejects.toMatchObject({ code: "full" });
    await node.clock.advance(10_000);
    expect(executor.calls).toEqual([]);
    expect(node.disk.actions.size).toBe(0);
  });
});

describe("2. nothing polls, and nothing is forgotten", () => {
  it("starts the more urgent first, then the older", async () => {
    const executor = createHandExecutor({ concurrency: 1 });
    const node = await startNode({ executors: [executor] });
    await node.put(ask("first"));
    await node.put(
      ask("low", {}, { priority: "low" }),
      ask("normal"),
      ask("critical", {}, { priority: "critical" }),
      ask("high", {}, { priority: "high" }),
      ask("high, too", {}, { priority: "high" }),
    );
    for (let index = 0; index < 6; index += 1) {
      callOf(executor, index).resolve(null);
      await node.clock.settle();
    }
    expect(executor.calls.map(({ context }) => context.actionId)).toEqual(
      ["first", "critical", "high", "high, too", "normal", "low"].map((key) => ask(key).action_id),
    );
  });

  it("says why an action waits, and for whom", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a", limited));
    await node.put(ask("b", limited));
    expect(attrsOf(node, "action.deferred")).toEqual([
      {
        reason: "limit",
        limit_key: "concurrency:one",
        holders: [ask("a").action_id],
        holders_total: 1,
      },
    ]);
    callOf(executor, 0).resolve(null);
    await node.clock.settle();
    expect(node.story(ask("b").action_id).at(-1)).toBe("started/1");
  });

  it("lets an action without an executor wait, with the reason, until its ttl ends it", async () => {
    const node = await startNode();
    const { action_id: id } = ask("a");
    await node.put(ask("a", { ttl_sec: 60 }));
    expect(attrsOf(node, "action.deferred")).toMatchObject([{ reason: "no_executor" }]);
    await node.clock.advance(59_999);
    expect(node.disk.actions.get(id)?.status).toBe("requested");
    await node.clock.advance(1);
    await node.clock.settle();
    expect(node.disk.actions.get(id)).toMatchObject({ status: "failed", errorKind: "ttl_expired" });
  });

  it("starts nothing after its ttl, also where the clock steps over it", async () => {
    const clock = createManualClock();
    let skewMs = 0;
    const executor = createHandExecutor({ concurrency: 1 });
    const wall = { ...clock, nowMs: () => clock.nowMs() + skewMs };
    const node = await startNode({ executors: [executor], clock, wall });
    await node.put(ask("a"), ask("b", { ttl_sec: 600 }));
    skewMs = 700_000;
    callOf(executor, 0).resolve(null);
    await node.clock.settle();
    expect(node.story(ask("b").action_id).slice(-2)).toEqual(["timer.fired/0", "failed/1"]);
    expect(executor.calls).toHaveLength(1);
  });

  it("wakes what a rate held back, also where the commit of the wake-up fails at first", async () => {
    const executor = createHandExecutor();
    const rate = { key: "r", limit: 1, per_sec: 10 };
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a", { rate }), ask("b", { rate }));
    expect(executor.calls).toHaveLength(1);
    await node.clock.advance(9_000);
    node.disrupt(true);
    await node.clock.advance(5_000);
    expect(executor.calls).toHaveLength(1);
    node.disrupt(false);
    await node.clock.advance(2_000);
    await node.clock.settle();
    expect(executor.calls).toHaveLength(2);
  });

  it("fires a timer that could not be recorded, once it can be", async () => {
    const node = await startNode();
    const { action_id: id } = ask("a");
    await node.put(ask("a", { ttl_sec: 10 }));
    node.disrupt(true);
    await node.clock.advance(15_000);
    expect(node.disk.actions.get(id)?.status).toBe("requested");
    expect(node.warnings).toContain(
      "Timers that are due could not be recorded and will be tried again",
    );
    node.disrupt(false);
    await node.clock.advance(2_000);
    await node.clock.settle();
    expect(node.disk.actions.get(id)?.status).toBe("failed");
  });
});

describe("3. a kernel that starts again", () => {
  it("takes up what waits, in its order, and ends what was held by the former worker", async () => {
    const safe = createHandExecutor({ command: "hand.safe", concurrency: 1 });
    const once = createHandExecutor({ command: "hand.once", concurrency: 1, idempotent: false });
    const node = await startNode({ executors: [safe, once] });
    const asked = ["hand.safe", "hand.once"].flatMap((command) => [
      ask(`${command} 1`, { command }),
      ask(`${command} 2`, { command }),
    ]);
    await node.put(...asked);
    node.crash();
    const again = [
      createHandExecutor({ command: "hand.safe", concurrency: 1 }),
      createHandExecutor({ command: "hand.once", concurrency: 1, idempotent: false }),
    ];
    const { clock, disk } = node;
    const next = await startNode({ executors: again, clock, disk, name: "worker-2" });
    await clock.settle();
    const story = (key: string): readonly string[] => next.story(ask(key).action_id);
    expect(story("hand.safe 1").slice(-2)).toEqual(["started/1", "retrying/2"]);
    expect(story("hand.once 1").slice(-2)).toEqual(["failed/1", "dead_lettered/1"]);
    expect(disk.actions.get(ask("hand.once 1").action_id)).toMatchObject({
      errorKind: "outcome_unknown",
      deadLetter: "pending",
    });
    expect(story("hand.safe 2").at(-1)).toBe("started/1");
    expect(story("hand.once 2").at(-1)).toBe("started/1");
    again[0]?.calls[0]?.resolve(null);
    await clock.advance(1_000);
    await clock.settle();
    expect(story("hand.safe 1").at(-1)).toBe("started/2");
    expect(safe.calls).toHaveLength(1);
  });

  it("refuses what the former worker still says", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    const { action_id: id } = ask("a");
    await node.put(ask("a"));
    const started = present(node.disk.threads.get(id)?.at(-1), "its start").event;
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({
      executors: [createHandExecutor()],
      clock,
      disk,
      name: "worker-2",
    });
    const at = { ts: started.ts, causationId: started.event_id, attempt: 1 };
    await next.put(succeededEvent(identityOf(started, id), at, "late"));
    expect(disk.threads.get(id)?.at(-1)?.event.tags["anomaly"]).toBe("superseded");
    expect(disk.actions.get(id)?.status).toBe("retrying");
  });

  it("keeps the times of retries and of ttls", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    const retry = { attempts: 2, initial_ms: 40_000, max_ms: 40_000 };
    await node.put(ask("a", { retry }), ask("b", { command: "nobody.does", ttl_sec: 50 }));
    callOf(executor, 0).reject(fault("unavailable", "not now", { retry_after_ms: 40_000 }));
    await node.clock.settle();
    node.crash();
    const again = createHandExecutor();
    const { clock, disk } = node;
    await clock.advance(10_000);
    const next = await startNode({ executors: [again], clock, disk, name: "worker-2" });
    await clock.advance(29_000);
    expect(again.calls).toEqual([]);
    await clock.advance(1_000);
    await clock.settle();
    expect(again.calls.map(({ context }) => context.attempt)).toEqual([2]);
    await clock.advance(10_000);
    await clock.settle();
    expect(next.story(ask("b").action_id).at(-1)).toBe("failed/1");
  });

  it("keeps what the rate windows saw", async () => {
    const rate = { key: "r", limit: 1, per_sec: 100 };
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(ask("a", { rate }));
    node.crash();
    const again = createHandExecutor();
    const { clock, disk } = node;
    await clock.advance(50_000);
    const next = await startNode({ executors: [again], clock, disk, name: "worker-2" });
    await next.put(ask("b", { rate }));
    const calls = (): readonly ActionId[] => again.calls.map(({ context }) => context.actionId);
    expect(calls()).not.toContain(ask("b").action_id);
    await clock.advance(160_000);
    await clock.settle();
    expect(calls()).toContain(ask("b").action_id);
  });
});

describe("4. leases", () => {
  it("takes an attempt that gives no sign of life, and tries again where that is safe", async () => {
    const worker = createSilentWorker(createHandExecutor({ idempotent: true }));
    const node = await startNode({ worker });
    const { action_id: id } = ask("a");
    await node.put(ask("a"));
    await node.clock.advance(leaseMs - 1);
    expect(node.story(id).at(-1)).toBe("started/1");
    await node.clock.advance(1);
    await node.clock.settle();
    expect(worker.cancelled).toEqual([`${id} fenced`]);
    expect(node.story(id).at(-1)).toBe("retrying/2");
    await node.clock.advance(1_000);
    await node.clock.settle();
    expect(worker.taken).toEqual([`${id}/1`, `${id}/2`]);
  });

  it("leaves to a person what may not run twice", async () => {
    const worker = createSilentWorker(createHandExecutor({ idempotent: false }));
    const node = await startNode({ worker });
    const { action_id: id } = ask("a");
    await node.put(ask("a"));
    await node.clock.advance(leaseMs);
    await node.clock.settle();
    expect(node.story(id).slice(-3)).toEqual(["timer.fired/0", "failed/1", "dead_lettered/1"]);
    expect(node.disk.actions.get(id)).toMatchObject({
      errorKind: "outcome_unknown",
      deadLetter: "pending",
    });
    expect(worker.taken).toEqual([`${id}/1`]);
  });

  it("leaves an attempt alone as long as its worker gives signs of life", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    const { action_id: id } = ask("a");
    await node.put(ask("a"));
    await node.clock.advance(5 * leaseMs);
    await node.clock.settle();
    expect(new Set(node.story(id).slice(3))).toEqual(new Set(["progress/1"]));
    callOf(executor, 0).resolve("done");
    await node.clock.settle();
    expect(node.story(id).at(-1)).toBe("succeeded/1");
  });

  it("hands a cancel to the worker once it is committed", async () => {
    const worker = createSilentWorker(createHandExecutor());
    const node = await startNode({ worker });
    const request = ask("a");
    await node.put(request);
    const at = { ts: request.ts, causationId: eventId("1"), attempt: 1 };
    const cancel = cancelRequestedEvent(identityOf(request, request.action_id), at, {});
    node.disrupt(true);
    await expect(node.put(cancel)).rejects.toMatchObject({ code: "full" });
    expect(worker.cancelled).toEqual([]);
    node.disrupt(false);
    await node.put(cancel);
    expect(worker.cancelled).toEqual([`${request.action_id} cancelled`]);
  });
});

describe("5. a commit that fails", () => {
  it("changes nothing in memory: what is asked again is decided as if for the first time", async () => {
    const executor = createHandExecutor({ concurrency: 1 });
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a", limited), ask("b", limited));
    const before = node.kernel.stats();
    node.disrupt(true);
    const cancelled = ask("b", limited);
    const at = { ts: cancelled.ts, causationId: eventId("1"), attempt: 1 };
    const cancel = cancelRequestedEvent(identityOf(cancelled, cancelled.action_id), at, {});
    await expect(node.put(ask("c"), cancel)).rejects.toMatchObject({ code: "full" });
    callOf(executor, 0).resolve(null);
    await node.clock.settle();
    expect({ ...node.kernel.stats(), timers: before.timers }).toEqual(before);
    node.disrupt(false);
    await node.put(ask("c"));
    await node.clock.advance(1_000);
    await node.clock.settle();
    expect(node.story(ask("a").action_id).at(-1)).toBe("succeeded/1");
    expect(node.story(ask("b").action_id).at(-1)).toBe("started/1");
    expect(node.kernel.stats()).toMatchObject({ openActions: 2, running: 1, queued: 1 });
  });
});

describe("6. stop", () => {
  it("lets what runs end, starts nothing more and says so", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a"));
    const stopped = node.kernel.stop(10_000);
    await node.put(ask("b"));
    expect(node.story(ask("b").action_id)).toEqual(["requested/0", "deferred/1"]);
    callOf(executor, 0).resolve("done");
    await node.clock.settle();
    await stopped;
    expect(node.story(ask("a").action_id).at(-1)).toBe("succeeded/1");
    expect(executor.calls).toHaveLength(1);
    expect(node.kernel.stats().timers).toBe(0);
    node.crash();
    const again = createHandExecutor();
    await startNode({ executors: [again], clock: node.clock, disk: node.disk, name: "worker-2" });
    await node.clock.settle();
    expect(again.calls.map(({ context }) => context.actionId)).toEqual([ask("b").action_id]);
  });

  it("aborts what does not end in time, and leaves the outcome to the next start", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(ask("a"));
    const { context, reject } = callOf(executor, 0);
    context.signal.addEventListener("abort", () => {
      reject(fault("cancelled", "ended"));
    });
    const stopped = node.kernel.stop(1_000);
    await node.clock.advance(1_000);
    await node.clock.settle();
    await stopped;
    expect(context.signal.aborted).toBe(true);
    expect(node.story(ask("a").action_id).at(-1)).toBe("started/1");
  });
});

describe("7. nothing is kept of what has ended", () => {
  it("holds no action, alarm or attempt after many have come and gone", async () => {
    const executor = createHandExecutor({ concurrency: 1_000 });
    const node = await startNode({ executors: [executor] });
    const one = { key: "k", limit: 3 };
    for (let turn = 0; turn < 20; turn += 1) {
      const keys = Array.from({ length: 50 }, (_, index) => `${String(turn)}/${String(index)}`);
      await node.put(...keys.map((key) => ask(key, { ttl_sec: 600, concurrency: one })));
      for (let more = true; more;) {
        const ended = executor.calls.splice(0);
        for (const { resolve } of ended) resolve(null);
        await node.clock.settle();
        more = ended.length > 0;
      }
    }
    expect(node.kernel.stats()).toMatchObject({ openActions: 0, running: 0, queued: 0, timers: 0 });
    expect(node.worker.running()).toBe(0);
    expect(node.disk.actions.size).toBe(1_000);
  });
});
