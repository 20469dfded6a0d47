/** The part of the log's contract that is about deciding inside the commit; run by `log-contract.ts`. */
import { expect, test } from "vitest";
import {
  eventOf,
  offsetsOf,
  rejectionOf,
  requestOf,
  rowStage,
  stageOf,
  type LogCase,
} from "../../test/log/fixture.ts";
import type { LogRecord } from "../event/envelope.ts";
import { actionIdOf } from "../event/ids.ts";
import type { ActionRow, Stage } from "./log.ts";

export function stageContract(given: LogCase): void {
  derived(given);
  failing(given);
  settling(given);
  writes(given);
}

const reaction = (type: string, more: Partial<Stage> = {}): Stage =>
  stageOf({
    step: ({ event }) => ({
      events:
        event.event_type === type ? [eventOf({ type: "rule.fired", entity: event.entity_id })] : [],
    }),
    ...more,
  });

const names = (records: readonly LogRecord[]): readonly string[] =>
  records.map(({ event }) => `${event.event_type} ${event.entity_id}`);

function derived({ log }: LogCase): void {
  test("4. derived events stand right behind their cause, in the same commit", async () => {
    const commits: (readonly string[])[] = [];
    log().onCommit((records) => commits.push(names(records)));
    log().attach(reaction("job.failed"));
    const receipts = await Promise.all([
      log().append([eventOf({ entity: "job:a" }), eventOf({ entity: "job:b", type: "job.done" })]),
      log().append([eventOf({ entity: "job:c" })]),
    ]);
    const expected = [
      "job.failed job:a",
      "rule.fired job:a",
      "job.done job:b",
      "job.failed job:c",
      "rule.fired job:c",
    ];
    expect(commits).toEqual([expected]);
    expect(names(await log().read({ from: 1, limit: 10 }))).toEqual(expected);
    expect(receipts.map((list) => list.map(({ offset }) => offset))).toEqual([[1, 3], [4]]);
  });

  test("4. what is derived is stepped itself before all that comes after it, and may derive more", async () => {
    const stepped: string[] = [];
    const follows: { readonly [type: string]: readonly string[] | undefined } = {
      "job.failed": ["rule.fired", "rule.suppressed"],
      "rule.fired": ["timer.fired"],
    };
    log().attach(
      stageOf({
        step: ({ event }) => {
          stepped.push(event.event_type);
          return { events: (follows[event.event_type] ?? []).map((type) => eventOf({ type })) };
        },
      }),
    );
    await log().append([eventOf(), eventOf({ type: "job.done" })]);
    expect(stepped).toEqual([
      "job.failed",
      "rule.fired",
      "timer.fired",
      "rule.suppressed",
      "job.done",
    ]);
  });

  test("4. a duplicate is not stepped again, given or derived", async () => {
    const stepped: string[] = [];
    log().attach(
      stageOf({
        step: ({ event }) => {
          stepped.push(event.event_type);
          return { events: [requestOf("restart")] };
        },
      }),
    );
    await log().append([eventOf({ key: "k" })]);
    await log().append([eventOf({ key: "k" })]);
    await log().append([eventOf({ type: "job.late" })]);
    expect(stepped).toEqual(["job.failed", "action.requested", "job.late"]);
    expect(log().head()).toBe(3);
  });

  test("4. a record that changed nothing is kept with the reason as its tag", async () => {
    const heard: unknown[] = [];
    log().onCommit((records) => heard.push(records.map(({ event }) => event.tags)));
    log().attach(stageOf({ step: () => ({ events: [], anomaly: "out_of_order" }) }));
    await log().append([eventOf({ tenant: "a" })]);
    const tags = { tenant: "a", anomaly: "out_of_order" };
    expect((await log().read({ from: 1, limit: 1 }))[0]?.event.tags).toEqual(tags);
    expect(heard).toEqual([[tags]]);
  });

  test("4. a stage reads what is committed, and nothing of the commit under way", async () => {
    const action = actionIdOf("default", "a");
    const threads: (readonly number[])[] = [];
    log().attach(
      rowStage(log(), {
        step: (_, reads) => {
          threads.push(offsetsOf(reads.actionThread(action)));
          return { events: [] };
        },
      }),
    );
    await log().append([requestOf("a"), eventOf({ type: "action.accepted", action })]);
    await log().append([eventOf({ type: "action.started", action })]);
    expect(threads).toEqual([[], [], [1, 2]]);
  });
}

function failing({ log }: LogCase): void {
  test("4. where the stage fails, nothing of the record or of what it led to is there", async () => {
    log().attach(
      stageOf({
        step: ({ event }) => {
          if (event.event_type === "rule.fired") throw new Error("no");
          return { events: [eventOf({ type: "rule.fired" })] };
        },
      }),
    );
    await rejectionOf(log().append([eventOf({ key: "k" })]));
    expect(log().head()).toBe(0);
    expect(await log().read({ from: 1, limit: 10 })).toEqual([]);
  });

  test("5. a poison append fails by itself, and those that waited with it are committed", async () => {
    const calls: string[] = [];
    log().attach(
      stageOf({
        step: ({ event }) => {
          if (event.entity_id === "poison") throw new Error("cannot be decided");
          return { events: [] };
        },
        committed: (records) => calls.push(`committed ${String(records.length)}`),
        rolledBack: () => calls.push("rolled back"),
      }),
    );
    const results = await Promise.allSettled([
      log().append([eventOf({ entity: "job:a", key: "k" })]),
      log().append([eventOf({ entity: "poison" })]),
      log().append([eventOf({ entity: "job:b", key: "k" })]),
      log().append([eventOf({ entity: "job:c" })]),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
    expect(results[1]).toMatchObject({ reason: { code: "invalid", retryable: false } });
    expect(results[2]).toMatchObject({ value: [{ offset: 1, duplicate: true }] });
    expect(calls).toEqual([
      "rolled back",
      "committed 1",
      "rolled back",
      "committed 0",
      "committed 1",
    ]);
    expect(names(await log().read({ from: 1, limit: 10 }))).toEqual([
      "job.failed job:a",
      "job.failed job:c",
    ]);
  });

  test("4. deciders that go round in a circle are stopped", async () => {
    log().attach(stageOf({ step: () => ({ events: [eventOf()] }) }));
    expect(await rejectionOf(log().append([eventOf()]))).toMatchObject({
      code: "invalid",
      message:
        "Cannot append job.failed of job:nightly: One job.failed led to more than 10000 events",
    });
    expect(log().head()).toBe(0);
  });
}

function settling({ log, clock, reopen }: LogCase): void {
  test("4. settle runs when no input is left, until it gives nothing", async () => {
    const order: string[] = [];
    const rounds = [[eventOf({ type: "action.accepted" })], [eventOf({ type: "action.started" })]];
    log().attach(
      stageOf({
        step: ({ event }) => {
          order.push(event.event_type);
          return { events: [] };
        },
        settle: (nowMs) => {
          order.push(`settle at ${String(nowMs - clock().nowMs())}`);
          return rounds.shift() ?? [];
        },
        writes: () => {
          order.push("writes");
          return { actions: [], executions: [], timers: [], snapshots: [] };
        },
        committed: (records) => order.push(`committed ${String(records.length)}`),
      }),
    );
    await log().append([eventOf(), eventOf({ type: "job.done" })]);
    expect(order).toEqual([
      "job.failed",
      "job.done",
      "settle at 0",
      "action.accepted",
      "settle at 0",
      "action.started",
      "settle at 0",
      "writes",
      "committed 4",
    ]);
  });

  test("a nudge makes the stage settle although nothing was appended", async () => {
    let capacity = 0;
    log().attach(
      stageOf({
        settle: () => (capacity-- > 0 ? [eventOf({ type: "action.accepted" })] : []),
      }),
    );
    const heard = new Promise<readonly LogRecord[]>((resolve) => log().onCommit(resolve));
    capacity = 1;
    log().nudge();
    log().nudge();
    expect(names(await heard)).toEqual(["action.accepted job:nightly"]);
    expect(log().head()).toBe(1);
  });

  test("5. a nudge whose commit failed is tried again", async () => {
    const small = await reopen({ small: true });
    const heavy = eventOf({ attrs: { text: "x".repeat(100_000) } });
    const plan = [[heavy, heavy, heavy, heavy], [], [eventOf()], []];
    let rolledBack = 0;
    small.attach(
      stageOf({
        settle: () => plan.shift() ?? [],
        rolledBack: () => (rolledBack += 1),
      }),
    );
    const rounds = async () => {
      for (let turns = 0; turns < 5; turns += 1) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    };
    small.nudge();
    await rounds();
    expect({ head: small.head(), rolledBack }).toEqual({ head: 0, rolledBack: 1 });
    clock().ring();
    await rounds();
    expect(small.head()).toBe(1);
  });
}

function writes({ log, reopen }: LogCase): void {
  test("4. timers are armed, moved and disarmed with the commit", async () => {
    const timer = { decider: "rule", instance: "i", name: "cool-down" };
    const other = { decider: "rule", instance: "j", name: "cool-down", dueMs: 9 };
    const plan = [
      [{ ...timer, dueMs: 5 }, other],
      [{ ...timer, dueMs: 7 }],
      [{ ...timer, dueMs: undefined }],
    ];
    log().attach(
      stageOf({
        writes: () => ({ actions: [], executions: [], timers: plan.shift() ?? [], snapshots: [] }),
      }),
    );
    await log().append([eventOf()]);
    expect(new Set(log().timers())).toEqual(new Set([{ ...timer, dueMs: 5 }, other]));
    await log().append([eventOf()]);
    expect(new Set(log().timers())).toEqual(new Set([{ ...timer, dueMs: 7 }, other]));
    await log().append([eventOf()]);
    expect(log().timers()).toEqual([other]);
    expect((await reopen()).timers()).toEqual([other]);
  });

  test("4. snapshots are replaced and removed with the commit", async () => {
    const of = { decider: "rule", instance: "i" };
    const plan = [
      [
        { ...of, offset: 1, state: { count: 1, list: ["a", null] } },
        { decider: "other", instance: "i", offset: 1, state: "text" },
      ],
      [{ ...of, offset: 2, state: { count: 2 } }],
      [{ ...of, offset: 3, state: undefined }],
    ];
    log().attach(
      stageOf({
        writes: () => ({ actions: [], executions: [], timers: [], snapshots: plan.shift() ?? [] }),
      }),
    );
    await log().append([eventOf()]);
    expect(log().snapshots("rule")).toEqual([
      { instance: "i", offset: 1, state: { count: 1, list: ["a", null] } },
    ]);
    await log().append([eventOf()]);
    expect(log().reads.snapshot("rule", "i")).toEqual({ offset: 2, state: { count: 2 } });
    await log().append([eventOf()]);
    expect(log().reads.snapshot("rule", "i")).toBeUndefined();
    expect(log().snapshots("rule")).toEqual([]);
    expect(log().snapshots("other")).toEqual([{ instance: "i", offset: 1, state: "text" }]);
  });

  test("4. an action's row keeps every member through a restart", async () => {
    const row: ActionRow = {
      actionId: actionIdOf("t", "a"),
      requestOffset: 1,
      lastOffset: 3,
      terminalOffset: 3,
      tenant: "t",
      command: "restart",
      entityId: "job:a",
      correlationId: "slot:1",
      status: "failed",
      attempt: 2,
      requestedAtMs: 1,
      acceptedAtMs: 2,
      startedAtMs: 3,
      endedAtMs: 4,
      errorKind: "timeout",
      deadLetter: "pending",
    };
    log().attach(
      stageOf({ writes: () => ({ actions: [row], executions: [], timers: [], snapshots: [] }) }),
    );
    await log().append([requestOf("a", { tenant: "t" })]);
    expect(await log().getAction(row.actionId)).toEqual(row);
    const reopened = await reopen();
    expect(await reopened.getAction(row.actionId)).toEqual(row);
    expect(await reopened.listActions({ limit: 5, deadLetter: "pending" })).toEqual([row]);
    expect(await reopened.listActions({ limit: 5, deadLetter: "discarded" })).toEqual([]);
  });

  test("4. writes of a commit that failed are not there", async () => {
    const give = [1, 2];
    log().attach(
      stageOf({
        writes: () => {
          if (give.shift() === 1) throw new Error("no");
          return { actions: [], executions: [], timers: [], snapshots: [] };
        },
      }),
    );
    await rejectionOf(log().append([eventOf()]));
    await log().append([eventOf()]);
    expect(log().timers()).toEqual([]);
    expect(log().head()).toBe(1);
  });
}
