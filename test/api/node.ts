/** A node for tests: the real API, kernel, worker and metrics over a memory log, with commands that a test steers. */
import Type from "typebox";
import type { ApiOptions } from "../../src/api/context.ts";
import { createApi, type Api } from "../../src/api/server.ts";
import { createPlaybooks } from "../../src/app/playbooks.ts";
import { createMetrics } from "../../src/app/metrics.ts";
import { createSystemClock } from "../../src/app/system-clock.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { Json, JsonObject } from "../../src/base/json.ts";
import { fault } from "../../src/event/error.ts";
import { workerId } from "../../src/event/ids.ts";
import { readThroughNow } from "../../src/executor/blob.ts";
import { createMemoryBlobs } from "../../src/executor/blob/memory.ts";
import type { Executor } from "../../src/executor/executor.ts";
import { createNoop } from "../../src/executor/noop/noop.ts";
import { createWorker } from "../../src/executor/worker.ts";
import { createKernel, type ActiveDecider, type CatalogEntry } from "../../src/kernel/kernel.ts";
import type { Log } from "../../src/log/log.ts";
import { createMemoryLog, type MemoryDisk } from "../../src/log/memory/memory-log.ts";
import { createOutcomes } from "../../src/log/outcomes.ts";

export type TestNode = {
  readonly api: Api;
  /** Rules and schedules. */
  readonly active: () => readonly ActiveDecider[];
  readonly playbooks: () => readonly CatalogEntry[];
  readonly log: Log;
  /** Fires the heartbeats of all open streams. */
  readonly beat: () => void;
  /** Lets every `hold` that runs, or will, end. */
  readonly release: () => void;
  readonly ask: (method: Method, url: string, sent?: Sent) => Promise<Answer>;
  readonly stop: () => Promise<void>;
};

export type Method = "GET" | "POST" | "PUT" | "DELETE" | "PATCH";

export type Sent = {
  readonly body?: Json;
  /** Sent as it is, in place of `body`. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
};

export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The body, read as JSON where it is. */
  readonly body: JsonObject;
  readonly text: string;
};

export type NodeOptions = Partial<Pick<ApiOptions, "tokens" | "bodyBytesMax" | "notReady">> & {
  readonly disk?: MemoryDisk;
  readonly beforeCommit?: () => void;
};

export async function startNode(options: NodeOptions = {}): Promise<TestNode> {
  const clock = createSystemClock();
  const { disk, beforeCommit, ...api } = options;
  const log = createMemoryLog({
    clock,
    ...(disk === undefined ? {} : { disk }),
    ...(beforeCommit === undefined ? {} : { beforeCommit }),
  });
  const holding = new Set<() => void>();
  const blobs = createMemoryBlobs();
  const inline = (result: Json): Json => readThroughNow(blobs, result);
  const executors = [createNoop(), failing, holdUntil(holding)];
  const worker = createWorker({
    id: workerId(`test-${String(Math.random())}`),
    executors,
    report: log.append,
    clock,
    blobs,
    leaseMs: 30_000,
    warn: () => undefined,
  });
  const kernel = createKernel({ log, worker, clock, inline, warn: () => undefined });
  await kernel.start();
  const beats = new Set<() => void>();
  const metrics = createMetrics(log, kernel.stats);
  const outcomes = createOutcomes(log);
  const made = await createApi({
    log,
    outcomes,
    clock: heartbeatsOf(clock, beats),
    commands: () => executors,
    rules: () => kernel.stats().rules,
    schedules: () => kernel.stats().schedules,
    playbooks: createPlaybooks({
      catalog: kernel.playbooks,
      log,
      blobs,
      inline,
      envNames: ["REGION"],
      env: { REGION: "north", HOME: "/nobody's" },
    }),
    metrics,
    notReady: () => undefined,
    ...api,
  });
  return {
    api: made,
    active: () => {
      const { rules, schedules } = kernel.stats();
      return [...rules, ...schedules];
    },
    playbooks: kernel.playbooks.entries,
    log,
    beat: () => {
      for (const beat of [...beats]) beat();
    },
    release: () => {
      for (const release of [...holding]) release();
    },
    ask: (method, url, sent) => ask(made, { method, url, ...sent }),
    stop: async () => {
      await kernel.stop(0);
      outcomes.close();
      await made.close();
      metrics.stop();
      await log.close();
    },
  };
}

/** Ends at once as failed, for good. */
const failing: Executor = {
  command: "test.fail",
  description: "Fails as its args say",
  argsSchema: Type.Object({ message: Type.String() }, { additionalProperties: false }),
  idempotent: () => true,
  concurrency: 16,
  timeoutMs: 10_000,
  execute: (args) => Promise.reject(fault("conflict", word(args["message"]))),
};

/** Runs until the test releases it, or until it is aborted. */
function holdUntil(holding: Set<() => void>): Executor {
  return {
    command: "test.hold",
    description: "Runs until it is released",
    argsSchema: Type.Object({}, { additionalProperties: false }),
    idempotent: () => true,
    concurrency: 2,
    timeoutMs: 60_000,
    execute: (_, { signal }) =>
      new Promise((resolve, reject) => {
        const release = (): void => {
          holding.delete(release);
          resolve({ released: true });
        };
        holding.add(release);
        signal.addEventListener("abort", () => {
          holding.delete(release);
          reject(fault("cancelled", "aborted"));
        });
      }),
  };
}

/** The real clock, but for the heartbeats of streams, which a test fires. */
function heartbeatsOf(clock: Clock, beats: Set<() => void>): Clock {
  return {
    ...clock,
    after: (delayMs, task) => {
      if (delayMs !== 15_000) return clock.after(delayMs, task);
      const beat = (): void => {
        beats.delete(beat);
        task();
      };
      beats.add(beat);
      return () => beats.delete(beat);
    },
  };
}

async function ask(
  api: Api,
  { method, url, body, text, headers, token }: Sent & { method: Method; url: string },
): Promise<Answer> {
  const payload = text ?? (body === undefined ? undefined : JSON.stringify(body));
  const answer = await api.app.inject({
    method,
    url,
    headers: {
      host: "127.0.0.1:7333",
      ...(payload === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    ...(payload === undefined ? {} : { payload }),
  });
  const isJson = String(answer.headers["content-type"]).includes("json");
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: isJson ? (JSON.parse(answer.body) as JsonObject) : {},
    text: answer.body,
  };
}

/** An observation as a producer gives it. */
export function observation(members: JsonObject = {}): JsonObject {
  return {
    ts: "2026-11-24T05:00:00.000Z",
    event_type: "job.failed",
    entity_id: "job:export",
    idempotency_key: `key-${String(Math.random())}`,
    source: { system: "test", ns: {} },
    tags: {},
    attrs: { exit_code: 1 },
    ...members,
  };
}

/** A member that holds a text. */
export function word(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`is no text: ${JSON.stringify(value)}`);
}
