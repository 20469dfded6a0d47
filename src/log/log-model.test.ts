/** The two logs, asked the same at random, give the same answers: what is simulated is what runs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  createTestClock,
  eventOf,
  requestOf,
  rowStage,
  type TestClock,
} from "../../test/log/fixture.ts";
import type { NewEvent } from "../event/envelope.ts";
import { actionIdOf, eventId, executionId } from "../event/ids.ts";
import { topics } from "../event/topic.ts";
import { actionStatuses, executionStatuses, LogError, type Log, type ThreadQuery } from "./log.ts";
import { createMemoryDisk, createMemoryLog } from "./memory/memory-log.ts";
import { openSqliteLog } from "./sqlite/sqlite-log.ts";

const hour = 3_600_000;
const dedupWindowMs = 5 * hour;
const tenants = [undefined, "default", "acme"] as const;
const entities = ["job:a", "job:b", "poison"] as const;
const keys = ["k1", "k2", "k3"] as const;

type Step =
  | { readonly do: "append"; readonly appends: readonly (readonly NewEvent[])[] }
  | { readonly do: "move"; readonly byMs: number }
  | { readonly do: "reopen" }
  | { readonly do: "ask"; readonly what: string; readonly ask: (log: Log) => unknown };

const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(of, { nil: undefined });

const tenant = fc.constantFrom(...tenants);
const entity = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom("job:a", "job:b") },
  fc.constant("poison"),
);
const key = fc.constantFrom(...keys);
const from = fc.integer({ min: 1, max: 40 });
const limit = fc.integer({ min: 1, max: 12 });

const run = fc.constantFrom("run-1", "run-2", "run-3");

const observation = fc
  .record({
    type: fc.constantFrom("job.failed", "job.done", "rule.suppressed", "event.rejected"),
    entity,
    key: maybe(key),
    tenant,
    execution: maybe(run),
  })
  .map((sketch) => eventOf(defined(sketch)));

const lifecycle = fc
  .record({
    type: fc.constantFrom("action.accepted", "action.started", "action.succeeded", "action.failed"),
    key,
    tenant,
  })
  .map(({ type, key: of, tenant: whose }) =>
    eventOf({ type, action: actionIdOf(whose ?? "default", of), ...defined({ tenant: whose }) }),
  );

const execution = fc
  .record({
    type: fc.constantFrom(
      ...["execution.requested", "execution.started", "execution.completed", "execution.failed"],
    ),
    execution: run,
    parent: maybe(run),
    tenant,
  })
  .map((sketch) => eventOf({ attrs: { playbook: "nightly" }, ...defined(sketch) }));

const request = fc
  .record({ key, tenant, entity })
  .map(({ key: of, ...more }) => requestOf(of, defined(more)));

const thread: fc.Arbitrary<ThreadQuery["of"]> = fc.oneof(
  fc.constantFrom(...entities).map((of) => ({ entity: of })),
  run.map((of) => ({ execution: executionId(of) })),
  fc.tuple(tenant, key).map(([whose, of]) => ({ action: actionIdOf(whose ?? "default", of) })),
);

const ask = (what: string, call: (log: Log) => unknown): Step => ({ do: "ask", what, ask: call });

const question: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({ from, limit, topics: maybe(fc.subarray([...topics])), tenant })
    .map((query) => ask(`read ${JSON.stringify(query)}`, (log) => log.read(defined(query)))),
  fc
    .record({
      of: thread,
      from: maybe(from),
      limit,
      order: maybe(fc.constantFrom("oldest" as const, "newest" as const)),
      tenant,
    })
    .map((query) =>
      ask(`thread ${JSON.stringify(query)}`, (log) => log.readThread(defined(query))),
    ),
  fc
    .record({
      limit,
      before: maybe(from),
      tenant,
      status: maybe(fc.subarray([...actionStatuses])),
      entityId: maybe(fc.constantFrom("job:a", "job:b")),
    })
    .map((query) => ask(`list ${JSON.stringify(query)}`, (log) => log.listActions(defined(query)))),
  fc
    .record({
      limit,
      before: maybe(from),
      tenant,
      status: maybe(fc.subarray([...executionStatuses])),
      playbook: maybe(fc.constantFrom("nightly", "none")),
      parent: maybe(run.map(executionId)),
      rootsOnly: maybe(fc.boolean()),
    })
    .map((query) =>
      ask(`executions ${JSON.stringify(query)}`, (log) => log.listExecutions(defined(query))),
    ),
  fc.record({ of: run, from, to: maybe(from), limit: maybe(limit) }).map(({ of, ...asked }) => {
    const range = defined(asked);
    const id = executionId(of);
    return ask(`execution ${of} ${JSON.stringify(range)}`, async (log) => ({
      row: await log.getExecution(id),
      known: log.reads.execution(id),
      thread: log.reads.executionThread(id, range),
    }));
  }),
  fc.tuple(tenant, key).map(([whose, of]) => {
    const action = actionIdOf(whose ?? "default", of);
    return ask(`action ${action}`, async (log) => ({
      row: await log.getAction(action),
      thread: log.reads.actionThread(action),
    }));
  }),
  fc
    .dictionary(fc.constantFrom(...topics), fc.integer({ min: 0, max: 12 * hour }))
    .map((policy) => ask(`retain ${JSON.stringify(policy)}`, (log) => log.retain(policy))),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(
        fc.array(fc.oneof(observation, request, lifecycle, execution), {
          minLength: 1,
          maxLength: 4,
        }),
        {
          minLength: 1,
          maxLength: 3,
        },
      )
      .map((appends): Step => ({ do: "append", appends })),
  },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: -hour, max: 6 * hour })
      .map((byMs): Step => ({ do: "move", byMs })),
  },
  { weight: 4, arbitrary: question },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "reopen" }) },
);

/** Leaves out what is not given, as a query that names a member means it. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function attachStage(log: Log): Log {
  log.attach(
    rowStage(log, {
      step: ({ event }) => {
        if (event.entity_id === "poison") throw new Error("poison");
        if (event.event_type !== "job.failed") return { events: [] };
        return {
          events: [eventOf({ type: "rule.fired", entity: event.entity_id }), requestOf("k3")],
        };
      },
    }),
  );
  return log;
}

async function answerTo(log: Log, next: Step): Promise<unknown> {
  if (next.do === "ask") return next.ask(log);
  if (next.do !== "append") return undefined;
  const settled = await Promise.allSettled(next.appends.map((events) => log.append(events)));
  return settled.map((result) => {
    if (result.status === "fulfilled") return result.value;
    return result.reason instanceof LogError ? [result.reason.code, result.reason.message] : "";
  });
}

async function everything(log: Log): Promise<unknown> {
  const records = await log.read({ from: 1, limit: 1_000 });
  return {
    head: log.head(),
    records,
    found: await Promise.all(records.map(({ event }) => log.findEvent(event.event_id))),
    unknown: await log.findEvent(eventId("12345")),
    open: log.openActions(),
    actions: await log.listActions({ limit: 1_000 }),
    openExecutions: log.openExecutions(),
    executions: await log.listExecutions({ limit: 1_000 }),
  };
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-model-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

type Pair = { readonly memory: Log; readonly sqlite: Log };

test("the log in memory and the SQLite log give the same answers", async () => {
  let files = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      files += 1;
      const disk = createMemoryDisk();
      const path = join(folder, `${String(files)}.db`);
      const clock: TestClock = createTestClock();
      const openBoth = async (): Promise<Pair> => ({
        memory: attachStage(createMemoryLog({ clock, disk, dedupWindowMs })),
        sqlite: attachStage(await openSqliteLog({ clock, path, dedupWindowMs, tailEventsMax: 9 })),
      });
      const closeBoth = ({ memory, sqlite }: Pair) => Promise.all([memory.close(), sqlite.close()]);
      let pair = await openBoth();
      try {
        for (const next of steps) {
          if (next.do === "move") clock.move(next.byMs);
          if (next.do === "reopen") {
            await closeBoth(pair);
            pair = await openBoth();
          }
          expect(await answerTo(pair.sqlite, next)).toEqual(await answerTo(pair.memory, next));
        }
        expect(await everything(pair.sqlite)).toEqual(await everything(pair.memory));
      } finally {
        await closeBoth(pair);
      }
    }),
    { numRuns: 80 },
  );
});
