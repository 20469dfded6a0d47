/** The executors of a node, as its configuration says. */
import { createDuckdb } from "../executor/duckdb/duckdb.ts";
import type { Executor } from "../executor/executor.ts";
import { createHttp } from "../executor/http/http.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { createPostgres } from "../executor/postgres/postgres.ts";
import { createPython } from "../executor/python/python.ts";
import { createShell } from "../executor/shell/shell.ts";
import type { Config } from "./config.ts";
import { defined } from "./defined.ts";

export async function closeAll(executors: readonly Executor[]): Promise<void> {
  for (const { close } of executors) await close?.();
}

export function executorsOf(config: Config): readonly Executor[] {
  const { http, shell, python } = config;
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
    createPython({
      enabled: python.enabled,
      cwd: python.cwd,
      envPass: python.envPass,
      ...defined({
        interpreter: python.interpreter,
        concurrency: python.concurrency,
        timeoutMs: python.timeoutMs,
      }),
    }),
    ...sqlExecutorsOf(config),
  ];
}

function sqlExecutorsOf({ postgres, duckdb }: Config): readonly Executor[] {
  return [
    createPostgres({ ...defined(postgres), enabled: postgres.enabled }),
    createDuckdb({ ...defined(duckdb), enabled: duckdb.enabled, root: duckdb.root }),
  ];
}
