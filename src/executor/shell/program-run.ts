/**
 * Runs one program: what `shell.run` and the shell tool of playbooks have in common.
 *
 * 1. No shell interprets anything, whatever the arguments hold, unless the program is one.
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
import Type from "typebox";
import { deedError, fault, Fault } from "../../event/error.ts";
import type { ExecutionContext } from "../executor.ts";
import { createTail, drainMs, killGroup, killOnAbort, passedEnvironment } from "../program.ts";

/** What the system takes in an argument vector or an environment: anything but NUL. */
export const word = Type.String({ pattern: "^[^\\u0000]*$" });

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

export const shellDefaults = { concurrency: 8, timeoutMs: 60_000 } as const;

/** One program, as it is run. */
export type Program = {
  readonly argv: readonly string[];
  /** Inside `cwdRoot`. Default `.`. */
  readonly cwd?: string | undefined;
  /** Added to what is passed on; nobody has looked at the names. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly stdin?: string | undefined;
  /** Exit codes that count as success. Default 0. */
  readonly expectExit?: readonly number[] | undefined;
  readonly idempotent: boolean;
};

export type ProgramOutput = {
  readonly exit_code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const outputBytesMaxDefault = 16 * 1024;

/** @throws {Fault} `permission` where no entry of `allow` begins as `argv` does. */
export function checkAllowed(argv: readonly string[], { allow }: ShellOptions): void {
  const allowed = allow.some(
    (words) => words.length > 0 && words.every((one, index) => argv[index] === one),
  );
  if (allowed) return;
  throw fault(
    "permission",
    `Cannot run ${JSON.stringify(argv[0])} with these arguments as executors.shell.allow of the configuration has no entry for it`,
  );
}

/** @throws {Fault} `permission` where a name is not one that a request may set. */
export function checkNames(names: readonly string[], { envPass = [] }: ShellOptions): void {
  const foreign = names.find((name) => !envPass.includes(name));
  if (foreign === undefined) return;
  throw fault("permission", `Cannot set ${foreign} as executors.shell.env_pass does not name it`);
}

/** Runs a program that may run, to its end. @throws {Fault} where it does not end as it should. */
export async function runProgram(
  program: Program,
  context: ExecutionContext,
  options: ShellOptions,
): Promise<ProgramOutput> {
  const cwd = await allowedFolder(program, options);
  if (context.signal.aborted) throw ended(program);
  return finish(program, start(program, cwd, options), { context, options });
}

async function allowedFolder(program: Program, options: ShellOptions): Promise<string> {
  const root = await folder(resolve(options.cwdRoot));
  const cwd = await folder(resolve(root, program.cwd ?? "."));
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

function start(program: Program, cwd: string, options: ShellOptions): Child {
  const [file = "", ...rest] = program.argv;
  const relative = file.includes("/") && !isAbsolute(file);
  const path = relative ? resolve(options.cwdRoot, file) : file;
  try {
    return spawn(path, rest, {
      cwd,
      env: { ...passedEnvironment(options.envPass ?? []), ...program.env },
      shell: false,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (thrown) {
    throw spawnFault(program, thrown);
  }
}

type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

async function finish(
  program: Program,
  child: Child,
  run: { readonly context: ExecutionContext; readonly options: ShellOptions },
): Promise<ProgramOutput> {
  const { context, options } = run;
  const bytesMax = options.outputBytesMax ?? outputBytesMaxDefault;
  const stdout = createTail(bytesMax);
  const stderr = createTail(bytesMax);
  child.stdout.on("data", stdout.push);
  child.stderr.on("data", stderr.push);
  child.stdin.on("error", () => undefined);
  child.stdin.end(program.stdin ?? "");
  const stopKilling = killOnAbort(child, context.signal, options.killAfterMs);
  const exit = await exitOf(program, child).finally(stopKilling);
  if (context.signal.aborted) throw ended(program);
  const output = {
    stdout: stdout.text(),
    stderr: stderr.text(),
    truncated: stdout.cut() || stderr.cut(),
  };
  if (exit.code !== null && (program.expectExit ?? [0]).includes(exit.code)) {
    return { exit_code: exit.code, ...output };
  }
  throw exitFault(program, exit, output);
}

/** Resolves once the program has ended, its group is gone and its output is read. */
function exitOf(program: Program, child: Child): Promise<Exit> {
  return new Promise((resolveExit, reject) => {
    let drained: NodeJS.Timeout | undefined;
    child.once("error", (thrown) => {
      reject(spawnFault(program, thrown));
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
  program: Program,
  exit: Exit,
  output: { readonly stdout: string; readonly stderr: string; readonly truncated: boolean },
): Fault {
  const name = program.argv[0] ?? "";
  const detail = { exit_code: exit.code, signal: exit.signal, ...output };
  if (exit.code !== null) {
    const message = `${name} ended with exit code ${String(exit.code)}`;
    return new Fault({ kind: "executor_error", message, retryable: true, detail });
  }
  const message = `${name} was ended by ${String(exit.signal)}`;
  if (program.idempotent) {
    return new Fault({ kind: "executor_error", message, retryable: true, detail });
  }
  return fault("outcome_unknown", `${message}: what it had done by then is not known`, detail);
}

function ended(program: Program): Fault {
  return fault("cancelled", `${program.argv[0] ?? ""} was ended`);
}

function spawnFault(program: Program, thrown: unknown): Fault {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown error";
  const name = program.argv[0] ?? "";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR": {
      const message = `Cannot run ${name} as there is no such program (or none that its first line names)`;
      return new Fault(deedError("not_found", message), thrown);
    }
    case "EACCES":
    case "EPERM":
      return new Fault(
        deedError("permission", `Cannot run ${name} as it is not executable`),
        thrown,
      );
    case "E2BIG":
    case "ERR_INVALID_ARG_VALUE":
      return new Fault(
        deedError("invalid_args", `Cannot run ${name} as the system takes no such arguments`),
        thrown,
      );
    default:
      return new Fault(deedError("unavailable", `Cannot run ${name}: ${code}`), thrown);
  }
}
