import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../base/json.ts";
import type { DeedError } from "../../event/error.ts";
import { contextOf, errorOf } from "../executor-contract.ts";
import { createPython } from "./python.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.warn("What Python code comes to is not tested, as there is no python3");

const python = createPython({ cwd: tmpdir() });
const small = createPython({ cwd: tmpdir(), resultBytesMax: 1_000 });

function run(code: string, args: JsonObject = {}): Promise<Json> {
  return python.execute({ code, ...args }, contextOf());
}

function failed(code: string, args: JsonObject = {}): Promise<DeedError> {
  return errorOf(python, { code, ...args });
}

describe.runIf(hasPython)("what code in Python comes to", () => {
  describe("what is the result", () => {
    test.each<[string, string, JsonObject, Json]>([
      ["result, where it is set", "result = 1\ndef main(): return 2", {}, 1],
      ["null, where it is set to None", "result = None\ndef main(): return 2", {}, null],
      ["what main gives", "def main(): return 2", {}, 2],
      ["null, where there is neither", "x = 1", {}, null],
      ["main has the inputs it names", "def main(b, a=5): return [a, b]", { b: 1, c: 2 }, [5, 1]],
      ["main has the rest, too", "def main(a, **more): return more", { a: 1, b: 2 }, { b: 2 }],
      ["main by position", "def main(a, /, *, b): return a - b", { a: 5, b: 2 }, 3],
      [
        "main and input_data",
        "def main(input_data, context): return [input_data, context]",
        { a: 1 },
        [{ a: 1 }, {}],
      ],
      ["main may be async", "async def main(a): return a", { a: 1 }, 1],
      ["an input named main is no function", "x = 1", { main: 1 }, null],
      [
        "an input named result, unchanged, gives way to main",
        "def main(): return 2",
        { result: 1 },
        2,
      ],
      ["an input named result, changed", "result = result + 1", { result: 1 }, 2],
      ["a return at top level", "if a:\n  return {'a': a}\nreturn 0", { a: 1 }, { a: 1 }],
      [
        "a return may follow an input that is set anew",
        "a = a or 5\nb: int = a\nreturn [x + b for x in [a]]",
        { a: 0 },
        [10],
      ],
      ["return of nothing is null", "result = 1\nreturn", {}, null],
      ["a return that is not met: result", "if a: return 1\nresult = 2", { a: 0 }, 2],
      ["a return that is not met: main", "if a: return 1\ndef main(): return 3", { a: 0 }, 3],
      ["a return in a function is not at top level", "def f(): return 1\nresult = f()", {}, 1],
      [
        "functions see one another",
        "def f(): return g()\ndef g(): return 4\nif a: return f()",
        { a: 1 },
        4,
      ],
    ])("%s", async (_name, code, input, wanted) => {
      expect(await run(code, { input })).toEqual(wanted);
    });

    test("any JSON comes back as it was given", async () => {
      const value = { "": [1.5, -0.25, true, null, "ä\u2028\0𝄞", {}, []], deep: { a: [[1]] } };
      expect(await run("result = v", { input: { v: value } })).toEqual(value);
    });

    test("2. what a number of JSON cannot hold exactly, and dates, are text", async () => {
      const code = `
import datetime, decimal, uuid
result = [decimal.Decimal("1.10"), 2**53, 2**53 + 1, datetime.date(2026, 1, 2),
  datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc), uuid.UUID(int=1), (1, 2), {1: 2, True: 3, None: 4}]`;
      expect(await run(code)).toEqual([
        "1.10",
        9007199254740992,
        "9007199254740993",
        "2026-01-02",
        "2026-01-02T03:00:00+00:00",
        "00000000-0000-0000-0000-000000000001",
        [1, 2],
        { 1: 3, null: 4 },
      ]);
    });

    test.each([
      ["{'a': [1, float('nan')]}", "result['a'][1] is nan, which JSON cannot say"],
      ["float('inf')", "result is inf, which JSON cannot say"],
      ["{'a': {1}}", "result['a'] is a set, which JSON cannot say"],
      ["[b'x']", "result[0] is a bytes, which JSON cannot say"],
      ["{1: 2, '1': 3}", "result has keys that are the same as text"],
      ["{(1, 2): 3}", "result has a key that is a tuple: keys are text"],
      ["'\\ud800'", "it holds text that is not Unicode (half a character)"],
      ["(a := []).append(a) or a", "it nests deeper than 64"],
      ["'x' * 2000", "it has 2002 bytes and may have 1000"],
    ])("2. %s is refused", async (value, problem) => {
      expect(await errorOf(small, { code: `result = ${value}` })).toMatchObject({
        kind: "unprocessable",
        message: `Cannot keep the result of the Python code as ${problem}`,
      });
    });

    test("a large input and a large result pass", async () => {
      const text = "ä".repeat(3_000_000);
      expect(await run("result = t", { input: { t: text } })).toBe(text);
    });
  });

  describe("6. exceptions", () => {
    test("an exception has its type, its line and its traceback, without our own frames", async () => {
      const code = "def f():\n  raise ValueError('bad ä')\n\nf()";
      expect(await failed(code)).toEqual({
        kind: "executor_error",
        message: "The Python code failed (line 2): ValueError: bad ä",
        retryable: false,
        detail: {
          type: "ValueError",
          line: 2,
          traceback: expect.stringMatching(
            /^Traceback \(most recent call last\):\n {2}File "<code>", line 4, in <module>\n {4}f\(\)\n[^]*line 2, in f\n[^]*ValueError: bad ä\n$/,
          ) as string,
          stdout: "",
          stderr: "",
          truncated: false,
        },
      });
    });

    test.each([
      ["a = 1\nb c", "SyntaxError", 2],
      ["import sys\nsys.exit(3)", "SystemExit", 2],
      ["raise KeyboardInterrupt", "KeyboardInterrupt", 1],
      ["def f(): return f()\n\nf()", "RecursionError", 1],
      ["import nowhere", "ModuleNotFoundError", 1],
      ["def main(a): return a", "TypeError", null],
      ["input()", "EOFError", 1],
      ["class E(Exception):\n  def __str__(self): return 1\nraise E()", "E", 3],
    ])("%j is a %s in line %s", async (code, type, line) => {
      expect(await failed(code)).toMatchObject({ kind: "executor_error", detail: { type, line } });
    });

    test("a lib that is not there is named", async () => {
      expect((await failed("x = 1", { libs: { a: "nowhere" } })).message).toBe(
        "The Python code failed: ModuleNotFoundError: No module named 'nowhere'",
      );
    });
  });
});
