/**
 * One CPython process that runs one request after the other.
 *
 * 1. It leads a process group of its own; when it ends, however that was, the whole group ends.
 * 2. `run` ends by what the code came to, or once the process has ended.
 * 3. It keeps the node alive while it runs a request, and does not while it waits for one.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { Socket } from "node:net";
import type { JsonObject } from "../../base/json.ts";
import { drainMs, killGroup, killOnAbort, passedEnvironment } from "../program.ts";
import { createReplyReader, frameOf, type Reply } from "./frame.ts";
import { readOutput, type Output } from "./output.ts";
import { workerSource } from "./worker-source.ts";

export type ProcessOptions = {
  readonly interpreter: string;
  readonly cwd: string;
  readonly envPass: readonly string[];
  readonly resultBytesMax: number;
  readonly memoryBytesMax: number;
  /** Kept of stdout and stderr each, bytes. */
  readonly outputBytesMax: number;
  readonly killAfterMs: number | undefined;
};

export type Printed = {
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
};

type CodeEnd = Extract<Reply, { readonly kind: "done" | "refused" | "error" }>;

export type Ended =
  | { readonly kind: "ended"; readonly end: CodeEnd; readonly printed: Printed }
  | {
      readonly kind: "died";
      /** False: the code had not begun, so nothing was done. */
      readonly begun: boolean;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
      readonly printed: Printed;
    }
  /** The system did not start it. */
  | { readonly kind: "absent"; readonly code: string };

export type PythonProcess = {
  /** May it get another request? */
  readonly isFree: () => boolean;
  readonly run: (
    request: JsonObject,
    on: { readonly signal: AbortSignal; readonly line: (text: string) => void },
  ) => Promise<Ended>;
  readonly end: () => void;
};

/** Beside the result: a traceback, a message, JSON around them. */
const frameBytesOver = 1024 * 1024;

type Exit =
  { readonly code: number | null; readonly signal: NodeJS.Signals | null } | { absent: string };

/** @throws where the system takes no such command, or has no pipes left. */
export function startProcess(options: ProcessOptions): PythonProcess {
  const child = spawn(options.interpreter, ["-u", "-X", "utf8", "-c", workerSource], {
    cwd: options.cwd,
    env: passedEnvironment(options.envPass),
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
  });
  let alive = true;
  let waiting = true;
  let told: (reply: Reply) => void = () => undefined;
  const exited = exitOf(child).then((exit) => {
    alive = false;
    return exit;
  });
  const pipes = pipesOf(child);
  const read = createReplyReader(options.resultBytesMax + frameBytesOver);
  pipes.replies.on("data", (chunk: Buffer) => {
    const replies = read(chunk);
    if (replies === undefined) killGroup(child.pid, "SIGKILL");
    for (const reply of replies ?? []) told(reply);
  });
  const keepNode = (keep: boolean): void => {
    for (const handle of [child, ...Object.values(pipes)]) {
      if (keep) handle.ref();
      else handle.unref();
    }
  };

  /** Lets one request run to its end, and says whether the process may get another. */
  const exchange = async (request: JsonObject, outputs: readonly Output[]): Promise<Exchange> => {
    let begun = false;
    let end: CodeEnd | undefined;
    const freed = new Promise<boolean>((resolve) => {
      told = (reply) => {
        if (reply.kind === "begun") begun = true;
        else if (reply.kind === "free") resolve(!reply.retire);
        else end = reply;
      };
    });
    pipes.requests.write(frameOf(request));
    const first = await Promise.race([freed, exited]);
    if (typeof first !== "boolean") return { begun, end, exit: first, reusable: false };
    const seen = Promise.all(outputs.map((output) => output.ended)).then(() => true);
    return { begun, end, exit: undefined, reusable: (await soon(seen)) && first };
  };

  return {
    isFree: () => alive && waiting,
    run: async (request, { signal, line }) => {
      waiting = false;
      keepNode(true);
      const mark = `\0deed ${randomUUID()}\n`;
      const each = { mark, line, bytesMax: options.outputBytesMax };
      const outputs = {
        stdout: readOutput(pipes.stdout, each),
        stderr: readOutput(pipes.stderr, each),
      };
      const limits = {
        result_bytes_max: options.resultBytesMax,
        memory_bytes_max: options.memoryBytesMax,
      };
      const stopKilling = killOnAbort(child, signal, options.killAfterMs);
      const all = [outputs.stdout, outputs.stderr];
      const done = await exchange({ ...request, ...limits, mark }, all);
      let { exit } = done;
      if (done.end === undefined || !done.reusable || signal.aborted) {
        if (!signal.aborted) killGroup(child.pid, "SIGKILL");
        exit = await exited;
      } else {
        waiting = true;
        keepNode(false);
      }
      stopKilling();
      return endedOf({ ...done, exit }, outputs);
    },
    end: () => {
      waiting = false;
      killGroup(child.pid, "SIGKILL");
    },
  };
}

type Exchange = {
  readonly begun: boolean;
  readonly end: CodeEnd | undefined;
  readonly exit: Exit | undefined;
  readonly reusable: boolean;
};

function endedOf(
  { begun, end, exit }: Exchange,
  { stdout, stderr }: { readonly stdout: Output; readonly stderr: Output },
): Ended {
  stdout.stop();
  stderr.stop();
  const printed = {
    stdout: stdout.text(),
    stderr: stderr.text(),
    truncated: stdout.cut() || stderr.cut(),
  };
  if (end !== undefined) return { kind: "ended", end, printed };
  if (exit !== undefined && "absent" in exit) return { kind: "absent", code: exit.absent };
  return { kind: "died", begun, ...(exit ?? { code: null, signal: null }), printed };
}

type Pipes = { readonly [name in "stdout" | "stderr" | "requests" | "replies"]: Socket };

function pipesOf(child: ChildProcess): Pipes {
  const [, stdout, stderr, requests, replies] = child.stdio.map((stream) => {
    if (!(stream instanceof Socket)) return undefined;
    // A pipe that breaks is told by the end of the process.
    return stream.on("error", () => undefined);
  });
  if (!stdout || !stderr || !requests || !replies) throw new Error("A pipe to Python is missing");
  return { stdout, stderr, requests, replies };
}

/** Resolves once the process has ended, its group is gone and its output is read. */
function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once("error", (thrown) => {
      resolve({ absent: "code" in thrown ? String(thrown.code) : "unknown error" });
    });
    child.once("exit", (code, signal) => {
      killGroup(child.pid, "SIGKILL");
      const drained = setTimeout(() => {
        for (const stream of child.stdio) stream?.destroy();
        resolve({ code, signal });
      }, drainMs);
      child.once("close", () => {
        clearTimeout(drained);
        resolve({ code, signal });
      });
    });
  });
}

/** False where it takes longer than output is awaited. */
async function soon(done: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, drainMs);
  });
  return Promise.race([done, late]).finally(() => {
    clearTimeout(timer);
  });
}
