/** The ways in which programs write a text. */

/** Shorter values are not looked for. */
export const secretCharsMin = 6;

/** A line of a long secret, as of a key, is a secret where it has this many characters. */
const lineCharsMin = 16;

/** One thing to look for. */
export type SecretForm = {
  readonly text: string;
  /** What every text holds that this form is in: quick to look for. */
  readonly probe: string;
  /** A regular expression without groups: `text`, escaped in any way and up to five times over. */
  readonly pattern: string;
};

/** The value, its lines, what stands for them in JSON, in Python and in a URL, and all in base64 and hexadecimal. */
export function formsOf(value: string): readonly SecretForm[] {
  const lines = value.split(/\r?\n/).filter((line) => line.length >= lineCharsMin);
  const parts = [value, value.trim(), ...lines.filter((line) => !line.startsWith("-----"))];
  const texts = new Set(
    parts.flatMap(spellings).flatMap((spelled) => [spelled, ...encoded(spelled)]),
  );
  return [...texts]
    .filter((text) => text.length >= secretCharsMin)
    .map((text) => ({ probe: probeOf(text), pattern: patternOf(text), text }));
}

function spellings(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const ascii = json.replace(/[\u0080-\uffff]/g, escapedUnit);
  const python = text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n");
  const uri = encodeURIComponent(Buffer.from(text).toString());
  return [text, json, ascii, ascii.replace(/[<>&']/g, escapedUnit), python, uri];
}

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function encoded(text: string): readonly string[] {
  const bytes = Buffer.from(text, "utf8");
  const hex = bytes.toString("hex");
  const base64 = [bytes.toString("base64"), ...[0, 1, 2].map((offset) => within(bytes, offset))];
  return [
    hex,
    hex.toUpperCase(),
    ...base64.flatMap((one) => [one, one.replaceAll("+", "-").replaceAll("/", "_")]),
  ];
}

/**
 * What all texts in base64 share that hold the bytes at this offset (modulo 3), as `user:password` does.
 * The bits that share a character with a neighbour are not part of it.
 */
function within(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  const first = Math.ceil((offset * 8) / 6);
  return text.slice(first, Math.floor(((offset + bytes.length) * 8) / 6));
}

/** Its longest run of letters and digits: nobody escapes those. */
function probeOf(text: string): string {
  const runs = text.match(/[A-Za-z0-9]+/g) ?? [];
  return runs.reduce((longest, run) => (run.length > longest.length ? run : longest), "");
}

/** A backslash, itself as a URL may have it. Repetitions are bounded: a text of backslashes costs no more. */
const backslash = "(?:\\\\|%(?:25){0,8}5[Cc])";

function patternOf(text: string): string {
  return text.replace(/\\+|[A-Za-z0-9]+|[^]/gu, (part) => {
    if (/^[A-Za-z0-9]/.test(part)) return part;
    if (part.startsWith("\\"))
      return `(?:${backslash}|${backslash}{1,32}(?:u005[cC]|x5[cC])|&#92;){1,32}`;
    return charPattern(part);
  });
}

const named: Readonly<Record<string, string>> = {
  "&": "amp",
  "<": "lt",
  ">": "gt",
  '"': "quot",
  "'": "apos",
};

const signs: Readonly<Record<string, string>> = { "\n": "n", "\r": "r", "\t": "t" };

/**
 * One character: bare, by its number in a URL or in HTML, with backslashes before that; or as what only a
 * backslash makes it. What is escaped again has more backslashes, `%25` for `%` and `&amp;` for `&`.
 */
function charPattern(char: string): string {
  const units = char.split("").map((unit) => `u${hexOf(unit.charCodeAt(0), 4)}`);
  const bytes = [...Buffer.from(char)].map((byte) => hexOf(byte, 2));
  const code = char.codePointAt(0) ?? 0;
  const entities = [`#0*${String(code)}`, `#[xX]0*${hexOf(code, 1)}`, named[char]];
  const bare = [
    char.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"),
    bytes.map((byte) => `%(?:25){0,8}${byte}`).join(""),
    `&(?:amp;){0,8}(?:${entities.filter((one) => one !== undefined).join("|")});`,
    ...(char === " " ? ["\\+"] : []),
    ...(char === "'" ? [`'${backslash}{1,32}''`] : []),
  ];
  const escaped = [
    units.join(`${backslash}{1,32}`),
    bytes.map((byte) => `x${byte}`).join(`${backslash}{1,32}`),
    ...(signs[char] === undefined ? [] : [signs[char]]),
  ];
  return `(?:${backslash}{0,32}(?:${bare.reverse().join("|")})|${backslash}{1,32}(?:${escaped.join("|")}))`;
}

/** Digits in either case. */
function hexOf(code: number, digits: number): string {
  const hex = code.toString(16).padStart(digits, "0");
  return hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
}
