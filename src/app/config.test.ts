import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatProblem } from "../base/document.ts";
import type { CredentialEntry } from "../executor/credential/credentials.ts";
import { loadConfig, type Config, type Environment } from "./config.ts";
import { overrides } from "./config/environment.ts";

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-config-"));
  file = join(folder, "deed.yaml");
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function load(text: string, env: Environment = {}): Config {
  writeFileSync(file, text);
  const config = loadConfig(file, env);
  if (config.ok) return config.value;
  throw new Error(config.error.map(formatProblem).join("\n"));
}

/** The problems, with the file's folder left out. */
function problems(text: string, env: Environment = {}): readonly string[] {
  writeFileSync(file, text);
  const config = loadConfig(file, env);
  if (config.ok) throw new Error("was read");
  return config.error.map((one) => formatProblem(one).replaceAll(`${folder}/`, ""));
}

describe("what a file says", () => {
  it("an empty file, one of comments and none at all give the defaults", () => {
    const expected = {
      host: "127.0.0.1",
      port: 7_333,
      data: join(folder, "data"),
      logPath: join(folder, "data/deed.db"),
      tokens: [],
      leaseMs: 30_000,
      graceMs: 5_000,
      credentials: new Map(),
      rules: [],
      schedules: [],
      playbooks: { paths: [], env: [] },
      sources: [],
      warnings: [],
    };
    expect(load("")).toMatchObject(expected);
    expect(load("# nothing\n\n  # here\n")).toMatchObject(expected);
    rmSync(file);
    const absent = loadConfig(file, {}, true);
    expect(absent.ok && absent.value).toMatchObject(expected);
  });

  it("all of it", () => {
    writeFileSync(join(folder, "dsn"), "postgres://u:p@h/d\n");
    const config = load(`
data: var
listen: "[::1]:8000"
api: { body_bytes_max: 2048, tenant: ops }
log: { path: log/deed.db, dedup_window: 1h30m, event_bytes_max: 4096, retention: { decisions: 7d } }
worker: { lease: 10s, grace: 0s }
executors:
  http: { allow_hosts: [a.example], remap: { "https://a.example": "http://127.0.0.1:1/a" }, concurrency: 4, timeout: 5s, response_bytes_max: 100 }
  scripts: { root: playbooks, strip: [fixtures/playbooks] }
  shell: { allow: [["./a.sh", "x"]], lines: true, cwd_root: work, env_pass: [HOME], concurrency: 2, timeout: 1m }
  python: { enabled: false, interpreter: venv/bin/python, cwd: scripts, env_pass: [TZ], concurrency: 3, timeout: 2m }
  postgres: { dsn_file: dsn, concurrency: 5, timeout: 3m, result_bytes_max: 200 }
  duckdb: { enabled: false, root: tables, external_access: true, memory_limit: 2GiB, threads: 4, concurrency: 6, timeout: 4m, result_bytes_max: 300 }
credentials:
  api: { from: env, names: { token: API_TOKEN }, prefix: DEED_API_, tenants: [ops], cache: 0s }
  pg: { from: file, path: secrets/pg.json, fields: { host: db, port: 5432 }, open: [user] }
  vault: { from: command, argv: [bin/vault, get], env_pass: [VAULT_ADDR], timeout: 3s, format: value }
rules: [rules, /etc/deed/rules]
schedules: [schedules]
playbooks: { paths: [flows], env: [REGION] }
sources:
  - { kind: file, name: jobs, path: jobs.jsonl, interval: 250ms, mapping: { event_type: a, entity_id: b, ts: c } }
  - kind: probe
    name: web
    entity: service:web
    http: { url: "http://127.0.0.1:8080/", expect_status: 204, slow: 1s }
    interval: 2s
    timeout: 500ms
    degraded: { share: 0.5, window: 10 }
  - { kind: probe, name: db, entity: service:db, tcp: { host: localhost, port: 5432 } }
  - { kind: probe, name: job, entity: job:x, process: { pid_file: x.pid } }
`);
    expect(config).toEqual({
      file,
      warnings: [],
      data: join(folder, "var"),
      host: "::1",
      port: 8_000,
      tokens: [],
      bodyBytesMax: 2_048,
      logPath: join(folder, "log/deed.db"),
      dedupWindowMs: 5_400_000,
      eventBytesMax: 4_096,
      retention: { decisions: 604_800_000 },
      leaseMs: 10_000,
      graceMs: 0,
      http: {
        allowHosts: ["a.example"],
        remap: { "https://a.example": "http://127.0.0.1:1/a" },
        concurrency: 4,
        timeoutMs: 5_000,
        responseBytesMax: 100,
      },
      scripts: { root: join(folder, "playbooks"), strip: ["fixtures/playbooks"] },
      shell: {
        allow: [["./a.sh", "x"]],
        lines: true,
        cwdRoot: join(folder, "work"),
        envPass: ["HOME"],
        concurrency: 2,
        timeoutMs: 60_000,
      },
      python: {
        enabled: false,
        interpreter: join(folder, "venv/bin/python"),
        cwd: join(folder, "scripts"),
        envPass: ["TZ"],
        concurrency: 3,
        timeoutMs: 120_000,
      },
      postgres: {
        enabled: true,
        dsn: "postgres://u:p@h/d",
        concurrency: 5,
        timeoutMs: 180_000,
        resultBytesMax: 200,
      },
      duckdb: {
        enabled: false,
        root: join(folder, "tables"),
        externalAccess: true,
        memoryLimit: "2GiB",
        threads: 4,
        concurrency: 6,
        timeoutMs: 240_000,
        resultBytesMax: 300,
      },
      credentials: new Map<string, CredentialEntry>([
        [
          "api",
          {
            source: { from: "env", names: { token: "API_TOKEN" }, prefix: "DEED_API_" },
            tenants: ["ops"],
            fields: {},
            open: [],
            cacheMs: 0,
          },
        ],
        [
          "pg",
          {
            source: { from: "file", path: join(folder, "secrets/pg.json") },
            fields: { host: "db", port: 5_432 },
            open: ["user"],
            cacheMs: 60_000,
          },
        ],
        [
          "vault",
          {
            source: {
              from: "command",
              argv: [join(folder, "bin/vault"), "get"],
              cwd: folder,
              envPass: ["VAULT_ADDR"],
              timeoutMs: 3_000,
              format: "value",
            },
            fields: {},
            open: [],
            cacheMs: 60_000,
          },
        ],
      ]),
      rules: [join(folder, "rules"), "/etc/deed/rules"],
      schedules: [join(folder, "schedules")],
      playbooks: { paths: [join(folder, "flows")], env: ["REGION"] },
      sources: [
        {
          kind: "file",
          name: "jobs",
          path: join(folder, "jobs.jsonl"),
          intervalMs: 250,
          mapping: { event_type: "a", entity_id: "b", ts: "c" },
        },
        {
          kind: "probe",
          name: "web",
          entityId: "service:web",
          target: { kind: "http", url: "http://127.0.0.1:8080/", expectStatus: 204, slowMs: 1_000 },
          intervalMs: 2_000,
          timeoutMs: 500,
          degraded: { share: 0.5, window: 10 },
        },
        {
          kind: "probe",
          name: "db",
          entityId: "service:db",
          target: { kind: "tcp", host: "localhost", port: 5_432 },
          intervalMs: 5_000,
          timeoutMs: 2_000,
        },
        {
          kind: "probe",
          name: "job",
          entityId: "job:x",
          target: { kind: "process", pidFile: join(folder, "x.pid") },
          intervalMs: 5_000,
          timeoutMs: 2_000,
        },
      ],
    });
  });
});

describe("1. every problem is told in its place, with the way out", () => {
  it.each<readonly [text: string, problem: string]>([
    ["listen: [1\n", "not valid YAML"],
    ["listne: 1", 'unknown key "listne": did you mean "listen"?'],
    ["api:\n  tokn_env: X", 'unknown key "tokn_env": did you mean "token_env"?'],
    ["data: 5", 'deed.yaml:1:7: "data" must be string'],
    [
      "listen: localhost",
      'deed.yaml:1:9: "localhost" is no host:port: write it as in 127.0.0.1:7333, [::1]:7333 or 7333',
    ],
    [
      "listen: 127.0.0.1",
      'deed.yaml:1:9: "127.0.0.1" is no host:port: write it as in 127.0.0.1:7333, [::1]:7333 or 7333',
    ],
    [
      "# x\nlisten: 0.0.0.0:7333",
      "deed.yaml:2:9: cannot listen on 0.0.0.0 without a token, as anyone who reaches it could act: set api.token_env or api.token_file, or listen on 127.0.0.1",
    ],
    [
      "worker:\n  lease: soon",
      'deed.yaml:2:10: "soon" is not a duration: write a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d',
    ],
    ["worker:\n  lease: 5ms", 'deed.yaml:2:10: "5ms" is too short: at least 1000ms'],
    ["log: { retention: { decision: 7d } }", 'unknown key "decision": did you mean "decisions"?'],
    [
      "log: { path: 'kafka://a:9092' }",
      'deed.yaml:1:15: no log "kafka" is known: write a path, or sqlite:<path>',
    ],
    [
      "api: { token_env: NIGHT_TOKEN }",
      "deed.yaml:1:19: the environment has no NIGHT_TOKEN: set it, or use token_file",
    ],
    [
      "api:\n  token_env: A\n  token_file: b",
      "deed.yaml:3:15: a second place for the token: give token_env or token_file",
    ],
    [
      "api: { token_file: none.txt }",
      "deed.yaml:1:20: the token cannot be read: ENOENT: no such file or directory, open 'none.txt'",
    ],
    [
      "api:\n  tokens:\n    - { tenant: a }",
      "deed.yaml:3:7: a token without a place to read it from: give token_env or token_file",
    ],
    [
      "sources:\n  - { kind: probe, name: a, entity: b }",
      "deed.yaml:2:5: a probe has exactly one target: http, tcp or process",
    ],
    [
      "sources:\n  - { kind: file, name: a, path: x }\n  - { kind: file, name: a, path: y }",
      'deed.yaml:3:25: a second source "a": give each its own name',
    ],
    [
      "sources: [{ kind: probe, name: a, entity: b, http: { url: 'ftp://x' } }]",
      'deed.yaml:1:60: "ftp://x" is no http:// or https:// URL',
    ],
    [
      "credentials:\n  db: { from: env }",
      "deed.yaml:2:3: a credential without a place to read it from: give names, as {password: PG_PASSWORD}, or a prefix",
    ],
    [
      "credentials: { db: { from: file, path: a, cache: x } }",
      'deed.yaml:1:50: "x" is not a duration',
    ],
    [
      "credentials: { db: { from: command, argv: [a], path: b } }",
      'deed.yaml:1:54: "from: command" has no "path": it has argv, env_pass, timeout, format',
    ],
    [
      "credentials: { db: { from: file } }",
      "deed.yaml:1:16: a credential without a place to read it from: give the path of the file",
    ],
    ["credentials: { db: { from: vault } }", '"from" must be equal to one of the allowed values'],
    ["data: a\n---\ndata: b\n", "a second document: one file holds one configuration"],
  ])("%j", (text, problem) => {
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
    expect(found[0]).toMatch(/^deed\.yaml:\d+:\d+: /);
  });

  it("all problems are told at once", () => {
    expect(problems("listen: x\nworker: { lease: y, grace: z }")).toHaveLength(3);
  });

  it("a file that is not there, and one that is a folder", () => {
    const absent = loadConfig(join(folder, "no.yaml"), {});
    expect(!absent.ok && absent.error[0]?.message).toBe(
      "there is no such file: `deed init` writes one that runs as it is",
    );
    const dir = loadConfig(folder, {});
    expect(!dir.ok && dir.error[0]?.message).toContain("cannot be read: EISDIR");
  });
});

describe("2. DEED_* stand in for members", () => {
  it.each<readonly [name: string, value: string, expected: Partial<Config>]>([
    ["DEED_LISTEN", "127.0.0.1:9", { host: "127.0.0.1", port: 9 }],
    ["DEED_DATA", "/var/deed", { data: "/var/deed", logPath: "/var/deed/deed.db" }],
    ["DEED_RULES", "/r/a.yaml, /r/b", { rules: ["/r/a.yaml", "/r/b"] }],
    ["DEED_SCHEDULES", "/s/a.yaml", { schedules: ["/s/a.yaml"] }],
    ["DEED_PLAYBOOKS", "/p, /q", { playbooks: { paths: ["/p", "/q"], env: [] } }],
    ["DEED_LOG", "sqlite:/l/x.db", { logPath: "/l/x.db" }],
    ["DEED_DEDUP_WINDOW", "2d", { dedupWindowMs: 172_800_000 }],
    ["DEED_EVENT_BYTES_MAX", "9000", { eventBytesMax: 9_000 }],
    ["DEED_BODY_BYTES_MAX", "9001", { bodyBytesMax: 9_001 }],
    ["DEED_LEASE", "9s", { leaseMs: 9_000 }],
    ["DEED_GRACE", "1s", { graceMs: 1_000 }],
  ])("%s=%s", (name, value, expected) => {
    const text =
      "listen: '1'\ndata: x\nrules: [y]\nlog: { dedup_window: 1s }\nworker: { lease: 1s }";
    expect(load(text, { [name]: value })).toMatchObject(expected);
  });

  it("DEED_TOKEN, DEED_TENANT and DEED_TOKEN_FILE", () => {
    expect(load("", { DEED_TOKEN: "t", DEED_TENANT: "ops" }).tokens).toEqual([
      { token: "t", tenant: "ops" },
    ]);
    writeFileSync(join(folder, "token"), " from-file\n");
    expect(load("", { DEED_TOKEN_FILE: "token" }).tokens).toEqual([
      { token: "from-file", tenant: "default" },
    ]);
  });

  it("the table above names each of them", () => {
    expect(overrides.map(({ name }) => name).sort()).toEqual(
      `DEED_LISTEN DEED_DATA DEED_RULES DEED_SCHEDULES DEED_PLAYBOOKS DEED_LOG DEED_DEDUP_WINDOW
      DEED_EVENT_BYTES_MAX DEED_BODY_BYTES_MAX DEED_LEASE DEED_GRACE DEED_TENANT DEED_TOKEN_FILE`
        .split(/\s+/)
        .sort(),
    );
  });

  it("an empty one is not set", () => {
    expect(load("listen: '5'", { DEED_LISTEN: "" }).port).toBe(5);
  });

  it.each([
    ["DEED_LISTEN", "x", 'environment:1:1: DEED_LISTEN: "x" is no host:port'],
    ["DEED_LEASE", "x", 'environment:1:1: DEED_LEASE: "x" is not a duration'],
    ["DEED_BODY_BYTES_MAX", "lots", 'environment:1:1: DEED_BODY_BYTES_MAX="lots" must be integer'],
    ["DEED_LOG", "kafka://a", 'environment:1:1: DEED_LOG: no log "kafka" is known'],
    ["DEED_LISTEN", "0.0.0.0:1", "environment:1:1: DEED_LISTEN: cannot listen on 0.0.0.0 without"],
  ])("a bad one is named: %s=%s", (name, value, problem) => {
    const found = problems("", { [name]: value });
    expect(found).toHaveLength(1);
    expect(found[0]?.startsWith(problem), found[0]).toBe(true);
  });

  it("one that nothing reads is warned of", () => {
    const env = { DEED_LISTN: "1", DEED_XYZZY: "2", DEED_MINE: "t", DEED_URL: "u", OTHER: "3" };
    expect(load("api: { token_env: DEED_MINE }", env).warnings).toEqual([
      "the environment variable DEED_LISTN is not known and not used: did you mean DEED_LISTEN?",
      expect.stringMatching(
        /^the environment variable DEED_XYZZY is not known and not used: known/,
      ),
    ]);
  });
});

describe("3. tokens", () => {
  it("of several tenants", () => {
    const text = "api: { tokens: [{ tenant: a, token_env: A }, { tenant: b, token_env: B }] }";
    expect(load(text, { A: "ta", B: "tb" }).tokens).toEqual([
      { token: "ta", tenant: "a" },
      { token: "tb", tenant: "b" },
    ]);
  });

  it("with one, it may listen beyond loopback", () => {
    expect(load("listen: 0.0.0.0:7333", { DEED_TOKEN: "t" }).host).toBe("0.0.0.0");
  });

  it("no message repeats one", () => {
    const found = problems("listen: x\napi: { token_env: MY, body_bytes_max: 5 }", {
      MY: "s3cret",
    });
    expect(found.join("\n")).not.toContain("s3cret");
  });

  it("nor a secret that somebody wrote into the file", () => {
    const found = problems("credentials: { db: { from: env, password: s3cret } }");
    expect(found.join("\n")).toContain('deed.yaml:1:33: unknown key "password": known here: from');
    expect(found.join("\n")).not.toContain("s3cret");
  });

  it("the variables of credentials are known", () => {
    const text = "credentials: { db: { from: env, names: { a: DEED_A }, prefix: DEED_DB_ } }";
    const env = { DEED_A: "1", DEED_DB_B: "2", DEED_C: "3" };
    expect(load(text, env).warnings).toEqual([
      expect.stringContaining("the environment variable DEED_C is not known"),
    ]);
  });
});
