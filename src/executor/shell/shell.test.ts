import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JsonObject } from "../../base/json.ts";
import { eventually } from "../../../test/eventually.ts";
import { createArgsCheck } from "../args.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import type { ShellOptions } from "./program-run.ts";
import { createShell } from "./shell.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "deed-shell-")));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const node = process.execPath;

/** Runs `script` in a Node of its own. */
function script(text: string, more: JsonObject = {}): JsonObject {
  return { argv: [node, "-e", text], ...more };
}

function shell(options: Partial<ShellOptions> = {}): ReturnType<typeof createShell> {
  return createShell({ allow: [[node]], cwdRoot: folder, ...options });
}

function stdoutOf(result: unknown): string {
  return (result as { readonly stdout: string }).stdout;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie has ended; somebody only has yet to ask how.
    return !existsSync("/proc") || !/\) Z /.test(readFileSync(`/proc/${String(pid)}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function pidIn(file: string): number {
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
}

async function pidFrom(file: string): Promise<number> {
  await eventually(() => pidIn(file) > 0, true);
  return pidIn(file);
}

/** A program that ignores SIGTERM and has a child that does so too; both leave their pid. */
const stubborn = `
  process.on("SIGTERM", () => {});
  const child = require("node:child_process").spawn(process.execPath, ["-e",
    'process.on("SIGTERM", () => {}); require("fs").writeFileSync("grandchild.pid", String(process.pid)); setInterval(() => {}, 1000)',
  ], { stdio: "inherit" });
  require("fs").writeFileSync("child.pid", String(process.pid));
  setInterval(() => {}, 1000);
`;

executorContract("shell", () => {
  writeFileSync(join(folder, "plain.txt"), "no program");
  const pids = (): string[] => [join(folder, "child.pid"), join(folder, "grandchild.pid")];
  return Promise.resolve({
    executor: shell({ allow: [[node], ["./plain.txt"], ["./absent"]], killAfterMs: 50 }),
    works: {
      args: script("process.stdout.write('out'); process.stderr.write('err')"),
      result: { exit_code: 0, stdout: "out", stderr: "err", truncated: false },
    },
    hangs: {
      args: script(stubborn),
      started: async () => {
        for (const file of pids()) await pidFrom(file);
      },
      held: () => pids().filter((file) => existsSync(file) && isAlive(pidIn(file))).length,
    },
    fails: [
      {
        name: "exit code",
        args: script("process.exit(3)"),
        kind: "executor_error",
        retryable: true,
      },
      {
        name: "killed by others",
        args: script("process.kill(process.pid, 'SIGKILL')"),
        kind: "outcome_unknown",
        retryable: false,
      },
      {
        name: "killed by others, idempotent",
        args: script("process.kill(process.pid, 'SIGKILL')", { idempotent: true }),
        kind: "executor_error",
        retryable: true,
      },
      { name: "not allowed", args: { argv: ["/bin/ls"] }, kind: "permission", retryable: false },
      { name: "not there", args: { argv: ["./absent"] }, kind: "not_found", retryable: false },
      {
        name: "not executable",
        args: { argv: ["./plain.txt"] },
        kind: "permission",
        retryable: false,
      },
      {
        name: "no folder",
        args: script("", { cwd: "absent" }),
        kind: "not_found",
        retryable: false,
      },
      { name: "outside", args: script("", { cwd: ".." }), kind: "permission", retryable: false },
      {
        name: "foreign env",
        args: script("", { env: { A: "b" } }),
        kind: "permission",
        retryable: false,
      },
      {
        name: "more than the system takes",
        args: { argv: [node, "x".repeat(3_000_000)] },
        kind: "invalid_args",
        retryable: false,
      },
    ],
    promises: [
      { args: { argv: ["a"] }, idempotent: false },
      { args: { argv: ["a"], idempotent: false }, idempotent: false },
      { args: { argv: ["a"], idempotent: true }, idempotent: true },
    ],
    close: () => {
      for (const file of pids()) {
        if (existsSync(file) && isAlive(pidIn(file))) process.kill(pidIn(file), "SIGKILL");
      }
      return Promise.resolve();
    },
  });
});

describe("1. nothing is interpreted", () => {
  const echo = "process.stdout.write(JSON.stringify(process.argv.slice(1)))";
  const nasty = [
    "; touch x",
    "$(touch x)",
    "`touch x`",
    "| tee x",
    "> x",
    "&& touch x",
    "\n touch x",
    "*",
  ];

  test("what a shell would read as code arrives as text and does nothing", async () => {
    const result = await shell().execute({ argv: [node, "-e", echo, "--", ...nasty] }, contextOf());
    expect(JSON.parse(stdoutOf(result))).toEqual(nasty);
    expect(existsSync(join(folder, "x"))).toBe(false);
  });

  test("a NUL, which no argument can hold, is refused before anything runs", async () => {
    const check = Promise.resolve().then(() =>
      createArgsCheck()(shell(), { argv: [node, "a\0b"] }),
    );
    expect((await faultOf(check)).message).toMatch(/^Cannot run shell.run as \/argv\/1 /);
    expect((await errorOf(shell(), { argv: [node, "a\0b"] })).kind).toBe("invalid_args");
  });

  test("any words arrive exactly as they were given", async () => {
    const words = fc.array(
      fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")),
      {
        maxLength: 5,
      },
    );
    await fc.assert(
      fc.asyncProperty(words, async (given) => {
        const result = await shell().execute(
          { argv: [node, "-e", echo, "--", ...given] },
          contextOf(),
        );
        expect(JSON.parse(stdoutOf(result))).toEqual(given);
      }),
      { numRuns: 20 },
    );
  });
});

describe("2. what may run", () => {
  test("nothing, until the configuration allows it", async () => {
    expect(await errorOf(shell({ allow: [] }), script("process.stdout.write('ran')"))).toEqual({
      kind: "permission",
      message: `Cannot run "${node}" with these arguments as executors.shell.allow of the configuration has no entry for it`,
      retryable: false,
    });
    expect((await errorOf(shell({ allow: [[]] }), script(""))).kind).toBe("permission");
  });

  test.each([
    [[["tool", "go"]], ["tool", "go", "far"], true],
    [[["tool", "go"]], ["tool", "go"], true],
    [[["tool", "go"]], ["tool", "gone"], false],
    [[["tool", "go"]], ["tool"], false],
    [[["tool", "go"]], ["tool", "stop", "go"], false],
    [[["tool", "go"]], ["./tool", "go"], false],
    [[["other"], ["tool"]], ["tool", "anything"], true],
  ])("allow %j, asked for %j: %s", async (allow, argv, allowed) => {
    const { kind } = await errorOf(shell({ allow }), { argv });
    expect(kind).toBe(allowed ? "not_found" : "permission");
  });

  test("a relative program is one of cwd_root, wherever it runs", async () => {
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "where.sh"), "#!/bin/sh\npwd\n");
    chmodSync(join(folder, "where.sh"), 0o755);
    const result = await shell({ allow: [["./where.sh"]] }).execute(
      { argv: ["./where.sh"], cwd: "sub" },
      contextOf(),
    );
    expect(result).toMatchObject({ stdout: `${folder}/sub\n` });
  });

  test("a link does not lead out of cwd_root", async () => {
    symlinkSync(tmpdir(), join(folder, "out"));
    expect((await errorOf(shell(), script("", { cwd: "out" }))).kind).toBe("permission");
  });

  test("a folder whose name only begins like cwd_root is outside", async () => {
    mkdirSync(`${folder}-2`);
    const { kind } = await errorOf(shell(), script("", { cwd: `${folder}-2` }));
    rmSync(`${folder}-2`, { recursive: true });
    expect(kind).toBe("permission");
  });
});

describe("what a program is given", () => {
  const env = "process.stdout.write(JSON.stringify(process.env))";

  test("of the environment: PATH, HOME, LANG and what env_pass names, which alone it may set", async () => {
    process.env["DEED_TEST_SECRET"] = "s3cret";
    process.env["DEED_TEST_PASSED"] = "passed";
    const result = await shell({ envPass: ["DEED_TEST_PASSED", "DEED_TEST_SET"] }).execute(
      script(env, { env: { DEED_TEST_SET: "set" } }),
      contextOf(),
    );
    delete process.env["DEED_TEST_SECRET"];
    delete process.env["DEED_TEST_PASSED"];
    const seen = JSON.parse(stdoutOf(result)) as Record<string, string>;
    expect(seen).toMatchObject({
      DEED_TEST_PASSED: "passed",
      DEED_TEST_SET: "set",
      PATH: process.env["PATH"],
    });
    const known = ["PATH", "HOME", "LANG", "DEED_TEST_PASSED", "DEED_TEST_SET"];
    expect(Object.keys(seen).filter((name) => !known.includes(name))).toEqual([]);
  });

  test("stdin is what the request gives, and ends", async () => {
    const copy = "process.stdin.pipe(process.stdout)";
    expect(
      await shell().execute(script(copy, { stdin: "ein Wort: ä" }), contextOf()),
    ).toMatchObject({
      stdout: "ein Wort: ä",
    });
    expect(await shell().execute(script(copy), contextOf())).toMatchObject({ stdout: "" });
  });

  test("a program that does not read its stdin is no failure", async () => {
    const args = script("process.exit(0)", { stdin: "x".repeat(1_000_000) });
    expect(await shell().execute(args, contextOf())).toMatchObject({ exit_code: 0 });
  });
});

describe("3. nothing is left behind", () => {
  test("a grandchild does not outlive its program", async () => {
    const leave = `
      const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
      require("fs").writeFileSync("grandchild.pid", String(child.pid));
      child.unref();
      process.exit(0);
    `;
    expect(await shell().execute(script(leave), contextOf())).toMatchObject({ exit_code: 0 });
    const pid = await pidFrom(join(folder, "grandchild.pid"));
    await eventually(() => isAlive(pid), false);
  });

  test("what leaves the group lives on, and is not waited for although it holds the output", async () => {
    const leave = `
      const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit", detached: true });
      require("fs").writeFileSync("daemon.pid", String(child.pid));
      process.stdout.write("started");
      child.unref();
    `;
    const result = await shell().execute(script(leave), contextOf());
    expect(result).toMatchObject({ exit_code: 0, stdout: "started" });
    const pid = pidIn(join(folder, "daemon.pid"));
    expect(isAlive(pid)).toBe(true);
    process.kill(pid, "SIGKILL");
  });

  test("what is aborted before it begins is not even looked for", async () => {
    const gone = shell({ allow: [["./absent"]] });
    const call = gone.execute({ argv: ["./absent"] }, contextOf(AbortSignal.abort()));
    expect((await faultOf(call)).kind).toBe("cancelled");
  });

  test("SIGTERM first: a program may put its things in order", async () => {
    const tidy = `
      process.on("SIGTERM", () => { require("fs").writeFileSync("tidy", "yes"); process.exit(0); });
      require("fs").writeFileSync("child.pid", String(process.pid));
      setInterval(() => {}, 1000);
    `;
    const controller = new AbortController();
    const call = shell().execute(script(tidy), contextOf(controller.signal));
    await pidFrom(join(folder, "child.pid"));
    controller.abort();
    expect((await faultOf(call)).kind).toBe("cancelled");
    expect(readFileSync(join(folder, "tidy"), "utf8")).toBe("yes");
  });
});

describe("4. output", () => {
  test("the end of each stream is kept, and what was cut is marked", async () => {
    const write = "process.stdout.write('a'.repeat(5000) + 'END'); process.stderr.write('short')";
    expect(await shell({ outputBytesMax: 100 }).execute(script(write), contextOf())).toEqual({
      exit_code: 0,
      stdout: `${"a".repeat(97)}END`,
      stderr: "short",
      truncated: true,
    });
  });

  test("exactly the limit is whole", async () => {
    const write = "process.stdout.write('a'.repeat(100))";
    expect(await shell({ outputBytesMax: 100 }).execute(script(write), contextOf())).toMatchObject({
      stdout: "a".repeat(100),
      truncated: false,
    });
  });

  test("a program that writes without end is bounded in memory and ended by its abort", async () => {
    const controller = new AbortController();
    const endless = "const w = () => process.stdout.write('x'.repeat(65536), w); w()";
    const call = shell({ killAfterMs: 50 }).execute(script(endless), contextOf(controller.signal));
    setTimeout(() => {
      controller.abort();
    }, 200);
    expect((await faultOf(call)).kind).toBe("cancelled");
  });
});

describe("5. what became of it", () => {
  test("an exit code is an error with the end of what was said", async () => {
    const fail = "console.error('disk is full'); process.exit(3)";
    expect(await errorOf(shell(), script(fail))).toEqual({
      kind: "executor_error",
      message: `${node} ended with exit code 3`,
      retryable: true,
      detail: {
        exit_code: 3,
        signal: null,
        stdout: "",
        stderr: "disk is full\n",
        truncated: false,
      },
    });
  });

  test("an exit code that is expected is a result", async () => {
    const args = script("process.exit(3)", { expect_exit: [0, 3] });
    expect(await shell().execute(args, contextOf())).toMatchObject({ exit_code: 3 });
    const none = script("process.exit(0)", { expect_exit: [3] });
    expect(await errorOf(shell(), none)).toMatchObject({
      message: `${node} ended with exit code 0`,
    });
  });

  test("killed from outside: nobody knows what it had done", async () => {
    const call = shell().execute(
      script(
        "require('fs').writeFileSync('child.pid', String(process.pid)); setInterval(() => {}, 1000)",
      ),
      contextOf(),
    );
    const pid = await pidFrom(join(folder, "child.pid"));
    const killer = spawn("kill", ["-9", String(pid)]);
    const error = await faultOf(call);
    if (killer.exitCode === null) await once(killer, "exit");
    expect(error).toMatchObject({
      kind: "outcome_unknown",
      message: `${node} was ended by SIGKILL: what it had done by then is not known`,
      retryable: false,
      detail: { exit_code: null, signal: "SIGKILL" },
    });
  });

  test("the interpreter of its first line is missing: said so", async () => {
    writeFileSync(join(folder, "lost.sh"), "#!/no/such/interpreter\n");
    chmodSync(join(folder, "lost.sh"), 0o755);
    const error = await errorOf(shell({ allow: [["./lost.sh"]] }), { argv: ["./lost.sh"] });
    expect(error).toMatchObject({
      kind: "not_found",
      message:
        "Cannot run ./lost.sh as there is no such program (or none that its first line names)",
    });
  });
});
