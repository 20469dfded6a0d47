import Type from "typebox";
import { present } from "../src/base/assert.ts";
import type { Clock } from "../src/base/clock.ts";
import type { Json, JsonObject } from "../src/base/json.ts";
import { requestEvent, type Priority, type RequestAttrs } from "../src/action/request.ts";
import type { LogRecord, NewEvent } from "../src/event/envelope.ts";
import { workerId, type ActionId } from "../src/event/ids.ts";
import { createMemoryBlobs } from "../src/executor/blob/memory.ts";
import type { ExecutionContext, Executor } from "../src/executor/executor.ts";
import { createWorker, type Worker } from "../src/executor/worker.ts";
import { createKernel, type Kernel } from "../src/kernel/kernel.ts";
import { LogError, type Log } from "../src/log/log.ts";
import {
  createMemoryDisk,
  createMemoryLog,
  type MemoryDisk,
} from "../src/log/memory/memory-log.ts";
import { createManualClock, type ManualClock } from "./manual-clock.ts";

/** One call of an executor that a test ends by hand. */
export type Call = {
  readonly args: JsonObject;
  readonly context: ExecutionContext;
  readonly resolve: (result: Json) => void;
  readonly reject: (thrown: unknown) => void;
};

/** An executor whose calls a test ends by hand. */
export type HandExecutor = Executor & { readonly calls: Call[] };

export function createHandExecutor(
  options: {
    readonly command?: string;
    readonly idempotent?: boolean;
    readonly concurrency?: number;
  } = {},
): HandExecutor {
  const calls: Call[] = [];
  return {
    command: options.command ?? "hand.work",
    description: "Ends when a test says so",
    argsSchema: Type.Object({}, { additionalProperties: true }),
    idempotent: () => options.idempotent ?? true,
    concurrency: options.concurrency ?? 8,
    timeoutMs: 3_600_000,
    calls,
    execute: (args, context) =>
      new Promise((resolve, reject) => {
        calls.push({ args, context, resolve, reject });
      }),
  };
}

/** A kernel with all around it, in memory. `crash` leaves nothing of it but the disk. */
export type Node = {
  readonly clock: ManualClock;
  readonly disk: MemoryDisk;
  readonly log: Log;
  readonly kernel: Kernel;
  readonly worker: Worker;
  /** The records of each commit. */
  readonly commits: (readonly LogRecord[])[];
  readonly warnings: string[];
  /** While true, no commit succeeds. */
  readonly disrupt: (refusing: boolean) => void;
  /** Nothing of this node happens any more. */
  readonly crash: () => void;
  /** Puts events on the log and lets what follows come about. */
  readonly put: (...events: NewEvent[]) => Promise<void>;
  /** `type/attempt` of each counted event of an action, in order. */
  readonly story: (id: ActionId) => readonly string[];
};

export type NodeOptions = {
  readonly executors?: readonly Executor[];
  readonly disk?: MemoryDisk;
  readonly clock?: ManualClock;
  /** What the program reads the time from, where it is not `clock` itself. */
  readonly wall?: Clock;
  readonly name?: string;
  readonly leaseMs?: number;
  readonly worker?: Worker;
};

export const leaseMs = 30_000;

export async function startNode(options: NodeOptions = {}): Promise<Node> {
  const clock = options.clock ?? createManualClock();
  const given = options.wall ?? clock;
  let alive = true;
  const whileAlive = (task: () => void) => (): void => {
    if (alive) task();
  };
  const wall: Clock = {
    nowMs: given.nowMs,
    after: (delayMs, task) => given.after(delayMs, whileAlive(task)),
    soon: (task) => {
      given.soon(whileAlive(task));
    },
  };
  const disk = options.disk ?? createMemoryDisk();
  const warnings: string[] = [];
  const commits: (readonly LogRecord[])[] = [];
  const warn = (message: string): void => void warnings.push(message);
  let refusing = false;
  const log = createMemoryLog({
    clock: wall,
    disk,
    beforeCommit: () => {
      if (refusing) throw new LogError("full", "Cannot commit as the test says so");
    },
  });
  log.onCommit((records) => commits.push(records));
  const worker =
    options.worker ??
    createWorker({
      id: workerId(options.name ?? "worker-1"),
      executors: options.executors ?? [],
      report: log.append,
      clock: wall,
      blobs: createMemoryBlobs(),
      leaseMs: options.leaseMs ?? leaseMs,
      warn,
    });
  const kernel = createKernel({
    log,
    worker,
    clock: wall,
    leaseMs: options.leaseMs ?? leaseMs,
    warn,
  });
  await kernel.start();
  return {
    clock,
    disk,
    log,
    kernel,
    worker,
    commits,
    warnings,
    disrupt: (now) => {
      refusing = now;
    },
    crash: () => {
      alive = false;
    },
    put: async (...events) => {
      await log.append(events);
      await clock.settle();
    },
    story: (id) =>
      (disk.threads.get(id) ?? [])
        .filter(({ event }) => event.tags["anomaly"] === undefined)
        .map(
          ({ event }) => `${event.event_type.replace("action.", "")}/${String(event.attempt ?? 0)}`,
        ),
  };
}

/** A request of `hand.work`; its action id comes with it. */
export function ask(
  key: string,
  attrs: Partial<RequestAttrs> = {},
  options: { readonly ts?: string; readonly priority?: Priority } = {},
): NewEvent & { readonly action_id: ActionId } {
  const event = requestEvent({
    attrs: { command: "hand.work", args: {}, ...attrs },
    idempotencyKey: key,
    entityId: "job:1",
    ts: options.ts ?? "2026-11-24T05:00:00.000Z",
    source: { system: "test", ns: {} },
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  });
  if (event.action_id === undefined) throw new Error("A request without an action id");
  return { ...event, action_id: event.action_id };
}

/** A worker that takes everything and never says a word: its process is as good as dead. */
export function createSilentWorker(executor: Executor): Worker & {
  readonly taken: string[];
  readonly cancelled: string[];
} {
  const taken: string[] = [];
  const cancelled: string[] = [];
  return {
    id: workerId("silent"),
    executors: new Map([[executor.command, executor]]),
    taken,
    cancelled,
    run: ({ request, attempt }) =>
      void taken.push(`${String(request.action_id)}/${String(attempt)}`),
    cancel: (action, reason) => void cancelled.push(`${action} ${reason}`),
    running: () => 0,
    stop: () => Promise.resolve(),
  };
}

/** One call of those that an executor got. */
export function callOf(executor: HandExecutor, index: number): HandExecutor["calls"][number] {
  return present(executor.calls[index], `call ${String(index)}`);
}

/** The event types of one commit; -1 is the newest. */
export function typesOf(node: Node, commit: number): readonly string[] {
  return (node.commits.at(commit) ?? []).map(({ event }) => event.event_type);
}

/** The attrs of all events of one type, in order. */
export function attrsOf(node: Node, type: string): readonly NewEvent["attrs"][] {
  return [...node.disk.records.values()]
    .filter(({ event }) => event.event_type === type)
    .map(({ event }) => event.attrs);
}
