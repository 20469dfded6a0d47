/**
 * The one configuration file, `deed.yaml`.
 *
 * Members of it can be given by the environment instead: `config/environment.ts` holds the table.
 * Paths are relative to the file. No secret stands in it: a token comes from an environment variable or
 * a file of its own, and no message repeats it.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { readDocuments, type DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import { topics } from "../event/topic.ts";
import { configSchema } from "./config-schema.ts";
import { credentialVariables, credentialsOf } from "./config/credentials.ts";
import {
  environmentProblem,
  unknownVariables,
  variableOf,
  withOverrides,
} from "./config/environment.ts";
import { listenOf } from "./config/listen.ts";
import { durationMs, type Reading } from "./config/reading.ts";
import type { Config, ConfigFile, Environment } from "./config/shape.ts";
import { sourcesOf } from "./config/sources.ts";
import { sqlExecutorsOf } from "./config/sql.ts";
import { tokensOf } from "./config/tokens.ts";

export type { Config, Environment, SourceConfig } from "./config/shape.ts";

/** What is read of a file: its members, and where each of them stands. */
type Read = {
  readonly value: ConfigFile;
  readonly problem: (path: readonly (string | number)[], message: string) => DocumentProblem;
};

/** Reads `deed.yaml`; a file that is not there gives the defaults where `optional` says so. */
export function loadConfig(
  path: string,
  env: Environment,
  optional = false,
): Result<Config, readonly DocumentProblem[]> {
  const document = readFile(path, optional);
  if (!document.ok) return document;
  const config = withOverrides(document.value.value, env);
  return config.ok
    ? settle({ ...document.value, value: config.value }, resolve(path), env)
    : config;
}

function readFile(path: string, optional: boolean): Result<Read, readonly DocumentProblem[]> {
  const at = (message: string): DocumentProblem => ({ file: path, line: 1, column: 1, message });
  const empty: Read = { value: {}, problem: (_, message) => at(message) };
  if (!existsSync(path)) {
    if (optional) return ok(empty);
    return err([at("there is no such file: `deed init` writes one that runs as it is")]);
  }
  let source: string;
  try {
    source = readFileSync(path, "utf8");
  } catch (thrown) {
    return err([
      at(`cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`),
    ]);
  }
  if (/^(\s*(#.*)?\n?)*$/.test(source)) return ok(empty);
  const documents = readDocuments(source, path, configSchema);
  if (!documents.ok) return documents;
  const [document, second] = documents.value;
  if (second !== undefined)
    return err([second.problem([], "a second document: one file holds one configuration")]);
  return ok(document ?? empty);
}

function settle(
  { value: config, problem: place }: Read,
  file: string,
  env: Environment,
): Result<Config, readonly DocumentProblem[]> {
  const problems: DocumentProblem[] = [];
  const at = (path: string): string => resolve(dirname(file), path);
  const reading: Reading = {
    config,
    at,
    problem: (path, message) => {
      const variable = variableOf(path, env);
      problems.push(
        variable === undefined
          ? place(path, message)
          : environmentProblem(`${variable}: ${message}`),
      );
    },
  };
  const { api, log, rules, schedules, playbooks, executors } = config;
  const data = at(config.data ?? "data");
  const tokens = tokensOf(reading, env);
  const named = [
    api?.token_env,
    ...(api?.tokens ?? []).map((one) => one.token_env),
    executors?.postgres?.dsn_env,
  ];
  const passed = [
    ...(executors?.shell?.env_pass ?? []),
    ...(executors?.python?.env_pass ?? []),
    ...(playbooks?.env ?? []),
  ];
  const settled: Config = {
    file,
    warnings: unknownVariables(env, [
      ...named.filter((name) => name !== undefined),
      ...passed,
      ...credentialVariables(config, env),
    ]),
    data,
    ...listenOf(reading, tokens),
    tokens,
    bodyBytesMax: api?.body_bytes_max,
    logPath: logPathOf(reading, data),
    dedupWindowMs: durationMs(reading, {
      path: ["log", "dedup_window"],
      written: log?.dedup_window,
    }),
    eventBytesMax: log?.event_bytes_max,
    retention: retentionOf(reading),
    ...workerOf(reading),
    ...executorsOf(reading),
    credentials: credentialsOf(reading),
    ...sqlExecutorsOf(reading, env, data),
    rules: (rules ?? []).map(at),
    schedules: (schedules ?? []).map(at),
    playbooks: { paths: (playbooks?.paths ?? []).map(at), env: playbooks?.env ?? [] },
    sources: sourcesOf(reading),
  };
  return problems.length === 0 ? ok(settled) : err(problems);
}

/** A path, also as `sqlite:<path>`: other logs are named by their scheme. */
function logPathOf({ config, at, problem }: Reading, data: string): string {
  const written = config.log?.path;
  if (written === undefined) return resolve(data, "deed.db");
  const path = written.replace(/^sqlite:(\/\/)?/, "");
  const scheme = /^([a-z][a-z0-9+.-]+):/.exec(path)?.[1];
  if (scheme !== undefined) {
    problem(["log", "path"], `no log "${scheme}" is known: write a path, or sqlite:<path>`);
  }
  return at(path);
}

function retentionOf(reading: Reading): Config["retention"] {
  const written: { readonly [topic: string]: string | undefined } =
    reading.config.log?.retention ?? {};
  const kept = topics.flatMap((topic) => {
    const path = ["log", "retention", topic];
    const ms = durationMs(reading, { path, written: written[topic] });
    return ms === undefined ? [] : [[topic, ms] as const];
  });
  return Object.fromEntries(kept);
}

/** A lease that is shorter than this runs out between two heartbeats, milliseconds. */
const leaseMsMin = 1_000;

function workerOf(reading: Reading): Pick<Config, "leaseMs" | "graceMs"> {
  const { lease, grace } = reading.config.worker ?? {};
  return {
    leaseMs:
      durationMs(reading, { path: ["worker", "lease"], written: lease }, leaseMsMin) ?? 30_000,
    graceMs: durationMs(reading, { path: ["worker", "grace"], written: grace }, 0) ?? 5_000,
  };
}

/** A bare name is looked up in PATH; what has a slash is a path. */
function interpreterOf({ at }: Reading, written: string | undefined): string | undefined {
  return written?.includes("/") === true ? at(written) : written;
}

function executorsOf(reading: Reading): Pick<Config, "http" | "scripts" | "shell" | "python"> {
  const { http, scripts, shell, python } = reading.config.executors ?? {};
  const timeoutMs = (name: string, written: string | undefined): number | undefined =>
    durationMs(reading, { path: ["executors", name, "timeout"], written });
  return {
    http: {
      allowHosts: http?.allow_hosts,
      remap: remapOf(reading, http?.remap ?? {}),
      concurrency: http?.concurrency,
      timeoutMs: timeoutMs("http", http?.timeout),
      responseBytesMax: http?.response_bytes_max,
    },
    scripts: {
      root: scripts?.root === undefined ? undefined : reading.at(scripts.root),
      strip: scripts?.strip ?? [],
    },
    shell: {
      allow: shell?.allow ?? [],
      lines: shell?.lines ?? false,
      cwdRoot: reading.at(shell?.cwd_root ?? "."),
      envPass: shell?.env_pass ?? [],
      concurrency: shell?.concurrency,
      timeoutMs: timeoutMs("shell", shell?.timeout),
    },
    python: {
      enabled: python?.enabled ?? python !== undefined,
      interpreter: interpreterOf(reading, python?.interpreter),
      cwd: reading.at(python?.cwd ?? "."),
      envPass: python?.env_pass ?? [],
      concurrency: python?.concurrency,
      timeoutMs: timeoutMs("python", python?.timeout),
    },
  };
}

/** Both sides are URLs: a typing error here would send a request to the wrong place. */
function remapOf(
  { problem }: Reading,
  remap: { readonly [from: string]: string },
): Config["http"]["remap"] {
  for (const [from, to] of Object.entries(remap)) {
    const wrong = [from, to].find(
      (url) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol),
    );
    if (wrong === undefined) continue;
    const path = ["executors", "http", "remap", from];
    problem(path, `"${wrong}" is no beginning of an http:// or https:// URL`);
  }
  return remap;
}
