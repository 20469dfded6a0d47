/** The executors of SQL. A DSN holds a password, so that it stands in the environment or in a file of its own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { durationMs, type Reading } from "./reading.ts";
import type { Config, Environment } from "./shape.ts";

/** @param data the node's own folder. */
export function sqlExecutorsOf(
  reading: Reading,
  env: Environment,
  data: string,
): Pick<Config, "postgres" | "duckdb"> {
  const { postgres, duckdb } = reading.config.executors ?? {};
  const timeoutMs = (name: string, written: string | undefined): number | undefined =>
    durationMs(reading, { path: ["executors", name, "timeout"], written });
  return {
    postgres: {
      enabled: postgres?.enabled ?? postgres !== undefined,
      dsn: dsnOf(reading, env),
      concurrency: postgres?.concurrency,
      timeoutMs: timeoutMs("postgres", postgres?.timeout),
      resultBytesMax: postgres?.result_bytes_max,
    },
    duckdb: {
      enabled: duckdb?.enabled ?? duckdb !== undefined,
      root: duckdb?.root === undefined ? join(data, "duckdb") : reading.at(duckdb.root),
      externalAccess: duckdb?.external_access ?? false,
      memoryLimit: duckdb?.memory_limit,
      threads: duckdb?.threads,
      concurrency: duckdb?.concurrency,
      timeoutMs: timeoutMs("duckdb", duckdb?.timeout),
      resultBytesMax: duckdb?.result_bytes_max,
    },
  };
}

function dsnOf({ config, at, problem }: Reading, env: Environment): string | undefined {
  const { dsn_env: variable, dsn_file: file } = config.executors?.postgres ?? {};
  const path = ["executors", "postgres"];
  if (variable !== undefined && file !== undefined) {
    problem([...path, "dsn_file"], "a second place for the DSN: give dsn_env or dsn_file");
    return undefined;
  }
  if (variable !== undefined) {
    const dsn = env[variable] ?? "";
    if (dsn !== "") return dsn;
    problem([...path, "dsn_env"], `the environment has no ${variable}: set it, or use dsn_file`);
    return undefined;
  }
  if (file === undefined) return undefined;
  try {
    const dsn = readFileSync(at(file), "utf8").trim();
    if (dsn !== "") return dsn;
    problem([...path, "dsn_file"], `${file} is empty: write the DSN into it`);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    problem([...path, "dsn_file"], `the DSN cannot be read: ${why}`);
  }
  return undefined;
}
