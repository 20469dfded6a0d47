/** Filters over objects, and to and from texts that hold data. */
import { attribute } from "../access.ts";
import { fromBase64, fromUtf8, percentEncode, toBase64, utf8 } from "../bytes.ts";
import { flagArg, textArg, wholeArg, type Definitions } from "../given.ts";
import { describe } from "../operators.ts";
import { jsonOf, numberText, textOf } from "../print.ts";
import {
  fail,
  isList,
  isObject,
  iterate,
  keysOf,
  kindOf,
  order,
  spend,
  touch,
  truthy,
  type Frame,
  type Value,
  type ValueObject,
  isMissing,
  createMissing,
} from "../value.ts";
import type { Json } from "../../../base/json.ts";

const fallback: Definitions<Value>[string] = {
  params: ["default_value", "boolean"],
  takesUndefined: true,
  plain: true,
  run: (value, args) => {
    const absent = isMissing(value) || (flagArg(args, 1) && !truthy(value));
    return absent ? (args[0] === undefined ? "" : args[0]) : value;
  },
};

export const objectFilters: Definitions<Value> = {
  default: fallback,
  d: fallback,
  items: { params: [], run: (value, _, frame) => pairs(needObject(value, frame)) },
  keys: { params: [], run: (value, _, frame) => keysOf(needObject(value, frame)) },
  values: { params: [], run: (value, _, frame) => valuesOf(needObject(value, frame)) },
  dictsort: {
    params: ["case_sensitive", "by", "reverse"],
    run: (value, args, frame) => {
      const by = textArg(args, 1, frame) ?? "key";
      if (by !== "key" && by !== "value")
        return fail(frame, `Cannot sort by "${by}": use key or value`);
      const sign = flagArg(args, 2) ? -1 : 1;
      const all = pairs(needObject(value, frame));
      spend(frame, all.length * 16);
      const keyOf = (pair: readonly Value[]): Value => {
        const key = pair[by === "key" ? 0 : 1] ?? null;
        return typeof key === "string" && !flagArg(args, 0) ? key.toLowerCase() : key;
      };
      return [...all].sort((left, right) => sign * order(keyOf(left), keyOf(right), frame));
    },
  },
  get: {
    params: ["key", "default"],
    required: 1,
    plain: true,
    run: (value, args, frame) => getMember(value, args, frame),
  },
  attr: {
    params: ["name"],
    required: 1,
    plain: true,
    run: (value, args, frame) => {
      const name = textArg(args, 0, frame) ?? "";
      return attribute(value, name, createMissing(`the member ${name}`, false, frame.at));
    },
  },
  tojson: {
    params: ["indent"],
    plain: true,
    run: (value, args, frame) => jsonOf(value, frame, wholeArg(args, 0, frame)),
  },
  fromjson: {
    params: [],
    run: (value, _, frame) => {
      if (isMissing(value)) return value;
      const text = textOf(value, frame);
      spend(frame, text.length);
      const parsed = parseJson(text);
      return parsed === undefined
        ? fail(frame, `Cannot read ${describe(value)} as JSON: it is no valid JSON text`)
        : parsed;
    },
  },
  b64encode: {
    params: [],
    plain: true,
    run: (value, _, frame) => toBase64(utf8(spent(textOf(value, frame), frame))),
  },
  b64decode: {
    params: [],
    plain: true,
    run: (value, _, frame) => {
      const bytes = fromBase64(spent(textOf(value, frame), frame));
      const text = bytes === undefined ? undefined : fromUtf8(bytes);
      return (
        text ?? fail(frame, `Cannot decode ${describe(value)}: it is no Base64 of a UTF-8 text`)
      );
    },
  },
  urlencode: {
    params: [],
    plain: true,
    run: (value, _, frame) => {
      if (!isObject(value) && !isList(value))
        return percentEncode(spent(textOf(value, frame), frame), "/");
      const quoted = (one: Value | undefined): string =>
        percentEncode(spent(textOf(one ?? null, frame), frame), " ").replaceAll(" ", "+");
      const all = isObject(value)
        ? pairs(value)
        : iterate(value, frame).map((one) => iterate(one, frame));
      return all.map((pair) => `${quoted(pair[0])}=${quoted(pair[1])}`).join("&");
    },
  },
};

/** An object's members as `[key, value]`, in the order of the object. */
export function pairs(object: ValueObject): readonly (readonly Value[])[] {
  return keysOf(object).map((key) => [key, object[key] ?? null]);
}

export function valuesOf(object: ValueObject): readonly Value[] {
  return keysOf(object).map((key) => object[key] ?? null);
}

/** `get(key, default)`: null where neither is there. */
export function getMember(
  value: Value,
  [key = null, otherwise = null]: readonly (Value | undefined)[],
  frame: Frame,
): Value {
  if (isMissing(value)) {
    touch(value);
    return otherwise === null ? value : otherwise;
  }
  if (!isObject(value))
    return fail(frame, `Cannot get a member of ${kindOf(value)}: an object is needed`);
  const name = typeof key === "number" ? numberText(key) : key;
  if (typeof name !== "string" || !Object.hasOwn(value, name)) return otherwise;
  const found = value[name];
  return found === undefined ? otherwise : found;
}

function needObject(value: Value, frame: Frame): ValueObject {
  if (isObject(value)) return value;
  if (isMissing(value)) {
    touch(value);
    return {};
  }
  return fail(frame, `An object is needed, not ${kindOf(value)}`);
}

function spent(text: string, frame: Frame): string {
  spend(frame, text.length * 4);
  return text;
}

function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
