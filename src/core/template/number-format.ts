/** Numbers as Python formats and rounds them: correctly, ties to the even neighbour. */

/** Rounds to `digits` decimals; below zero, to tens, hundreds, …. */
export function rounded(value: number, digits: number): number {
  if (digits > 100 || !Number.isFinite(value)) return value;
  if (digits >= 0) return Number(fixed(value, digits));
  const unit = 10 ** Math.min(300, -digits);
  const scaled = value / unit;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const up = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0);
  return (up ? floor + 1 : floor) * unit;
}

/** As `toFixed`, with a tie going to the even digit and no exponent for large numbers. */
export function fixed(value: number, digits: number): string {
  const size = Math.abs(value);
  const sign = value < 0 ? "-" : "";
  if (size >= 1e21)
    return sign + BigInt(size).toString() + (digits > 0 ? "." + "0".repeat(digits) : "");
  const exact = size.toFixed(Math.min(100, digits + 30));
  const point = exact.indexOf(".");
  const cut = exact.slice(0, digits === 0 ? point : point + 1 + digits);
  const tie = /^50*$/.test(exact.slice(point + 1 + digits));
  const even = "02468".includes(cut.charAt(cut.length - 1));
  return sign + (tie && even ? cut : size.toFixed(digits));
}

/** The form of one number or text in a field: what follows `%` or `:`. */
export type FieldFormat = {
  readonly fill: string;
  readonly align: "<" | ">" | "^" | "=" | "";
  readonly sign: "+" | " " | "";
  readonly alternate: boolean;
  readonly width: number;
  readonly grouped: boolean;
  readonly precision: number | undefined;
  readonly type: string;
};

/** The digits of a number, signed and grouped, not padded. */
export function formatNumber(value: number, format: FieldFormat): string {
  const size = Math.abs(value);
  const digits = digitsOf(size, format);
  const negative = value < 0 && /[1-9a-f]/i.test(digits);
  const sign = negative ? "-" : format.sign;
  return sign + (format.grouped ? grouped(digits) : digits);
}

/** Pads to the width; `=` (and zero filling) puts the padding after the sign. */
export function pad(text: string, format: FieldFormat, numeric: boolean): string {
  const missing = format.width - Array.from(text).length;
  if (missing <= 0) return text;
  const align = format.align === "" ? (numeric ? ">" : "<") : format.align;
  if (align === "<") return text + format.fill.repeat(missing);
  if (align === ">") return format.fill.repeat(missing) + text;
  if (align === "^") {
    const left = Math.floor(missing / 2);
    return format.fill.repeat(left) + text + format.fill.repeat(missing - left);
  }
  const sign = /^[-+ ]/.test(text) ? text.charAt(0) : "";
  return sign + format.fill.repeat(missing) + text.slice(sign.length);
}

function digitsOf(size: number, format: FieldFormat): string {
  const { type, precision = 6, alternate } = format;
  switch (type.toLowerCase()) {
    case "f":
      return fixed(size, precision);
    case "%":
      return `${fixed(size * 100, precision)}%`;
    case "e":
      return cased(exponent(size.toExponential(precision)), type);
    case "g":
      return cased(general(size, Math.max(1, precision)), type);
    case "x":
      return cased((alternate ? "0x" : "") + Math.trunc(size).toString(16), type);
    case "o":
      return (alternate ? "0o" : "") + Math.trunc(size).toString(8);
    case "b":
      return (alternate ? "0b" : "") + Math.trunc(size).toString(2);
    case "d":
      return fixed(Math.trunc(size), 0);
    default:
      return String(size);
  }
}

function cased(text: string, type: string): string {
  return type === type.toUpperCase() ? text.toUpperCase() : text;
}

function exponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

function general(size: number, precision: number): string {
  if (size === 0) return "0";
  const scientific = size.toExponential(precision - 1);
  const power = Number(scientific.slice(scientific.indexOf("e") + 1));
  const text =
    power < -4 || power >= precision
      ? exponent(scientific)
      : fixed(size, Math.max(0, precision - 1 - power));
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
}

function grouped(digits: string): string {
  const [, whole = "", rest = ""] = /^(\d+)(.*)$/.exec(digits) ?? [];
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + rest;
}
