import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createManualClock, type ManualClock } from "../../../test/manual-clock.ts";
import { eventually } from "../../../test/eventually.ts";
import type { JsonObject } from "../../base/json.ts";
import { Fault } from "../../event/error.ts";
import { hiddenValues } from "../credential.ts";
import {
  createCredentials,
  type ConfiguredCredentials,
  type CredentialEntry,
  type CredentialSource,
} from "./credentials.ts";

const value = "hunter2-hunter2";

let folder: string;
let clock: ManualClock;
let warnings: string[];
let env: Record<string, string | undefined>;
let opened: ConfiguredCredentials[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-credential-"));
  clock = createManualClock();
  warnings = [];
  env = {};
  opened = [];
});

afterEach(() => {
  for (const one of opened) one.close();
  rmSync(folder, { recursive: true });
});

function open(
  source: CredentialSource,
  more: Partial<CredentialEntry> = {},
): ConfiguredCredentials {
  const entry: CredentialEntry = { source, fields: {}, open: [], cacheMs: 60_000, ...more };
  const credentials = createCredentials({
    entries: new Map([["db", entry]]),
    env,
    clock,
    warn: (message) => warnings.push(message),
  });
  opened.push(credentials);
  return credentials;
}

async function reveal(credentials: ConfiguredCredentials): Promise<JsonObject> {
  return (await credentials.resolve("db", "default")).reveal();
}

/** The error of a call that must fail; nothing in what is thrown shows the value. */
async function refusal(call: Promise<unknown>): Promise<[string, string]> {
  const thrown: unknown = await call.then(
    () => expect.unreachable("it was resolved"),
    (reason: unknown) => reason,
  );
  expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain("hunter2");
  if (!(thrown instanceof Fault)) return expect.unreachable(`no fault: ${inspect(thrown)}`);
  return [thrown.error.kind, thrown.error.message];
}

function write(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function command(script: string, more: object = {}): CredentialSource {
  const argv: [string, ...string[]] = [process.execPath, "-e", script];
  return { from: "command", argv, cwd: folder, envPass: [], timeoutMs: 20_000, ...more };
}

describe("from the environment", () => {
  test("each member is the variable that is named for it", async () => {
    env = { PG_USER: "me", PG_SECRET: value };
    const names = { user: "PG_USER", password: "PG_SECRET" };
    expect(await reveal(open({ from: "env", names }))).toEqual({ user: "me", password: value });
  });

  test("all variables with a prefix are members, and named ones come before", async () => {
    env = { PG_USER: "me", PG_PASSWORD: "other", PG_: "x", PG_EMPTY: "", SECRET: value };
    const names = { password: "SECRET" };
    const secret = await reveal(open({ from: "env", names, prefix: "PG_" }));
    expect(secret).toEqual({ user: "me", password: value });
  });

  test("a variable that is missing is named", async () => {
    env = { PG_USER: value, EMPTY: "" };
    const at = (source: CredentialSource): Promise<[string, string]> =>
      refusal(reveal(open(source)));
    const start = 'Cannot resolve the credential "db" as the environment of the node has';
    const end = ": set it and start the node again";
    expect(await at({ from: "env", names: { password: "EMPTY" } })).toEqual([
      "not_found",
      `${start} no EMPTY${end}`,
    ]);
    expect(await at({ from: "env", names: {}, prefix: "DB_" })).toEqual([
      "not_found",
      `${start} no variable that begins with DB_${end}`,
    ]);
  });
});

describe("from a file", () => {
  test.each<[string, string, JsonObject]>([
    [
      "db.json",
      `{"user": "me", "password": "${value}", "port": 5432}`,
      { user: "me", password: value, port: 5432 },
    ],
    ["db.yaml", `user: me\npassword: ${value}\n`, { user: "me", password: value }],
    ["token", `${value}\n`, { value }],
    ["key.pem", `-----BEGIN\n${value}\n-----END\n`, { value: `-----BEGIN\n${value}\n-----END` }],
  ])("%s is read as what it is", async (name, text, expected) => {
    expect(await reveal(open({ from: "file", path: write(name, text) }))).toEqual(expected);
    expect(warnings).toEqual([]);
  });

  test("how it is read can be said", async () => {
    const path = write("db.secret", `password: ${value}`);
    expect(await reveal(open({ from: "file", path, format: "object" }))).toEqual({
      password: value,
    });
    const json = write("one.json", `{"a": 1}`);
    expect(await reveal(open({ from: "file", path: json, format: "value" }))).toEqual({
      value: `{"a": 1}`,
    });
  });

  test("one that everybody can read is used, and told of once", async () => {
    const path = write("token", value, 0o644);
    const credentials = open({ from: "file", path }, { cacheMs: 0 });
    await reveal(credentials);
    expect(await reveal(credentials)).toEqual({ value });
    expect(warnings).toEqual([
      `${path} of the credential "db" can be read by everyone on this machine: chmod 600 it`,
    ]);
  });

  test("what is wrong with it is told without a word of it", async () => {
    const told = async (name: string, text: string): Promise<[string, string]> =>
      refusal(reveal(open({ from: "file", path: write(name, text) })));
    const of = (name: string): string => `${join(folder, name)} of the credential "db"`;
    expect(await told("a.json", `{"password": "${value}`)).toEqual([
      "unprocessable",
      `${of("a.json")} is neither JSON nor YAML at 1:30`,
    ]);
    expect(await told("b.yaml", `- ${value}`)).toEqual([
      "unprocessable",
      `${of("b.yaml")} is no mapping of names to values`,
    ]);
    expect(await told("c", "\n")).toEqual(["unprocessable", `${of("c")} is empty`]);
    expect(await told("d", value.repeat(100_000))).toEqual([
      "unprocessable",
      `${of("d")} is larger than 1048576 bytes`,
    ]);
    const gone = open({ from: "file", path: join(folder, "gone") });
    expect(await refusal(reveal(gone))).toEqual(["not_found", `There is no ${of("gone")}`]);
    const shut = open({ from: "file", path: folder });
    expect(await refusal(reveal(shut))).toEqual([
      "unavailable",
      `Cannot read ${folder} of the credential "db" (EISDIR)`,
    ]);
  });
});

describe("from a command", () => {
  test("what it prints is an object, or one value", async () => {
    const object = command(`console.log(JSON.stringify({password: "${value}"}))`);
    expect(await reveal(open(object))).toEqual({ password: value });
    expect(await reveal(open(command(`console.log("${value}")`)))).toEqual({ value });
  });

  test("it sees the variables that are passed to it, and no other", async () => {
    process.env["DEED_TEST_SEEN"] = "seen";
    process.env["DEED_TEST_UNSEEN"] = "unseen";
    const script = `console.log(JSON.stringify([process.env.DEED_TEST_SEEN, process.env.DEED_TEST_UNSEEN]))`;
    const source = command(script, { envPass: ["DEED_TEST_SEEN"] });
    expect(await reveal(open(source))).toEqual({ value: `["seen",null]` });
    delete process.env["DEED_TEST_SEEN"];
    delete process.env["DEED_TEST_UNSEEN"];
  });

  test("what is wrong with it is told without what it wrote", async () => {
    const told = (source: CredentialSource): Promise<[string, string]> =>
      refusal(reveal(open(source)));
    const start = `The command ${process.execPath} of the credential "db"`;
    const print = `console.log("${value}"); console.error("${value}");`;
    expect(await told(command(`${print} process.exitCode = 3`))).toEqual([
      "unavailable",
      `${start} ended with exit code 3`,
    ]);
    expect(await told(command(`${print} process.kill(process.pid, "SIGKILL")`))).toEqual([
      "unavailable",
      `${start} was ended by SIGKILL`,
    ]);
    expect(await told(command(`console.log("${value}".repeat(100000))`))).toEqual([
      "unavailable",
      `${start} printed more than 1048576 bytes`,
    ]);
    expect(await told(command(`console.log("{${value}")`))).toEqual([
      "unprocessable",
      'What the command of the credential "db" printed is neither JSON nor YAML at 2:1',
    ]);
    expect(await told(command("", { argv: ["no-such-program", value] }))).toEqual([
      "not_found",
      'The command no-such-program of the credential "db" cannot run (ENOENT)',
    ]);
    expect(await told(command("", { argv: [process.execPath, `${value}\0`] }))).toEqual([
      "unavailable",
      `${start} cannot run with these arguments`,
    ]);
  });

  test("one that does not end is ended, with all that it started", async () => {
    const pidFile = join(folder, "pid");
    const script = `
      const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
      require("node:fs").writeFileSync("pid.new", String(child.pid));
      require("node:fs").renameSync("pid.new", "pid");
      setInterval(() => {}, 1000)`;
    const credentials = open(command(script));
    const call = refusal(reveal(credentials));
    await eventually(() => existsSync(pidFile), true);
    credentials.close();
    expect(await call).toEqual([
      "unavailable",
      `The command ${process.execPath} of the credential "db" was ended as the node stops`,
    ]);
    await eventually(() => isAlive(Number(readFileSync(pidFile, "utf8"))), false);
    expect(await refusal(reveal(open(command(script, { timeoutMs: 1 }))))).toEqual([
      "unavailable",
      `The command ${process.execPath} of the credential "db" did not end within 1 ms`,
    ]);
  });
});

describe("1. what was read", () => {
  test("is used until it is too old, and for all who ask meanwhile", async () => {
    const counting = `require("node:fs").appendFileSync("count", "x"); console.log(JSON.stringify({ n: require("node:fs").readFileSync("count", "utf8").length }))`;
    const credentials = open(command(counting), { cacheMs: 1_000 });
    const both = await Promise.all([reveal(credentials), reveal(credentials)]);
    expect(both).toEqual([{ n: 1 }, { n: 1 }]);
    await clock.advance(999);
    expect(await reveal(credentials)).toEqual({ n: 1 });
    await clock.advance(1);
    expect(await reveal(credentials)).toEqual({ n: 2 });
  });

  test("is not kept where it failed", async () => {
    const credentials = open({ from: "env", names: { a: "A" } });
    expect((await refusal(reveal(credentials)))[0]).toBe("not_found");
    env["A"] = value;
    expect(await reveal(credentials)).toEqual({ a: value });
  });
});

test("3. a tenant that is not named may not use it, and nothing is read for it", async () => {
  const touch = command(`require("node:fs").writeFileSync("touched", ""); console.log("a")`);
  const credentials = open(touch, { tenants: ["ops"] });
  expect(await refusal(credentials.resolve("db", "default"))).toEqual([
    "permission",
    'Cannot use the credential "db" for the tenant "default": name it in credentials.db.tenants of the configuration',
  ]);
  expect(existsSync(join(folder, "touched"))).toBe(false);
  expect((await credentials.resolve("db", "ops")).reveal()).toEqual({ value: "a" });
});

test("an alias that is not configured is named, with what to write", async () => {
  const call = open({ from: "env", names: {} }).resolve("other", "default");
  expect(await refusal(call)).toEqual([
    "not_found",
    'There is no credential "other": configure it in deed.yaml, as in credentials: {"other": {from: env, names: {password: VARIABLE}}}',
  ]);
});

test("fields and open members are part of it and no secret", async () => {
  const path = write("db.json", `{"user": "postgres", "password": "${value}", "port": 5433}`);
  const more = { fields: { host: "db.internal", port: 5432 }, open: ["user"] };
  const secret = await open({ from: "file", path }, more).resolve("db", "default");
  expect(secret.reveal()).toEqual({
    host: "db.internal",
    user: "postgres",
    password: value,
    port: 5433,
  });
  expect(hiddenValues(secret)).toEqual([value, "5433"]);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${String(pid)}/stat`, "utf8"));
  } catch {
    return false;
  }
}
