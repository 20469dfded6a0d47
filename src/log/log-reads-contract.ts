/** The part of the log's contract that is about reading; run by `log-contract.ts`. */
import { expect, test, vi } from "vitest";
import { eventOf, offsetsOf, requestOf, rowStage, type LogCase } from "../../test/log/fixture.ts";
import type { LogRecord } from "../event/envelope.ts";
import { actionIdOf, eventId, executionId } from "../event/ids.ts";

export function readsContract(given: LogCase): void {
  rangeReads(given);
  threadReads(given);
  following(given);
  actionReads(given);
}

function rangeReads({ log }: LogCase): void {
  test("6. a read gives records from an offset on, at most as many as asked for", async () => {
    await log().append(Array.from({ length: 5 }, () => eventOf()));
    expect(offsetsOf(await log().read({ from: 2, limit: 3 }))).toEqual([2, 3, 4]);
    expect(offsetsOf(await log().read({ from: 5, limit: 3 }))).toEqual([5]);
    expect(await log().read({ from: 6, limit: 3 })).toEqual([]);
    expect(offsetsOf(await log().read({ from: 0, limit: 2 }))).toEqual([1, 2]);
  });

  test("6. a read by topics gives those only, in offset order", async () => {
    const types = ["job.failed", "rule.fired", "event.rejected", "rule.fired", "action.accepted"];
    await log().append(types.map((type) => eventOf({ type })));
    const read = async (topics: LogRecord["topic"][], from = 1, limit = 10) =>
      offsetsOf(await log().read({ from, limit, topics }));
    expect(await read(["events.normalized"])).toEqual([1]);
    expect(await read(["decisions"])).toEqual([2, 4]);
    expect(await read(["decisions"], 3)).toEqual([4]);
    expect(await read(["decisions"], 1, 1)).toEqual([2]);
    expect(await read(["decisions", "events.dlq"])).toEqual([2, 3, 4]);
    expect(await read(["events.normalized", "decisions"], 2)).toEqual([2, 4]);
    expect(await read(["actions.progress"])).toEqual([5]);
    expect(await read(["actions.dlq"])).toEqual([]);
    expect(await read([])).toEqual([]);
  });

  test("6. a read by tenant gives its records only, however few they are", async () => {
    const tenants = Array.from({ length: 2_500 }, (_, at) =>
      at % 1_000 === 999 ? "rare" : "often",
    );
    await log().append(tenants.map((tenant) => eventOf({ tenant })));
    await log().append([eventOf(), eventOf({ type: "rule.fired", tenant: "rare" })]);
    const rare = { from: 1, limit: 10, tenant: "rare" };
    expect(offsetsOf(await log().read(rare))).toEqual([1_000, 2_000, 2_502]);
    expect(offsetsOf(await log().read({ ...rare, limit: 2 }))).toEqual([1_000, 2_000]);
    expect(offsetsOf(await log().read({ ...rare, topics: ["decisions"] }))).toEqual([2_502]);
    expect(offsetsOf(await log().read({ ...rare, tenant: "default" }))).toEqual([2_501]);
    expect(await log().read({ ...rare, tenant: "nobody" })).toEqual([]);
  });

  test("findEvent finds every event by its id, and nothing by any other text", async () => {
    for (let batch = 0; batch < 4; batch += 1)
      await log().append([eventOf(), eventOf(), eventOf()]);
    for (const record of await log().read({ from: 1, limit: 100 })) {
      expect(await log().findEvent(record.event.event_id)).toEqual(record);
    }
    for (const id of ["0", "1", "9223372036854775807", "", "abc", "-1", "1e3", "9".repeat(400)]) {
      expect(await log().findEvent(eventId(id))).toBeUndefined();
    }
  });
}

function threadReads({ log }: LogCase): void {
  test("6. a thread by entity can be paged from either end", async () => {
    const entities = ["job:a", "job:b", "job:a", "job:a", "job:b", "job:a"];
    await log().append(entities.map((entity) => eventOf({ entity })));
    const of = { entity: "job:a" };
    const thread = async (more: { from?: number; limit: number; order?: "oldest" | "newest" }) =>
      offsetsOf(await log().readThread({ of, ...more }));
    expect(await thread({ limit: 10 })).toEqual([1, 3, 4, 6]);
    expect(await thread({ limit: 2 })).toEqual([1, 3]);
    expect(await thread({ limit: 2, from: 4 })).toEqual([4, 6]);
    expect(await thread({ limit: 2, order: "newest" })).toEqual([6, 4]);
    expect(await thread({ limit: 10, order: "newest", from: 4 })).toEqual([6, 4]);
    expect(await log().readThread({ of: { entity: "job:c" }, limit: 10 })).toEqual([]);
  });

  test("6. a thread by execution holds its events only", async () => {
    await log().append([
      eventOf({ execution: "run-1" }),
      eventOf({ execution: "run-2" }),
      eventOf(),
      eventOf({ execution: "run-1", type: "action.started" }),
    ]);
    const of = { execution: executionId("run-1") };
    expect(offsetsOf(await log().readThread({ of, limit: 10 }))).toEqual([1, 4]);
  });

  test("6. a thread by action begins with its request", async () => {
    const action = actionIdOf("default", "a");
    await log().append([eventOf({ type: "action.started", action })]);
    expect(await log().readThread({ of: { action }, limit: 10 })).toEqual([]);
    expect(log().reads.actionThread(action)).toEqual([]);
    await log().append([requestOf("a"), requestOf("b")]);
    await log().append([eventOf({ type: "action.started", action })]);
    expect(offsetsOf(await log().readThread({ of: { action }, limit: 10 }))).toEqual([2, 4]);
    expect(offsetsOf(log().reads.actionThread(action))).toEqual([2, 4]);
    expect(offsetsOf(log().reads.actionThread(action, 3))).toEqual([2]);
  });

  test("6. a thread by tenant leaves out what others say of the same entity", async () => {
    await log().append([eventOf({ tenant: "a" }), eventOf({ tenant: "b" }), eventOf()]);
    const of = { entity: "job:nightly" };
    expect(offsetsOf(await log().readThread({ of, limit: 10, tenant: "b" }))).toEqual([2]);
    expect(offsetsOf(await log().readThread({ of, limit: 10, tenant: "default" }))).toEqual([3]);
  });
}

function following({ log, clock }: LogCase): void {
  test("6. follow gives what is there, then what comes", async () => {
    await log().append([eventOf(), eventOf()]);
    const ends = new AbortController();
    const batches = log().follow({ from: 2, signal: ends.signal })[Symbol.asyncIterator]();
    expect(offsetsOf((await batches.next()).value as LogRecord[])).toEqual([2]);
    const next = batches.next();
    await log().append([eventOf(), eventOf()]);
    expect(offsetsOf((await next).value as LogRecord[])).toEqual([3, 4]);
    ends.abort();
    expect((await batches.next()).done).toBe(true);
  });

  test("6. follow by topic and tenant wakes for what it is about", async () => {
    const ends = new AbortController();
    const query = { from: 1, topics: ["decisions"] as const, tenant: "a", signal: ends.signal };
    const next = log().follow(query)[Symbol.asyncIterator]().next();
    await log().append([eventOf({ tenant: "a" })]);
    await log().append([eventOf({ type: "rule.fired", tenant: "b" })]);
    await log().append([eventOf({ type: "rule.fired", tenant: "a" })]);
    expect(offsetsOf((await next).value as LogRecord[])).toEqual([3]);
    ends.abort();
  });

  test("6. follow ends when it is aborted, waiting or not", async () => {
    const before = AbortSignal.abort();
    expect(
      (await log().follow({ from: 1, signal: before })[Symbol.asyncIterator]().next()).done,
    ).toBe(true);
    const ends = new AbortController();
    const waiting = log().follow({ from: 1, signal: ends.signal })[Symbol.asyncIterator]().next();
    await turn();
    ends.abort();
    expect((await waiting).done).toBe(true);
  });

  test("6. under concurrent appends a follower sees each record once, in order, without a gap", async () => {
    const ends = new AbortController();
    const total = 3_000;
    const seen: number[] = [];
    const follower = (async () => {
      for await (const batch of log().follow({ from: 1, signal: ends.signal })) {
        seen.push(...offsetsOf(batch));
        if (seen.length >= total) return;
      }
    })();
    const writer = async (): Promise<void> => {
      for (let at = 0; at < 100; at += 1) await log().append([eventOf(), eventOf(), eventOf()]);
    };
    await Promise.all(Array.from({ length: 10 }, writer));
    await follower;
    ends.abort();
    expect(seen).toEqual(Array.from({ length: total }, (_, at) => at + 1));
  });

  test("6. a slow consumer holds up no append, and catches up in bounded batches", async () => {
    const ends = new AbortController();
    const batches = log().follow({ from: 1, signal: ends.signal })[Symbol.asyncIterator]();
    const first = batches.next();
    await log().append([eventOf()]);
    await first;
    for (let at = 0; at < 3; at += 1) {
      await log().append(Array.from({ length: 400 }, () => eventOf()));
    }
    expect(log().head()).toBe(1_201);
    const sizes = [];
    for (let at = 0; at < 3; at += 1) {
      sizes.push(((await batches.next()).value as LogRecord[]).length);
    }
    expect(sizes).toEqual([500, 500, 200]);
    ends.abort();
  });

  test("follow arms no timer, and looks at the log only when something was committed", async () => {
    const ends = new AbortController();
    const read = vi.spyOn(log(), "read");
    const timers = [vi.spyOn(globalThis, "setTimeout"), vi.spyOn(globalThis, "setInterval")];
    const asked = () => [clock().timers(), ...timers.map((timer) => timer.mock.calls.length)];
    try {
      const next = log().follow({ from: 1, signal: ends.signal })[Symbol.asyncIterator]().next();
      for (let turns = 0; turns < 50; turns += 1) await turn();
      expect({ reads: read.mock.calls.length, asked: asked() }).toEqual({
        reads: 0,
        asked: [0, 0, 0],
      });
      await log().append([eventOf()]);
      await next;
      expect({ reads: read.mock.calls.length, asked: asked() }).toEqual({
        reads: 1,
        asked: [0, 0, 0],
      });
    } finally {
      for (const spy of [read, ...timers]) spy.mockRestore();
      ends.abort();
    }
  });

  test("onCommit tells of each commit once, until it is ended", async () => {
    const heard: (readonly number[])[] = [];
    const end = log().onCommit((records) => heard.push(offsetsOf(records)));
    await log().append([eventOf({ key: "k" }), eventOf()]);
    await log().append([eventOf({ key: "k" })]);
    await log().append([eventOf()]);
    end();
    await log().append([eventOf()]);
    expect(heard).toEqual([[1, 2], [3]]);
  });

  test("6. onCommit is told when the records can be read, before append resolves", async () => {
    const order: string[] = [];
    let seen: Promise<readonly LogRecord[]> | undefined;
    log().onCommit(() => {
      order.push("listener");
      seen = log().read({ from: 1, limit: 10 });
    });
    await log().append([eventOf()]);
    order.push("append");
    expect(order).toEqual(["listener", "append"]);
    expect(offsetsOf((await seen) ?? [])).toEqual([1]);
  });
}

function actionReads({ log, reopen }: LogCase): void {
  const fill = async () => {
    log().attach(rowStage(log()));
    await log().append([
      requestOf("a", { entity: "job:a", attrs: { command: "restart" } }),
      { ...requestOf("b", { entity: "job:b", tenant: "t" }), correlation_id: "slot:1" },
      requestOf("c", { entity: "job:a", attrs: { command: "restart" } }),
      requestOf("d", { entity: "job:d" }),
    ]);
    const end = (type: string, key: string) =>
      eventOf({ type, action: actionIdOf("default", key) });
    await log().append([end("action.succeeded", "a"), end("action.failed", "c")]);
    await log().append([end("action.accepted", "d")]);
  };

  test("actions can be looked up by id", async () => {
    await fill();
    expect(await log().getAction(actionIdOf("default", "a"))).toEqual({
      actionId: actionIdOf("default", "a"),
      requestOffset: 1,
      lastOffset: 5,
      terminalOffset: 5,
      tenant: "default",
      command: "restart",
      entityId: "job:a",
      status: "succeeded",
      attempt: 1,
      requestedAtMs: (await log().read({ from: 1, limit: 1 }))[0]?.ingestedAtMs,
      endedAtMs: (await log().read({ from: 5, limit: 1 }))[0]?.ingestedAtMs,
    });
    expect(await log().getAction(actionIdOf("default", "nobody"))).toBeUndefined();
  });

  test("actions are listed newest first, by any filter, page by page", async () => {
    await fill();
    const list = async (
      query: Omit<Parameters<ReturnType<LogCase["log"]>["listActions"]>[0], "limit">,
      limit = 10,
    ) => (await log().listActions({ ...query, limit })).map(({ requestOffset }) => requestOffset);
    expect(await list({})).toEqual([4, 3, 2, 1]);
    expect(await list({}, 2)).toEqual([4, 3]);
    expect(await list({ before: 3 }, 1)).toEqual([2]);
    expect(await list({ before: 1 })).toEqual([]);
    expect(await list({ tenant: "t" })).toEqual([2]);
    expect(await list({ status: ["succeeded", "failed"] })).toEqual([3, 1]);
    expect(await list({ status: ["failed", "cancelled"] })).toEqual([3]);
    expect(await list({ status: ["requested", "accepted"] })).toEqual([4, 2]);
    expect(await list({ status: [] })).toEqual([]);
    expect(await list({ command: "restart" })).toEqual([3, 1]);
    expect(await list({ entityId: "job:a", status: ["failed"] })).toEqual([3]);
    expect(await list({ correlationId: "slot:1" })).toEqual([2]);
    expect(await list({ deadLetter: "pending" })).toEqual([]);
  });

  test("open actions are listed oldest first, also after a restart", async () => {
    await fill();
    const open = () =>
      log()
        .openActions()
        .map(({ requestOffset, status }) => [requestOffset, status]);
    expect(open()).toEqual([
      [2, "requested"],
      [4, "accepted"],
    ]);
    await reopen();
    expect(open()).toEqual([
      [2, "requested"],
      [4, "accepted"],
    ]);
  });
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
