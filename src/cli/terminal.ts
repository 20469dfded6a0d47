/** What people see: results on stdout, messages on stderr, colour and tables only on a terminal. */
import type { Json } from "../base/json.ts";
import type { Io } from "./io.ts";

export type Terminal = {
  /** A result: the value as JSON where `--json` was asked for, else the text. */
  readonly result: (value: unknown, text: () => string) => void;
  /** A line for people, on stderr. */
  readonly say: (message: string) => void;
  readonly paint: (colour: Colour, text: string) => string;
  /** Columns as wide as their widest cell on a terminal; tabs elsewhere, for `cut` and `awk`. */
  readonly table: (head: readonly string[], rows: readonly (readonly string[])[]) => string;
};

export type Colour = "red" | "green" | "yellow" | "grey" | "bold";

const codes: { readonly [C in Colour]: number } = {
  red: 31,
  green: 32,
  yellow: 33,
  grey: 90,
  bold: 1,
};

/** How the program ends. */
export const exitCodes = {
  ok: 0,
  /** What was asked for was done and failed: an action failed, a check found something. */
  failed: 1,
  /** The command line, a file or a value is not valid. */
  usage: 2,
  /** The node could not be reached. */
  unreachable: 3,
  /** What was waited for was cancelled, or a person did not wait for it: as of a program that Ctrl-C ended. */
  cancelled: 130,
} as const;

/** Ends the command with this exit code; `message` goes to stderr. */
export class Exit extends Error {
  readonly code: number;
  /** What was found, for `--json`; `message` says it to people. */
  readonly problems: readonly unknown[];

  constructor(code: number, message: string, problems: readonly unknown[] = []) {
    super(message);
    this.code = code;
    this.problems = problems;
  }
}

export function createTerminal(io: Io, json: boolean): Terminal {
  const paint = painter(io, io.isTerminal && !json);
  return {
    result: (value, text) => {
      const told = json ? JSON.stringify(value) : text();
      if (told !== "") io.out(`${told}\n`);
    },
    say: (message) => {
      io.err(`${message}\n`);
    },
    paint,
    table: (head, rows) => (io.isTerminal ? aligned(head, rows) : tabbed(rows)),
  };
}

/** Paints where it goes to a terminal, and nobody has said `NO_COLOR`. */
export function painter({ env }: Io, isTerminal: boolean): Terminal["paint"] {
  const noColour = env["NO_COLOR"];
  const colours = isTerminal && (noColour === undefined || noColour === "");
  return (colour, text) => (colours ? `\u001b[${String(codes[colour])}m${text}\u001b[0m` : text);
}

function tabbed(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => row.join("\t")).join("\n");
}

function aligned(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "none";
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return [line(head), ...rows.map(line)].join("\n");
}

export function statusColour(status: string): Colour {
  if (status === "succeeded" || status === "completed") return "green";
  if (status === "failed") return "red";
  return status === "cancelled" ? "grey" : "yellow";
}

/** `1.2 s`, `340 ms`, `3 min`: short enough for a column. */
export function spellMs(ms: number): string {
  if (ms < 1_000) return `${String(Math.round(ms))} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${String(Math.round(ms / 60_000))} min`;
}

export function text(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Text from a file on one line: what a terminal would take for a command, or a new line, is a space. */
export function printable(value: string): string {
  return value.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}

/** `1 error`, `2 errors`. */
export function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** The columns that a text takes on a terminal: wide characters take two, marks on others none. */
export function cells(line: string): number {
  let count = 0;
  for (const character of line) count += cellsOf(character);
  return count;
}

/** The beginning of a line that takes at most `most` columns; where something is left out, it ends in `…`. */
export function cut(line: string, most: number): string {
  if (cells(line) <= most) return line;
  let used = 1;
  let kept = "";
  for (const character of line) {
    used += cellsOf(character);
    if (used > most) break;
    kept += character;
  }
  return most <= 0 ? "" : `${kept}…`;
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

function cellsOf(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}
