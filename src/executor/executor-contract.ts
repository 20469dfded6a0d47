/**
 * What every executor promises, as tests: each adapter's own test file runs it over the adapter.
 *
 * The numbers are those of `executor.ts`.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { assignmentOf } from "../../test/assignment.ts";
import { eventually } from "../../test/eventually.ts";
import { createManualClock } from "../../test/manual-clock.ts";
import type { JsonObject } from "../base/json.ts";
import { errorKinds, Fault, type DeedError, type ErrorKind } from "../event/error.ts";
import type { NewEvent } from "../event/envelope.ts";
import { actionIdOf, eventId, workerId } from "../event/ids.ts";
import { createArgsCheck } from "./args.ts";
import { createMemoryBlobs } from "./blob/memory.ts";
import { storeValue } from "./blob.ts";
import { noCredentials } from "./credential.ts";
import type { ExecutionContext, Executor } from "./executor.ts";
import { createWorker } from "./worker.ts";

/** One executor with a real target system, as its adapter's test sets it up. */
export type ExecutorWorld = {
  readonly executor: Executor;
  readonly works: { readonly args: JsonObject; readonly result: unknown };
  /** Work that ends by force only; left out for an executor that has none. */
  readonly hangs?: {
    readonly args: JsonObject;
    /** Resolves once the work is under way. */
    readonly started: () => Promise<void>;
    /** Processes or connections that it holds in the target system. */
    readonly held: () => number | Promise<number>;
  };
  /** One case for each way to fail. */
  readonly fails: readonly {
    readonly name: string;
    readonly args: JsonObject;
    readonly kind: ErrorKind;
    readonly retryable: boolean;
  }[];
  /** What it promises for which arguments. */
  readonly promises: readonly { readonly args: JsonObject; readonly idempotent: boolean }[];
  readonly close: () => Promise<void>;
};

export function contextOf(
  signal: AbortSignal = new AbortController().signal,
): ExecutionContext & { readonly told: unknown[] } {
  const blobs = createMemoryBlobs();
  const told: unknown[] = [];
  return {
    actionId: actionIdOf("default", "one"),
    attempt: 1,
    tenant: "default",
    entityId: "service:web",
    executionId: undefined,
    requestedAtMs: Date.parse("2026-11-24T05:00:00.000Z"),
    cause: {
      eventId: eventId("1"),
      correlationId: undefined,
      tags: {},
      traceparent: undefined,
    },
    signal,
    progress: (percent, message) => told.push([percent, message]),
    keep: (value) => storeValue(blobs, value),
    credentials: { resolve: (alias) => noCredentials.resolve(alias, "default") },
    told,
  };
}

/** The error of a call that must fail, by a Fault and nothing else. */
export async function errorOf(executor: Executor, args: JsonObject): Promise<DeedError> {
  return faultOf(executor.execute(args, contextOf()));
}

export async function faultOf(call: Promise<unknown>): Promise<DeedError> {
  const thrown: unknown = await call.then(
    (result) => expect.unreachable(`it worked: ${JSON.stringify(result)}`),
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(Fault);
  return (thrown as Fault).error;
}

/** @param kind for an executor that ends at once: `brief` where it may fail, `instant` where it cannot. */
export function executorContract(
  name: string,
  open: () => Promise<ExecutorWorld>,
  kind: "lasting" | "brief" | "instant" = "lasting",
): void {
  describe(`${name} keeps the contract of executors`, () => {
    const lasting = (promise: string, hold: () => Promise<void>): void => {
      if (kind === "lasting") test(promise, hold);
    };
    const failing = (promise: string, hold: () => Promise<void>): void => {
      if (kind !== "instant") test(promise, hold);
    };
    let world: ExecutorWorld;
    beforeEach(async () => {
      world = await open();
    });
    afterEach(async () => {
      await world.close();
    });

    test("it says what it serves, how many at a time and for how long", () => {
      const { executor } = world;
      expect(executor.command).toMatch(/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/);
      expect(executor.description).not.toBe("");
      expect(executor.concurrency).toBeGreaterThanOrEqual(1);
      expect(executor.timeoutMs).toBeGreaterThan(0);
    });

    lasting("1. what is aborted ends as cancelled and holds nothing any more", async () => {
      const { executor, hangs } = hanging(world);
      const controller = new AbortController();
      const call = executor.execute(hangs.args, contextOf(controller.signal));
      await hangs.started();
      expect(await hangs.held()).toBeGreaterThan(0);
      controller.abort();
      expect((await faultOf(call)).kind).toBe("cancelled");
      await eventually(hangs.held, 0);
    });

    lasting("1. what is aborted before it begins does not begin", async () => {
      const { executor, hangs } = hanging(world);
      const call = executor.execute(hangs.args, contextOf(AbortSignal.abort()));
      expect((await faultOf(call)).kind).toBe("cancelled");
      expect(await hangs.held()).toBe(0);
    });

    lasting(
      "1. what runs out of time is ended by the worker and reported as a time-out",
      async () => {
        const { executor, hangs } = hanging(world);
        const clock = createManualClock();
        const reported: NewEvent[] = [];
        const worker = createWorker({
          id: workerId("w1"),
          executors: [executor],
          report: (events) => Promise.resolve(reported.push(...events)),
          clock,
          blobs: createMemoryBlobs(),
          leaseMs: 600_000,
          warn: () => undefined,
        });
        const attrs = { command: executor.command, args: hangs.args, timeout_sec: 5 };
        worker.run(assignmentOf(attrs, { nowMs: clock.nowMs() }));
        await hangs.started();
        await clock.advance(5_100);
        await eventually(() => worker.running(), 0);
        expect(reported).toHaveLength(1);
        expect(reported[0]?.attrs["error"]).toMatchObject({
          kind: "timeout",
          retryable: executor.idempotent(hangs.args),
        });
        await eventually(hangs.held, 0);
      },
    );

    test("2. a member that the schema does not know is refused by its name", async () => {
      const { executor, works } = world;
      const check = createArgsCheck();
      expect(check(executor, works.args)).toBe(works.args);
      const call = Promise.resolve().then(() => check(executor, { ...works.args, nonsense: 1 }));
      const error = await faultOf(call);
      expect(error.kind).toBe("invalid_args");
      expect(error.message).toBe(`Cannot run ${executor.command} as /nonsense is not known`);
      expect(error.detail).toEqual({
        problems: [{ pointer: "/nonsense", message: "is not known" }],
      });
    });

    failing(
      "3. every failure is a fault of the taxonomy, and says whether to try again",
      async () => {
        expect(world.fails).not.toEqual([]);
        for (const { name: which, args, kind, retryable } of world.fails) {
          const error = await errorOf(world.executor, args);
          expect({ which, kind: error.kind, retryable: error.retryable }).toEqual({
            which,
            kind,
            retryable,
          });
          expect(errorKinds).toContain(error.kind);
          expect(JSON.parse(JSON.stringify(error))).toEqual(error);
        }
      },
    );

    test("4. the result is JSON", async () => {
      const result = await world.executor.execute(world.works.args, contextOf());
      expect(result).toEqual(world.works.result);
      expect(JSON.parse(JSON.stringify(result))).toEqual(result);
    });

    test("it declares for which arguments it may run again", () => {
      for (const { args, idempotent } of world.promises) {
        expect([args, world.executor.idempotent(args)]).toEqual([args, idempotent]);
      }
    });
  });
}

function hanging({
  executor,
  hangs,
}: ExecutorWorld): Required<Pick<ExecutorWorld, "executor" | "hangs">> {
  if (hangs === undefined) return expect.unreachable("its test gives no work that hangs");
  return { executor, hangs };
}
