/**
 * npm run compat -- <folder>: real playbooks, driven by the pure core in the scripted world.
 *
 * The folder holds `playbooks/`, `expect.json` and `test-server.mjs`. Every playbook is parsed and linted;
 * each record of `expect.json` that needs no database is run, with python and http computed for real.
 * Fails on any difference. What is skipped is listed with what it lacks.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { JsonObject } from "../src/base/json.ts";
import { lintText } from "../src/core/lint.ts";
import { formatFinding, parsePlaybook } from "../src/core/parse.ts";
import { compileProgram, type Program } from "../src/core/program.ts";
import { playWorld, type WorldRun } from "../src/core/scripted-world.ts";
import { differences, type Expected } from "./compat-expect.ts";
import { LineProcess, Tools } from "./compat-tools.ts";

const databases: ReadonlySet<string> = new Set(["postgres", "duckdb"]);

type Catalog = {
  /** By their path in the folder. */
  readonly files: ReadonlyMap<string, Program>;
  /** By the name that kind `playbook` knows them by. */
  readonly byPath: ReadonlyMap<string, Program>;
  readonly problems: readonly string[];
};

function catalogOf(folder: string): Catalog {
  const files = new Map<string, Program>();
  const byPath = new Map<string, Program>();
  const problems: string[] = [];
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  for (const name of names.filter((one) => one.endsWith(".yaml")).sort()) {
    const parsed = parsePlaybook(readFileSync(join(folder, name), "utf8"), name);
    if (!parsed.ok) {
      problems.push(...parsed.error.map(formatFinding));
      continue;
    }
    const { playbook, place } = parsed.value;
    const program = compileProgram(playbook);
    if (program.ok) {
      files.set(name, program.value);
      byPath.set(playbook.path, program.value);
      continue;
    }
    for (const { path, message, at } of program.error) {
      const { line, column } = place(path, at);
      problems.push(`${name}:${String(line)}:${String(column)}: ${message}`);
    }
  }
  return { files, byPath, problems };
}

function notReported(folder: string, { file, lint_must_report: must = [] }: Expected): string[] {
  const findings = lintText(readFileSync(join(folder, file), "utf8"), file).map(formatFinding);
  return must
    .filter((word) => !findings.some((finding) => finding.includes(word)))
    .map((word) => `lint: no finding names ${word}`);
}

async function play(expected: Expected, catalog: Catalog, server: string): Promise<WorldRun> {
  const program = catalog.files.get(expected.file);
  if (program === undefined) throw new Error(`${expected.file} did not compile`);
  const start = JSON.stringify(expected.start ?? {})
    .replaceAll("${TEST_SERVER_HOST}", new URL(server).host)
    .replaceAll("${TEST_SERVER}", server);
  await fetch(`${server}/api/v1/flaky/reset`, { method: "POST" });
  const world = playWorld({
    program,
    children: catalog.byPath,
    payload: JSON.parse(start) as JsonObject,
    executionId: "478775660589088776",
  });
  let turn = world.next();
  while (turn.done !== true) turn = world.next(await tools.outcome(turn.value));
  return turn.value;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("Name the folder: npm run compat -- <folder with playbooks and expect.json>");
  process.exit(2);
}
const playbooks = join(folder, "playbooks");
const records = JSON.parse(readFileSync(join(folder, "expect.json"), "utf8")) as Expected[];
const catalog = catalogOf(playbooks);
let [passed, failed, skipped] = [0, 0, 0];
function tell(good: boolean, name: string, more: readonly string[] = []): void {
  console.log(`${good ? "ok  " : "FAIL"} ${name}`);
  for (const line of more) console.log(`       ${line}`);
  if (good) passed += 1;
  else failed += 1;
}

tell(
  catalog.problems.length === 0,
  `parsed and compiled: ${String(catalog.files.size)} playbooks`,
  catalog.problems,
);
const serverProcess = new LineProcess(process.execPath, [
  join(folder, "test-server.mjs"),
  ...["--port", "0", "--fast"],
]);
const { port } = JSON.parse(await serverProcess.line()) as { port: number };
const server = `http://127.0.0.1:${String(port)}`;
const tools = new Tools(playbooks, server);
try {
  for (const [index, expected] of records.entries()) {
    const name = `${String(index).padStart(2)} ${expected.file}`;
    const silent = notReported(playbooks, expected);
    const lacking = expected.needs.filter((need) => databases.has(need));
    if (expected.status === "PARSE_OK" || lacking.length > 0) {
      const reason = lacking.length > 0 ? `needs ${lacking.join(", ")}` : "parsed only";
      if (silent.length > 0) tell(false, name, silent);
      else {
        console.log(`skip ${name} (${reason})`);
        skipped += 1;
      }
      continue;
    }
    const found = differences(expected, await play(expected, catalog, server));
    tell(found.length + silent.length === 0, `${name} ${expected.status}`, [...found, ...silent]);
  }
} finally {
  tools.stop();
  serverProcess.stop();
}
console.log(
  `compat: ${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`,
);
process.exitCode = failed === 0 ? 0 : 1;
