/** The executors of a node, as its configuration says. */
import { watchedCondition, watchedTypes } from "../decider/rule.ts";
import { createArtifact } from "../executor/artifact/artifact.ts";
import { createDuckdb } from "../executor/duckdb/duckdb.ts";
import type { BlobStore, Executor } from "../executor/executor.ts";
import type { HttpOptions } from "../executor/http/exchange.ts";
import { createHttp } from "../executor/http/http.ts";
import { createHttpTool } from "../executor/http/http-tool.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { createPostgres } from "../executor/postgres/postgres.ts";
import { createPlaybook } from "../executor/playbook/playbook.ts";
import { createPython } from "../executor/python/python.ts";
import { createScripts, type Scripts } from "../executor/script.ts";
import { createShell } from "../executor/shell/shell.ts";
import { createShellTool } from "../executor/shell/shell-tool.ts";
import { createWaitFor } from "../executor/wait-for/wait-for.ts";
import type { Outcomes } from "../log/outcomes.ts";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../log/log.ts";
import type { Config } from "./config.ts";
import { defined } from "./defined.ts";
import { createEventFeed } from "./event-feed.ts";

export async function closeAll(executors: readonly Executor[]): Promise<void> {
  for (const { close } of executors) await close?.();
}

/** Tools that are off until the configuration turns them on, as they can do whatever the process can. */
export const allowableKinds = ["python", "shell", "duckdb"] as const;

/** Turns tools on that the configuration does not; of the shell, command lines. */
export function allowKinds(config: Config, kinds: readonly string[]): Config {
  const { python, shell, duckdb } = config;
  return {
    ...config,
    python: { ...python, enabled: python.enabled || kinds.includes("python") },
    shell: { ...shell, lines: shell.lines || kinds.includes("shell") },
    duckdb: { ...duckdb, enabled: duckdb.enabled || kinds.includes("duckdb") },
  };
}

/** @param on what `artifact` keeps values in, and what `wait_for` looks at. */
export function executorsOf(
  config: Config,
  on: {
    readonly log: Log;
    readonly outcomes: Outcomes;
    readonly blobs: BlobStore;
    readonly clock: Clock;
  },
): readonly Executor[] {
  const http: HttpOptions = defined(config.http);
  const scripts = createScripts({ ...defined(config.scripts), http });
  return [
    createNoop(),
    createHttp(http),
    createHttpTool(http),
    ...shellExecutorsOf(config),
    pythonOf(config, scripts),
    ...sqlExecutorsOf(config, scripts),
    createArtifact(on.blobs),
    createPlaybook({
      append: on.log.append,
      ended: (id, signal) => on.outcomes.waitExecution(id, { signal }),
      nowMs: on.clock.nowMs,
    }),
    createWaitFor({
      feed: createEventFeed(on.log),
      pattern: watchedTypes,
      condition: watchedCondition,
    }),
  ];
}

function shellExecutorsOf({ shell }: Config): readonly Executor[] {
  const { lines, allow, cwdRoot, envPass, concurrency, timeoutMs } = shell;
  const options = { allow, cwdRoot, envPass, ...defined({ concurrency, timeoutMs }) };
  return [createShell(options), createShellTool({ ...options, lines })];
}

function pythonOf({ python }: Config, scripts: Scripts): Executor {
  const { enabled, cwd, envPass, interpreter, concurrency, timeoutMs } = python;
  return createPython({
    scripts,
    enabled,
    cwd,
    envPass,
    ...defined({ interpreter, concurrency, timeoutMs }),
  });
}

function sqlExecutorsOf({ postgres, duckdb }: Config, scripts: Scripts): readonly Executor[] {
  const { enabled, root } = duckdb;
  return [
    createPostgres({ ...defined(postgres), enabled: postgres.enabled, scripts }),
    createDuckdb({ ...defined(duckdb), enabled, root, scripts }),
  ];
}
