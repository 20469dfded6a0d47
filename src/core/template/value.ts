/**
 * What a template computes with, and how values are alike, ordered and true: Python's rules over JSON.
 *
 * 1. There is one number type, JSON's. `true` counts as 1 and `false` as 0, as in Python.
 * 2. Keys of objects are strings. A number used as a key is its decimal text.
 * 3. Nothing is read through a prototype: an object has its own members and no others.
 * 4. A list or an object that a template did not build holds JSON only.
 */
import type { Json } from "../../base/json.ts";
import { templateLimits } from "./limits.ts";

export type Value = null | boolean | number | string | readonly Value[] | ValueObject | Special;

export type ValueObject = { readonly [key: string]: Value | undefined };

/** What lives only while a template renders: never a result, never data. */
export type Special = Missing | Namespace | Group | Loop;

/** A name or a member that is not there. One for each place in the template that may miss. */
export type Missing = {
  readonly special: typeof missingMark;
  readonly what: string;
  /** As written: `ctx.order.id`. */
  readonly path: string;
  readonly strict: boolean;
  readonly at: number;
};

/** What `namespace()` gives: the one thing whose members `{% set ns.x = … %}` changes. */
export type Namespace = {
  readonly special: typeof namespaceMark;
  readonly what: string;
  readonly members: Map<string, Value>;
};

/** One pair of `groupby`: `for key, members in …`, or `.grouper` and `.list`. */
export type Group = {
  readonly special: typeof groupMark;
  readonly what: string;
  readonly pair: readonly [Value, readonly Value[]];
};

/** The variable `loop`. */
export type Loop = {
  readonly special: typeof loopMark;
  readonly what: string;
  index0: number;
  /** What `loop.changed()` was last given. */
  changed: Value | undefined;
  readonly items: readonly Value[];
  readonly depth: number;
};

/** A symbol is no JSON: so the types keep what is special apart from data, too. */
const missingMark: unique symbol = Symbol("undefined");
const namespaceMark: unique symbol = Symbol("namespace");
const groupMark: unique symbol = Symbol("group");
const loopMark: unique symbol = Symbol("loop");

/** What is special is made from this, so that no data can be taken for it. */
class Mark {
  readonly marked = true;
}

function marked<T extends Special>(members: T): T {
  return Object.assign(new Mark(), members);
}

export function createMissing(path: string, strict: boolean, at: number): Missing {
  return marked<Missing>({ special: missingMark, what: "undefined", path, strict, at });
}

export function createNamespace(): Namespace {
  return marked<Namespace>({
    special: namespaceMark,
    what: "a namespace",
    members: new Map<string, Value>(),
  });
}

export function createGroup(grouper: Value, list: readonly Value[]): Group {
  return marked<Group>({ special: groupMark, what: "a group", pair: [grouper, list] });
}

export function createLoop(items: readonly Value[], depth: number): Loop {
  return marked<Loop>({
    special: loopMark,
    what: "the loop",
    index0: 0,
    changed: undefined,
    items,
    depth,
  });
}

export function isSpecial(value: Value | undefined): value is Special {
  return value instanceof Mark;
}

export function isMissing(value: Value | undefined): value is Missing {
  return isSpecial(value) && value.special === missingMark;
}

export function isNamespace(value: Value | undefined): value is Namespace {
  return isSpecial(value) && value.special === namespaceMark;
}

export function isGroup(value: Value | undefined): value is Group {
  return isSpecial(value) && value.special === groupMark;
}

export function isLoop(value: Value | undefined): value is Loop {
  return isSpecial(value) && value.special === loopMark;
}

/** Where roots come from: asked for those only that a template names. `undefined` is undefined in Jinja2. */
export type Scope = {
  readonly get: (root: string) => Json | undefined;
  /** Asked for `root.name` where the value of the root has no such member; absent: it is undefined. */
  readonly member?: (root: string, name: string) => Json | undefined;
};

/** One render: what it reads, what it has written, what it may still use. */
export type Frame = {
  readonly scope: Scope;
  /** Local variables, by the slot that the compiler gave them. */
  slots: (Value | undefined)[];
  text: string;
  workLeft: number;
  loopStepsLeft: number;
  /** Where the operation that runs now stands in the source. */
  at: number;
  /** How deep in two values a comparison is. */
  depth: number;
  /** Which of the strings of a value is rendered. */
  part: number;
};

/** Why a template cannot be compiled or rendered. Thrown inside the engine only. */
export class TemplateFault extends Error {
  override readonly name = "TemplateFault";
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** @throws {TemplateFault} at the operation that runs now. */
export function fail(frame: Frame, message: string): never {
  throw new TemplateFault(message, frame.at);
}

/** Takes from what a render may use. @throws {TemplateFault} where it is used up. */
export function spend(frame: Frame, work: number): void {
  frame.workLeft -= work;
  if (frame.workLeft < 0) {
    fail(
      frame,
      `The template does too much: more than ${String(templateLimits.workMax)} characters and elements. Compute this in a step`,
    );
  }
}

/** An undefined value is used: an error where undefined is strict. */
export function touch(missing: Missing): void {
  if (!missing.strict) return;
  throw new TemplateFault(
    `${missing.path} is undefined: give a default (| default(…)), or test it (is defined)`,
    missing.at,
  );
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isObject(value: Value): value is ValueObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isSpecial(value);
}

/** Reads an object's own member. */
export function member(object: ValueObject, key: string): Value | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The keys of an object as inserted; a member that is `undefined` is not there, as in JSON. */
export function keysOf(object: ValueObject): string[] {
  return Object.keys(object).filter((key) => object[key] !== undefined);
}

/** Builds an object in which every key is an own member, `__proto__` too. */
export function objectOf<T extends Value>(
  entries: Iterable<readonly [string, T]>,
): { readonly [key: string]: T } {
  const built: { [key: string]: T } = {};
  for (const [key, value] of entries) {
    if (key === "__proto__") {
      Object.defineProperty(built, key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    } else built[key] = value;
  }
  return built;
}

/** What a value is, for a message. */
export function kindOf(value: Value): string {
  if (value === null) return "null";
  if (isSpecial(value)) return value.what;
  if (isList(value)) return "a list";
  switch (typeof value) {
    case "string":
      return "a string";
    case "number":
      return "a number";
    case "boolean":
      return "a boolean";
    default:
      return "an object";
  }
}

/** Python's truth: empty, zero, none, false and (lenient) undefined are false. */
export function truthy(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (typeof value === "string") return value.length > 0;
  if (typeof value === "number") return value !== 0;
  if (value === null) return false;
  if (isSpecial(value)) {
    if (!isMissing(value)) return true;
    touch(value);
    return false;
  }
  return isList(value) ? value.length > 0 : keysOf(value).length > 0;
}

/** A number, counting a boolean as 0 or 1; `undefined` for all else. */
export function numberOf(value: Value | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return undefined;
}

/** Equality by value. */
export function same(left: Value, right: Value, frame: Frame): boolean {
  if (typeof left === "string" && typeof right === "string") {
    if (left.length > 1_024) spend(frame, left.length >> 4);
    return left === right;
  }
  if (isMissing(left) || isMissing(right)) {
    if (isMissing(left)) touch(left);
    if (isMissing(right)) touch(right);
    return isMissing(left) && isMissing(right);
  }
  const number = numberOf(left);
  if (number !== undefined) return number === numberOf(right);
  if (typeof left !== "object" || typeof right !== "object") return false;
  if (left === null || right === null) return left === right;
  return deeper(frame, () => sameMembers(left, right, frame));
}

function sameMembers(left: Value, right: Value, frame: Frame): boolean {
  const leftList = listOf(left);
  const rightList = listOf(right);
  if (leftList !== undefined && rightList !== undefined) {
    if (leftList.length !== rightList.length) return false;
    return leftList.every((one, index) => same(one, rightList[index] ?? null, frame));
  }
  if (!isObject(left) || !isObject(right)) return left === right;
  const keys = keysOf(left);
  if (keys.length !== keysOf(right).length) return false;
  return keys.every((key) => {
    const other = member(right, key);
    return other !== undefined && same(left[key] ?? null, other, frame);
  });
}

/** Below, equal or above zero. Numbers with numbers, strings with strings, lists with lists. */
export function order(left: Value, right: Value, frame: Frame): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return orderText(left, right);
  if (isMissing(left)) touch(left);
  if (isMissing(right)) touch(right);
  const leftNumber = numberOf(left);
  const rightNumber = numberOf(right);
  if (leftNumber !== undefined && rightNumber !== undefined) return leftNumber - rightNumber;
  const leftList = listOf(left);
  const rightList = listOf(right);
  if (leftList !== undefined && rightList !== undefined) {
    return deeper(frame, () => orderLists(leftList, rightList, frame));
  }
  const absent = [left, right].find(isMissing);
  const hint =
    absent === undefined
      ? "convert one of them (| int, | float, | string)"
      : `${absent.path} has no value here: give it one (| default(…))`;
  return fail(frame, `Cannot compare ${kindOf(left)} with ${kindOf(right)}: ${hint}`);
}

/** The first elements that differ decide; of two that begin alike, the shorter is less. */
function orderLists(left: readonly Value[], right: readonly Value[], frame: Frame): number {
  for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
    const one = left[index] ?? null;
    const other = right[index] ?? null;
    if (!same(one, other, frame)) return order(one, other, frame);
  }
  return left.length - right.length;
}

/** Goes one level into two values. */
function deeper<T>(frame: Frame, compare: () => T): T {
  spend(frame, 1);
  frame.depth += 1;
  if (frame.depth > templateLimits.depthMax) tooDeep(frame);
  const found = compare();
  frame.depth -= 1;
  return found;
}

/** By code points, as Python orders strings; UTF-16 code units differ beyond the basic plane. */
export function orderText(left: string, right: string): number {
  if (left === right) return 0;
  const length = Math.min(left.length, right.length);
  let at = 0;
  while (at < length && left.charCodeAt(at) === right.charCodeAt(at)) at += 1;
  if (at === length) return left.length - right.length;
  if (at > 0 && isHighSurrogate(left.charCodeAt(at - 1))) at -= 1;
  return (left.codePointAt(at) ?? 0) - (right.codePointAt(at) ?? 0);
}

/** The elements of a list or of a group. */
export function listOf(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value;
  return isGroup(value) ? value.pair : undefined;
}

/** What a loop goes through: elements, keys, characters; nothing for a lenient undefined. */
export function iterate(value: Value, frame: Frame): readonly Value[] {
  const list = listOf(value);
  if (list !== undefined) return list;
  if (typeof value === "string") {
    spend(frame, value.length);
    return Array.from(value);
  }
  if (isMissing(value)) {
    touch(value);
    return [];
  }
  if (isObject(value)) return keysOf(value);
  return fail(frame, `Cannot go through ${kindOf(value)}: a list, an object or a string is needed`);
}

export function tooDeep(frame: Frame): never {
  return fail(
    frame,
    `The value is nested too deep: more than ${String(templateLimits.depthMax)} levels`,
  );
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
