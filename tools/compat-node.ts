/** A node that runs real playbooks: its own log, Python, PostgreSQL, the test server. For `compat.ts` and benches. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parse } from "yaml";
import { executionRequestEvent } from "../src/action/execution-request.ts";
import { startEngine, type RunningEngine } from "../src/app/app.ts";
import { loadConfig } from "../src/app/config.ts";
import { timestamp } from "../src/base/clock.ts";
import { formatProblem } from "../src/base/document.ts";
import { sha256Hex } from "../src/base/hash.ts";
import type { Json, JsonObject } from "../src/base/json.ts";
import { formatFinding, parsePlaybook } from "../src/core/parse.ts";
import { compileProgram, type Program } from "../src/core/program.ts";
import { registeredEvent, type Registration } from "../src/decider/playbook.ts";
import type { LogRecord } from "../src/event/envelope.ts";
import { executionIdOf, type ExecutionId } from "../src/event/ids.ts";
import { readThrough } from "../src/executor/blob.ts";
import { createFolderBlobs } from "../src/executor/blob/folder.ts";
import type { TestPostgres } from "../test/postgres.ts";

/** A playbook of the folder, ready to be registered. */
export type KnownPlaybook = Registration & { readonly program: Program };

/** All playbooks of a folder: by file, and what keeps the others from being known. */
export function readPlaybooks(folder: string): {
  readonly files: ReadonlyMap<string, KnownPlaybook>;
  readonly problems: readonly string[];
} {
  const files = new Map<string, KnownPlaybook>();
  const problems: string[] = [];
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  for (const file of names.filter((one) => one.endsWith(".yaml")).sort()) {
    const text = readFileSync(join(folder, file), "utf8");
    const parsed = parsePlaybook(text, file);
    if (!parsed.ok) {
      problems.push(...parsed.error.map(formatFinding));
      continue;
    }
    const { playbook, place } = parsed.value;
    const program = compileProgram(playbook);
    if (program.ok) {
      const { path } = playbook;
      files.set(file, { path, digest: sha256Hex(text), text, file, program: program.value });
      continue;
    }
    for (const { path, message, at } of program.error) {
      const { line, column } = place(path, at);
      problems.push(`${file}:${String(line)}:${String(column)}: ${message}`);
    }
  }
  return { files, problems };
}

/** The test server that the playbooks call, in a process of its own; `env` holds settings of it. */
export async function startTestServer(
  folder: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ readonly url: string; readonly stop: () => void }> {
  const file = join(folder, "test-server.mjs");
  const child: ChildProcess = spawn(process.execPath, [file, "--port", "0", "--fast"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  if (child.stdout === null) throw new Error("Cannot read what the test server says");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done === true) throw new Error("The test server ended before it listened");
  const { port } = JSON.parse(first.value) as { readonly port: number };
  return { url: `http://127.0.0.1:${String(port)}`, stop: () => void child.kill() };
}

export type CompatNode = Pick<RunningEngine, "log"> & {
  readonly register: (playbooks: Iterable<KnownPlaybook>) => Promise<void>;
  /** @returns the thread of the execution, once it has ended; references to large results read through. */
  readonly run: (path: string, payload: JsonObject) => Promise<Ran>;
  /** Runs it to its end, and reads nothing of it back. @throws where it has not ended within `msMax`. */
  readonly runOnly: (path: string, payload: JsonObject, msMax: number) => Promise<ExecutionId>;
  readonly stop: () => Promise<void>;
};

export type Ran = {
  readonly executionId: ExecutionId;
  readonly thread: readonly LogRecord[];
  readonly events: number;
};

type Mapping = {
  readonly remap: { readonly [origin: string]: string };
  readonly credentials: readonly string[];
  readonly strip: readonly string[];
};

/** An execution that has not ended by then hangs. */
const runMsMax = 120_000;

type Given = {
  /** The folder of the playbooks. */
  readonly playbooks: string;
  /** The file that says what stands for hosts and credentials. */
  readonly mapping: string;
  readonly server: string;
  readonly postgres: TestPostgres | undefined;
};

export async function startCompatNode(given: Given): Promise<CompatNode> {
  const folder = mkdtempSync(join(tmpdir(), "deed-compat-"));
  const config = configIn(folder, given);
  const engine = await startEngine(config, () => undefined);
  const { log } = engine;
  const blobs = createFolderBlobs(join(config.data, "blobs"));
  let runs = 0;
  const runOnly: CompatNode["runOnly"] = async (playbook, payload, msMax) => {
    runs += 1;
    const idempotencyKey = `compat/${String(runs)}`;
    const id = executionIdOf("default", idempotencyKey);
    const ended = waitFor(engine, id, msMax);
    const source = { system: "compat", ns: {} };
    const ts = timestamp(Date.now());
    const attrs = { playbook, payload };
    await log.append([executionRequestEvent({ attrs, idempotencyKey, ts, source })]);
    await ended;
    return id;
  };
  return {
    log,
    register: async (playbooks) => {
      const ts = timestamp(Date.now());
      for (const { path, digest, text } of playbooks) {
        await log.append([registeredEvent({ path, digest, text }, { ts, replaces: undefined })]);
      }
    },
    runOnly,
    run: async (path, payload) => {
      const before = log.head();
      const executionId = await runOnly(path, payload, runMsMax);
      const events = log.head() - before;
      const records = await log.readThread({ of: { execution: executionId }, limit: 1_000_000 });
      const thread = await Promise.all(records.map((record) => inlined(blobs, record)));
      return { executionId, thread, events };
    },
    stop: async () => {
      await engine.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configIn(
  folder: string,
  { playbooks, mapping, server, postgres }: Given,
): Parameters<typeof startEngine>[0] {
  const text = readFileSync(mapping, "utf8");
  const { remap, credentials, strip } = parse(text.replaceAll("${server}", server)) as Mapping;
  const database =
    postgres === undefined
      ? {}
      : {
          from: "env",
          names: { password: "COMPAT_PASSWORD" },
          fields: {
            host: postgres.host,
            port: postgres.port,
            user: postgres.user,
            database: postgres.database,
          },
        };
  const aliases = postgres === undefined ? [] : credentials.map((alias) => [alias, database]);
  const file = {
    data: join(folder, "data"),
    executors: {
      http: { remap },
      scripts: { root: playbooks, strip },
      python: {},
      postgres: {},
      duckdb: {},
    },
    credentials: Object.fromEntries(aliases) as JsonObject,
  };
  const path = join(folder, "deed.yaml");
  writeFileSync(path, JSON.stringify(file));
  process.env["COMPAT_PASSWORD"] = postgres?.password ?? "";
  const config = loadConfig(path, {});
  if (!config.ok) throw new Error(config.error.map(formatProblem).join("\n"));
  return config.value;
}

function waitFor({ log }: RunningEngine, id: ExecutionId, msMax: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = log.onCommit((records) => {
      const end = records.some(
        ({ event }) =>
          event.execution_id === id &&
          /^execution\.(completed|failed|cancelled)$/.test(event.event_type),
      );
      if (!end) return;
      stop();
      clearTimeout(timer);
      resolve();
    });
    const timer = setTimeout(() => {
      stop();
      reject(new Error(`execution ${id} did not end within ${String(msMax)} ms`));
    }, msMax);
  });
}

async function inlined(
  blobs: ReturnType<typeof createFolderBlobs>,
  record: LogRecord,
): Promise<LogRecord> {
  const { result } = record.event.attrs;
  if (result === undefined) return record;
  const inline: Json = await readThrough(blobs, result);
  return {
    ...record,
    event: { ...record.event, attrs: { ...record.event.attrs, result: inline } },
  };
}
