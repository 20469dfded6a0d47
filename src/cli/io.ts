/** The world as the command line meets it: the process's own in `main.ts`, a test's in a test. */
import { readFileSync } from "node:fs";
import type { Environment } from "../app/config.ts";

export type Io = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: Environment;
  /** True where stdout is a terminal: then tables and colour, else what programs read. */
  readonly isTerminal: boolean;
  readonly readStdin: () => string;
  /** The size of the terminal that stderr is; undefined where it is none. */
  readonly screen?: () => { readonly columns: number; readonly rows: number } | undefined;
  /** Calls `listener` with each key that is pressed, until what it gives back is called; absent where nobody can. */
  readonly onKey?: ((listener: (key: string) => void) => () => void) | undefined;
  /** Aborted when a person or the system asks the program to end; from this call on, it does not end by itself. */
  readonly stopAsked: () => AbortSignal;
};

/** What the process gives. */
export function processIo(): Io {
  return {
    out: (text) => {
      process.stdout.write(text);
    },
    err: (text) => {
      process.stderr.write(text);
    },
    env: process.env,
    isTerminal: process.stdout.isTTY,
    readStdin: () => readFileSync(0, "utf8"),
    screen: () => {
      const { isTTY, columns, rows } = process.stderr;
      return isTTY ? { columns, rows } : undefined;
    },
    onKey: process.stdin.isTTY ? onKey : undefined,
    stopAsked: () => {
      const controller = new AbortController();
      const stop = (): void => {
        process.off("SIGINT", stop);
        process.off("SIGTERM", stop);
        controller.abort();
      };
      process.on("SIGINT", stop);
      process.on("SIGTERM", stop);
      return controller.signal;
    },
  };
}

/** Keys come one by one, so Ctrl-C comes as one: it stays what it is. */
function onKey(listener: (key: string) => void): () => void {
  const { stdin } = process;
  const take = (typed: Buffer): void => {
    for (const key of typed.toString("utf8")) {
      if (key === "\u0003") process.kill(process.pid, "SIGINT");
      else listener(key);
    }
  };
  stdin.setRawMode(true);
  stdin.on("data", take);
  stdin.resume();
  return () => {
    stdin.off("data", take);
    stdin.setRawMode(false);
    stdin.pause();
  };
}
