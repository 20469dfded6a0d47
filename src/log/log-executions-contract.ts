/** The part of the log's contract that is about executions of playbooks; run by `log-contract.ts`. */
import { expect, test } from "vitest";
import {
  eventOf,
  offsetsOf,
  rejectionOf,
  rowStage,
  stageOf,
  type EventSketch,
  type LogCase,
} from "../../test/log/fixture.ts";
import type { NewEvent } from "../event/envelope.ts";
import { executionId } from "../event/ids.ts";
import type { ExecutionListQuery, ExecutionRow } from "./log.ts";

export function executionsContract(given: LogCase): void {
  executionRows(given);
  executionLists(given);
  executionThreads(given);
  longThread(given);
  executionRetention(given);
}

const requested = (execution: string, more: EventSketch = {}): NewEvent =>
  eventOf({ attrs: { playbook: "nightly" }, ...more, type: "execution.requested", execution });

const happened = (type: string, execution: string, more: EventSketch = {}): NewEvent =>
  eventOf({ ...more, type: `execution.${type}`, execution });

function executionRows({ log, reopen }: LogCase): void {
  const plain: ExecutionRow = {
    executionId: executionId("7130000000000000001"),
    requestOffset: 1,
    lastOffset: 1,
    tenant: "t",
    playbook: "a/nightly",
    status: "requested",
    requestedAtMs: 1,
  };
  const ended: ExecutionRow = {
    ...plain,
    lastOffset: 3,
    terminalOffset: 3,
    digest: "d41d8cd9",
    status: "failed",
    startedAtMs: 2,
    endedAtMs: 3,
    errorKind: "timeout",
    failedSteps: ["load", 'say "hello", then end'],
  };
  const full: ExecutionRow = {
    ...ended,
    parentExecutionId: executionId("7130000000000000000"),
    rerunOf: executionId("7129999999999999999"),
    schedule: "every-night",
    correlationId: "slot:1",
  };
  const writing = (...plan: (readonly ExecutionRow[])[]) =>
    stageOf({
      writes: () => ({ actions: [], executions: plan.shift() ?? [], timers: [], snapshots: [] }),
    });

  test.each([
    ["every member", full],
    ["only what each has", plain],
  ])("4. an execution's row with %s is the same through a restart", async (_, row) => {
    log().attach(writing([row]));
    await log().append([requested(row.executionId)]);
    expect(await log().getExecution(row.executionId)).toEqual(row);
    const reopened = await reopen();
    expect(await reopened.getExecution(row.executionId)).toEqual(row);
    expect(reopened.reads.execution(row.executionId)).toEqual(row);
    expect(await reopened.listExecutions({ limit: 5 })).toEqual([row]);
  });

  test("4. a row that is written again takes the place of the one that was", async () => {
    const at3 = { ...plain, requestOffset: 3, lastOffset: 3 };
    log().attach(writing([plain], [ended], [at3]));
    await log().append([requested(plain.executionId)]);
    await log().append([eventOf()]);
    expect(await log().listExecutions({ limit: 5 })).toEqual([ended]);
    expect(log().openExecutions()).toEqual([]);
    await log().append([requested(plain.executionId)]);
    expect(await log().listExecutions({ limit: 5 })).toEqual([at3]);
    expect(log().openExecutions()).toEqual([at3]);
  });

  test("4. a stage reads rows and threads as they are committed, and nothing of the commit under way", async () => {
    const id = executionId("run-1");
    const seen: unknown[] = [];
    log().attach(
      rowStage(log(), {
        step: (_, reads) => {
          const thread = offsetsOf(reads.executionThread(id, { from: 1 }));
          seen.push([reads.execution(id)?.status, thread]);
          return { events: [] };
        },
      }),
    );
    await log().append([requested("run-1"), happened("started", "run-1")]);
    await log().append([happened("completed", "run-1")]);
    expect(seen).toEqual([
      [undefined, []],
      [undefined, []],
      ["running", [1, 2]],
    ]);
  });

  test("5. a commit that failed leaves no row, and none changed", async () => {
    const small = await reopen({ small: true });
    small.attach(rowStage(small));
    await small.append([requested("run-1")]);
    const heavy = eventOf({ attrs: { text: "x".repeat(100_000) } });
    const thrown = await rejectionOf(
      small.append([happened("completed", "run-1"), requested("run-2"), heavy, heavy, heavy]),
    );
    expect(thrown).toMatchObject({ code: "full" });
    expect(await small.getExecution(executionId("run-2"))).toBeUndefined();
    expect(await small.getExecution(executionId("run-1"))).toMatchObject({ status: "requested" });
    expect(small.openExecutions().map((row) => row.executionId)).toEqual(["run-1"]);
    await small.append([requested("run-2")]);
    expect(await small.getExecution(executionId("run-2"))).toMatchObject({ requestOffset: 2 });
  });
}

function executionLists({ log, reopen }: LogCase): void {
  const fill = async () => {
    log().attach(rowStage(log()));
    await log().append([
      requested("run-1"),
      { ...requested("run-2", { tenant: "t" }), correlation_id: "slot:1" },
      requested("run-3", { parent: "run-1", attrs: { playbook: "child" } }),
      requested("run-4", { parent: "run-1" }),
      requested("run-5"),
    ]);
    await log().append([happened("completed", "run-1"), happened("failed", "run-3")]);
    await log().append([happened("paused", "run-5")]);
  };

  test("executions can be looked up by id", async () => {
    await fill();
    const atMs = (await log().read({ from: 1, limit: 1 }))[0]?.ingestedAtMs;
    expect(await log().getExecution(executionId("run-3"))).toEqual({
      executionId: "run-3",
      requestOffset: 3,
      lastOffset: 7,
      terminalOffset: 7,
      tenant: "default",
      playbook: "child",
      parentExecutionId: "run-1",
      status: "failed",
      requestedAtMs: atMs,
      endedAtMs: atMs,
    });
    expect(await log().getExecution(executionId("nobody"))).toBeUndefined();
    expect(log().reads.execution(executionId("nobody"))).toBeUndefined();
  });

  test("executions are listed newest first, by any filter, page by page", async () => {
    await fill();
    const list = async (query: Omit<ExecutionListQuery, "limit">, limit = 10) =>
      (await log().listExecutions({ ...query, limit })).map(({ requestOffset }) => requestOffset);
    const parent = executionId("run-1");
    expect(await list({})).toEqual([5, 4, 3, 2, 1]);
    expect(await list({}, 2)).toEqual([5, 4]);
    expect(await list({ before: 4 }, 2)).toEqual([3, 2]);
    expect(await list({ before: 1 })).toEqual([]);
    expect(await list({ tenant: "t" })).toEqual([2]);
    expect(await list({ tenant: "default", before: 4 })).toEqual([3, 1]);
    expect(await list({ status: ["completed", "failed"] })).toEqual([3, 1]);
    expect(await list({ status: ["requested", "running"] })).toEqual([4, 2]);
    expect(await list({ status: ["paused"] })).toEqual([5]);
    expect(await list({ status: ["paused", "failed"] })).toEqual([5, 3]);
    expect(await list({ status: ["cancelled"] })).toEqual([]);
    expect(await list({ status: [] })).toEqual([]);
    expect(await list({ playbook: "nightly" })).toEqual([5, 4, 2, 1]);
    expect(await list({ playbook: "nightly", status: ["requested"] }, 1)).toEqual([4]);
    expect(await list({ parent })).toEqual([4, 3]);
    expect(await list({ parent, before: 4 })).toEqual([3]);
    expect(await list({ parent, status: ["failed", "completed"] })).toEqual([3]);
    expect(await list({ parent: executionId("run-2") })).toEqual([]);
    expect(await list({ rootsOnly: true })).toEqual([5, 2, 1]);
    expect(await list({ rootsOnly: false })).toEqual([5, 4, 3, 2, 1]);
    expect(await list({ rootsOnly: true, parent })).toEqual([]);
    expect(await list({ rootsOnly: true, before: 5 }, 1)).toEqual([2]);
    expect(await list({ correlationId: "slot:1" })).toEqual([2]);
  });

  test("open executions are listed oldest first, also after a restart", async () => {
    await fill();
    const open = () =>
      log()
        .openExecutions()
        .map((row) => [row.executionId, row.status]);
    const expected = [
      ["run-2", "requested"],
      ["run-4", "requested"],
      ["run-5", "paused"],
    ];
    expect(open()).toEqual(expected);
    await reopen();
    expect(open()).toEqual(expected);
  });
}

function executionThreads({ log }: LogCase): void {
  const thread = async (of: string, more: { tenant?: string; order?: "newest" } = {}) =>
    offsetsOf(await log().readThread({ of: { execution: executionId(of) }, limit: 20, ...more }));

  test("6. the thread of a parent holds where its direct children began and how they ended", async () => {
    await log().append([
      requested("parent"),
      requested("child", { parent: "parent" }),
      happened("started", "child", { parent: "parent" }),
      eventOf({ execution: "child", type: "step.completed" }),
      requested("grandchild", { parent: "child" }),
      eventOf(),
    ]);
    await log().append([
      happened("completed", "grandchild", { parent: "child" }),
      happened("completed", "child", { parent: "parent" }),
      happened("completed", "parent"),
    ]);
    expect(await thread("parent")).toEqual([1, 2, 3, 8, 9]);
    expect(await thread("child")).toEqual([2, 3, 4, 5, 7, 8]);
    expect(await thread("grandchild")).toEqual([5, 7]);
    expect(await thread("parent", { order: "newest" })).toEqual([9, 8, 3, 2, 1]);
    const read = log().reads.executionThread(executionId("parent"), { from: 1 });
    expect(offsetsOf(read)).toEqual([1, 2, 3, 8, 9]);
    expect(read).toEqual(
      await log().readThread({ of: { execution: executionId("parent") }, limit: 20 }),
    );
  });

  test("6. an event that names one execution twice is in its thread once", async () => {
    await log().append([requested("odd", { parent: "odd" }), happened("started", "odd")]);
    expect(await thread("odd")).toEqual([1, 2]);
    const read = log().reads.executionThread(executionId("odd"), { from: 1 });
    expect(offsetsOf(read)).toEqual([1, 2]);
  });

  test("6. the thread of a tenant leaves out another tenant's child", async () => {
    await log().append([
      requested("parent", { tenant: "a" }),
      requested("mine", { parent: "parent", tenant: "a" }),
      requested("theirs", { parent: "parent", tenant: "b" }),
    ]);
    expect(await thread("parent", { tenant: "a" })).toEqual([1, 2]);
  });

  test("6. a stage reads any stretch of an execution's thread", async () => {
    await log().append([
      requested("a"),
      requested("b"),
      happened("started", "a"),
      eventOf(),
      eventOf({ execution: "a", type: "step.completed" }),
      happened("completed", "a"),
    ]);
    const read = (range: { from: number; to?: number; limit?: number }) =>
      offsetsOf(log().reads.executionThread(executionId("a"), range));
    expect(read({ from: 1 })).toEqual([1, 3, 5, 6]);
    expect(read({ from: 3 })).toEqual([3, 5, 6]);
    expect(read({ from: 4, to: 5 })).toEqual([5]);
    expect(read({ from: 1, to: 4 })).toEqual([1, 3]);
    expect(read({ from: 1, limit: 2 })).toEqual([1, 3]);
    expect(read({ from: 4, limit: 1 })).toEqual([5]);
    expect(read({ from: 2, to: 3, limit: 5 })).toEqual([3]);
    expect(read({ from: 7 })).toEqual([]);
    expect(read({ from: 5, to: 4 })).toEqual([]);
    expect(log().reads.executionThread(executionId("nobody"), { from: 1 })).toEqual([]);
  });
}

function longThread({ log }: LogCase): void {
  test("6. a long thread read in pages is the whole of it, each record once", async () => {
    const total = 20_000;
    const batch = Array.from({ length: 1_000 }, () =>
      eventOf({ execution: "long", type: "step.completed" }),
    );
    for (let at = 0; at < total; at += batch.length) await log().append(batch);
    const seen: number[] = [];
    for (let from = 1; ;) {
      const page = log().reads.executionThread(executionId("long"), { from, limit: 3_000 });
      seen.push(...offsetsOf(page));
      const last = page.at(-1);
      if (last === undefined) break;
      from = last.offset + 1;
    }
    expect(seen).toEqual(Array.from({ length: total }, (_, at) => at + 1));
  });
}

function executionRetention({ log, clock }: LogCase): void {
  const hour = 3_600_000;
  const policy = { "events.normalized": hour, decisions: hour, "actions.progress": hour };
  const left = async () => offsetsOf(await log().read({ from: 1, limit: 100 }));

  test("nothing of an open execution's thread goes, its ended children's events in it neither", async () => {
    log().attach(rowStage(log()));
    await log().append([
      requested("open"),
      requested("child", { parent: "open" }),
      eventOf({ execution: "child", type: "step.completed" }),
      happened("completed", "child", { parent: "open" }),
      eventOf({ execution: "open", type: "action.started" }),
      requested("ended"),
      happened("cancelled", "ended"),
      eventOf(),
      eventOf(),
    ]);
    clock().move(2 * hour);
    expect(await log().retain(policy)).toBe(4);
    expect(await left()).toEqual([1, 2, 4, 5, 9]);
    const of = { execution: executionId("open") };
    expect(offsetsOf(await log().readThread({ of, limit: 9 }))).toEqual([1, 2, 4, 5]);
    expect(
      log()
        .openExecutions()
        .map((row) => row.executionId),
    ).toEqual(["open"]);
    await log().append([happened("completed", "open"), eventOf()]);
    expect(await log().retain(policy)).toBe(5);
    expect(await left()).toEqual([10, 11]);
  });

  test("an execution's row goes with its request, and its id may be used anew", async () => {
    log().attach(rowStage(log()));
    await log().append([requested("run-1"), happened("completed", "run-1"), requested("run-2")]);
    await log().append([happened("failed", "run-2"), eventOf()]);
    expect(await log().retain(policy)).toBe(0);
    clock().move(hour + 1);
    await log().append([eventOf()]);
    expect(await log().retain({ decisions: hour })).toBe(4);
    expect(await log().getExecution(executionId("run-1"))).toBeUndefined();
    expect(await log().listExecutions({ limit: 9 })).toEqual([]);
    const of = { execution: executionId("run-1") };
    expect(await log().readThread({ of, limit: 9 })).toEqual([]);
    expect(log().reads.executionThread(of.execution, { from: 1 })).toEqual([]);
    await log().append([requested("run-1")]);
    expect(await log().getExecution(of.execution)).toMatchObject({ requestOffset: 7 });
    expect(offsetsOf(log().reads.executionThread(of.execution, { from: 1 }))).toEqual([7]);
  });
}
