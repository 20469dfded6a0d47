/**
 * What can be called on a value: the methods of Python's strings, lists and dicts that change nothing.
 *
 * A method is found only where it is called. So `x.items` is the member of that name, and `x.items()` the method.
 */
import { getMember, pairs, valuesOf } from "./filters/objects.ts";
import { blanks, formatBraces, separatorOf } from "./filters/text.ts";
import {
  textArg,
  wholeArg,
  wordsArg,
  type Args,
  type Definition,
  type Definitions,
} from "./given.ts";
import { textOf } from "./print.ts";
import {
  capitalize,
  center,
  isLower,
  isUpper,
  lines,
  replace,
  split,
  splitRight,
  strip,
  titleCase,
} from "./text-operations.ts";
import {
  fail,
  isObject,
  iterate,
  keysOf,
  kindOf,
  listOf,
  same,
  spend,
  type Frame,
  type Value,
  isLoop,
} from "./value.ts";

/** Methods by name; one name can belong to several kinds of values. */
export type Method = { readonly of: "string" | "list" | "object" | "loop" } & Definition<Value>;

export function methodsNamed(name: string): readonly Method[] {
  return all.get(name) ?? [];
}

export function methodNames(): readonly string[] {
  return [...all.keys()];
}

/** Methods that would change a value: no template may. */
export const changing: readonly string[] = [
  "append",
  "extend",
  "insert",
  "pop",
  "popitem",
  "remove",
  "sort",
  "reverse",
  "clear",
  "update",
  "setdefault",
];

/** Whether a value has methods of this kind. */
export function hasMethods(value: Value, of: Method["of"]): boolean {
  switch (of) {
    case "string":
      return typeof value === "string";
    case "list":
      return listOf(value) !== undefined;
    case "object":
      return isObject(value);
    case "loop":
      return isLoop(value);
  }
}

/** A method of strings: the value is one, as the caller has looked. */
function ofText(
  params: readonly string[],
  run: (text: string, args: Args, frame: Frame) => Value,
): Definition<Value> {
  return { params, run: (value, args, frame) => run(textOf(value, frame), args, frame) };
}

const stringMethods: Definitions<Value> = {
  lower: ofText([], (text) => text.toLowerCase()),
  casefold: ofText([], (text) => text.toLowerCase()),
  upper: ofText([], (text) => text.toUpperCase()),
  capitalize: ofText([], capitalize),
  title: ofText([], titleCase),
  swapcase: ofText([], (text) =>
    Array.from(text, (char) => (isUpper(char) ? char.toLowerCase() : char.toUpperCase())).join(""),
  ),
  strip: ofText(["chars"], (text, args, frame) => strip(text, textArg(args, 0, frame), "both")),
  lstrip: ofText(["chars"], (text, args, frame) => strip(text, textArg(args, 0, frame), "start")),
  rstrip: ofText(["chars"], (text, args, frame) => strip(text, textArg(args, 0, frame), "end")),
  split: ofText(["sep", "maxsplit"], (text, args, frame) => split(text, splitting(args, frame))),
  rsplit: ofText(["sep", "maxsplit"], (text, args, frame) =>
    splitRight(text, splitting(args, frame)),
  ),
  splitlines: ofText([], lines),
  partition: ofText(["sep"], (text, args, frame) => parted(text, needed(args, frame))),
  replace: {
    ...ofText(["old", "new", "count"], (text, args, frame) =>
      replace(text, {
        old: textArg(args, 0, frame) ?? "",
        by: textArg(args, 1, frame) ?? "",
        count: wholeArg(args, 2, frame) ?? -1,
        frame,
      }),
    ),
    required: 2,
  },
  startswith: ofText(["prefix"], (text, [prefix], frame) =>
    wordsArg(prefix, frame).some((word) => text.startsWith(word)),
  ),
  endswith: ofText(["suffix"], (text, [suffix], frame) =>
    wordsArg(suffix, frame).some((word) => text.endsWith(word)),
  ),
  removeprefix: ofText(["prefix"], (text, args, frame) => {
    const prefix = needed(args, frame);
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  }),
  removesuffix: ofText(["suffix"], (text, args, frame) => {
    const suffix = needed(args, frame);
    return text.endsWith(suffix) ? text.slice(0, text.length - suffix.length) : text;
  }),
  find: ofText(["sub"], (text, args, frame) => codePoints(text, text.indexOf(needed(args, frame)))),
  rfind: ofText(["sub"], (text, args, frame) =>
    codePoints(text, text.lastIndexOf(needed(args, frame))),
  ),
  index: ofText(["sub"], (text, args, frame) => {
    const at = text.indexOf(needed(args, frame));
    return at < 0
      ? fail(frame, "The string does not hold what index looks for: use find, which gives -1")
      : codePoints(text, at);
  }),
  count: ofText(["sub"], (text, args, frame) => {
    spend(frame, text.length);
    const sub = needed(args, frame);
    return sub === "" ? Array.from(text).length + 1 : text.split(sub).length - 1;
  }),
  join: ofText(["iterable"], (text, [items], frame) => {
    const parts = iterate(items ?? null, frame).map((one) =>
      typeof one === "string"
        ? one
        : fail(
            frame,
            `Cannot join ${kindOf(one)}: make strings first (| map('string')), or use | join`,
          ),
    );
    spend(
      frame,
      parts.reduce((sum, part) => sum + part.length + text.length, 0),
    );
    return parts.join(text);
  }),
  format: {
    params: [],
    variadic: true,
    run: (value, args, frame) => formatBraces(textOf(value, frame), args, frame),
  },
  zfill: ofText(["width"], (text, args, frame) => {
    const sign = /^[+-]/.test(text) ? text.charAt(0) : "";
    const missing = (wholeArg(args, 0, frame) ?? 0) - Array.from(text).length;
    spend(frame, Math.max(0, missing));
    return sign + "0".repeat(Math.max(0, missing)) + text.slice(sign.length);
  }),
  ljust: ofText(["width", "fillchar"], (text, args, frame) => text + filling(text, args, frame)),
  rjust: ofText(["width", "fillchar"], (text, args, frame) => filling(text, args, frame) + text),
  center: ofText(["width", "fillchar"], (text, args, frame) => {
    const width = wholeArg(args, 0, frame) ?? 0;
    spend(frame, Math.max(0, width));
    return center(text, { width, fill: fillOf(args, frame) });
  }),
  isdigit: matches(/^\p{Nd}+$/u),
  isdecimal: matches(/^\p{Nd}+$/u),
  isnumeric: matches(/^\p{N}+$/u),
  isalpha: matches(/^\p{L}+$/u),
  isalnum: matches(/^[\p{L}\p{N}]+$/u),
  isspace: ofText([], (text) => text !== "" && strip(text, undefined, "both") === ""),
  isupper: ofText([], isUpper),
  islower: ofText([], isLower),
};

const listMethods: Definitions<Value> = {
  index: {
    params: ["value"],
    required: 1,
    run: (value, [item = null], frame) => {
      const at = (listOf(value) ?? []).findIndex((one) => same(one, item, frame));
      return at < 0
        ? fail(frame, "The list does not hold what index looks for: test it first (x in list)")
        : at;
    },
  },
  count: {
    params: ["value"],
    required: 1,
    run: (value, [item = null], frame) =>
      (listOf(value) ?? []).filter((one) => same(one, item, frame)).length,
  },
  copy: { params: [], run: (value) => value },
};

const objectMethods: Definitions<Value> = {
  get: { params: ["key", "default"], required: 1, run: getMember },
  items: { params: [], run: (value) => (isObject(value) ? pairs(value) : []) },
  keys: { params: [], run: (value) => (isObject(value) ? keysOf(value) : []) },
  values: { params: [], run: (value) => (isObject(value) ? valuesOf(value) : []) },
  copy: { params: [], run: (value) => value },
};

const loopMethods: Definitions<Value> = {
  cycle: {
    params: [],
    variadic: true,
    run: (value, [, ...items], frame) => {
      const index = isLoop(value) ? value.index0 : 0;
      return (
        items[index % items.length] ??
        (items.length === 0 ? fail(frame, "loop.cycle needs values to go through") : null)
      );
    },
  },
  changed: {
    params: [],
    variadic: true,
    run: (value, [, ...items], frame) => {
      if (!isLoop(value)) return false;
      const now = items.map((one) => one ?? null);
      if (value.changed !== undefined && same(value.changed, now, frame)) return false;
      value.changed = now;
      return true;
    },
  },
};

const all = new Map<string, Method[]>();
for (const [of, methods] of [
  ["string", stringMethods],
  ["list", listMethods],
  ["object", objectMethods],
  ["loop", loopMethods],
] as const) {
  for (const [name, method] of Object.entries(methods)) {
    all.set(name, [...(all.get(name) ?? []), { of, ...method }]);
  }
}

function splitting(args: Args, frame: Frame): Parameters<typeof split>[1] {
  const separator = separatorOf(textArg(args, 0, frame), frame);
  return { separator, max: wholeArg(args, 1, frame) ?? -1, frame };
}

function parted(text: string, separator: string): Value {
  const at = text.indexOf(separator);
  return at < 0
    ? [text, "", ""]
    : [text.slice(0, at), separator, text.slice(at + separator.length)];
}

function needed(args: Args, frame: Frame): string {
  const [text] = args;
  return typeof text === "string"
    ? text
    : fail(frame, `A string is needed, not ${text === undefined ? "nothing" : kindOf(text)}`);
}

function codePoints(text: string, at: number): number {
  return at < 0 ? -1 : Array.from(text.slice(0, at)).length;
}

function fillOf(args: Args, frame: Frame): string {
  const fill = textArg(args, 1, frame) ?? " ";
  return Array.from(fill).length === 1 ? fill : fail(frame, "The fill must be one character");
}

function filling(text: string, args: Args, frame: Frame): string {
  const width = wholeArg(args, 0, frame) ?? 0;
  return blanks(width - Array.from(text).length, frame).replaceAll(" ", fillOf(args, frame));
}

function matches(pattern: RegExp): Definition<Value> {
  return ofText([], (text) => pattern.test(text));
}
