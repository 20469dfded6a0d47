import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { contextOf, errorOf, executorContract } from "../executor-contract.ts";
import type { Executor } from "../executor.ts";
import { createShellTool, type ShellToolOptions } from "./shell-tool.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "deed-shell-tool-")));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const node = process.execPath;

function shell(options: Partial<ShellToolOptions> = {}): Executor {
  return createShellTool({ allow: [[node]], cwdRoot: folder, killAfterMs: 50, ...options });
}

async function stdoutOf(args: JsonObject, options: Partial<ShellToolOptions> = {}): Promise<Json> {
  const result = await shell({ lines: true, ...options }).execute(args, contextOf());
  return (result as JsonObject)["stdout"] ?? null;
}

executorContract("the shell tool", () => {
  const alive = (): number => {
    const file = join(folder, "pid");
    try {
      process.kill(Number(readFileSync(file, "utf8")), 0);
      return 1;
    } catch {
      return 0;
    }
  };
  const lines = (command: string): JsonObject => ({ command });
  return Promise.resolve({
    executor: shell({ lines: true }),
    works: {
      args: { command: "echo out; echo err >&2", cwd: null, env: null, stdin: null, input: {} },
      result: { exit_code: 0, stdout: "out\n", stderr: "err\n", truncated: false },
    },
    hangs: {
      args: { command: "echo $$ > aside; mv aside pid; sleep 60; echo end" },
      started: () => eventually(alive, 1),
      held: alive,
    },
    fails: [
      { name: "exit code", args: lines("exit 3"), kind: "executor_error", retryable: true },
      { name: "a signal", args: lines("kill -9 $$"), kind: "outcome_unknown", retryable: false },
      { name: "neither", args: {}, kind: "invalid_args", retryable: false },
      {
        name: "both",
        args: { argv: [node], command: "true" },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "two inputs of one name",
        args: { command: "true", input: { "a-b": 1, a_b: 2 } },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "a program that is not allowed",
        args: { argv: ["/bin/sh", "-c", "true"] },
        kind: "permission",
        retryable: false,
      },
      {
        name: "a variable that is not passed on",
        args: { argv: [node], env: { LD_PRELOAD: "x" } },
        kind: "permission",
        retryable: false,
      },
      {
        name: "a folder outside",
        args: { command: "true", cwd: ".." },
        kind: "permission",
        retryable: false,
      },
    ],
    promises: [
      { args: { command: "true" }, idempotent: false },
      { args: { command: "true", idempotent: true }, idempotent: true },
    ],
    close: () => Promise.resolve(),
  });
});

describe("1. what may run", () => {
  test("a command line is off until the configuration turns it on, and the error says how", async () => {
    for (const options of [{}, { lines: false }]) {
      expect(await errorOf(shell(options), { command: "true" })).toEqual({
        kind: "permission",
        message:
          "Cannot run a command line as they are off: set executors.shell.lines to true, or name a program with argv",
        retryable: false,
      });
    }
  });

  test("argv is interpreted by nobody, whether lines are on or not; numbers are words", async () => {
    const argv = [node, "-p", "process.argv.slice(1).join('|')", "$HOME; a b", 7, true];
    expect(await stdoutOf({ argv }, { lines: false })).toBe("$HOME; a b|7|true\n");
    expect(await stdoutOf({ argv })).toBe("$HOME; a b|7|true\n");
  });

  test("a line goes on after a failure as a shell does; several end at the first that fails", async () => {
    expect(await stdoutOf({ command: "false; echo on" })).toBe("on\n");
    expect(await stdoutOf({ command: ["cd /", "pwd"] })).toBe("/\n");
    expect(
      await errorOf(shell({ lines: true }), { command: ["echo 1", "false", "echo 2"] }),
    ).toEqual({
      kind: "executor_error",
      message: "/bin/sh ended with exit code 1",
      retryable: true,
      detail: { exit_code: 1, signal: null, stdout: "1\n", stderr: "", truncated: false },
    });
  });

  test("folder, variables and stdin are what the tool says", async () => {
    mkdirSync(join(folder, "inner"));
    const command = 'pwd; echo "$GREETING $COUNT [$NONE]"; cat';
    const env = { GREETING: "hi; $HOME", COUNT: 2, NONE: null };
    expect(await stdoutOf({ command, cwd: "inner", env, stdin: "typed" })).toBe(
      `${join(folder, "inner")}\nhi; $HOME 2 []\ntyped`,
    );
  });
});

describe("2. inputs", () => {
  test("come as variables: text as it is, anything else as JSON, null not at all", async () => {
    const input = {
      name: "a'b\"$(date)",
      n: 1,
      yes: true,
      list: [1, "ü"],
      "some-key": "x",
      no: null,
    };
    const command =
      'printf "%s\\n" "$INPUT_NAME" "$INPUT_N" "$INPUT_YES" "$INPUT_LIST" "$INPUT_SOME_KEY" "${INPUT_NO-unset}"';
    expect(await stdoutOf({ command, input })).toBe('a\'b"$(date)\n1\ntrue\n[1,"ü"]\nx\nunset\n');
  });

  test("also for argv, where no other variable may be set", async () => {
    const argv = [node, "-p", "process.env.INPUT_N"];
    expect(await stdoutOf({ argv, input: { n: { a: 1 } } })).toBe('{"a":1}\n');
    const env = { argv: [node, "-p", "process.env.TZ"], env: { TZ: "UTC" } };
    expect(await stdoutOf(env, { envPass: ["TZ"] })).toBe("UTC\n");
  });
});
