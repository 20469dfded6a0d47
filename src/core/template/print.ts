/**
 * Values as text: as Jinja2 prints them (Python's `str` and `repr`), and as JSON.
 *
 * Numbers print as ECMAScript prints them: JSON has one number type, so 3 and 3.0 are one value and print as `3`.
 */
import { templateLimits } from "./limits.ts";
import {
  fail,
  isList,
  keysOf,
  orderText,
  spend,
  tooDeep,
  touch,
  type Frame,
  type Value,
  isMissing,
  isGroup,
  isSpecial,
} from "./value.ts";

/** What `{{ value }}` writes within a text, and what `| string` gives. */
export function textOf(value: Value, frame: Frame): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return numberText(value);
  if (isMissing(value)) {
    touch(value);
    return "";
  }
  return reprOf(value, frame);
}

/** Python's `repr`: strings in quotes, `None`, `True`, `False`. */
export function reprOf(value: Value, frame: Frame): string {
  if (typeof value === "string") return quote(value, frame);
  if (typeof value === "number") return numberText(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === null) return "None";
  return writeRepr(value, frame, 0);
}

export function numberText(value: number): string {
  return String(value);
}

function writeRepr(value: Value, frame: Frame, depth: number): string {
  if (depth > templateLimits.depthMax) tooDeep(frame);
  spend(frame, 2);
  if (isGroup(value)) return `(${list(value.pair, frame, depth)})`;
  if (isMissing(value)) {
    touch(value);
    return "Undefined";
  }
  if (isSpecial(value)) return fail(frame, `Cannot print ${value.what}`);
  if (isList(value)) return `[${list(value, frame, depth)}]`;
  if (typeof value !== "object" || value === null) return reprOf(value, frame);
  const members = keysOf(value).map(
    (key) => `${quote(key, frame)}: ${writeRepr(value[key] ?? null, frame, depth + 1)}`,
  );
  return `{${members.join(", ")}}`;
}

function list(items: readonly Value[], frame: Frame, depth: number): string {
  return items.map((one) => writeRepr(one, frame, depth + 1)).join(", ");
}

/** A list of our own, not Unicode's, so that every engine escapes the same characters. */
const escaped =
  /[\\\u0000-\u001f\u007f-\u00a0\u00ad\u0600-\u0605\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ue000-\uf8ff\ufeff\ufff9-\uffff]/u;

function quote(text: string, frame: Frame): string {
  spend(frame, text.length + 2);
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  if (!escaped.test(text) && !text.includes(mark)) return mark + text + mark;
  let out = "";
  for (const char of text) {
    if (char === mark || char === "\\") out += `\\${char}`;
    else if (char === "\n") out += "\\n";
    else if (char === "\r") out += "\\r";
    else if (char === "\t") out += "\\t";
    else if (escaped.test(char)) {
      const code = char.codePointAt(0) ?? 0;
      out += code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
    } else out += char;
  }
  return mark + out + mark;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}

/**
 * JSON as Jinja2's `tojson` writes it: keys in order, ASCII only, and `<`, `>`, `&`, `'` escaped, so that it
 * can stand within HTML, within a quoted SQL literal and within a quoted word of a shell.
 *
 * @param indent spaces a level; undefined: one line, `", "` and `": "` between the parts.
 */
export function jsonOf(value: Value, frame: Frame, indent: number | undefined): string {
  return writeJson(value, { frame, indent }, 0);
}

type JsonStyle = { readonly frame: Frame; readonly indent: number | undefined };

function writeJson(value: Value, style: JsonStyle, depth: number): string {
  const { frame } = style;
  if (depth > templateLimits.depthMax) tooDeep(frame);
  spend(frame, 4);
  if (typeof value === "string") return jsonString(value, frame);
  if (value === null || typeof value === "number" || typeof value === "boolean") {
    return JSON.stringify(value);
  }
  if (isMissing(value)) {
    touch(value);
    return "null";
  }
  if (isGroup(value)) return writeJson(value.pair, style, depth);
  if (isSpecial(value)) return fail(frame, `Cannot write ${value.what} as JSON`);
  if (isList(value)) {
    const items = value.map((one) => writeJson(one, style, depth + 1));
    return enclose("[]", items, { ...style, depth });
  }
  const members = keysOf(value)
    .sort(orderText)
    .map((key) => `${jsonString(key, frame)}: ${writeJson(value[key] ?? null, style, depth + 1)}`);
  return enclose("{}", members, { ...style, depth });
}

function enclose(
  marks: "[]" | "{}",
  parts: readonly string[],
  { indent, depth, frame }: JsonStyle & { readonly depth: number },
): string {
  if (parts.length === 0) return marks;
  if (indent === undefined) return `${marks.charAt(0)}${parts.join(", ")}${marks.charAt(1)}`;
  spend(frame, parts.length * indent * (depth + 1));
  const inner = `\n${" ".repeat(indent * (depth + 1))}`;
  const outer = `\n${" ".repeat(indent * depth)}`;
  return `${marks.charAt(0)}${inner}${parts.join(`,${inner}`)}${outer}${marks.charAt(1)}`;
}

function jsonString(text: string, frame: Frame): string {
  spend(frame, text.length);
  return JSON.stringify(text).replace(
    /[<>&'\u007f-\uffff]/g,
    (char) => `\\u${hex(char.charCodeAt(0), 4)}`,
  );
}
