/** Filters that give numbers. */
import { flagArg, numberNeeded, textArg, wholeArg, type Definitions } from "../given.ts";
import { rounded } from "../number-format.ts";
import { describe } from "../operators.ts";
import { strip } from "../text-operations.ts";
import { fail, numberOf, type Frame, type Value } from "../value.ts";

export const numberFilters: Definitions<Value> = {
  int: {
    params: ["default", "base"],
    plain: true,
    run: (value, args, frame) =>
      toWhole(value, wholeArg(args, 1, frame) ?? 10, frame) ??
      (args[0] === undefined ? 0 : args[0]),
  },
  float: {
    params: ["default"],
    plain: true,
    run: (value, [fallback]) => toNumber(value) ?? (fallback === undefined ? 0 : fallback),
  },
  abs: { params: [], plain: true, run: (value, _, frame) => Math.abs(numberNeeded(value, frame)) },
  round: {
    params: ["precision", "method"],
    plain: true,
    run: (value, args, frame) => {
      const number = numberNeeded(value, frame);
      const digits = wholeArg(args, 0, frame) ?? 0;
      const method = textArg(args, 1, frame) ?? "common";
      if (method === "common") return rounded(number, digits);
      const unit = 10 ** Math.min(300, Math.max(-300, digits));
      if (method === "floor") return finite(Math.floor(number * unit) / unit, number);
      if (method === "ceil") return finite(Math.ceil(number * unit) / unit, number);
      return fail(frame, `Unknown method "${method}" of round: use common, floor or ceil`);
    },
  },
  filesizeformat: {
    params: ["binary"],
    plain: true,
    run: (value, args, frame) => {
      const bytes = toNumber(value);
      if (bytes === undefined)
        return fail(frame, `A number of bytes is needed, not ${describe(value)}`);
      return fileSize(bytes, flagArg(args, 0));
    },
  },
};

function finite(number: number, otherwise: number): number {
  return Number.isFinite(number) ? (number === 0 ? 0 : number) : otherwise;
}

const decimal =
  /^[+-]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;

/** As Python's `float()`; undefined where it would raise, or give what JSON cannot hold. */
export function toNumber(value: Value): number | undefined {
  if (typeof value !== "string") return numberOf(value);
  const text = strip(value, undefined, "both");
  if (!decimal.test(text)) return undefined;
  const number = Number(text.replaceAll("_", ""));
  return Number.isFinite(number) ? number : undefined;
}

/** As Python's `int()` with Jinja2's second try by way of a float. */
function toWhole(value: Value, base: number, frame: Frame): number | undefined {
  if (typeof value === "number") return trunc(value);
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value !== "string") return undefined;
  const text = strip(value, undefined, "both").toLowerCase();
  const whole = digitsIn(text, base);
  if (whole === undefined) {
    const number = toNumber(text);
    return number === undefined ? undefined : trunc(number);
  }
  if (Number.isSafeInteger(whole)) return whole;
  return fail(
    frame,
    `${describe(value)} is beyond what a JSON number holds exactly: keep it as a string`,
  );
}

const prefixes: { readonly [prefix: string]: number } = { "0x": 16, "0o": 8, "0b": 2 };

function digitsIn(text: string, base: number): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  let digits = /^[+-]/.test(text) ? text.slice(1) : text;
  const prefix = prefixes[digits.slice(0, 2)];
  let radix = base;
  if (prefix !== undefined && (base === prefix || base === 0)) {
    radix = prefix;
    digits = digits.slice(2);
  } else if (base === 0) radix = 10;
  if (radix < 2 || radix > 36 || !/^[\da-z]+(?:_[\da-z]+)*$/.test(digits)) return undefined;
  const plain = digits.replaceAll("_", "");
  for (const digit of plain) if (Number.isNaN(parseInt(digit, radix))) return undefined;
  const whole = sign * parseInt(plain, radix);
  return whole === 0 ? 0 : whole;
}

function trunc(number: number): number {
  const whole = Math.trunc(number);
  return whole === 0 ? 0 : whole;
}

function fileSize(bytes: number, isBinary: boolean): string {
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${String(Math.trunc(bytes))} Bytes`;
  const units = isBinary
    ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
  let size = bytes / base;
  let index = 0;
  while (size >= base && index < units.length - 1) {
    size /= base;
    index += 1;
  }
  return `${size.toFixed(1)} ${units[index] ?? ""}`;
}
