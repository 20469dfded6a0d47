/** What may stand after `is`. A test of what a value is takes an undefined one too; it is then nothing but undefined. */
import type { Definitions, Operation } from "./given.ts";
import { comparers, contains, type CompareOperator } from "./operators.ts";
import { textOf } from "./print.ts";
import { isLower, isUpper } from "./text-operations.ts";
import {
  fail,
  isList,
  isObject,
  listOf,
  numberOf,
  touch,
  kindOf,
  type Frame,
  type Value,
  isMissing,
} from "./value.ts";

export const tests: Definitions<boolean> = {
  defined: kind((value) => !isMissing(value)),
  undefined: kind((value) => isMissing(value)),
  none: kind((value) => value === null),
  boolean: kind((value) => typeof value === "boolean"),
  true: kind((value) => value === true),
  false: kind((value) => value === false),
  string: kind((value) => typeof value === "string"),
  number: kind((value) => typeof value === "number" || typeof value === "boolean"),
  integer: kind((value) => typeof value === "number" && Number.isInteger(value)),
  float: kind((value) => typeof value === "number" && !Number.isInteger(value)),
  mapping: kind(isObject),
  sequence: kind(
    (value) => typeof value === "string" || isObject(value) || listOf(value) !== undefined,
  ),
  iterable: kind(
    (value) => typeof value === "string" || isObject(value) || listOf(value) !== undefined,
  ),
  callable: kind(() => false),
  odd: { params: [], run: (value, _, frame) => Math.abs(counted(value, frame) % 2) === 1 },
  even: { params: [], run: (value, _, frame) => counted(value, frame) % 2 === 0 },
  divisibleby: {
    params: ["num"],
    required: 1,
    run: (value, [by], frame) => {
      const divisor = counted(by ?? null, frame);
      if (divisor === 0) return fail(frame, "Nothing is divisible by 0: give another number");
      return counted(value, frame) % divisor === 0;
    },
  },
  in: {
    params: ["seq"],
    required: 1,
    run: (value, [container], frame) => contains(container ?? null, value, frame),
  },
  sameas: { params: ["other"], required: 1, run: (value, [other]) => value === other },
  upper: { params: [], run: (value, _, frame) => isUpper(textOf(value, frame)) },
  lower: { params: [], run: (value, _, frame) => isLower(textOf(value, frame)) },
  ...comparisons(["==", "eq", "equalto"], "=="),
  ...comparisons(["!=", "ne"], "!="),
  ...comparisons([">", "gt", "greaterthan"], ">"),
  ...comparisons([">=", "ge"], ">="),
  ...comparisons(["<", "lt", "lessthan"], "<"),
  ...comparisons(["<=", "le"], "<="),
};

function kind(holds: (value: Value) => boolean): Definitions<boolean>[string] {
  return { params: [], takesUndefined: true, run: holds };
}

function comparisons(names: readonly string[], operator: CompareOperator): Definitions<boolean> {
  const holds = comparers[operator];
  const run: Operation<boolean> = (value, [other = null], frame) => holds(value, other, frame);
  return Object.fromEntries(names.map((name) => [name, { params: ["other"], required: 1, run }]));
}

function counted(value: Value, frame: Frame): number {
  const number = numberOf(value);
  if (number !== undefined) return number;
  if (isMissing(value)) touch(value);
  return fail(
    frame,
    `A number is needed, not ${isList(value) ? "a list" : kindOf(value)}: convert it (| int)`,
  );
}
