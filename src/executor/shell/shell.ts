/**
 * `shell.run`: one program of the machine, by argument vector.
 *
 * 1. No shell interprets anything, whatever the arguments hold.
 * 2. Nothing may run until the configuration allows it.
 * 3. The program leads a process group of its own. When it ends, by itself or by force, the whole group
 *    ends with it: what is to live on must leave the group (`setsid`, `detached` in Node).
 * 4. What was written to stdout and stderr is kept to a limit: the end of each, marked `truncated`.
 * 5. A program that ends with an exit code said itself what became of it, so another attempt may follow.
 *    Where a signal ended it, nobody knows: `outcome_unknown`, unless the call is idempotent.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { realpath } from "node:fs/promises";
import { isAbsolute, resolve, sep } from "node:path";
import type { Readable, Writable } from "node:stream";
import Type, { type Static } from "typebox";
import { deedError, fault, Fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { createTail, drainMs, killGroup, killOnAbort, passedEnvironment } from "../program.ts";

/** What the system takes in an argument vector or an environment: anything but NUL. */
const word = Type.String({ pattern: "^[^\\u0000]*$" });

const argsSchema = Type.Object(
  {
    argv: Type.Array(word, { minItems: 1, maxItems: 256 }),
    cwd: Type.Optional(word),
    env: Type.Optional(Type.Record(Type.String(), word)),
    stdin: Type.Optional(Type.String()),
    /** Exit codes that count as success. Default 0. */
    expect_exit: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 255 }))),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type ShellArgs = Static<typeof argsSchema>;

export type ShellOptions = {
  /**
   * What may run: the leading words of an argument vector, each exact. `["./restart.sh"]` allows that
   * program of `cwdRoot` with any arguments, `["systemctl", "restart"]` only that verb. Empty: nothing may run.
   */
  readonly allow: readonly (readonly string[])[];
  /** The folder that programs run in and may not leave with `cwd`. */
  readonly cwdRoot: string;
  /** Names of the environment that are passed on beside PATH, HOME and LANG, or that a request may set. */
  readonly envPass?: readonly string[];
  /** Default 8. */
  readonly concurrency?: number;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** Kept of stdout and stderr each: the end of it, bytes. Default 16 KiB. */
  readonly outputBytesMax?: number;
  /** Between SIGTERM and SIGKILL, milliseconds. Default 3,000. */
  readonly killAfterMs?: number;
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const outputBytesMaxDefault = 16 * 1024;

export function createShell(options: ShellOptions): Executor {
  return {
    command: "shell.run",
    description:
      "Runs one allowed program by argument vector and gives back its exit code and output",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true,
    concurrency: options.concurrency ?? 8,
    timeoutMs: options.timeoutMs ?? 60_000,
    execute: async (args, context) => {
      const call = args as ShellArgs;
      const cwd = await allowedFolder(call, options);
      if (context.signal.aborted) throw ended(call);
      const child = start(call, cwd, options);
      return finish(call, child, { context, options });
    },
  };
}

async function allowedFolder(call: ShellArgs, options: ShellOptions): Promise<string> {
  const allowed = options.allow.some(
    (words) => words.length > 0 && words.every((word, index) => call.argv[index] === word),
  );
  if (!allowed) {
    throw fault(
      "permission",
      `Cannot run ${JSON.stringify(call.argv[0])} with these arguments as executors.shell.allow of the configuration has no entry for it`,
    );
  }
  const foreign = Object.keys(call.env ?? {}).find(
    (name) => options.envPass?.includes(name) !== true,
  );
  if (foreign !== undefined) {
    throw fault("permission", `Cannot set ${foreign} as executors.shell.env_pass does not name it`);
  }
  const root = await folder(resolve(options.cwdRoot));
  const cwd = await folder(resolve(root, call.cwd ?? "."));
  if (cwd === root || cwd.startsWith(root.endsWith(sep) ? root : root + sep)) return cwd;
  throw fault(
    "permission",
    `Cannot run in ${cwd} as it is outside executors.shell.cwd_root (${root})`,
  );
}

/** Where the path leads once links are followed: a link must not lead out. */
async function folder(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (thrown) {
    throw new Fault(deedError("not_found", `Cannot run in ${path} as there is no folder`), thrown);
  }
}

function start(call: ShellArgs, cwd: string, options: ShellOptions): Child {
  const [program = "", ...rest] = call.argv;
  const relative = program.includes("/") && !isAbsolute(program);
  const path = relative ? resolve(options.cwdRoot, program) : program;
  try {
    return spawn(path, rest, {
      cwd,
      env: { ...passedEnvironment(options.envPass ?? []), ...call.env },
      shell: false,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (thrown) {
    throw spawnFault(call, thrown);
  }
}

type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

async function finish(
  call: ShellArgs,
  child: Child,
  run: { readonly context: ExecutionContext; readonly options: ShellOptions },
): Promise<{ exit_code: number; stdout: string; stderr: string; truncated: boolean }> {
  const { context, options } = run;
  const bytesMax = options.outputBytesMax ?? outputBytesMaxDefault;
  const stdout = createTail(bytesMax);
  const stderr = createTail(bytesMax);
  child.stdout.on("data", stdout.push);
  child.stderr.on("data", stderr.push);
  child.stdin.on("error", () => undefined);
  child.stdin.end(call.stdin ?? "");
  const stopKilling = killOnAbort(child, context.signal, options.killAfterMs);
  const exit = await exitOf(call, child).finally(stopKilling);
  if (context.signal.aborted) throw ended(call);
  const output = {
    stdout: stdout.text(),
    stderr: stderr.text(),
    truncated: stdout.cut() || stderr.cut(),
  };
  if (exit.code !== null && (call.expect_exit ?? [0]).includes(exit.code)) {
    return { exit_code: exit.code, ...output };
  }
  throw exitFault(call, exit, output);
}

/** Resolves once the program has ended, its group is gone and its output is read. */
function exitOf(call: ShellArgs, child: Child): Promise<Exit> {
  return new Promise((resolveExit, reject) => {
    let drained: NodeJS.Timeout | undefined;
    child.once("error", (thrown) => {
      reject(spawnFault(call, thrown));
    });
    child.once("exit", (code, signal) => {
      killGroup(child.pid, "SIGKILL");
      drained = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolveExit({ code, signal });
      }, drainMs);
    });
    child.once("close", (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(drained);
      resolveExit({ code, signal });
    });
  });
}

function exitFault(
  call: ShellArgs,
  exit: Exit,
  output: { readonly stdout: string; readonly stderr: string; readonly truncated: boolean },
): Fault {
  const program = call.argv[0] ?? "";
  const detail = { exit_code: exit.code, signal: exit.signal, ...output };
  if (exit.code !== null) {
    const message = `${program} ended with exit code ${String(exit.code)}`;
    return new Fault({ kind: "executor_error", message, retryable: true, detail });
  }
  const message = `${program} was ended by ${String(exit.signal)}`;
  if (call.idempotent === true) {
    return new Fault({ kind: "executor_error", message, retryable: true, detail });
  }
  return fault("outcome_unknown", `${message}: what it had done by then is not known`, detail);
}

function ended(call: ShellArgs): Fault {
  return fault("cancelled", `${call.argv[0] ?? ""} was ended`);
}

function spawnFault(call: ShellArgs, thrown: unknown): Fault {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown error";
  const program = call.argv[0] ?? "";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR": {
      const message = `Cannot run ${program} as there is no such program (or none that its first line names)`;
      return new Fault(deedError("not_found", message), thrown);
    }
    case "EACCES":
    case "EPERM":
      return new Fault(
        deedError("permission", `Cannot run ${program} as it is not executable`),
        thrown,
      );
    case "E2BIG":
    case "ERR_INVALID_ARG_VALUE":
      return new Fault(
        deedError("invalid_args", `Cannot run ${program} as the system takes no such arguments`),
        thrown,
      );
    default:
      return new Fault(deedError("unavailable", `Cannot run ${program}: ${code}`), thrown);
  }
}
