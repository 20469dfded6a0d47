/** Wires adapters to ports, in one process. Nothing is decided here. */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pino, type Logger } from "pino";
import { createApi } from "../api/server.ts";
import type { Clock } from "../base/clock.ts";
import { workerId } from "../event/ids.ts";
import { createFolderBlobs } from "../executor/blob/folder.ts";
import type { Executor } from "../executor/executor.ts";
import { createHttp } from "../executor/http/http.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { createShell } from "../executor/shell/shell.ts";
import { createWorker } from "../executor/worker.ts";
import { createKernel, type Kernel } from "../kernel/kernel.ts";
import type { Log } from "../log/log.ts";
import { createOutcomes } from "../log/outcomes.ts";
import { openSqliteLog } from "../log/sqlite/sqlite-log.ts";
import { fileSource } from "../source/file/file.ts";
import { probeSource } from "../source/probe/probe.ts";
import type { Source, SourceContext } from "../source/source.ts";
import type { Config, SourceConfig } from "./config.ts";
import { createMetrics } from "./metrics.ts";
import { watchRuleFiles } from "./rule-files.ts";
import { createSystemClock } from "./system-clock.ts";

export type RunningApp = {
  readonly url: string;
  readonly log: Log;
  readonly kernel: Kernel;
  /** Sources first, then what runs, then the API and the log. */
  readonly stop: () => Promise<void>;
};

/** How often retention is applied where the configuration names any. */
const retainMs = 3_600_000;

/** The program's own log lines go to stderr: people first on a terminal, JSON otherwise. */
export function createLogger(level: string): Logger {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** @throws {LogError} where the log cannot be opened, {Fault} where it may not listen. */
export async function startApp(config: Config, logger: Logger): Promise<RunningApp> {
  mkdirSync(config.data, { recursive: true });
  const clock = createSystemClock();
  const warn = (message: string, detail: Readonly<Record<string, unknown>> = {}): void => {
    logger.warn(plain(detail), message);
  };
  const log = await openSqliteLog({
    path: config.logPath,
    clock,
    ...defined({ dedupWindowMs: config.dedupWindowMs, eventBytesMax: config.eventBytesMax }),
  });
  const executors = executorsOf(config);
  const worker = createWorker({
    id: workerId(`local-${randomUUID()}`),
    executors,
    report: log.append,
    clock,
    blobs: createFolderBlobs(join(config.data, "blobs")),
    leaseMs: config.leaseMs,
    warn,
  });
  const kernel = createKernel({ log, worker, clock, warn, leaseMs: config.leaseMs });
  await kernel.start();
  const metrics = createMetrics(log, kernel.stats);
  const outcomes = createOutcomes(log);
  let stopping = false;
  const api = await createApi({
    log,
    outcomes,
    clock,
    commands: () => executors,
    rules: () => kernel.stats().rules,
    metrics,
    notReady: () => (stopping ? "the program is stopping" : undefined),
    tokens: config.tokens,
    ...defined({ bodyBytesMax: config.bodyBytesMax }),
    onError: (thrown, request) => {
      logger.error({ ...plain({ thrown }), ...request }, "A request failed");
    },
  });
  const rules = await watchRuleFiles({
    paths: config.rules,
    log,
    active: () => kernel.stats().rules,
    clock,
    warn,
    info: (message) => {
      logger.info(message);
    },
  });
  const sources = config.sources.map(sourceOf);
  const stopRetention = retainRegularly(log, clock, config, warn);
  const stop = async (): Promise<void> => {
    stopping = true;
    stopRetention();
    await Promise.all(sources.map((source) => source.stop()));
    await rules.stop();
    await kernel.stop(config.graceMs);
    outcomes.close();
    await api.close();
    metrics.stop();
    await log.close();
  };
  try {
    const url = await api.listen({ host: config.host, port: config.port });
    await Promise.all(
      sources.map((source) => source.start(sourceContext(source.name, log, { clock, warn }))),
    );
    return { url, log, kernel, stop };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function executorsOf({ http, shell }: Config): readonly Executor[] {
  return [
    createNoop(),
    createHttp(
      defined({
        allowHosts: http.allowHosts,
        concurrency: http.concurrency,
        timeoutMs: http.timeoutMs,
        responseBytesMax: http.responseBytesMax,
      }),
    ),
    createShell({
      allow: shell.allow,
      cwdRoot: shell.cwdRoot,
      envPass: shell.envPass,
      ...defined({ concurrency: shell.concurrency, timeoutMs: shell.timeoutMs }),
    }),
  ];
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

function retainRegularly(
  log: Log,
  clock: Clock,
  { retention }: Config,
  warn: SourceContext["warn"],
): () => void {
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

/** Leaves out what is undefined: an option that is not set is not there. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
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
