import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { killGroup, passedEnvironment } from "../program.ts";
import { membersOf, textBytesMax, type TextFormat } from "./text.ts";
import type { World } from "./world.ts";

export type CommandSource = {
  readonly from: "command";
  /** Run without a shell; what it prints is the credential. */
  readonly argv: readonly [string, ...string[]];
  /** The folder in which it runs. */
  readonly cwd: string;
  /** Variables that it sees besides PATH, HOME and LANG. */
  readonly envPass: readonly string[];
  /** How long it may run, milliseconds. */
  readonly timeoutMs: number;
  /** Default: `object` where the output begins with a brace, else `value`. */
  readonly format?: TextFormat;
};

/**
 * @throws {Fault} `not_found` where there is no such program, `unavailable` where it fails, prints too much or
 * runs too long. What it wrote to stderr is in no message: it may hold anything.
 */
export async function readCommand(
  alias: string,
  source: CommandSource,
  { signal }: Pick<World, "signal">,
): Promise<JsonObject> {
  const what = `The command ${source.argv[0]} of the credential "${alias}"`;
  const text = await outputOf(source, what, signal);
  const format = source.format ?? (text.trimStart().startsWith("{") ? "object" : "value");
  return membersOf(text, format, `What the command of the credential "${alias}" printed`);
}

function outputOf(source: CommandSource, what: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = start(source, what);
    const chunks: Buffer[] = [];
    let size = 0;
    const end = (error: Error | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      killGroup(child.pid, "SIGKILL");
      child.stdout.destroy();
      if (error === undefined) resolve(Buffer.concat(chunks).toString("utf8"));
      else reject(error);
    };
    const refuse = (why: string): void => {
      end(fault("unavailable", `${what} ${why}`));
    };
    const stop = (): void => {
      refuse("was ended as the node stops");
    };
    const timer = setTimeout(() => {
      refuse(`did not end within ${String(source.timeoutMs)} ms`);
    }, source.timeoutMs);
    signal.addEventListener("abort", stop, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > textBytesMax) refuse(`printed more than ${String(textBytesMax)} bytes`);
      else chunks.push(chunk);
    });
    child.once("error", (thrown) => {
      const code = "code" in thrown ? String(thrown.code) : "unknown";
      end(fault(code === "ENOENT" ? "not_found" : "unavailable", `${what} cannot run (${code})`));
    });
    child.once("close", (code, by) => {
      if (code === 0) end(undefined);
      else refuse(by === null ? `ended with exit code ${String(code)}` : `was ended by ${by}`);
    });
  });
}

function start(source: CommandSource, what: string): ChildProcessByStdio<null, Readable, null> {
  const [program, ...rest] = source.argv;
  try {
    return spawn(program, rest, {
      cwd: source.cwd,
      env: passedEnvironment(source.envPass),
      shell: false,
      detached: true,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    // What is thrown here shows the arguments.
    throw fault("unavailable", `${what} cannot run with these arguments`);
  }
}
