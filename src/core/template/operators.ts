/**
 * Arithmetic, joining and membership, as Python has them, over JSON's one number type.
 *
 * `/` is true division and `//` floors. Whole numbers stay exact: a result that a JSON number cannot hold is
 * refused, never rounded.
 */
import { lengthOf } from "./access.ts";
import { textOf, numberText } from "./print.ts";
import { percentFormat } from "./percent-format.ts";
import {
  fail,
  isList,
  isObject,
  kindOf,
  listOf,
  member,
  numberOf,
  order,
  same,
  spend,
  touch,
  type Frame,
  type Value,
  isMissing,
} from "./value.ts";

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";

export type CompareOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

type Binary = (left: Value, right: Value, frame: Frame) => Value;

export const binary: { readonly [operator in BinaryOperator]: Binary } = {
  "+": add,
  "-": (left, right, frame) => arithmetic("-", [left, right], frame),
  "*": multiply,
  "/": (left, right, frame) => arithmetic("/", [left, right], frame),
  "//": (left, right, frame) => arithmetic("//", [left, right], frame),
  "%": (left, right, frame) =>
    typeof left === "string"
      ? percentFormat(left, right, frame)
      : arithmetic("%", [left, right], frame),
  "**": (left, right, frame) => arithmetic("**", [left, right], frame),
};

type Compare = (left: Value, right: Value, frame: Frame) => boolean;

export const comparers: { readonly [operator in CompareOperator]: Compare } = {
  "==": (left, right, frame) => same(left, right, frame),
  "!=": (left, right, frame) => !same(left, right, frame),
  "<": (left, right, frame) => order(left, right, frame) < 0,
  "<=": (left, right, frame) => order(left, right, frame) <= 0,
  ">": (left, right, frame) => order(left, right, frame) > 0,
  ">=": (left, right, frame) => order(left, right, frame) >= 0,
  in: (left, right, frame) => contains(right, left, frame),
  "not in": (left, right, frame) => !contains(right, left, frame),
};

type Pair = readonly [Value, Value];

/** `item in container`. */
export function contains(container: Value, item: Value, frame: Frame): boolean {
  if (isMissing(container)) {
    touch(container);
    return false;
  }
  if (isMissing(item)) touch(item);
  if (typeof container === "string") {
    spend(frame, container.length);
    if (typeof item === "string") return container.includes(item);
    if (isMissing(item)) return false;
    return fail(
      frame,
      `Cannot look for ${kindOf(item)} in a string: convert it to a string (| string)`,
    );
  }
  const list = listOf(container);
  if (list !== undefined) {
    spend(frame, list.length);
    return list.some((one) => same(one, item, frame));
  }
  if (!isObject(container)) {
    return fail(
      frame,
      `Cannot look for something in ${kindOf(container)}: a list, an object or a string is needed`,
    );
  }
  const key = typeof item === "number" ? numberText(item) : item;
  return typeof key === "string" && member(container, key) !== undefined;
}

/** `-value` and `+value`. */
export function signed(sign: "-" | "+", value: Value, frame: Frame): number {
  const number = numberOf(value);
  if (number !== undefined) return sign === "-" ? 0 - number : number;
  if (isMissing(value)) touch(value);
  return fail(frame, `Cannot put ${sign} before ${describe(value)}: a number is needed (| int)`);
}

/** What both sides of an operator give as text, one after the other. */
export function joined(values: readonly Value[], frame: Frame): string {
  let text = "";
  for (const value of values) text += textOf(value, frame);
  spend(frame, text.length);
  return text;
}

export function add(left: Value, right: Value, frame: Frame): Value {
  if (typeof left === "number" && typeof right === "number") {
    const sum = left + right;
    return Number.isSafeInteger(sum) ? sum : whole(sum, [left, right], frame);
  }
  if (typeof left === "string" && typeof right === "string") {
    spend(frame, left.length + right.length);
    return left + right;
  }
  if (isList(left) && isList(right)) {
    spend(frame, left.length + right.length);
    return [...left, ...right];
  }
  return arithmetic("+", [left, right], frame);
}

function multiply(left: Value, right: Value, frame: Frame): Value {
  if (typeof left === "string" || isList(left)) return repeat(left, right, frame);
  if (typeof right === "string" || isList(right)) return repeat(right, left, frame);
  return arithmetic("*", [left, right], frame);
}

function repeat(value: string | readonly Value[], times: Value, frame: Frame): Value {
  const count = numberOf(times);
  if (count === undefined || !Number.isInteger(count)) {
    if (isMissing(times)) touch(times);
    return fail(
      frame,
      `Cannot repeat ${kindOf(value)} by ${describe(times)}: a whole number is needed (| int)`,
    );
  }
  const bounded = Math.max(0, count);
  spend(frame, bounded * Math.max(1, value.length) * (typeof value === "string" ? 1 : 4));
  if (typeof value === "string") return value.repeat(bounded);
  return Array.from({ length: bounded }, () => value).flat();
}

function arithmetic(operator: BinaryOperator, values: Pair, frame: Frame): number {
  const [left, right] = values.map(numberOf);
  if (left === undefined || right === undefined) return cannot(operator, values, frame);
  return whole(calculate(operator, [left, right], frame), [left, right], frame);
}

function calculate(
  operator: BinaryOperator,
  [left, right]: readonly [number, number],
  frame: Frame,
): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "**":
      if (left === 0 && right < 0) return fail(frame, "Cannot raise 0 to a power below 0");
      return left ** right;
    case "/":
      return left / divisor(right, frame);
    case "%":
      return modulo(left, divisor(right, frame));
    case "//":
      return Math.round((left - modulo(left, divisor(right, frame))) / right);
  }
}

/** The remainder has the sign of the divisor. */
function modulo(left: number, right: number): number {
  const rest = left % right;
  return rest !== 0 && rest < 0 !== right < 0 ? rest + right : rest;
}

function divisor(right: number, frame: Frame): number {
  return right === 0 ? fail(frame, "Cannot divide by 0: test the divisor first") : right;
}

function whole(result: number, operands: readonly number[], frame: Frame): number {
  if (Number.isSafeInteger(result)) return result === 0 ? 0 : result;
  if (!Number.isFinite(result)) return fail(frame, "The result is no number that JSON can hold");
  if (Number.isInteger(result) && operands.every(Number.isSafeInteger)) {
    return fail(
      frame,
      "The result is beyond 9007199254740991, where a JSON number is no longer exact: keep it as a string",
    );
  }
  return result;
}

function cannot(operator: BinaryOperator, [left, right]: Pair, frame: Frame): never {
  for (const value of [left, right]) if (isMissing(value)) touch(value);
  const hint =
    operator === "+" && (typeof left === "string" || typeof right === "string")
      ? "join texts with ~, or convert (| int, | string)"
      : "numbers are needed (| int, | float)";
  return fail(frame, `Cannot compute ${describe(left)} ${operator} ${describe(right)}: ${hint}`);
}

/** A short value for a message; an undefined one by its name. */
export function describe(value: Value): string {
  if (isMissing(value)) return `${value.path} (undefined)`;
  if (typeof value === "string" && lengthOf(value) <= 20) return `the string '${value}'`;
  return kindOf(value);
}
