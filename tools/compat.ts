/**
 * npm run compat -- <folder> [--only <text>]: real playbooks, run durably.
 *
 * The folder holds `playbooks/`, `expect.json` and `test-server.mjs`. Every playbook is parsed and linted; each
 * record of `expect.json` that can be run is run by a node of its own making: log on disk, Python, a local
 * PostgreSQL, DuckDB, the test server. `compat.yaml` says what stands for public hosts and credentials.
 * Fails on any difference. What is skipped is listed with what it lacks.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { JsonObject } from "../src/base/json.ts";
import { lintText } from "../src/core/lint.ts";
import { formatFinding } from "../src/core/parse.ts";
import { noPostgres, startPostgres } from "../test/postgres.ts";
import { differences, playedBy, unlikeCell, type Expected } from "./compat-expect.ts";
import { readPlaybooks, startCompatNode, startTestServer } from "./compat-node.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string", default: "" } },
});
const [given] = positionals;
if (given === undefined) {
  console.error("Name the folder: npm run compat -- <folder with playbooks and expect.json>");
  process.exit(2);
}
const folder = resolve(given);
const playbooks = join(folder, "playbooks");
const records = JSON.parse(readFileSync(join(folder, "expect.json"), "utf8")) as Expected[];
const { files, problems } = readPlaybooks(playbooks);
let [passed, failed, skipped] = [0, 0, 0];
const startedMs = performance.now();

function tell(good: boolean, name: string, more: readonly string[] = []): void {
  console.log(`${good ? "ok  " : "FAIL"} ${name}`);
  for (const line of more) console.log(`       ${line}`);
  if (good) passed += 1;
  else failed += 1;
}

function notReported({ file, lint_must_report: must = [] }: Expected): string[] {
  const findings = lintText(readFileSync(join(playbooks, file), "utf8"), file).map(formatFinding);
  return must
    .filter((word) => !findings.some((finding) => finding.includes(word)))
    .map((word) => `lint: no finding names ${word}`);
}

tell(problems.length === 0, `parsed and compiled: ${String(files.size)} playbooks`, problems);
if (noPostgres !== undefined) console.log(`what needs postgres is skipped: ${noPostgres}`);
const postgres = noPostgres === undefined ? await startPostgres() : undefined;
const server = await startTestServer(folder);
const mapping = fileURLToPath(new URL("compat.yaml", import.meta.url));
const node = await startCompatNode({ playbooks, mapping, server: server.url, postgres });
try {
  await node.register(files.values());
  for (const [index, expected] of records.entries()) {
    const name = `${String(index).padStart(2)} ${expected.file}`;
    if (!name.includes(values.only)) continue;
    const silent = notReported(expected);
    const lacks = expected.needs.includes("postgres") && postgres === undefined;
    if (expected.status === "PARSE_OK" || lacks) {
      if (silent.length > 0) tell(false, name, silent);
      else {
        console.log(`skip ${name} (${lacks ? "needs postgres" : "parsed only"})`);
        skipped += 1;
      }
      continue;
    }
    const beganMs = performance.now();
    const found = [...silent, ...(await play(expected))];
    const took = `${String(Math.round(performance.now() - beganMs))} ms`;
    tell(found.length === 0, `${name} ${expected.status} ${took}`, found);
  }
} finally {
  await node.stop();
  server.stop();
  await postgres?.stop();
}
const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
console.log(
  `compat: ${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped in ${seconds} s`,
);
process.exitCode = failed === 0 ? 0 : 1;

async function play(expected: Expected): Promise<readonly string[]> {
  const known = files.get(expected.file);
  if (known === undefined) return [`${expected.file} is not known`];
  if (postgres !== undefined && expected.needs.includes("postgres")) {
    await postgres.empty();
    for (const statement of expected.setup_sql ?? []) await postgres.sql(statement);
  }
  await fetch(`${server.url}/api/v1/flaky/reset`, { method: "POST" });
  const start = JSON.stringify(expected.start ?? {})
    .replaceAll("${TEST_SERVER_HOST}", new URL(server.url).host)
    .replaceAll("${TEST_SERVER}", server.url);
  try {
    const { executionId, thread } = await node.run(known.path, JSON.parse(start) as JsonObject);
    const found = differences(expected, playedBy(executionId, known.program, thread));
    return [...found, ...(await tables(expected))];
  } catch (thrown) {
    return [thrown instanceof Error ? thrown.message : String(thrown)];
  }
}

async function tables({ tables: queries = {} }: Expected): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [query, cell] of Object.entries(queries)) {
    const [row = {}] = (await postgres?.sql(query)) ?? [];
    found.push(...unlikeCell(cell, Object.values(row)[0], query));
  }
  return found;
}
