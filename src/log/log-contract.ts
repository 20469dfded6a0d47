/**
 * What every log promises: each adapter runs this suite from its own test.
 *
 * A case carries the number of the invariant in `log.ts` that it holds.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  createTestClock,
  eventOf,
  offsetsOf,
  rejectionOf,
  requestOf,
  rowStage,
  stageOf,
  type LogCase,
  type LogStore,
  type TestClock,
} from "../../test/log/fixture.ts";
import type { LogRecord } from "../event/envelope.ts";
import { actionIdOf } from "../event/ids.ts";
import { LogError, type Log } from "./log.ts";
import { executionsContract } from "./log-executions-contract.ts";
import { readsContract } from "./log-reads-contract.ts";
import { retentionContract } from "./log-retention-contract.ts";
import { stageContract } from "./log-stage-contract.ts";

const day = 24 * 3_600_000;

export function logContract(name: string, createStore: () => LogStore): void {
  describe(`the contract of a log: ${name}`, () => {
    const it = useLog(createStore);
    describe("append", () => {
      appendContract(it);
    });
    describe("idempotency keys", () => {
      keysContract(it);
    });
    describe("a commit that fails", () => {
      failureContract(it);
    });
    describe("reads", () => {
      readsContract(it);
    });
    describe("the stage", () => {
      stageContract(it);
    });
    describe("executions", () => {
      executionsContract(it);
    });
    describe("retention", () => {
      retentionContract(it);
    });
    describe("close and reopen", () => {
      lifetimeContract(it);
    });
  });
}

function useLog(createStore: () => LogStore): LogCase {
  let store: LogStore;
  let clock: TestClock;
  let log: Log;
  beforeEach(async () => {
    store = createStore();
    clock = createTestClock();
    log = await store.open({ clock });
  });
  afterEach(async () => {
    await log.close();
    store.remove();
  });
  return {
    log: () => log,
    clock: () => clock,
    reopen: async (options = {}) => {
      await log.close();
      log = await store.open({ ...options, clock });
      return log;
    },
  };
}

function appendContract({ log, clock, reopen }: LogCase): void {
  test("1. append gives one receipt an event, in order, and the events can be read", async () => {
    const events = [eventOf({ entity: "job:a" }), eventOf({ entity: "job:b" })];
    const receipts = await log().append(events);
    const records = await log().read({ from: 1, limit: 10 });
    expect(records.map(({ event }) => event.entity_id)).toEqual(["job:a", "job:b"]);
    expect(receipts).toEqual(
      records.map(({ offset, event }) => ({ eventId: event.event_id, offset, duplicate: false })),
    );
    expect(records[0]?.event).toMatchObject(events[0] ?? {});
    expect(records[0]).toMatchObject({
      topic: "events.normalized",
      partition: 0,
      ingestedAtMs: clock().nowMs(),
    });
  });

  test("1. appends that wait together share one commit", async () => {
    const commits: number[] = [];
    log().onCommit((records) => commits.push(records.length));
    await Promise.all(Array.from({ length: 20 }, () => log().append([eventOf()])));
    expect(commits).toEqual([20]);
  });

  test("1. an append that comes after a commit has begun is in the next one", async () => {
    const commits: number[] = [];
    let later: Promise<unknown> | undefined;
    log().onCommit((records) => {
      commits.push(records.length);
      later ??= log().append([eventOf()]);
    });
    await log().append([eventOf()]);
    await later;
    expect(commits).toEqual([1, 1]);
  });

  test("1. more events than one commit takes are committed in several, each append whole", async () => {
    const commits: LogRecord[][] = [];
    log().onCommit((records) => commits.push([...records]));
    const batch = Array.from({ length: 400 }, () => eventOf());
    const receipts = await Promise.all([1, 2, 3].map(() => log().append(batch)));
    expect(commits.map((records) => records.length)).toEqual([800, 400]);
    expect(receipts.flat().map(({ offset }) => offset)).toEqual(
      Array.from({ length: 1_200 }, (_, index) => index + 1),
    );
  });

  test("1. a batch without events is refused", async () => {
    const thrown = await rejectionOf(log().append([]));
    expect(thrown).toBeInstanceOf(LogError);
    expect(thrown).toMatchObject({
      code: "invalid",
      retryable: false,
      message: "Cannot append a batch as it must hold >= 1 event: current size is 0",
    });
  });

  test.each([
    ["attrs", eventOf({ attrs: { text: "x".repeat(2_000) } })],
    ["a name", eventOf({ entity: `job:${"x".repeat(2_000)}` })],
    ["tags", { ...eventOf(), tags: { note: "x".repeat(2_000) } }],
    ["many members", eventOf({ attrs: { list: Array.from({ length: 800 }, (_, at) => at) } })],
    ["three bytes a letter", eventOf({ attrs: { text: "€".repeat(700) } })],
  ])("1. an event over the size limit by %s is refused with all of its batch", async (_, big) => {
    const small = await reopen({ eventBytesMax: 2_000 });
    const thrown = await rejectionOf(small.append([eventOf(), big]));
    expect(thrown).toMatchObject({ code: "too_large", retryable: false });
    expect((thrown as LogError).message).toContain("one event may be 2000 bytes: this one is");
    expect(small.head()).toBe(0);
  });

  test("1. an event right at the size limit is taken", async () => {
    const event = eventOf({ attrs: { text: "x".repeat(1_000) } });
    const log = await reopen({ eventBytesMax: Buffer.byteLength(JSON.stringify(event)) });
    expect(await log.append([event])).toHaveLength(1);
  });

  test("1. an event that is no JSON fails by itself, and all of its batch with it", async () => {
    const broken = eventOf({ attrs: { count: 1n as unknown as number } });
    const [bad, good] = await Promise.allSettled([
      log().append([eventOf({ entity: "job:with" }), broken]),
      log().append([eventOf({ entity: "job:beside" })]),
    ]);
    expect(bad).toMatchObject({
      status: "rejected",
      reason: { code: "invalid", retryable: false },
    });
    expect(good.status).toBe("fulfilled");
    const records = await log().read({ from: 1, limit: 10 });
    expect(records.map(({ event }) => event.entity_id)).toEqual(["job:beside"]);
  });

  test("2. offsets rise by commit order over all topics, and ids are unique and rise", async () => {
    const types = ["job.failed", "rule.fired", "event.rejected", "worker.started"];
    for (const type of types) await log().append([eventOf({ type }), eventOf({ type })]);
    clock().move(-10_000);
    await log().append([eventOf()]);
    const records = await log().read({ from: 1, limit: 100 });
    expect(offsetsOf(records)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(log().head()).toBe(9);
    const ids = records.map(({ event }) => BigInt(event.event_id));
    expect(ids.every((id, at) => at === 0 || id > (ids[at - 1] ?? id))).toBe(true);
  });

  test("2. an acknowledged offset holds the same event for ever", async () => {
    const [receipt] = await log().append([eventOf({ entity: "job:first" })]);
    await log().append([eventOf({ entity: "job:second" })]);
    const reopened = await reopen();
    const [record] = await reopened.read({ from: receipt?.offset ?? 0, limit: 1 });
    expect(record?.event).toMatchObject({ entity_id: "job:first", event_id: receipt?.eventId });
  });
}

function keysContract({ log, clock, reopen }: LogCase): void {
  test("3. a repeated key is answered with the first receipt and changes nothing", async () => {
    const [first] = await log().append([eventOf({ key: "k", entity: "job:first" })]);
    const [second] = await log().append([eventOf({ key: "k", entity: "job:second" })]);
    expect(second).toEqual({ ...first, duplicate: true });
    const records = await log().read({ from: 1, limit: 10 });
    expect(records.map(({ event }) => event.entity_id)).toEqual(["job:first"]);
  });

  test("3. a key that stands twice in one batch counts once", async () => {
    const receipts = await log().append([
      eventOf({ key: "k" }),
      eventOf({ entity: "job:between" }),
      eventOf({ key: "k" }),
    ]);
    expect(receipts.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
      [1, false],
      [2, false],
      [1, true],
    ]);
    expect(receipts[2]?.eventId).toBe(receipts[0]?.eventId);
  });

  test("3. a key that stands in two batches of one commit counts once", async () => {
    const [[first], [second]] = await Promise.all([
      log().append([eventOf({ key: "k" })]),
      log().append([eventOf({ key: "k" })]),
    ]);
    expect(second).toEqual({ ...first, duplicate: true });
    expect(log().head()).toBe(1);
  });

  test("3. two tenants with one key are two events, and no tenant is the default one", async () => {
    const tenants = ["a", "b", undefined, "default"];
    const receipts = await Promise.all(
      tenants.map((tenant) =>
        log().append([eventOf({ key: "k", ...(tenant === undefined ? {} : { tenant }) })]),
      ),
    );
    expect(receipts.flat().map(({ duplicate }) => duplicate)).toEqual([false, false, false, true]);
  });

  test("3. events without a key are never taken for repeats", async () => {
    const receipts = await log().append([eventOf(), eventOf()]);
    expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false]);
  });

  test("3. a request's key and its action's id are one: asking twice is one action", async () => {
    const [first] = await log().append([requestOf("deploy")]);
    const [again] = await log().append([requestOf("deploy")]);
    expect(again).toEqual({ ...first, duplicate: true });
    const [other] = await log().append([eventOf({ key: "deploy" })]);
    expect(other?.duplicate).toBe(true);
  });

  test("3. a key is remembered inside the window, also where retention asks for less", async () => {
    const short = await reopen({ dedupWindowMs: day });
    const [first] = await short.append([eventOf({ key: "k" }), eventOf()]);
    await short.append([eventOf()]);
    clock().move(day - 1);
    expect(await short.retain({ "events.normalized": 0 })).toBe(1);
    const reopened = await reopen({ dedupWindowMs: day });
    const [again] = await reopened.append([eventOf({ key: "k" })]);
    expect(again).toEqual({ ...first, duplicate: true });
  });

  test("3. after the window a key goes with its event, and then it may be used anew", async () => {
    const short = await reopen({ dedupWindowMs: day });
    await short.append([eventOf({ key: "k" }), eventOf()]);
    clock().move(day + 1);
    const [kept] = await short.append([eventOf({ key: "k" })]);
    expect(kept?.duplicate).toBe(true);
    expect(await short.retain({ "events.normalized": 0 })).toBe(1);
    const [anew] = await short.append([eventOf({ key: "k" })]);
    expect(anew).toMatchObject({ offset: 3, duplicate: false });
    const [again] = await short.append([eventOf({ key: "k" })]);
    expect(again).toEqual({ ...anew, duplicate: true });
  });
}

function failureContract({ log, reopen }: LogCase): void {
  const heavy = eventOf({ attrs: { text: "x".repeat(100_000) } });

  test("5. every append of a failed commit is rejected with one error, and the log goes on", async () => {
    const small = await reopen({ small: true });
    let rolledBack = 0;
    let committed = 0;
    small.attach(
      stageOf({ rolledBack: () => (rolledBack += 1), committed: () => (committed += 1) }),
    );
    await small.append([eventOf({ key: "before" })]);
    const results = await Promise.allSettled([
      small.append([heavy, heavy]),
      small.append([heavy, heavy]),
      small.append([eventOf({ key: "beside" })]),
    ]);
    const reasons = results.map((result): unknown =>
      result.status === "rejected" ? result.reason : "",
    );
    expect(reasons[0]).toMatchObject({ name: "LogError", code: "full", retryable: true });
    expect(new Set(reasons).size).toBe(1);
    expect({ rolledBack, committed, head: small.head() }).toEqual({
      rolledBack: 1,
      committed: 1,
      head: 1,
    });
    const [after] = await small.append([eventOf({ key: "beside" })]);
    expect(after).toMatchObject({ offset: 2, duplicate: false });
    expect(offsetsOf(await small.read({ from: 1, limit: 10 }))).toEqual([1, 2]);
    const reopened = await reopen();
    expect(reopened.head()).toBe(2);
  });

  test("5. listeners hear nothing of a commit that failed", async () => {
    const small = await reopen({ small: true });
    const heard: number[] = [];
    small.onCommit((records) => heard.push(records.length));
    await rejectionOf(small.append([heavy, heavy, heavy, heavy]));
    await small.append([eventOf()]);
    expect(heard).toEqual([1]);
  });

  test("5. a stage that throws is rolled back, and its append is refused for good", async () => {
    const calls: string[] = [];
    log().attach(
      stageOf({
        writes: () => {
          throw new Error("the stage is broken");
        },
        rolledBack: () => calls.push("rolled back"),
        committed: () => calls.push("committed"),
      }),
    );
    const thrown = await rejectionOf(log().append([eventOf()]));
    expect(thrown).toMatchObject({
      code: "invalid",
      retryable: false,
      message: "Cannot append job.failed of job:nightly: the stage is broken",
    });
    expect(calls).toEqual(["rolled back"]);
    expect(await log().read({ from: 1, limit: 10 })).toEqual([]);
  });
}

function lifetimeContract({ log, clock, reopen }: LogCase): void {
  test("1. close commits what was asked for before it", async () => {
    const appended = log().append([eventOf({ key: "last" })]);
    await log().close();
    expect(await appended).toMatchObject([{ offset: 1, duplicate: false }]);
    expect((await reopen()).head()).toBe(1);
  });

  test("a closed log says so, and may be closed again", async () => {
    const closed = log();
    await closed.close();
    await closed.close();
    const asked = [
      closed.append([eventOf()]),
      closed.read({ from: 1, limit: 1 }),
      closed.readThread({ of: { entity: "job:nightly" }, limit: 1 }),
      closed.listActions({ limit: 1 }),
      closed.getAction(actionIdOf("default", "k")),
      closed.retain({}),
    ];
    for (const promise of asked) {
      expect(await rejectionOf(promise)).toMatchObject({ code: "closed", retryable: false });
    }
    closed.nudge();
  });

  test("6. what is opened again gives the same answers as before", async () => {
    log().attach(
      rowStage(log(), {
        writes: () => ({
          actions: [],
          executions: [],
          timers: [{ decider: "rule", instance: "i", name: "t", dueMs: 7 }],
          snapshots: [{ decider: "rule", instance: "i", offset: 1, state: { seen: 2 } }],
        }),
      }),
    );
    const action = actionIdOf("default", "a");
    await log().append([requestOf("a"), eventOf({ key: "k", execution: "run-1" })]);
    await log().append([eventOf({ type: "action.succeeded", action }), requestOf("b")]);
    const before = await everything(log());
    expect(before.records).toHaveLength(4);
    expect(before.actions).toHaveLength(2);
    const reopened = await reopen();
    expect(await everything(reopened)).toEqual(before);
    clock().move(-60_000);
    const [next] = await reopened.append([eventOf()]);
    expect(next?.offset).toBe(5);
    const lastId = before.records.at(-1)?.event.event_id ?? "0";
    expect(BigInt(next?.eventId ?? 0) > BigInt(lastId)).toBe(true);
  });

  const everything = async (from: Log) => ({
    head: from.head(),
    records: await from.read({ from: 1, limit: 100 }),
    thread: await from.readThread({ of: { action: actionIdOf("default", "a") }, limit: 100 }),
    actions: await from.listActions({ limit: 100 }),
    open: from.openActions(),
    timers: from.timers(),
    snapshots: from.snapshots("rule"),
    snapshot: from.reads.snapshot("rule", "i"),
  });
}
