/** Members, elements and slices: of own data only, negative indexes from the end, strings by code points. */
import {
  type Loop,
  type Missing,
  type Special,
  fail,
  isList,
  kindOf,
  listOf,
  numberOf,
  spend,
  touch,
  type Frame,
  type Value,
  isMissing,
  isGroup,
  isLoop,
  isNamespace,
  isSpecial,
} from "./value.ts";
import { numberText } from "./print.ts";

/** `base.name`: the member of that name; a method is no member. What is undefined stays the first that was. */
export function attribute(base: Value, name: string, missing: Missing): Value {
  if (typeof base !== "object" || base === null) return missing;
  if (isSpecial(base)) {
    if (isMissing(base)) return base;
    const found = special(base, name);
    return found === undefined ? missing : found;
  }
  if (isList(base) || !Object.hasOwn(base, name)) return missing;
  const found = base[name];
  return found === undefined ? missing : found;
}

/** `base[key]`. */
export function element(base: Value, key: Value, { missing, frame }: Lookup): Value {
  if (isMissing(key)) {
    touch(key);
    return isMissing(base) ? base : missing;
  }
  if (isMissing(base)) return base;
  if (typeof key === "string") return attribute(base, key, missing);
  const index = numberOf(key);
  if (index === undefined) return missing;
  if (typeof base === "string") return character(base, index, frame) ?? missing;
  const list = listOf(base);
  if (list === undefined) return attribute(base, numberText(index), missing);
  const found = list[index < 0 ? index + list.length : index];
  return found === undefined ? missing : found;
}

export type Lookup = { readonly missing: Missing; readonly frame: Frame };

/** Along `a.b.0`, as filters take an attribute; a name of digits is an index. */
export function along(base: Value, path: readonly (string | number)[], lookup: Lookup): Value {
  let value = base;
  for (const part of path) value = element(value, part, lookup);
  return value;
}

export type SliceBounds = {
  readonly start: Value | undefined;
  readonly stop: Value | undefined;
  readonly step: Value | undefined;
};

/** `base[start:stop:step]` of a list or a string. */
export function slice(base: Value, bounds: SliceBounds, frame: Frame): Value {
  if (isMissing(base)) {
    touch(base);
    return base;
  }
  if (typeof base === "string") {
    const all = characters(base, frame);
    return indexes(all.length, bounds, frame)
      .map((index) => all[index] ?? "")
      .join("");
  }
  const list = listOf(base);
  if (list === undefined) {
    return fail(frame, `Cannot take a slice of ${kindOf(base)}: a list or a string is needed`);
  }
  return indexes(list.length, bounds, frame).map((index) => list[index] ?? null);
}

/** Which elements a slice takes, in its order. */
function indexes(length: number, bounds: SliceBounds, frame: Frame): readonly number[] {
  const step = bound(bounds.step, frame) ?? 1;
  if (step === 0) return fail(frame, "Cannot take a slice with step 0: use 1, or -1 to go back");
  const from = step > 0 ? 0 : -1;
  const to = step > 0 ? length : length - 1;
  const clamp = (written: number): number =>
    Math.max(from, Math.min(to, written < 0 ? written + length : written));
  const start = bound(bounds.start, frame);
  const stop = bound(bounds.stop, frame);
  const first = start === undefined ? (step > 0 ? from : to) : clamp(start);
  const end = stop === undefined ? (step > 0 ? to : from) : clamp(stop);
  spend(frame, length);
  const taken: number[] = [];
  for (let index = first; step > 0 ? index < end : index > end; index += step) taken.push(index);
  return taken;
}

/** A string as Python counts it: by code points. */
export function characters(text: string, frame: Frame): readonly string[] {
  spend(frame, text.length);
  return Array.from(text);
}

/** How many code points a string has. */
export function lengthOf(text: string): number {
  return surrogates.test(text) ? Array.from(text).length : text.length;
}

const surrogates = /[\ud800-\udfff]/;

function character(text: string, index: number, frame: Frame): string | undefined {
  if (!surrogates.test(text)) return text[index < 0 ? index + text.length : index];
  const all = characters(text, frame);
  return all[index < 0 ? index + all.length : index];
}

function bound(value: Value | undefined, frame: Frame): number | undefined {
  if (value === undefined || value === null) return undefined;
  const number = numberOf(value);
  if (number !== undefined && Number.isInteger(number)) return number;
  return fail(frame, "A slice needs whole numbers: convert its bounds (| int)");
}

/** Null is a value here: only `undefined` says that there is none. */
function special(base: Special, name: string): Value | undefined {
  if (isNamespace(base)) return base.members.get(name);
  if (isLoop(base)) return loopMember(base, name);
  if (!isGroup(base)) return undefined;
  if (name === "grouper") return base.pair[0];
  return name === "list" ? base.pair[1] : undefined;
}

function loopMember(loop: Loop, name: string): Value | undefined {
  const { index0, items, depth } = loop;
  switch (name) {
    case "index":
      return index0 + 1;
    case "index0":
      return index0;
    case "revindex":
      return items.length - index0;
    case "revindex0":
      return items.length - index0 - 1;
    case "first":
      return index0 === 0;
    case "last":
      return index0 === items.length - 1;
    case "length":
      return items.length;
    case "previtem":
      return items[index0 - 1];
    case "nextitem":
      return items[index0 + 1];
    case "depth":
      return depth;
    case "depth0":
      return depth - 1;
    default:
      return undefined;
  }
}
