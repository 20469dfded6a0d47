/** `"%s of %d" % (a, b)` and `"{} of {:d}".format(a, b)`: what people use of them, sizes bounded. */
import { along, type Lookup } from "./access.ts";
import { formatNumber, pad, type FieldFormat } from "./number-format.ts";
import { reprOf, textOf } from "./print.ts";
import {
  fail,
  isList,
  isObject,
  kindOf,
  member,
  numberOf,
  spend,
  type Frame,
  type Value,
  type ValueObject,
  createMissing,
} from "./value.ts";

const percentField = /%(?:\(([^()%]{0,200})\))?([-+ #0]{0,5})(\d{0,9})(?:\.(\d{1,9}))?([a-zA-Z%])/g;

/** A list gives the fields one by one; an object gives those with names; all else is one field. */
export function percentFormat(format: string, values: Value, frame: Frame): string {
  const list = isList(values) ? values : [values];
  let used = 0;
  const text = replaceFields(
    format,
    percentField,
    ([, name, flags = "", width, precision, type = ""]) => {
      if (type === "%") return "%";
      const value = name === undefined ? list[used] : named(values, name, frame);
      if (name === undefined) used += 1;
      if (value === undefined) {
        return fail(frame, `The format needs more values than it gets: ${String(list.length)}`);
      }
      const left = flags.includes("-");
      const field: FieldFormat = {
        fill: flags.includes("0") && !left ? "0" : " ",
        align: left ? "<" : flags.includes("0") ? "=" : ">",
        sign: flags.includes("+") ? "+" : flags.includes(" ") ? " " : "",
        alternate: flags.includes("#"),
        width: Number(width),
        grouped: false,
        precision: precision === undefined ? undefined : Number(precision),
        type,
      };
      return formatField(value, field, frame);
    },
  );
  if (isList(values) && used < list.length && !format.includes("%(")) {
    return fail(frame, `The format takes ${String(used)} values but gets ${String(list.length)}`);
  }
  return text;
}

/** Replaces each match by what `write` makes of it and its groups. */
function replaceFields(
  format: string,
  pattern: RegExp,
  write: (match: RegExpExecArray) => string,
): string {
  let text = "";
  let end = 0;
  for (const match of format.matchAll(pattern)) {
    text += format.slice(end, match.index) + write(match);
    end = match.index + match[0].length;
  }
  return text + format.slice(end);
}

function named(values: Value, name: string, frame: Frame): Value {
  if (isObject(values)) {
    const found = member(values, name);
    if (found !== undefined) return found;
  }
  return fail(frame, `The format names "${name}", which it does not get`);
}

const braceField = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g;
const fieldSpec = /^(?:(.)?([<>^=]))?([-+ ])?(#)?(0)?(\d*)(,)?(?:\.(\d+))?([a-zA-Z%])?$/u;

/** `str.format`: `{}`, `{0}`, `{name}`, `{a.b}`, `{a[0]}`, each with `!r` and `:spec`. */
export function braceFormat(
  format: string,
  given: { readonly positional: readonly Value[]; readonly named: ValueObject },
  frame: Frame,
): string {
  let next = 0;
  return replaceFields(format, braceField, ([whole, path, conversion, spec = ""]) => {
    if (whole === "{{" || whole === "}}") return whole.charAt(0);
    if (path === undefined) {
      return fail(frame, "A single { or } in a format: write {{ or }} for the sign itself");
    }
    const parts = path.split(/[.[\]]+/);
    const [first = "", ...rest] = parts.filter((part, index) => index === 0 || part !== "");
    const key = first === "" ? String(next) : first;
    if (first === "") next += 1;
    const root = /^\d+$/.test(key) ? given.positional[Number(key)] : member(given.named, key);
    if (root === undefined) return fail(frame, `The format names "${key}", which it does not get`);
    const lookup: Lookup = { missing: createMissing(path, true, frame.at), frame };
    const value = along(root, rest.map(indexOrName), lookup);
    const shown = conversion === "r" || conversion === "a" ? reprOf(value, frame) : value;
    return formatField(shown, readSpec(spec, frame), frame);
  });
}

/** A part of an attribute path as filters and formats take it: digits are an index. */
export function indexOrName(part: string): string | number {
  return /^\d+$/.test(part) ? Number(part) : part;
}

function readSpec(spec: string, frame: Frame): FieldFormat {
  const found = fieldSpec.exec(spec);
  if (found === null) {
    return fail(frame, `Cannot read the format ":${spec}": as in :>8, :05d, :,.2f, :x`);
  }
  const [, fill, align, sign, alternate, zero, width, comma, precision, type] = found;
  return {
    fill: fill ?? (zero === undefined ? " " : "0"),
    align: isAlign(align) ? align : zero === undefined ? "" : "=",
    sign: sign === "+" || sign === " " ? sign : "",
    alternate: alternate !== undefined,
    width: Number(width),
    grouped: comma !== undefined,
    precision: precision === undefined ? undefined : Number(precision),
    type: type ?? "",
  };
}

function isAlign(align: string | undefined): align is "<" | ">" | "^" | "=" {
  return align !== undefined && align.length === 1 && "<>^=".includes(align);
}

function formatField(value: Value, field: FieldFormat, frame: Frame): string {
  spend(frame, field.width + 8);
  if (field.precision !== undefined && field.precision > 100) {
    return fail(frame, "A format gives at most 100 decimals");
  }
  const number = numberOf(value);
  const plain = field.type === "" && field.precision === undefined && !field.grouped;
  switch (field.type) {
    case "":
      if (number === undefined || (plain && typeof value === "boolean")) break;
      return pad(
        plain
          ? field.sign.repeat(number < 0 ? 0 : 1) + textOf(value, frame)
          : formatNumber(number, { ...field, type: field.precision === undefined ? "" : "g" }),
        field,
        true,
      );
    case "s":
      break;
    case "r":
    case "a":
      return pad(cut(reprOf(value, frame), field), field, false);
    case "c":
      return pad(
        number === undefined ? textOf(value, frame) : codePoint(number, frame),
        field,
        false,
      );
    case "i":
    case "u":
      return formatField(value, { ...field, type: "d" }, frame);
    default:
      if (!/^[dfFeEgGxXob%]$/.test(field.type)) {
        return fail(frame, `Unknown conversion "${field.type}": use s, d, f, e, g, x, o, b or r`);
      }
      if (number === undefined) {
        return fail(
          frame,
          `Cannot format ${kindOf(value)} as a number (${field.type}): convert it (| int, | float)`,
        );
      }
      return pad(formatNumber(number, field), field, true);
  }
  return pad(cut(textOf(value, frame), field), field, false);
}

function cut(text: string, field: FieldFormat): string {
  return field.precision === undefined ? text : Array.from(text).slice(0, field.precision).join("");
}

function codePoint(number: number, frame: Frame): string {
  if (Number.isInteger(number) && number >= 0 && number <= 0x10ffff)
    return String.fromCodePoint(number);
  return fail(frame, "A character's code is a whole number up to 1114111");
}
