/** What Python's strings can do, for filters and methods alike. */
import { isSpace, trimEnd, trimStart } from "./lexer.ts";
import { spend, type Frame } from "./value.ts";

/** Without the characters at its ends; undefined: whitespace. */
export function strip(
  text: string,
  chars: string | undefined,
  ends: "both" | "start" | "end",
): string {
  if (chars === undefined) {
    const tail = ends === "start" ? text : trimEnd(text);
    return ends === "end" ? tail : trimStart(tail);
  }
  const all = Array.from(text);
  let from = 0;
  let to = all.length;
  if (ends !== "end") while (from < to && chars.includes(all[from] ?? "")) from += 1;
  if (ends !== "start") while (to > from && chars.includes(all[to - 1] ?? "")) to -= 1;
  return all.slice(from, to).join("");
}

/** Parts between separators; undefined: between runs of whitespace, no empty parts. */
export function split(
  text: string,
  {
    separator,
    max,
    frame,
  }: { readonly separator: string | undefined; readonly max: number; readonly frame: Frame },
): readonly string[] {
  spend(frame, text.length);
  const limit = max < 0 ? Infinity : max;
  if (separator !== undefined) {
    const parts = text.split(separator);
    if (parts.length - 1 <= limit) return parts;
    return [...parts.slice(0, limit), parts.slice(limit).join(separator)];
  }
  const parts: string[] = [];
  let at = past(text, 0, true);
  while (at < text.length && parts.length < limit) {
    const end = past(text, at, false);
    parts.push(text.slice(at, end));
    at = past(text, end, true);
  }
  return at < text.length ? [...parts, text.slice(at)] : parts;
}

/** Where a run of spaces, or of anything else, ends. */
function past(text: string, from: number, spaces: boolean): number {
  let at = from;
  while (at < text.length && isSpace(text.charAt(at)) === spaces) at += 1;
  return at;
}

/** The same from the right. */
export function splitRight(
  text: string,
  options: { readonly separator: string | undefined; readonly max: number; readonly frame: Frame },
): readonly string[] {
  const turned = {
    ...options,
    separator: options.separator === undefined ? undefined : turn(options.separator),
  };
  return split(turn(text), turned).map(turn).reverse();
}

export function turn(text: string): string {
  return Array.from(text).reverse().join("");
}

/** Replaces from the left, `count` times or (below 0) everywhere. */
export function replace(
  text: string,
  {
    old,
    by,
    count,
    frame,
  }: { readonly old: string; readonly by: string; readonly count: number; readonly frame: Frame },
): string {
  const parts = old === "" ? Array.from(text) : text.split(old);
  const times = Math.min(count < 0 ? Infinity : count, parts.length + 1);
  spend(frame, text.length + times * by.length);
  if (old !== "") {
    const limit = Math.min(times, parts.length - 1);
    return [...parts.slice(0, limit), parts.slice(limit).join(old)].join(by);
  }
  const spread = parts.map((char, index) => (index < times ? by + char : char)).join("");
  return times > parts.length ? spread + by : spread;
}

const lineEnd = /\r\n|[\n\r\v\f\u001c-\u001e\u0085\u2028\u2029]/;

/** Lines without their ends; a last end begins no new line. */
export function lines(text: string): readonly string[] {
  const parts = text.split(lineEnd);
  return parts.at(-1) === "" ? parts.slice(0, -1) : parts;
}

export function capitalize(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** The method: each run of letters begins with a capital. */
export function titleCase(text: string): string {
  return text.replace(/\p{L}+/gu, (word) => capitalize(word));
}

/** The filter: what follows a space, a hyphen or an opening bracket begins with a capital. */
export function titleWords(text: string): string {
  return text
    .split(/([-\s({[<]+)/)
    .map((word) => capitalize(word))
    .join("");
}

/** Fills to a width on both sides, more on the right. */
export function center(
  text: string,
  { width, fill }: { readonly width: number; readonly fill: string },
): string {
  const missing = Math.max(0, width - Array.from(text).length);
  // As CPython does it: an odd remainder goes left where the width is odd.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

export function isUpper(text: string): boolean {
  return text === text.toUpperCase() && text !== text.toLowerCase();
}

export function isLower(text: string): boolean {
  return text === text.toLowerCase() && text !== text.toUpperCase();
}
