/**
 * The one configuration file, `deed.yaml`.
 *
 * | member | environment | default |
 * |---|---|---|
 * | `data` | `DEED_DATA` | `./data` beside the file |
 * | `listen` | `DEED_LISTEN` | `127.0.0.1:7333` |
 * | `log.path` | `DEED_LOG` (`sqlite:<path>`) | `<data>/deed.db` |
 * | – | `DEED_TOKEN` | none: loopback only |
 *
 * Paths are relative to the file. No secret stands in it: a token comes from an environment variable or
 * a file of its own.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Static } from "typebox";
import { readDocuments, type DocumentProblem } from "../base/document.ts";
import { parseDurationMs } from "../base/duration.ts";
import { err, ok, type Result } from "../base/result.ts";
import { defaultTenant } from "../event/ids.ts";
import type { Topic } from "../event/topic.ts";
import type { LineMapping } from "../source/file/file.ts";
import type { ProbeTarget } from "../source/probe/probe.ts";
import { configSchema, type probeSourceSchema } from "./config-schema.ts";

export type ConfigFile = Static<typeof configSchema>;

export type SourceConfig =
  | {
      readonly kind: "file";
      readonly name: string;
      readonly path: string;
      readonly intervalMs: number | undefined;
      readonly mapping: LineMapping | undefined;
    }
  | {
      readonly kind: "probe";
      readonly name: string;
      readonly entityId: string;
      readonly target: ProbeTarget;
      readonly intervalMs: number;
      readonly timeoutMs: number;
      readonly failuresToDown: number | undefined;
      readonly successesToUp: number | undefined;
      readonly remindMs: number | undefined;
      readonly heartbeatMs: number | undefined;
      readonly degraded: { readonly share: number; readonly window: number } | undefined;
    };

/** The configuration as the program uses it: paths absolute, durations in milliseconds. */
export type Config = {
  readonly file: string;
  readonly data: string;
  readonly host: string;
  readonly port: number;
  readonly tokens: readonly { readonly token: string; readonly tenant: string }[];
  readonly bodyBytesMax: number | undefined;
  readonly logPath: string;
  readonly dedupWindowMs: number | undefined;
  readonly eventBytesMax: number | undefined;
  readonly retention: { readonly [T in Topic]?: number };
  readonly leaseMs: number;
  readonly graceMs: number;
  readonly http: {
    readonly allowHosts: readonly string[] | undefined;
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
    readonly responseBytesMax: number | undefined;
  };
  readonly shell: {
    readonly allow: readonly (readonly string[])[];
    readonly cwdRoot: string;
    readonly envPass: readonly string[];
    readonly concurrency: number | undefined;
    readonly timeoutMs: number | undefined;
  };
  readonly rules: readonly string[];
  readonly sources: readonly SourceConfig[];
};

export type Environment = { readonly [name: string]: string | undefined };

/** Reads `deed.yaml`; a file that is not there gives the defaults where `optional` says so. */
export function loadConfig(
  path: string,
  env: Environment,
  optional = false,
): Result<Config, readonly DocumentProblem[]> {
  const file = resolve(path);
  if (!existsSync(file)) {
    if (optional) return settle({}, file, env, () => ({ file, line: 1, column: 1, message: "" }));
    const message = "there is no such file: `deed init` writes one that runs as it is";
    return err([{ file: path, line: 1, column: 1, message }]);
  }
  const source = readFileSync(file, "utf8");
  if (source.split("\n").every((line) => line.trim() === "" || line.trimStart().startsWith("#"))) {
    return settle({}, file, env, () => ({ file: path, line: 1, column: 1, message: "" }));
  }
  const documents = readDocuments(source, path, configSchema);
  if (!documents.ok) return documents;
  const [document] = documents.value;
  if (document === undefined)
    return settle({}, file, env, () => ({ file: path, line: 1, column: 1, message: "" }));
  return settle(document.value, file, env, document.problem);
}

type Place = (path: readonly (string | number)[], message: string) => DocumentProblem;

function settle(
  config: ConfigFile,
  file: string,
  env: Environment,
  place: Place,
): Result<Config, readonly DocumentProblem[]> {
  const problems: DocumentProblem[] = [];
  const folder = dirname(file);
  const at = (path: string): string => resolve(folder, path);
  const listen = listenOf(env["DEED_LISTEN"] ?? config.listen ?? "127.0.0.1:7333");
  if (listen === undefined) {
    problems.push({ ...place(["listen"], 'listen must be host:port, as in "127.0.0.1:7333"') });
  }
  const token = tokenOf(config, env, at);
  if (!token.ok) problems.push(place(["api", token.error.member], token.error.message));
  const sources = (config.sources ?? []).map((source, index) => {
    const read = sourceOf(source, at);
    if (!read.ok) problems.push(place(["sources", index], read.error));
    return read;
  });
  const names = (config.sources ?? []).map((source) => source.name);
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index) {
      problems.push(
        place(["sources", index, "name"], `a second source "${name}": give each its own name`),
      );
    }
  });
  if (problems.length > 0 || listen === undefined || !token.ok) return err(problems);
  const data = at(env["DEED_DATA"] ?? config.data ?? "data");
  const { http, shell } = config.executors ?? {};
  return ok({
    file,
    data,
    ...listen,
    tokens: token.value,
    bodyBytesMax: config.api?.body_bytes_max,
    logPath: logPathOf(env["DEED_LOG"], config.log?.path, data, at),
    dedupWindowMs: maybeMs(config.log?.dedup_window),
    eventBytesMax: config.log?.event_bytes_max,
    retention: Object.fromEntries(
      Object.entries(config.log?.retention ?? {}).map(([topic, kept]) => [
        topic,
        maybeMs(kept as string),
      ]),
    ),
    leaseMs: maybeMs(config.worker?.lease) ?? 30_000,
    graceMs: maybeMs(config.worker?.grace) ?? 5_000,
    http: {
      allowHosts: http?.allow_hosts,
      concurrency: http?.concurrency,
      timeoutMs: maybeMs(http?.timeout),
      responseBytesMax: http?.response_bytes_max,
    },
    shell: {
      allow: shell?.allow ?? [],
      cwdRoot: at(shell?.cwd_root ?? "."),
      envPass: shell?.env_pass ?? [],
      concurrency: shell?.concurrency,
      timeoutMs: maybeMs(shell?.timeout),
    },
    rules: (config.rules ?? []).map(at),
    sources: sources.flatMap((read) => (read.ok ? [read.value] : [])),
  });
}

function logPathOf(
  fromEnv: string | undefined,
  fromFile: string | undefined,
  data: string,
  at: (path: string) => string,
): string {
  if (fromEnv !== undefined) return at(fromEnv.replace(/^sqlite:(\/\/)?/, ""));
  return fromFile === undefined ? resolve(data, "deed.db") : at(fromFile);
}

function listenOf(listen: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^(.*?):?(\d{1,5})$/.exec(listen) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) return undefined;
  return { host: host === "" ? "127.0.0.1" : host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

function tokenOf(
  config: ConfigFile,
  env: Environment,
  at: (path: string) => string,
): Result<Config["tokens"], { readonly member: string; readonly message: string }> {
  const tenant = config.api?.tenant ?? defaultTenant;
  const direct = env["DEED_TOKEN"];
  if (direct !== undefined && direct !== "") return ok([{ token: direct, tenant }]);
  const { token_env: name, token_file: path } = config.api ?? {};
  if (name !== undefined) {
    const token = env[name];
    if (token === undefined || token === "") {
      return err({ member: "token_env", message: `the environment has no ${name}` });
    }
    return ok([{ token, tenant }]);
  }
  if (path === undefined) return ok([]);
  try {
    const token = readFileSync(at(path), "utf8").trim();
    if (token !== "") return ok([{ token, tenant }]);
    return err({ member: "token_file", message: `${path} is empty` });
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    return err({ member: "token_file", message: `cannot be read: ${why}` });
  }
}

function sourceOf(
  source: NonNullable<ConfigFile["sources"]>[number],
  at: (path: string) => string,
): Result<SourceConfig, string> {
  if (source.kind === "file") {
    const { name, path, mapping, interval } = source;
    return ok({
      kind: "file",
      name,
      path: at(path),
      intervalMs: maybeMs(interval),
      mapping: mapping as LineMapping | undefined,
    });
  }
  const targets = targetsOf(source, at);
  const [target] = targets;
  if (target === undefined || targets.length > 1) {
    return err("a probe has exactly one target: http, tcp or process");
  }
  return ok({
    kind: "probe",
    name: source.name,
    entityId: source.entity,
    target,
    intervalMs: maybeMs(source.interval) ?? 5_000,
    timeoutMs: maybeMs(source.timeout) ?? 2_000,
    failuresToDown: source.failures_to_down,
    successesToUp: source.successes_to_up,
    remindMs: maybeMs(source.remind),
    heartbeatMs: maybeMs(source.heartbeat),
    degraded: source.degraded,
  });
}

function targetsOf(
  { http, tcp, process: own }: Static<typeof probeSourceSchema>,
  at: (path: string) => string,
): ProbeTarget[] {
  const targets: ProbeTarget[] = [];
  if (http !== undefined) {
    const { url, expect_status: expectStatus, slow } = http;
    const slowMs = maybeMs(slow);
    targets.push({
      kind: "http",
      url,
      ...(expectStatus === undefined ? {} : { expectStatus }),
      ...(slowMs === undefined ? {} : { slowMs }),
    });
  }
  if (tcp !== undefined) {
    const { host, port, send } = tcp;
    targets.push({ kind: "tcp", host, port, ...(send === undefined ? {} : { send }) });
  }
  if (own !== undefined) targets.push({ kind: "process", pidFile: at(own.pid_file) });
  return targets;
}

function maybeMs(written: string | undefined): number | undefined {
  if (written === undefined) return undefined;
  const read = parseDurationMs(written);
  return read.ok ? read.value : undefined;
}
