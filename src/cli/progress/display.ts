/**
 * Shows how an execution goes on, on stderr: on a terminal as a tree that is drawn again in its place, at most
 * ten times a second; elsewhere a line a change.
 */
import type { Io } from "../io.ts";
import { concerns, createProgress, foldProgress } from "../progress.ts";
import { painter, type Terminal } from "../terminal.ts";
import { changeLines } from "./lines.ts";
import type { Progress, ProgressEvent } from "./model.ts";
import { drawProgress, type Line } from "./tree.ts";

export type Display = {
  readonly progress: Progress;
  /** The next event, in the order of the log; those of others are passed over. */
  readonly take: (event: ProgressEvent) => void;
  /** A line above what is drawn. */
  readonly say: (message: string) => void;
  /** A line below what is drawn, until it is another; elsewhere than on a terminal it is said once. */
  readonly ask: (question: string | undefined) => void;
  /** Draws for the last time. */
  readonly end: () => void;
};

export type DisplayOptions = {
  /** Nothing is shown. */
  readonly quiet: boolean;
  readonly nowMs: () => number;
};

const redrawMs = 100;

/** Lines of the last picture, which may scroll: all of it, but for what nobody reads. */
const lastRowsMax = 200;

export function createDisplay(io: Io, root: string, options: DisplayOptions): Display {
  const progress = createProgress(root);
  const screen = options.quiet ? undefined : io.screen?.();
  const say = (message: string): void => {
    io.err(`${message}\n`);
  };
  if (screen === undefined) return plainDisplay(progress, options.quiet ? () => undefined : say);
  return screenDisplay(io, progress, options.nowMs);
}

/** The timer keeps the process alive while it waits for time to pass. */
function plainDisplay(progress: Progress, say: (message: string) => void): Display {
  const timer = setInterval(() => undefined, 60_000);
  return {
    progress,
    take: (event) => {
      if (!concerns(progress, event)) return;
      foldProgress(progress, event);
      for (const line of changeLines(progress, event)) say(line);
    },
    say,
    ask: (question) => {
      if (question !== undefined) say(question);
    },
    end: () => {
      clearInterval(timer);
    },
  };
}

function screenDisplay(io: Io, progress: Progress, nowMs: () => number): Display {
  const paint = painter(io, true);
  let shown: readonly string[] = [];
  let question: string | undefined;
  const picture = (rowsMax: number): readonly string[] => {
    const { columns = 80 } = io.screen?.() ?? {};
    const lines = drawProgress(progress, { width: columns - 1, rowsMax, nowMs: nowMs() });
    const asked = question === undefined ? [] : [paint("bold", question)];
    return [...lines.map((line) => painted(paint, line)), ...asked];
  };
  const draw = (lines: readonly string[]): void => {
    const back = shown.length === 0 ? "" : `\u001b[${String(shown.length)}A`;
    io.err(`${back}\r\u001b[0J${lines.map((line) => `${line}\n`).join("")}`);
    shown = lines;
  };
  const redraw = (): void => {
    const lines = picture(Math.max(4, (io.screen?.()?.rows ?? 24) - 2));
    if (lines.join("\n") !== shown.join("\n")) draw(lines);
  };
  const timer = setInterval(redraw, redrawMs);
  return {
    progress,
    take: (event) => void foldProgress(progress, event),
    say: (message) => {
      draw([]);
      io.err(`${message}\n`);
      redraw();
    },
    ask: (asked) => {
      question = asked;
    },
    end: () => {
      clearInterval(timer);
      question = undefined;
      draw(picture(lastRowsMax));
    },
  };
}

/** The picture of an execution as it stands, for stdout. */
export function drawnText(io: Io, progress: Progress, nowMs: number): string {
  const paint = painter(io, io.isTerminal);
  const { columns = 120 } = io.screen?.() ?? {};
  return drawProgress(progress, { width: columns - 1, rowsMax: lastRowsMax, nowMs })
    .map((line) => painted(paint, line))
    .join("\n");
}

function painted(paint: Terminal["paint"], line: Line): string {
  return line
    .map(({ text, colour }) => (colour === undefined ? text : paint(colour, text)))
    .join("");
}
