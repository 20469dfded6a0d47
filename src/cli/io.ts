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
