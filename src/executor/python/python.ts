/**
 * `python`: code in Python, run by one of a few long-lived CPython processes.
 *
 * 1. Each run begins with fresh globals: the inputs, `input_data`, `context` and `libs`. Modules stay
 *    loaded, and keep what was set in them; environment, folder, `sys.path` and streams are put back.
 * 2. The result is JSON, or the call fails: nothing is rounded or left out silently.
 * 3. What the code prints never mixes with what its process reports.
 * 4. On an abort the whole process group ends. Threads and processes that the code leaves behind end
 *    with their process, which is then replaced.
 * 5. A process that died before the code began is replaced and the code begins again; one that dies
 *    later leaves `outcome_unknown`, unless the call is idempotent.
 * 6. An exception is the code's own word, and final: another attempt would meet the same code.
 */
import { existsSync } from "node:fs";
import Type, { type Static } from "typebox";
import type { Json, JsonObject } from "../../base/json.ts";
import { deedError, fault, Fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { scriptSchema, textOrScript, type Scripts } from "../script.ts";
import {
  startProcess,
  type Ended,
  type Printed,
  type ProcessOptions,
  type PythonProcess,
} from "./process.ts";

const strict = { additionalProperties: false };

const argsSchema = Type.Object(
  {
    /** One of `code` and `script`. */
    code: Type.Optional(Type.String({ minLength: 1 })),
    script: Type.Optional(scriptSchema),
    /** The alias of a credential: the code finds it as `context["auth"]`. */
    auth: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    /** Globals of the code, and the members of `input_data`. */
    input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** Members of the global `context`; `execution_id` is one where a playbook asks. */
    context: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** Modules, or members of them, by the name under which the code finds them. */
    libs: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.Record(
          Type.String(),
          Type.Union([
            Type.String(),
            Type.Object({ from: Type.String(), import: Type.String() }, strict),
          ]),
        ),
      ]),
    ),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  strict,
);

type PythonArgs = Static<typeof argsSchema>;

export type PythonOptions = {
  /** False: every call is refused. Default true. */
  readonly enabled?: boolean;
  /** What loads `script`; where it is left out, only `code` runs. */
  readonly scripts?: Scripts;
  /** A name that `PATH` knows, or a path. Default `python3`; 3.8 or newer. */
  readonly interpreter?: string;
  /** Where the code runs, and finds modules. Default: the folder of the node. */
  readonly cwd?: string;
  /** Names of the environment that are passed on beside PATH, HOME and LANG. */
  readonly envPass?: readonly string[];
  /** Processes at one time. Default 8. */
  readonly concurrency?: number;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** Larger results are refused, bytes. Default 16 MiB. */
  readonly resultBytesMax?: number;
  /** A process that keeps more after a run is replaced, bytes; known on Linux only. Default 512 MiB. */
  readonly memoryBytesMax?: number;
  /** A process is replaced after so many runs. Default 1,000. */
  readonly runsMax?: number;
  /** A process that waits longer ends, milliseconds. Default 60,000. */
  readonly idleMs?: number;
  /** Kept of stdout and stderr each: the end of it, bytes. Default 16 KiB. */
  readonly outputBytesMax?: number;
  /** Between SIGTERM and SIGKILL, milliseconds. Default 3,000. */
  readonly killAfterMs?: number;
};

/** Processes that may die before they begin, one after the other, until the interpreter is to blame. */
const startsMax = 3;

export function createPython(options: PythonOptions = {}): Executor {
  const pool = createPool(options);
  return {
    command: "python",
    description: "Runs code in Python with inputs as globals and gives back its result",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true,
    concurrency: options.concurrency ?? 8,
    timeoutMs: options.timeoutMs ?? 60_000,
    execute: async (args, context) => {
      if (options.enabled === false) {
        throw fault(
          "permission",
          "Cannot run Python code as it is off: configure executors.python, even as {}",
        );
      }
      const call = args as PythonArgs;
      const ended = await pool.run(await requestOf(call, context, options), context);
      if (context.signal.aborted) throw fault("cancelled", "The Python code was ended");
      return resultOf(ended, call, pool.options);
    },
  };
}

/** All that the code is given. A credential is looked up at the moment of use. */
async function requestOf(
  call: PythonArgs,
  context: ExecutionContext,
  options: PythonOptions,
): Promise<JsonObject> {
  const code = await codeOf(call, context, options);
  const { executionId, credentials } = context;
  const given: Record<string, unknown> = {
    ...(executionId === undefined ? {} : { execution_id: executionId }),
    ...call.context,
  };
  if (call.auth) given["auth"] = (await credentials.resolve(call.auth)).reveal();
  return { code, input: call.input ?? {}, context: given, libs: call.libs ?? {} } as JsonObject;
}

function codeOf(
  { code, script }: PythonArgs,
  { signal }: ExecutionContext,
  { scripts }: PythonOptions,
): Promise<string> {
  const on = { what: "Python code", member: "code", scripts, signal };
  return textOrScript({ text: code, script }, on);
}

type Pool = {
  readonly options: ProcessOptions;
  readonly run: (request: JsonObject, context: ExecutionContext) => Promise<Ended>;
};

/** Processes that wait, the one that ran last first. The kernel sees to it that no more than `concurrency` run. */
function createPool(options: PythonOptions): Pool {
  const { runsMax = 1_000, idleMs = 60_000 } = options;
  const settled: ProcessOptions = {
    interpreter: options.interpreter ?? "python3",
    cwd: options.cwd ?? process.cwd(),
    envPass: options.envPass ?? [],
    resultBytesMax: options.resultBytesMax ?? 16 * 1024 * 1024,
    memoryBytesMax: options.memoryBytesMax ?? 512 * 1024 * 1024,
    outputBytesMax: options.outputBytesMax ?? 16 * 1024,
    killAfterMs: options.killAfterMs,
  };
  type Member = { readonly python: PythonProcess; runs: number; idle: NodeJS.Timeout | undefined };
  const waiting: Member[] = [];
  const take = (): Member | undefined => {
    for (let member = waiting.pop(); member !== undefined; member = waiting.pop()) {
      clearTimeout(member.idle);
      if (member.python.isFree()) return member;
    }
    try {
      return { python: startProcess(settled), runs: 0, idle: undefined };
    } catch {
      return undefined;
    }
  };
  const giveBack = (member: Member): void => {
    if (!member.python.isFree()) return;
    if (member.runs >= runsMax) {
      member.python.end();
      return;
    }
    waiting.push(member);
    member.idle = setTimeout(() => {
      waiting.splice(waiting.indexOf(member), 1);
      member.python.end();
    }, idleMs);
    member.idle.unref();
  };
  return {
    options: settled,
    run: async (request, { signal, progress }) => {
      const line = (text: string): void => {
        progress(undefined, text);
      };
      for (let starts = 0; ;) {
        if (signal.aborted) throw fault("cancelled", "The Python code was ended before it began");
        const member = take();
        if (member === undefined) return { kind: "absent", code: "the system refused it" };
        if (member.runs === 0) starts += 1;
        member.runs += 1;
        const ended = await member.python.run(request, { signal, line });
        giveBack(member);
        if (ended.kind !== "died" || ended.begun || starts === startsMax) return ended;
      }
    },
  };
}

function resultOf(ended: Ended, call: PythonArgs, options: ProcessOptions): Json {
  if (ended.kind === "absent") throw absent(ended.code, options);
  if (ended.kind === "died") throw died(ended, call, options);
  const { end, printed } = ended;
  switch (end.kind) {
    case "done":
      return end.result;
    case "refused":
      throw fault(
        "unprocessable",
        `Cannot keep the result of the Python code as ${end.message}`,
        printed,
      );
    case "error": {
      const { type, traceback, line } = end;
      const where = line === null ? "" : ` (line ${String(line)})`;
      const detail = { type, line, traceback, ...printed };
      throw fault("executor_error", `The Python code failed${where}: ${end.message}`, detail);
    }
  }
}

function died(
  { begun, code, signal, printed }: Extract<Ended, { readonly kind: "died" }>,
  call: PythonArgs,
  { interpreter }: ProcessOptions,
): Fault {
  const how =
    code === null ? `was ended by ${String(signal)}` : `ended with exit code ${String(code)}`;
  const detail = { exit_code: code, signal, ...printed } satisfies Printed & JsonObject;
  if (!begun) {
    const message = `Cannot run Python code as ${interpreter} ${how} before it began: executors.python.interpreter must name Python 3.8 or newer`;
    return fault("unavailable", message, detail);
  }
  const message = `The process of the Python code ${how}`;
  if (call.idempotent === true) {
    return new Fault({ kind: "executor_error", message, retryable: true, detail });
  }
  return fault("outcome_unknown", `${message}: what it had done by then is not known`, detail);
}

function absent(code: string, { interpreter, cwd }: ProcessOptions): Fault {
  const attempt = "Cannot run Python code as";
  if (!existsSync(cwd))
    return new Fault(deedError("not_found", `${attempt} there is no folder ${cwd}`));
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return fault(
        "not_found",
        `${attempt} there is no program ${interpreter}: install Python 3.8 or newer, or name another with executors.python.interpreter`,
      );
    case "EACCES":
    case "EPERM":
      return fault("permission", `${attempt} ${interpreter} is not executable`);
    default:
      return fault("unavailable", `${attempt} ${interpreter} did not start: ${code}`);
  }
}
