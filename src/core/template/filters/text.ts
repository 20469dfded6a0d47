/** Filters that give texts. They take any value: what is no string is printed first. */
import { flagArg, textArg, wholeArg, type Definitions } from "../given.ts";
import { braceFormat, percentFormat } from "../percent-format.ts";
import { textOf } from "../print.ts";
import {
  capitalize,
  center,
  lines,
  replace,
  split,
  strip,
  titleWords,
} from "../text-operations.ts";
import { fail, isObject, spend, type Frame, type Value } from "../value.ts";

export const textFilters: Definitions<Value> = {
  string: { params: [], plain: true, run: (value, _, frame) => textOf(value, frame) },
  lower: { params: [], plain: true, run: (value, _, frame) => textOf(value, frame).toLowerCase() },
  upper: { params: [], plain: true, run: (value, _, frame) => textOf(value, frame).toUpperCase() },
  capitalize: {
    params: [],
    plain: true,
    run: (value, _, frame) => capitalize(textOf(value, frame)),
  },
  title: { params: [], plain: true, run: (value, _, frame) => titleWords(textOf(value, frame)) },
  trim: {
    params: ["chars"],
    plain: true,
    run: (value, args, frame) => strip(textOf(value, frame), textArg(args, 0, frame), "both"),
  },
  replace: {
    params: ["old", "new", "count"],
    required: 2,
    plain: true,
    run: (value, args, frame) =>
      replace(textOf(value, frame), {
        old: textArg(args, 0, frame) ?? "None",
        by: textArg(args, 1, frame) ?? "None",
        count: wholeArg(args, 2, frame) ?? -1,
        frame,
      }),
  },
  split: {
    params: ["sep", "maxsplit"],
    run: (value, args, frame) =>
      split(textOf(value, frame), {
        separator: separatorOf(textArg(args, 0, frame), frame),
        max: wholeArg(args, 1, frame) ?? -1,
        frame,
      }),
  },
  format: {
    params: [],
    variadic: true,
    plain: true,
    run: (value, [named, ...positional], frame) => {
      const object = named !== undefined && isObject(named) ? named : {};
      const values = positional.map((one) => one ?? null);
      const byName = Object.keys(object).length > 0;
      return percentFormat(textOf(value, frame), byName ? object : values, frame);
    },
  },
  wordcount: {
    params: [],
    plain: true,
    run: (value, _, frame) => (textOf(value, frame).match(/[\p{L}\p{N}_\p{M}]+/gu) ?? []).length,
  },
  truncate: {
    params: ["length", "killwords", "end", "leeway"],
    plain: true,
    run: (value, args, frame) => {
      const text = Array.from(textOf(value, frame));
      const length = wholeArg(args, 0, frame) ?? 255;
      const end = textArg(args, 2, frame) ?? "...";
      const room = length - Array.from(end).length;
      if (room < 0)
        return fail(
          frame,
          `A length of at least ${String(length - room)} is needed: the end is that long`,
        );
      if (text.length <= length + (wholeArg(args, 3, frame) ?? 5)) return text.join("");
      const kept = text.slice(0, room).join("");
      if (flagArg(args, 1)) return kept + end;
      const space = kept.lastIndexOf(" ");
      return (space < 0 ? kept : kept.slice(0, space)) + end;
    },
  },
  indent: {
    params: ["width", "first", "blank"],
    plain: true,
    run: (value, args, frame) => {
      const [width] = args;
      const step = typeof width === "string" ? width : blanks(wholeArg(args, 0, frame) ?? 4, frame);
      const all = lines(`${textOf(value, frame)}\n`);
      spend(frame, step.length * all.length);
      return all
        .map((line, index) => {
          const wanted = index === 0 ? flagArg(args, 1) : line !== "" || flagArg(args, 2);
          return wanted ? step + line : line;
        })
        .join("\n");
    },
  },
  center: {
    params: ["width"],
    plain: true,
    run: (value, args, frame) => {
      const width = wholeArg(args, 0, frame) ?? 80;
      spend(frame, Math.max(0, width));
      return center(textOf(value, frame), { width, fill: " " });
    },
  },
  escape: { params: [], plain: true, run: (value, _, frame) => escapeHtml(textOf(value, frame)) },
  e: { params: [], plain: true, run: (value, _, frame) => escapeHtml(textOf(value, frame)) },
  forceescape: {
    params: [],
    plain: true,
    run: (value, _, frame) => escapeHtml(textOf(value, frame)),
  },
  safe: { params: [], plain: true, run: (value, _, frame) => textOf(value, frame) },
};

/** A separator must hold something, as in Python. */
export function separatorOf(separator: string | undefined, frame: Frame): string | undefined {
  if (separator !== "") return separator;
  return fail(frame, "Cannot split at an empty separator: use | list for single characters");
}

/** Spaces, at the render's expense. */
export function blanks(count: number, frame: Frame): string {
  const width = Math.max(0, count);
  spend(frame, width);
  return " ".repeat(width);
}

const htmlEscapes: { readonly [char: string]: string } = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&#39;",
  '"': "&#34;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>'"]/g, (char) => htmlEscapes[char] ?? char);
}

/** `str.format`, shared with the method. */
export function formatBraces(
  text: string,
  args: readonly (Value | undefined)[],
  frame: Frame,
): string {
  const [named, ...positional] = args;
  return braceFormat(
    text,
    {
      positional: positional.map((one) => one ?? null),
      named: named !== undefined && isObject(named) ? named : {},
    },
    frame,
  );
}
