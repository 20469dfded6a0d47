/**
 * JSON from outside: read once, refused with the place where it breaks.
 *
 * 1. What is not JSON is refused with line, column and what was expected there.
 * 2. Values nest at most `depthMax` deep, so no later walk over one can exhaust the stack.
 * 3. No member is named `__proto__`: a copy of the value has the members of the value.
 */
import { fault, type Fault } from "../../event/error.ts";

/** Levels of objects and arrays in one value. */
export const depthMax = 128;

/**
 * @param firstLine the line of the whole body at which `text` begins.
 * @throws {Fault} `invalid_args`
 */
export function readJson(text: string, firstLine = 1): unknown {
  if (text.length > 2 * depthMax && depthOf(text) > depthMax) {
    throw fault(
      "invalid_args",
      `Cannot read the body as it nests deeper than ${String(depthMax)} levels`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notJson(text, firstLine);
  }
  if (text.includes("__proto__") || text.includes("\\u00")) JSON.parse(text, refuseProto);
  return value;
}

function refuseProto(this: unknown, key: string, value: unknown): unknown {
  if (key !== "__proto__") return value;
  throw fault("invalid_args", 'Cannot read the body as a member of it is named "__proto__"');
}

/** How deep a text nests; quotes and escapes are respected, all else is left to the parser. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (quoted) {
      if (character === 0x5c) at += 1;
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x5b || character === 0x7b) deepest = Math.max(deepest, (depth += 1));
    else if (character === 0x5d || character === 0x7d) depth -= 1;
  }
  return deepest;
}

function notJson(text: string, firstLine: number): Fault {
  const { at, expected } = breakOf(text);
  const before = text.slice(0, at).split("\n");
  const line = firstLine + before.length - 1;
  const column = (before.at(-1) ?? "").length + 1;
  const found = at >= text.length ? "the end" : JSON.stringify(text.slice(at, at + 12));
  const message = `expected ${expected}, found ${found}`;
  return fault(
    "invalid_args",
    `Cannot read the body as JSON at line ${String(line)}, column ${String(column)}: ${message}`,
    { problems: [{ pointer: "", message, line, column }] },
  );
}

const token =
  /[{}[\],:]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)/y;

/** Where a text stops being JSON. Only called for one that is not. */
function breakOf(text: string): { readonly at: number; readonly expected: string } {
  const open: string[] = [];
  let expected = "a value";
  for (let at = 0; ; at += 1) {
    while (/[ \t\r\n]/.test(text.charAt(at))) at += 1;
    token.lastIndex = at;
    const word = token.exec(text)?.[0];
    const next = word === undefined ? undefined : follow(expected, word, open);
    if (word === undefined || next === undefined) return { at, expected };
    expected = next;
    at += word.length - 1;
  }
}

/** What may come behind `word`, or `undefined` where `word` itself may not stand here. */
function follow(expected: string, word: string, open: string[]): string | undefined {
  const after = (): string => {
    const inside = open.at(-1);
    return inside === undefined ? "the end" : inside === "[" ? "a comma or ]" : "a comma or }";
  };
  const isName = word.startsWith('"');
  const closes = (word === "]" || word === "}") && expected.endsWith(word);
  if (closes) {
    open.pop();
    return after();
  }
  if (expected.startsWith("a value")) {
    if (word === "{" || word === "[") {
      open.push(word);
      return word === "{" ? "a name in double quotes or }" : "a value or ]";
    }
    return /^[\]},:]$/.test(word) ? undefined : after();
  }
  if (expected.startsWith("a name")) return isName ? "a colon" : undefined;
  if (expected === "a colon") return word === ":" ? "a value" : undefined;
  if (!expected.startsWith("a comma") || word !== ",") return undefined;
  return open.at(-1) === "[" ? "a value" : "a name in double quotes";
}
