import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { formatProblem } from "../../base/document.ts";
import { loadConfig, type Environment } from "../config.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-config-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function load(text: string, env: Environment = {}): ReturnType<typeof loadConfig> {
  const file = join(folder, "deed.yaml");
  writeFileSync(file, text);
  return loadConfig(file, env);
}

it("a DSN comes from the environment, and its variable is known", () => {
  const read = load("executors: { postgres: { dsn_env: DEED_PG } }", {
    DEED_PG: "postgres://u:p@h/d",
  });
  if (!read.ok) return expect.unreachable();
  expect(read.value.postgres.dsn).toBe("postgres://u:p@h/d");
  expect(read.value.warnings).toEqual([]);
  expect(read.value.duckdb.root).toBe(join(folder, "data", "duckdb"));
});

it.each([
  ["dsn_env: PG", "1:35: the environment has no PG: set it, or use dsn_file"],
  ["dsn_env: PG, dsn_file: dsn", "1:49: a second place for the DSN: give dsn_env or dsn_file"],
  ["dsn_file: empty", "1:36: empty is empty: write the DSN into it"],
  [
    "dsn_file: none",
    "1:36: the DSN cannot be read: ENOENT: no such file or directory, open 'none'",
  ],
  ["dsn_fil: x", '1:26: unknown key "dsn_fil": did you mean "dsn_file"?'],
])("%j is told in its place", (member, problem) => {
  writeFileSync(join(folder, "empty"), "\n");
  const read = load(`executors: { postgres: { ${member} } }`);
  const told = read.ok ? [] : read.error.map(formatProblem);
  expect(told.map((one) => one.replaceAll(`${folder}/`, ""))).toEqual([`deed.yaml:${problem}`]);
});

it("a memory limit is a size", () => {
  const read = load("executors: { duckdb: { memory_limit: much } }");
  const told = read.ok ? [] : read.error.map(formatProblem);
  expect(told[0]).toContain('"memory_limit" must be a size, as 512MiB or 2GiB: got "much"');
});
