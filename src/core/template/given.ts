/** How filters, tests, methods and functions read what they are given. */
import {
  fail,
  isList,
  kindOf,
  numberOf,
  touch,
  truthy,
  type Frame,
  type Value,
  isMissing,
} from "./value.ts";
import { indexOrName } from "./percent-format.ts";
import { textOf } from "./print.ts";

/**
 * What stands in the parentheses, in the order of the parameters; what is not given is undefined.
 * Of a variadic function the first is an object of the named ones, and the rest are those without a name.
 */
export type Args = readonly (Value | undefined)[];

export type Operation<T> = (value: Value, args: Args, frame: Frame) => T;

/** One filter, test, method or function, as the compiler needs to know it. */
export type Definition<T> = {
  readonly params: readonly string[];
  /** How many of them must be given. Default: none. */
  readonly required?: number;
  /** Takes any number of arguments, with and without names. */
  readonly variadic?: true;
  /** Asks whether a value is there at all: an undefined one is no error. */
  readonly takesUndefined?: true;
  /** Its result is a scalar, or data as it was: nothing was built that could grow. */
  readonly plain?: true;
  readonly run: Operation<T>;
};

export type Definitions<T> = { readonly [name: string]: Definition<T> };

export function textArg(args: Args, index: number, frame: Frame): string | undefined {
  const value = args[index];
  return value === undefined || value === null ? undefined : textOf(value, frame);
}

export function wholeArg(args: Args, index: number, frame: Frame): number | undefined {
  const value = args[index];
  return value === undefined || value === null ? undefined : wholeOf(value, frame);
}

/** A whole number that must be given. */
export function wholeOf(value: Value | undefined, frame: Frame): number {
  const number = numberOf(value);
  if (number !== undefined && Number.isInteger(number)) return number;
  if (isMissing(value)) touch(value);
  const shown = value === undefined ? "nothing" : kindOf(value);
  return fail(frame, `A whole number is needed, not ${shown}: convert it (| int)`);
}

export function flagArg(args: Args, index: number): boolean {
  const value = args[index];
  return value !== undefined && truthy(value);
}

/** A number, for arithmetic. */
export function numberNeeded(value: Value, frame: Frame): number {
  const number = numberOf(value);
  if (number !== undefined) return number;
  if (isMissing(value)) touch(value);
  return fail(frame, `A number is needed, not ${kindOf(value)}: convert it (| int, | float)`);
}

/** `a.b.0` as the way to a member; undefined: the value itself. */
export function pathArg(value: Value | undefined): readonly (string | number)[] {
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return value.split(".").map(indexOrName);
  return typeof value === "number" ? [value] : [];
}

/** A word or a list of words, as `startswith` takes them. */
export function wordsArg(value: Value | undefined, frame: Frame): readonly string[] {
  if (value === undefined) return [];
  return isList(value) ? value.map((one) => textOf(one, frame)) : [textOf(value, frame)];
}
