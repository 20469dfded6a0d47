/** What one run wrote to one stream: its end, and each new line as it comes. */
import type { Readable } from "node:stream";
import { createTail } from "../program.ts";

export type Output = {
  readonly text: () => string;
  readonly cut: () => boolean;
  /** Resolves once the mark was read: what follows is of nobody. */
  readonly ended: Promise<void>;
  readonly stop: () => void;
};

export type OutputOptions = {
  /** Written by the worker after the run. It begins with NUL, which is held back until it is clear what it is. */
  readonly mark: string;
  readonly bytesMax: number;
  /** The newest whole line, a few at a time. */
  readonly line: (text: string) => void;
};

const nul = "\0";

export function readOutput(stream: Readable, { mark, bytesMax, line }: OutputOptions): Output {
  const tail = createTail(bytesMax);
  const end = Buffer.from(mark, "utf8");
  let held: Buffer = Buffer.alloc(0);
  let resolveEnded: () => void;
  const ended = new Promise<void>((resolve) => {
    resolveEnded = resolve;
  });
  const take = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    tail.push(bytes);
    const whole = bytes.lastIndexOf("\n");
    const text = bytes.toString(
      "utf8",
      bytes.lastIndexOf("\n", whole - bytes.length - 1) + 1,
      whole,
    );
    if (whole > 0 && text.trim() !== "") line(text);
  };
  const onData = (chunk: Buffer): void => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const at = bytes.indexOf(end);
    if (at >= 0) {
      held = Buffer.alloc(0);
      take(bytes.subarray(0, at));
      stream.off("data", onData);
      resolveEnded();
      return;
    }
    const begin = bytes.indexOf(nul, Math.max(0, bytes.length - end.length + 1));
    const clear = begin < 0 ? bytes.length : begin;
    held = bytes.subarray(clear);
    take(bytes.subarray(0, clear));
  };
  stream.on("data", onData);
  return {
    text: tail.text,
    cut: tail.cut,
    ended,
    stop: () => {
      stream.off("data", onData);
      take(held);
      held = Buffer.alloc(0);
    },
  };
}
