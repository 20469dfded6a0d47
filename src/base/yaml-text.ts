/**
 * The way back from a character of a text to the file that holds it.
 *
 * A file may fold a text, indent it or escape parts of it; all of that changes white space alone, or stands
 * for one character at a time. So the characters that are no white space are the same on both sides, in the
 * same order: they are counted.
 */
import type { Scalar } from "yaml";

/** The offset in the file of a character of the text; for white space, of where it begins. */
export type OffsetOf = (within: number) => number;

/**
 * Walks a text once, so that each of its characters can be found at once.
 *
 * @param source the whole file.
 */
export function textOffsets(node: Scalar, source: string): OffsetOf {
  const [from, until] = node.range ?? [0, 0];
  const value = typeof node.value === "string" ? node.value : "";
  /** Of each character that is no white space: where it is written, and where that ends. */
  const starts: number[] = [];
  const ends: number[] = [];
  const first = contentOf(node, source, from);
  for (let at = first; at < until;) {
    const { length, means } = tokenAt(node, source, at);
    for (let unit = count(means); unit > 0; unit -= 1) {
      starts.push(at);
      ends.push(at + length);
    }
    at += length;
  }
  /** How many characters before each are no white space. */
  const before: number[] = [0];
  for (let index = 0; index < value.length; index += 1) {
    before.push((before[index] ?? 0) + (isBlank(value.charAt(index)) ? 0 : 1));
  }
  return (within) => {
    const solid = before[Math.min(within, value.length)] ?? 0;
    if (!isBlank(value.charAt(within))) return starts[solid] ?? until;
    return solid === 0 ? first : (ends[solid - 1] ?? until);
  };
}

/** Where the characters of a scalar begin: behind the quote, or on the line below `|` and `>`. */
function contentOf(node: Scalar, text: string, from: number): number {
  if (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE") return from + 1;
  if (node.type !== "BLOCK_LITERAL" && node.type !== "BLOCK_FOLDED") return from;
  return text.indexOf("\n", from) + 1;
}

function isBlank(text: string): boolean {
  return text === "" || /\s/.test(text);
}

/** UTF-16 units that are no white space. */
function count(text: string): number {
  let solid = 0;
  for (let index = 0; index < text.length; index += 1) {
    if (!isBlank(text.charAt(index))) solid += 1;
  }
  return solid;
}

type Token = { readonly length: number; readonly means: string };

const escaped = /\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(\r?\n|[\s\S]))/y;

/** What a letter after `\` stands for, where it is not itself. */
const letters: ReadonlyMap<string, string> = new Map([
  ["0", "\0"],
  ["a", "\x07"],
  ["b", "\b"],
  ["e", "\x1b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["N", "\u0085"],
  ["_", "\u00a0"],
  ["L", "\u2028"],
  ["P", "\u2029"],
]);

function tokenAt(node: Scalar, source: string, at: number): Token {
  const written = source.charAt(at);
  if (node.type === "QUOTE_SINGLE" && source.startsWith("''", at)) return { length: 2, means: "'" };
  if (node.type !== "QUOTE_DOUBLE" || written !== "\\") return { length: 1, means: written };
  escaped.lastIndex = at;
  const found = escaped.exec(source);
  if (found === null) return { length: 1, means: written };
  const [whole, two, four, eight, letter = ""] = found;
  const code = two ?? four ?? eight;
  const means =
    code === undefined
      ? (letters.get(letter) ?? letter)
      : String.fromCodePoint(Math.min(Number.parseInt(code, 16), 0x10ffff));
  return { length: whole.length, means };
}
