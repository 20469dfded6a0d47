/** Wires adapters to ports, in one process. Nothing is decided here. */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pino, type Logger } from "pino";
import type { Playbooks } from "../api/context.ts";
import { createApi, type Api } from "../api/server.ts";
import type { Clock } from "../base/clock.ts";
import { fault } from "../event/error.ts";
import { workerId } from "../event/ids.ts";
import type { Json } from "../base/json.ts";
import { readThroughNow } from "../executor/blob.ts";
import { createFolderBlobs } from "../executor/blob/folder.ts";
import {
  createCredentials,
  type ConfiguredCredentials,
} from "../executor/credential/credentials.ts";
import type { BlobStore, Executor } from "../executor/executor.ts";
import { createWorker } from "../executor/worker.ts";
import { createKernel, type Kernel } from "../kernel/kernel.ts";
import type { Log } from "../log/log.ts";
import { createOutcomes, type Outcomes } from "../log/outcomes.ts";
import { openSqliteLog } from "../log/sqlite/sqlite-log.ts";
import { fileSource } from "../source/file/file.ts";
import { probeSource } from "../source/probe/probe.ts";
import type { Source, SourceContext } from "../source/source.ts";
import type { Config, SourceConfig } from "./config.ts";
import { defined } from "./defined.ts";
import { closeAll, executorsOf } from "./executors.ts";
import { renderKeychain } from "./keychain.ts";
import { watchDefinitionFiles } from "./definition-files.ts";
import { createMetrics } from "./metrics.ts";
import { createPlaybooks } from "./playbooks.ts";
import { createReadiness, type Readiness } from "./readiness.ts";
import { watchPlaybookFiles } from "./registered-files.ts";
import { createSystemClock } from "./system-clock.ts";

export type RunningApp = {
  readonly url: string;
  readonly log: Log;
  readonly kernel: Kernel;
  /** Sources first, then what runs, then the API and the log. */
  readonly stop: () => Promise<void>;
};

/** What runs what is on a log. */
export type RunningEngine = Omit<RunningApp, "url"> & {
  readonly clock: Clock;
  /** Lets `stop` end what runs without a time of grace. */
  readonly hurry: () => void;
};

type Parts = Omit<RunningApp, "stop">;

type Ends = (() => Promise<void> | void)[];

type Engine = Pick<RunningEngine, "clock" | "log" | "kernel"> & {
  readonly readiness: Readiness;
  readonly executors: readonly Executor[];
  readonly outcomes: Outcomes;
  readonly blobs: BlobStore;
  readonly inline: (result: Json) => Json;
};

type Warn = SourceContext["warn"];

/** How often retention is applied where the configuration names any. */
const retainMs = 3_600_000;

/** The program's own log lines go to stderr: people first on a terminal, JSON otherwise. */
export function createLogger(level: string): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

/**
 * Starts one node: when it returns, the node serves. What was begun is ended again where a later step fails.
 *
 * @throws {LogError} where the log cannot be opened, {Fault} where it cannot listen.
 */
export async function startApp(config: Config, logger: Logger): Promise<RunningApp> {
  return started((ends) => startParts(config, logger, ends));
}

/** Starts parts; what ends them all comes with them. Where one fails, those before it are ended. */
async function started<T extends object>(
  start: (ends: Ends) => Promise<T>,
): Promise<T & { readonly stop: () => Promise<void> }> {
  const ends: Ends = [];
  const stop = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      try {
        await end();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    return { ...(await start(ends)), stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** @param ends what ends each part, in the order of beginning; the last one begun is ended first. */
async function startParts(config: Config, logger: Logger, ends: Ends): Promise<Parts> {
  const warn = warnTo(logger);
  const engine = await openEngine(config, warn, ends);
  const { clock, log, kernel, readiness, executors, outcomes } = engine;
  const metrics = createMetrics(log, kernel.stats);
  ends.push(metrics.stop);
  const api = await createApi({
    log,
    outcomes,
    clock,
    commands: () => executors,
    rules: () => kernel.stats().rules,
    schedules: () => kernel.stats().schedules,
    playbooks: playbooksOf(engine, config),
    metrics,
    notReady: readiness.notReady,
    tokens: config.tokens,
    ...defined({ bodyBytesMax: config.bodyBytesMax }),
    onError: (thrown, request) => {
      logger.error({ ...plain({ thrown }), ...request }, "A request failed");
    },
  });
  ends.push(api.close, () => kernel.stop(config.graceMs));
  await kernel.start();
  const url = await listen(api, config);
  const info = (message: string): void => {
    logger.info(message);
  };
  const definitions = await watchDefinitionFiles({
    paths: [...new Set([...config.rules, ...config.schedules])],
    log,
    active: () => {
      const { rules, schedules } = kernel.stats();
      return [...rules, ...schedules];
    },
    clock,
    warn,
    info,
  });
  ends.push(definitions.stop);
  const { entries } = kernel.playbooks;
  const { paths } = config.playbooks;
  const playbooks = await watchPlaybookFiles({ paths, log, entries, clock, warn, info });
  ends.push(playbooks.stop);
  ends.push(retainRegularly({ log, clock, retention: config.retention, warn }));
  for (const source of config.sources.map(sourceOf)) {
    ends.push(source.stop);
    await source.start(sourceContext(source.name, log, { clock, warn }));
  }
  ends.push(readiness.stopping);
  return { url, log, kernel };
}

/**
 * Starts what runs what is on the log, and nothing else: no API, no sources, no files of rules, no retention.
 * What the log holds counts all the same: its rules are active, its open work goes on.
 *
 * @throws {LogError} where the log cannot be opened; `locked` where another process runs it.
 */
export async function startEngine(config: Config, warn: Warn): Promise<RunningEngine> {
  return started(async (ends) => {
    let { graceMs } = config;
    const { log, kernel, clock } = await openEngine(config, warn, ends);
    ends.push(() => kernel.stop(graceMs));
    await kernel.start();
    const hurry = (): void => {
      graceMs = 0;
    };
    return { log, kernel, clock, hurry };
  });
}

/** The log, and a kernel and a worker on it; the kernel is not started yet. */
async function openEngine(config: Config, warn: Warn, ends: Ends): Promise<Engine> {
  const clock = createSystemClock();
  mkdirSync(config.data, { recursive: true });
  const opened = await openSqliteLog({
    path: config.logPath,
    clock,
    ...defined({ dedupWindowMs: config.dedupWindowMs, eventBytesMax: config.eventBytesMax }),
  });
  ends.push(() => opened.close());
  const readiness = createReadiness(opened, clock);
  const log: Log = { ...opened, append: readiness.append };
  const blobs = createFolderBlobs(join(config.data, "blobs"));
  const outcomes = createOutcomes(log);
  ends.push(outcomes.close);
  const executors = executorsOf(config, { log, outcomes, blobs, clock });
  const credentials = credentialsOf(config, clock, warn);
  ends.push(credentials.close);
  ends.push(() => closeAll(executors));
  const { leaseMs } = config;
  const worker = createWorker({
    id: workerId(`local-${randomUUID()}`),
    executors,
    report: log.append,
    clock,
    blobs,
    credentials,
    renderSecrets: renderKeychain,
    leaseMs,
    warn,
  });
  const inline = (result: Json): Json => readThroughNow(blobs, result);
  const kernel = createKernel({ log, worker, clock, warn, leaseMs, inline });
  return { clock, log, kernel, readiness, executors, outcomes, blobs, inline };
}

function warnTo(logger: Logger): Warn {
  return (message, detail = {}) => {
    logger.warn(plain(detail), message);
  };
}

function playbooksOf({ kernel, log, blobs, inline }: Engine, { playbooks }: Config): Playbooks {
  const catalog = kernel.playbooks;
  return createPlaybooks({
    catalog,
    log,
    blobs,
    inline,
    envNames: playbooks.env,
    env: process.env,
  });
}

/** @throws {Fault} where the address is taken, is not of this machine, or may not be served. */
async function listen(api: Api, { host, port }: Config): Promise<string> {
  try {
    return await api.listen({ host, port });
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    const at = `Cannot listen on ${host}:${String(port)}`;
    const wayOut = "choose another with listen in deed.yaml, or with DEED_LISTEN";
    if (code === "EADDRINUSE")
      throw fault("unavailable", `${at} as another program does: stop it, or ${wayOut}`);
    if (code === "EACCES" || code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
      throw fault("unavailable", `${at} as the system refuses it (${code}): ${wayOut}`);
    throw thrown;
  }
}

function credentialsOf(config: Config, clock: Clock, warn: Warn): ConfiguredCredentials {
  return createCredentials({ entries: config.credentials, env: process.env, clock, warn });
}

function sourceOf(config: SourceConfig): Source {
  if (config.kind === "file") {
    const { name, path, intervalMs, mapping } = config;
    return fileSource({ name, path, ...defined({ intervalMs, mapping }) });
  }
  const { name, entityId, target, intervalMs, timeoutMs } = config;
  const { failuresToDown, successesToUp, remindMs, heartbeatMs, degraded } = config;
  return probeSource({
    name,
    entityId,
    target,
    intervalMs,
    timeoutMs,
    ...defined({ failuresToDown, successesToUp, remindMs, heartbeatMs, degraded }),
  });
}

function sourceContext(
  name: string,
  log: Log,
  { clock, warn }: Pick<SourceContext, "clock" | "warn">,
): SourceContext {
  return {
    append: log.append,
    newest: async (entityId, types) => {
      const records = await log.readThread({
        of: { entity: entityId },
        order: "newest",
        limit: 1_000,
      });
      const own = records.find(
        ({ event }) => types.includes(event.event_type) && event.source.ns["component"] === name,
      );
      return own?.event;
    },
    clock,
    warn,
  };
}

function retainRegularly({
  log,
  clock,
  retention,
  warn,
}: {
  readonly log: Log;
  readonly clock: Clock;
  readonly retention: Config["retention"];
  readonly warn: Warn;
}): () => void {
  if (Object.keys(retention).length === 0) return () => undefined;
  let cancel: () => void;
  const retain = (): void => {
    log.retain(retention).catch((thrown: unknown) => {
      warn("Old events could not be removed and will be tried again", { thrown });
    });
    cancel = clock.after(retainMs, retain);
  };
  retain();
  return () => {
    cancel();
  };
}

/** Errors in a log line are their message: stacks and causes may hold what was sent. */
function plain(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(detail).map(([name, value]) => [
      name,
      value instanceof Error ? value.message : value,
    ]),
  );
}
