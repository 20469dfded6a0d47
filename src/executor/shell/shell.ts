/**
 * `shell.run`: one program of the machine, by argument vector.
 *
 * No shell interprets anything, whatever the arguments hold. Nothing may run until the configuration
 * allows it. The program leads a process group of its own, which is ended as a whole.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { isAbsolute, resolve, sep } from "node:path";
import type { Readable, Writable } from "node:stream";
import Type, { type Static } from "typebox";
import { fault, Fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";

const argsSchema = Type.Object(
  {
    argv: Type.Array(Type.String(), { minItems: 1, maxItems: 256 }),
    cwd: Type.Optional(Type.String()),
    env: Type.Optional(Type.Record(Type.String(), Type.String())),
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
  readonly concurrency?: number;
  readonly timeoutMs?: number;
  /** Kept of stdout and stderr each: the end of it, bytes. Default 16 KiB. */
  readonly outputBytesMax?: number;
  /** Between SIGTERM and SIGKILL, milliseconds. Default 3,000. */
  readonly killAfterMs?: number;
};

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const outputBytesMaxDefault = 16 * 1024;

const killAfterMsDefault = 3_000;

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
      const cwd = allowedFolder(call, options);
      const child = start(call, cwd, options);
      return finish(call, child, { context, options });
    },
  };
}

function allowedFolder(call: ShellArgs, options: ShellOptions): string {
  const allowed = options.allow.some((words) =>
    words.every((word, index) => call.argv[index] === word),
  );
  if (!allowed) {
    throw fault(
      "permission",
      `Cannot run ${JSON.stringify(call.argv.slice(0, 3))} as executors.shell.allow of the configuration has no entry for it`,
    );
  }
  const foreign = Object.keys(call.env ?? {}).find(
    (name) => options.envPass?.includes(name) !== true,
  );
  if (foreign !== undefined) {
    throw fault("permission", `Cannot set ${foreign} as executors.shell.env_pass does not name it`);
  }
  const cwd = resolve(options.cwdRoot, call.cwd ?? ".");
  const root = resolve(options.cwdRoot);
  if (cwd === root || cwd.startsWith(root.endsWith(sep) ? root : root + sep)) return cwd;
  throw fault(
    "permission",
    `Cannot run in ${cwd} as it is outside executors.shell.cwd_root (${root})`,
  );
}

function start(call: ShellArgs, cwd: string, options: ShellOptions): Child {
  const [program = "", ...rest] = call.argv;
  const relative = program.includes("/") && !isAbsolute(program);
  const path = relative ? resolve(options.cwdRoot, program) : program;
  return spawn(path, rest, {
    cwd,
    env: environment(call, options),
    shell: false,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
}

function environment(call: ShellArgs, options: ShellOptions): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const name of ["PATH", "HOME", "LANG", ...(options.envPass ?? [])]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...call.env };
}

type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

async function finish(
  call: ShellArgs,
  child: Child,
  run: { readonly context: ExecutionContext; readonly options: ShellOptions },
): Promise<{ exit_code: number; stdout: string; stderr: string; truncated: boolean }> {
  const { context, options } = run;
  const bytesMax = options.outputBytesMax ?? outputBytesMaxDefault;
  const stdout = tail(child.stdout, bytesMax);
  const stderr = tail(child.stderr, bytesMax);
  child.stdin.on("error", () => undefined);
  child.stdin.end(call.stdin ?? "");
  const stopKilling = killOnAbort(child, context.signal, options.killAfterMs ?? killAfterMsDefault);
  const exit = await new Promise<Exit>((resolveExit, reject) => {
    child.once("error", (thrown) => {
      reject(spawnFault(call, thrown));
    });
    child.once("close", (code, signal) => {
      resolveExit({ code, signal });
    });
  }).finally(stopKilling);
  if (context.signal.aborted) throw fault("cancelled", `${call.argv[0] ?? ""} was ended`);
  const output = {
    stdout: stdout.text(),
    stderr: stderr.text(),
    truncated: stdout.cut() || stderr.cut(),
  };
  if (exit.code !== null && (call.expect_exit ?? [0]).includes(exit.code)) {
    return { exit_code: exit.code, ...output };
  }
  const how =
    exit.code === null ? `by ${String(exit.signal)}` : `with exit code ${String(exit.code)}`;
  throw new Fault({
    kind: "executor_error",
    message: `${call.argv[0] ?? ""} ended ${how}`,
    retryable: true,
    detail: { exit_code: exit.code, signal: exit.signal, ...output },
  });
}

/** The end of a stream, decoded once it is whole. */
function tail(stream: Readable, bytesMax: number): { text: () => string; cut: () => boolean } {
  let kept: Buffer[] = [];
  let size = 0;
  let cut = false;
  stream.on("data", (chunk: Buffer) => {
    kept.push(chunk);
    size += chunk.length;
    if (size <= 2 * bytesMax) return;
    kept = [Buffer.concat(kept).subarray(-bytesMax)];
    size = bytesMax;
    cut = true;
  });
  return {
    text: () => {
      const bytes = Buffer.concat(kept);
      if (bytes.length > bytesMax) cut = true;
      return bytes.subarray(-bytesMax).toString("utf8");
    },
    cut: () => cut,
  };
}

function killOnAbort(child: Child, signal: AbortSignal, killAfterMs: number): () => void {
  let timer: NodeJS.Timeout | undefined;
  const end = (): void => {
    killGroup(child, "SIGTERM");
    timer = setTimeout(() => {
      killGroup(child, "SIGKILL");
    }, killAfterMs);
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    if (signal.aborted) killGroup(child, "SIGKILL");
  };
}

/** The whole group, children of children included; a group that is gone is what was wanted. */
function killGroup(child: Child, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
  }
}

function spawnFault(call: ShellArgs, thrown: Error): Fault {
  const code = "code" in thrown ? thrown.code : undefined;
  const program = call.argv[0] ?? "";
  if (code === "ENOENT")
    return fault("not_found", `Cannot run ${program} as there is no such program or folder`);
  if (code === "EACCES")
    return fault("permission", `Cannot run ${program} as it is not executable`);
  return new Fault(
    { kind: "unavailable", message: `Cannot run ${program}: ${thrown.message}`, retryable: true },
    thrown,
  );
}
