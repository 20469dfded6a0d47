import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { loadConfig, type Config } from "./config.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-config-executors-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function read(text: string): ReturnType<typeof loadConfig> {
  const file = join(folder, "deed.yaml");
  writeFileSync(file, text);
  return loadConfig(file, {});
}

function load(text: string): Config {
  const config = read(text);
  return config.ok ? config.value : expect.unreachable(config.error[0]?.message);
}

it.each([
  ["", false],
  ["executors: { python: {}, postgres: {}, duckdb: {} }", true],
  [
    "executors: { python: { interpreter: python3.12 }, postgres: { timeout: 1s }, duckdb: { root: x } }",
    true,
  ],
  [
    "executors: { python: { enabled: false }, postgres: { enabled: false }, duckdb: { enabled: false } }",
    false,
  ],
])("what runs code or SQL runs only where it is configured: %j", (text, enabled) => {
  const { python, postgres, duckdb } = load(text);
  expect([python.enabled, postgres.enabled, duckdb.enabled]).toEqual([enabled, enabled, enabled]);
});

it("scripts, remapping and command lines are what nobody has unless it is written", () => {
  const { http, scripts, shell } = load("");
  expect([http.remap, scripts, shell.allow, shell.lines]).toEqual([
    {},
    { root: undefined, strip: [] },
    [],
    false,
  ]);
  expect(load("executors: { shell: { lines: true } }").shell).toMatchObject({
    allow: [],
    lines: true,
  });
});

it.each([
  ["{ x: 'http://a' }", '"x" is no beginning of an http:// or https:// URL'],
  ["{ 'http://a': 'ftp://b' }", '"ftp://b" is no beginning of an http:// or https:// URL'],
])("a remapping of what is no URL is refused: %s", (remap, message) => {
  const config = read(`executors: { http: { remap: ${remap} } }`);
  expect(config.ok ? [] : config.error.map((one) => one.message)).toEqual([message]);
});
