import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import type { DeedError } from "../../event/error.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import type { Executor } from "../executor.ts";
import { frameOf } from "./frame.ts";
import { createPython, type PythonOptions } from "./python.ts";
import { workerSource } from "./worker-source.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.warn("The tests of the python executor need python3: they are left out");

let folder: string;
let python: Executor;

/** One for all tests that do not need one of their own: what it keeps from test to test is nothing. */
const shared = createPython({ cwd: tmpdir(), killAfterMs: 50 });

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "deed-python-")));
  python = shared;
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function executor(options: PythonOptions = {}): Executor {
  return createPython({ cwd: folder, killAfterMs: 50, ...options });
}

function run(code: string, args: JsonObject = {}): Promise<Json> {
  return python.execute({ code, ...args }, contextOf());
}

function failed(code: string, args: JsonObject = {}): Promise<DeedError> {
  return errorOf(python, { code, ...args });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync("/proc") || !/\) Z /.test(readFileSync(`/proc/${String(pid)}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function pidIn(file: string): number {
  const path = join(folder, file);
  return existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
}

async function pidFrom(file: string): Promise<number> {
  await eventually(() => pidIn(file) > 0, true);
  return pidIn(file);
}

const pidOf = "import os\nresult = os.getpid()";

/** Ignores SIGTERM, as its child does; both leave their pid. */
const stubborn = `
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
open("child.pid", "w").write(str(child.pid))
open("python.pid", "w").write(str(os.getpid()))
while True:
    pass
`;

const suicide = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)";

describe.runIf(hasPython)("python", () => {
  executorContract("python", () =>
    Promise.resolve({
      executor: executor(),
      works: {
        args: { code: "result = {'sum': a + b}", input: { a: 1, b: 2 } },
        result: { sum: 3 },
      },
      hangs: {
        args: { code: stubborn },
        started: async () => {
          await pidFrom("child.pid");
          await pidFrom("python.pid");
        },
        held: () =>
          ["child.pid", "python.pid"].filter((file) => pidIn(file) > 0 && isAlive(pidIn(file)))
            .length,
      },
      fails: [
        { name: "exception", args: { code: "1 / 0" }, kind: "executor_error", retryable: false },
        { name: "syntax", args: { code: "a b" }, kind: "executor_error", retryable: false },
        {
          name: "no JSON",
          args: { code: "result = float('nan')" },
          kind: "unprocessable",
          retryable: false,
        },
        { name: "killed", args: { code: suicide }, kind: "outcome_unknown", retryable: false },
        {
          name: "killed, idempotent",
          args: { code: suicide, idempotent: true },
          kind: "executor_error",
          retryable: true,
        },
      ],
      promises: [
        { args: { code: "a" }, idempotent: false },
        { args: { code: "a", idempotent: false }, idempotent: false },
        { args: { code: "a", idempotent: true }, idempotent: true },
      ],
      close: () => Promise.resolve(),
    }),
  );

  describe("what the code is given", () => {
    test("inputs as globals and as input_data, a context, libs by their names", async () => {
      const code =
        "result = [n, input_data, context['who'], js.dumps([1]), sep, p.basename('a/b'), m.__name__]";
      const libs = {
        js: "json",
        sep: { from: "os", import: "sep" },
        p: "os.path",
        m: { from: "xml", import: "dom" },
      };
      expect(await run(code, { input: { n: 1 }, context: { who: "me" }, libs })).toEqual([
        1,
        { n: 1 },
        "me",
        "[1]",
        "/",
        "b",
        "xml.dom",
      ]);
    });

    test("an input of the name of what is given wins", async () => {
      const input = { input_data: 1, context: 2, js: 3 };
      expect(
        await run("result = [input_data, context, js]", { input, libs: { js: "json" } }),
      ).toEqual([1, 2, 3]);
    });

    test("of the environment only what env_pass names; the folder's own modules", async () => {
      process.env["DEED_TEST_SECRET"] = "s3cret";
      process.env["DEED_TEST_PASSED"] = "passed";
      writeFileSync(join(folder, "own.py"), "value = 7");
      writeFileSync(join(folder, "json.py"), "broken(");
      python = executor({ envPass: ["DEED_TEST_PASSED"] });
      const code =
        "import os, own\nresult = [os.environ.get('DEED_TEST_SECRET'), os.environ.get('DEED_TEST_PASSED'), os.getcwd(), own.value]";
      expect(await run(code)).toEqual([null, "passed", folder, 7]);
      delete process.env["DEED_TEST_SECRET"];
      delete process.env["DEED_TEST_PASSED"];
    });
  });

  describe("3. what the code prints", () => {
    test("is told as progress, and corrupts nothing", async () => {
      const context = contextOf();
      const code = `
import os, sys
print("one")
print("two")
print("\\0")
os.write(1, b"\\xff\\n")
os.system("echo three")
sys.stdout = None
result = 1`;
      expect(await python.execute({ code }, context)).toBe(1);
      const lines = context.told.map((told) => (told as [undefined, string])[1]);
      expect(lines.at(-1)).toBe("three");
      expect(await run("print('again')\nresult = 2")).toBe(2);
    });

    test("its end comes with an error", async () => {
      python = executor({ outputBytesMax: 10 });
      const code =
        "import sys\nprint('a' * 100 + 'END')\nprint('bad', file=sys.stderr)\nraise OSError('x')";
      expect((await failed(code)).detail).toMatchObject({
        stdout: "aaaaaaEND\n",
        stderr: "bad\n",
        truncated: true,
      });
      expect((await failed("print('b', end='')\n1/0")).detail).toMatchObject({
        stdout: "b",
        stderr: "",
        truncated: false,
      });
    });
  });

  describe("1. one run after the other", () => {
    test("has the same process and nothing of the run before", async () => {
      python = executor();
      const first = await run(
        `import os, sys, random\nos.environ["LEFT"] = "1"\nos.chdir("/")\nleft = 1\nsys.path.append("left")\nresult = os.getpid()`,
      );
      const code = `
import os, sys
result = [os.getpid(), os.environ.get("LEFT"), os.getcwd(), "left" in globals(), "random" in globals(), "left" in sys.path]`;
      expect(await run(code)).toEqual([first, null, folder, false, false, false]);
    });

    test("a process is replaced after so many runs", async () => {
      python = executor({ runsMax: 2 });
      const pids = [await run(pidOf), await run(pidOf), await run(pidOf)];
      expect(pids[0]).toBe(pids[1]);
      expect(pids[2]).not.toBe(pids[0]);
      await eventually(() => isAlive(pids[0] as number), false);
    });

    test("a process that waits too long ends", async () => {
      python = executor({ idleMs: 20 });
      const pid = await run(pidOf);
      await eventually(() => isAlive(pid as number), false);
    });

    test("as many processes as run at one time", async () => {
      const pids = await Promise.all(
        [1, 2, 3].map(() => run(`import time\ntime.sleep(0.1)\n${pidOf}`)),
      );
      expect(new Set(pids).size).toBe(3);
    });
  });

  describe("4. nothing is left behind", () => {
    test.each([
      [
        "a thread",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
      ],
      [
        "a process",
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nopen('child.pid', 'w').write(str(child.pid))",
      ],
    ])("%s ends with its process, which is replaced", async (_name, code) => {
      python = executor();
      const pid = await run(`${code}\n${pidOf}`);
      await eventually(() => isAlive(pid as number), false);
      const child = pidIn("child.pid");
      if (child > 0) await eventually(() => isAlive(child), false);
      expect(await run(pidOf)).not.toBe(pid);
    });

    test("a fork that comes back from the code ends, and answers nothing", async () => {
      expect(
        await run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nresult = pid > 0"),
      ).toBe(true);
      expect(await run("result = 2")).toBe(2);
    });

    test("the code ends with its node, even where that is killed", async () => {
      const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"] as const;
      const options = { cwd: folder, detached: true, stdio: [...stdio] };
      const child = spawn("python3", ["-c", workerSource], options);
      const request = { code: stubborn, input: {}, context: {}, libs: {} };
      (child.stdio[3] as Writable).write(frameOf(request));
      const pid = await pidFrom("python.pid");
      (child.stdio[3] as Writable).destroy();
      await eventually(() => isAlive(pid) || isAlive(pidIn("child.pid")), false);
    });

    test("a cancelled call is followed by others", async () => {
      python = executor();
      const controller = new AbortController();
      const call = python.execute({ code: stubborn }, contextOf(controller.signal));
      await pidFrom("python.pid");
      controller.abort();
      expect((await faultOf(call)).kind).toBe("cancelled");
      expect(await run("result = 2")).toBe(2);
    });
  });

  describe("5. a process that dies", () => {
    test.each([
      ["import os\nprint('so far', flush=True)\nos._exit(3)", "ended with exit code 3", 3, null],
      [`print('so far')\n${suicide}`, "was ended by SIGKILL", null, "SIGKILL"],
      [
        "import ctypes\nprint('so far')\nctypes.string_at(0)",
        "was ended by SIGSEGV",
        null,
        "SIGSEGV",
      ],
    ])(
      "%j leaves an unknown outcome, and the next run another process",
      async (code, how, exit_code, signal) => {
        expect(await failed(code)).toEqual({
          kind: "outcome_unknown",
          message: `The process of the Python code ${how}: what it had done by then is not known`,
          retryable: false,
          detail: { exit_code, signal, stdout: "so far\n", stderr: "", truncated: false },
        });
        expect(await run("result = 2")).toBe(2);
      },
    );

    test("one that died while it waited is replaced unseen", async () => {
      const pid = await run(pidOf);
      process.kill(pid as number, "SIGKILL");
      expect(await run("result = 2")).toBe(2);
    });

    test("one whose reports are no longer to be trusted ends", async () => {
      expect((await failed("import os\nos.write(4, b'\\xff' * 10)")).kind).toBe("outcome_unknown");
      expect((await failed("import os\nos.write(4, b'\\0\\0\\0\\1x')")).kind).toBe(
        "outcome_unknown",
      );
      expect((await failed("import os, time\nos.close(3)\nos.close(4)")).kind).toBe(
        "outcome_unknown",
      );
      expect(await run("result = 2")).toBe(2);
    });
  });
});

describe("without Python", () => {
  test("switched off: nothing runs", async () => {
    python = executor({ enabled: false });
    expect(await failed("open('ran', 'w')")).toEqual({
      kind: "permission",
      message: "Cannot run Python code as it is off: configure executors.python, even as {}",
      retryable: false,
    });
    expect(existsSync(join(folder, "ran"))).toBe(false);
  });

  test("there is no such program: said so, with the way out", async () => {
    python = executor({ interpreter: "no-such-python" });
    expect(await failed("x")).toEqual({
      kind: "not_found",
      message:
        "Cannot run Python code as there is no program no-such-python: install Python 3.8 or newer, or name another with executors.python.interpreter",
      retryable: false,
    });
  });

  test("a program that is no Python, one that may not run, a folder that is not there", async () => {
    writeFileSync(join(folder, "plain"), "x");
    python = executor({ interpreter: "/bin/false" });
    expect(await failed("x")).toMatchObject({
      kind: "unavailable",
      message:
        "Cannot run Python code as /bin/false ended with exit code 1 before it began: executors.python.interpreter must name Python 3.8 or newer",
    });
    python = executor({ interpreter: join(folder, "plain") });
    expect((await failed("x")).kind).toBe("permission");
    python = executor({ cwd: join(folder, "absent") });
    expect((await failed("x")).message).toBe(
      `Cannot run Python code as there is no folder ${folder}/absent`,
    );
  });
});
