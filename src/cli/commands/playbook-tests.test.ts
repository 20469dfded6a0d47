import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Io } from "../io.ts";
import { run } from "../program.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-cli-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function test(words: readonly string[], world: Partial<Io> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const io: Io = {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
    ...world,
  };
  const code = await run(["playbook", "test", ...words], io);
  return { code, out, err };
}

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function playbook(name: string, tool: string): string {
  const text = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: {name: ${name}}\nworkflow:\n- {step: start, tool: ${tool}}\n`;
  return write(`${name}.yaml`, text);
}

const shell = '{kind: shell, command: "uptime"}';

const passes = `tests:
  - name: is up
    given: {outcomes: {start: {data: 1}}}
    then: {status: COMPLETED, result: 1}
`;

const fails = `${passes}  - name: is down
    given: {outcomes: {start: {data: 1}}}
    then: {status: FAILED}
`;

describe("exit codes", () => {
  it("0: every test passes", async () => {
    playbook("a", shell);
    const file = write("a.test.yaml", passes);
    expect(await test([folder])).toEqual({
      code: 0,
      out: `${file}\nok   is up\n`,
      err: "1 test: 1 passed, 0 failed\n",
    });
  });

  it("1: a test fails, and is told with its place", async () => {
    playbook("a", shell);
    playbook("b", shell);
    const file = write("a.test.yaml", fails);
    const ran = await test([folder]);
    expect(ran).toEqual({
      code: 1,
      out: `${file}\nok   is up\nFAIL is down\n     ${file}:7:20: it ends COMPLETED, not FAILED\n`,
      err: "2 tests: 1 passed, 1 failed; 1 playbook without tests\n",
    });
  });

  it("2: a file of tests that is not valid; those of the others run", async () => {
    playbook("a", shell);
    playbook("b", shell);
    const file = write("a.test.yaml", "tests: []\n");
    const other = write("b.test.yaml", fails);
    const ran = await test([folder]);
    expect(ran.code).toBe(2);
    expect(ran.out).toContain(`${file}\n${file}:1:`);
    expect(ran.out).toContain(`${other}\nok   is up\nFAIL is down\n`);
  });

  it.each([
    [
      "cannot be read",
      "{kind: shell, command: uptime}, next: nowhere",
      'leads to "nowhere", which is no step (add',
    ],
    ["has a broken template", '{kind: shell, command: "{{ a b }}"}', ":5:"],
  ])("2: its playbook %s", async (_why, tool, told) => {
    const file = playbook("a", tool);
    write("a.test.yaml", passes);
    const ran = await test([file]);
    expect(ran.code).toBe(2);
    expect(ran.out).toContain(`${file}:5:`);
    expect(ran.out).toContain(told);
    expect(ran.out).not.toContain("ok ");
  });

  it("2: there is no test at all", async () => {
    const file = playbook("a", shell);
    expect(await test([file])).toEqual({
      code: 2,
      out: "",
      err: `deed: ${file}: no playbook there has tests: write <name>.test.yaml beside one\n`,
    });
    expect((await test([join(folder, "none.test.yaml")])).err).toMatch(
      /^deed: .*none\.yaml cannot be read: ENOENT/,
    );
  });
});

it("a file of tests may be named itself, and counts once", async () => {
  const file = playbook("a", shell);
  const tests = write("a.test.yaml", passes);
  const ran = await test([tests, file, folder]);
  expect(ran.err).toBe("1 test: 1 passed, 0 failed\n");
});

it("a sub-playbook at the same paths is run, by its path", async () => {
  playbook("child", shell);
  const parent = playbook("parent", "{kind: playbook, path: child}");
  write(
    "parent.test.yaml",
    "tests:\n  - name: gives what its child gives\n    given: {outcomes: {child/start: {data: 7}}}\n    then: {result: 7}\n",
  );
  expect((await test([folder])).code).toBe(0);
  const alone = await test([parent]);
  expect(alone.code).toBe(1);
  expect(alone.out).toContain("FAIL gives what its child gives");
});

it("--json: one document, with every problem", async () => {
  const file = playbook("a", shell);
  const tests = write("a.test.yaml", fails);
  const ran = await test([file, "--json"]);
  expect([ran.code, ran.err]).toEqual([1, ""]);
  expect(JSON.parse(ran.out)).toEqual({
    files: [
      {
        ...{ file: tests, playbook: file, problems: [] },
        tests: [
          { name: "is up", passed: true, problems: [] },
          {
            ...{ name: "is down", passed: false },
            problems: [
              { file: tests, line: 7, column: 20, message: "it ends COMPLETED, not FAILED" },
            ],
          },
        ],
      },
    ],
    ...{ passed: 1, failed: 1, untested: 0 },
  });
});

it("colour is for terminals", async () => {
  mkdirSync(join(folder, "x"));
  const file = playbook("x/a", shell);
  write("x/a.test.yaml", fails);
  const { out } = await test([file], { isTerminal: true });
  expect(out).toContain("\u001b[32mok  \u001b[0m is up\n\u001b[31mFAIL\u001b[0m is down\n");
});

it("the examples of this project pass", async () => {
  const examples = fileURLToPath(new URL("../../../examples/playbooks", import.meta.url));
  const ran = await test([examples]);
  expect([ran.code, ran.out.includes("FAIL"), ran.out.includes("ok ")]).toEqual([0, false, true]);
});

it("--help has an example", async () => {
  expect((await test(["--help"])).out).toContain("\nExample: deed playbook test ");
});
