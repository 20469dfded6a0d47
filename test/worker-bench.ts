/** A worker with an executor that the test holds in its hand, on a clock that it moves. */
import Type from "typebox";
import { expect } from "vitest";
import type { RequestAttrs } from "../src/action/request.ts";
import type { Json, JsonObject } from "../src/base/json.ts";
import { fault } from "../src/event/error.ts";
import type { NewEvent } from "../src/event/envelope.ts";
import { actionIdOf, workerId, type ActionId } from "../src/event/ids.ts";
import { createMemoryBlobs } from "../src/executor/blob/memory.ts";
import type { BlobStore, ExecutionContext, Executor } from "../src/executor/executor.ts";
import { createWorker, type Worker, type WorkerOptions } from "../src/executor/worker.ts";
import { assignmentOf } from "./assignment.ts";
import { createManualClock, type ManualClock } from "./manual-clock.ts";

/** An executor in the test's hand: each call waits until the test ends it. */
export type Held = {
  readonly args: JsonObject;
  readonly context: ExecutionContext;
  readonly succeed: (result: unknown) => void;
  readonly fail: (thrown: unknown) => void;
};

export type Bench = {
  readonly clock: ManualClock;
  readonly worker: Worker;
  readonly calls: Held[];
  readonly reported: NewEvent[];
  readonly warnings: string[];
  readonly blobs: BlobStore;
  readonly run: (attrs?: Partial<RequestAttrs>, key?: string, attempt?: number) => ActionId;
  readonly call: (index: number) => Held;
};

export function bench(
  options: Partial<WorkerOptions> & {
    readonly idempotent?: boolean;
    /** Does it end when it is aborted? */
    readonly deaf?: boolean;
  } = {},
): Bench {
  const clock = createManualClock();
  const calls: Held[] = [];
  const reported: NewEvent[] = [];
  const warnings: string[] = [];
  const blobs = options.blobs ?? createMemoryBlobs();
  const executor: Executor = {
    command: "held",
    description: "waits for the test",
    argsSchema: Type.Object({ n: Type.Optional(Type.Number()) }, { additionalProperties: false }),
    idempotent: () => options.idempotent ?? true,
    concurrency: 4,
    timeoutMs: 60_000,
    execute: (args, context) =>
      new Promise<Json>((resolve, reject) => {
        calls.push({ args, context, succeed: resolve as (result: unknown) => void, fail: reject });
        if (options.deaf === true) return;
        context.signal.addEventListener("abort", () => {
          reject(fault("cancelled", "aborted"));
        });
      }),
  };
  const worker = createWorker({
    id: workerId("w1"),
    executors: [executor],
    report: (events) => Promise.resolve(reported.push(...events)),
    clock,
    leaseMs: 30_000,
    warn: (message) => warnings.push(message),
    ...options,
    blobs,
  });
  return {
    clock,
    worker,
    calls,
    reported,
    warnings,
    blobs,
    run: (attrs = {}, key = "one", attempt = 1) => {
      const request = { command: "held", args: {}, ...attrs };
      worker.run(assignmentOf(request, { nowMs: clock.nowMs(), key, attempt }));
      return actionIdOf("default", key);
    },
    call: (index) => calls[index] ?? expect.unreachable(`there is no call ${String(index)}`),
  };
}

export function typesOf(events: readonly NewEvent[]): string[] {
  return events.map((event) => event.event_type);
}

/** A log that fails as often as it is told, then takes everything. */
export function failing(times: number, thrown: Error, into: NewEvent[]): WorkerOptions["report"] {
  let left = times;
  return (events) => {
    if (left > 0) {
      left -= 1;
      return Promise.reject(thrown);
    }
    into.push(...events);
    return Promise.resolve();
  };
}

export const logIsBusy = Object.assign(new Error("the log is busy"), {
  code: "io",
  retryable: true,
});
