/**
 * The built program as a process of its own, as people run it.
 *
 * Whoever starts one ends it: `kill` as a power cut would (SIGKILL), `stop` as an operator would
 * (SIGTERM). Programs that a test leaves behind die with the test's process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built file. */
export const program = fileURLToPath(new URL("../dist/deed.mjs", import.meta.url));

/** How a process ended: an exit code, or the signal that ended it. */
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type Node = {
  /** Resolves when the program says that it is ready. Rejects where it ends before. */
  readonly ready: Promise<{ readonly url: string; readonly log: string }>;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly kill: () => Promise<Exit>;
  readonly stop: () => Promise<Exit>;
};

export type NodeOptions = {
  /** Where `deed.yaml` stands. */
  readonly folder: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
};

/** `deed --json start` in a folder. */
export function startNode({ folder, args = [], env = {} }: NodeOptions): Node {
  const child = run(["--json", "start", "--log-level", "warn", ...args], folder, env);
  const output = collect(child);
  const exited = exitOf(child);
  const signal = (name: NodeJS.Signals) => (): Promise<Exit> => {
    child.kill(name);
    return exited;
  };
  const ready = new Promise<{ url: string; log: string }>((resolve, reject) => {
    child.stdout?.on("data", () => {
      const [line, rest] = output.stdout().split("\n");
      if (line === undefined || rest === undefined) return;
      const said = JSON.parse(line) as { url: string; log: string };
      resolve({ url: said.url, log: said.log });
    });
    void exited.then(({ code, signal: by }) => {
      const how = by === null ? `with exit code ${String(code)}` : `by ${by}`;
      reject(new Error(`The program ended ${how} before it was ready: ${output.stderr()}`));
    });
  });
  ready.catch(() => undefined);
  return {
    ready,
    pid: child.pid ?? 0,
    exited,
    ...output,
    kill: signal("SIGKILL"),
    stop: signal("SIGTERM"),
  };
}

/** What a command that ends by itself printed, and its exit code. */
export type Ran = Exit & { readonly stdout: string; readonly stderr: string };

/** `deed …` in a folder, until it ends. */
export async function deed(
  args: readonly string[],
  at: { readonly folder: string; readonly env?: NodeJS.ProcessEnv; readonly input?: string },
): Promise<Ran> {
  const child = run(args, at.folder, at.env ?? {});
  const output = collect(child);
  // A program that refuses its input ends before it has read it.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(at.input ?? "");
  const exit = await exitOf(child);
  return { ...exit, stdout: output.stdout(), stderr: output.stderr() };
}

/** A `deed …` that goes on until it is ended, as `deed tail` does. */
export function deedRunning(args: readonly string[], folder: string): Omit<Node, "ready"> {
  const child = run(args, folder, {});
  const exited = exitOf(child);
  const signal = (name: NodeJS.Signals) => (): Promise<Exit> => {
    child.kill(name);
    return exited;
  };
  return {
    pid: child.pid ?? 0,
    exited,
    ...collect(child),
    kill: signal("SIGKILL"),
    stop: signal("SIGINT"),
  };
}

/** Asks until `answer` gives a value. The test's own time-out ends it where none comes. */
export async function eventually<T>(
  answer: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  for (;;) {
    const value = await answer();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const running = new Set<ChildProcess>();

process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

function run(args: readonly string[], folder: string, env: NodeJS.ProcessEnv): ChildProcess {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("DEED_")),
  );
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { ...inherited, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  return child;
}

/** `close` and not `exit`: what was printed has been read by then. */
function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
}

function collect(child: ChildProcess): { stdout: () => string; stderr: () => string } {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return { stdout: () => stdout, stderr: () => stderr };
}
