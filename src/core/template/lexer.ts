/** A template's source as tokens: texts, and what stands in `{{ }}` and `{% %}`. */
import { TemplateFault } from "./value.ts";

export type Token = {
  readonly type:
    | "text"
    | "print"
    | "printEnd"
    | "statement"
    | "statementEnd"
    | "name"
    | "string"
    | "number"
    | "operator"
    | "end";
  /** A name, an operator, a text, or the value of a string. */
  readonly text: string;
  readonly number: number;
  readonly at: number;
};

const name = /[\p{ID_Start}_][\p{ID_Continue}]*/uy;
const float = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const integer = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const string = /'[^'\\]*(?:\\[^][^'\\]*)*'|"[^"\\]*(?:\\[^][^"\\]*)*"/y;
const operator = /\*\*|\/\/|==|!=|>=|<=|[-+*/%~[\](){}><=.:|,;]/y;
/** Python's whitespace: not quite that of ECMAScript. */
const space =
  "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const whitespace = new RegExp(`[${space}]+`, "y");
const rawStart = /\{%[-+]?\s*raw\s*(-?)%\}/y;
const rawEnd = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;

/** @throws {TemplateFault} */
export function lexTemplate(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  const end = /\r?\n$/.exec(source)?.index ?? source.length;
  const text = (from: number, to: number, trim: boolean): void => {
    let content = source.slice(from, to).replace(/\r\n?/g, "\n");
    if (trimNext) content = trimStart(content);
    if (trim) content = trimEnd(content);
    if (content !== "") tokens.push({ type: "text", text: content, number: 0, at: from });
    trimNext = false;
  };
  while (at < end) {
    const open = nextTag(source, at, end);
    text(at, open, source[open + 2] === "-");
    if (open >= end) break;
    const sign = source[open + 2];
    const inside = open + (sign === "-" || sign === "+" ? 3 : 2);
    rawStart.lastIndex = open;
    const raw = rawStart.exec(source);
    if (raw !== null) {
      rawEnd.lastIndex = rawStart.lastIndex;
      const close = rawEnd.exec(source);
      if (close === null)
        throw new TemplateFault("{% raw %} is not closed: end it with {% endraw %}", open);
      trimNext = raw[1] === "-";
      text(open + raw[0].length, close.index, close[1] === "-");
      trimNext = close[2] === "-";
      at = rawEnd.lastIndex;
      continue;
    }
    if (source[open + 1] === "#") {
      const close = source.indexOf("#}", inside);
      if (close < 0) throw new TemplateFault("The comment is not closed: end it with #}", open);
      trimNext = source[close - 1] === "-" && close - 1 >= inside;
      at = close + 2;
      continue;
    }
    const print = source[open + 1] === "{";
    tokens.push({ type: print ? "print" : "statement", text: "", number: 0, at: open });
    const closed = lexInside(source, { from: inside, close: print ? "}}" : "%}", open }, tokens);
    trimNext = closed.trim;
    at = closed.at;
  }
  tokens.push({ type: "end", text: "", number: 0, at: source.length });
  return tokens;
}

/** The tokens of a bare expression. @throws {TemplateFault} */
export function lexExpression(source: string): readonly Token[] {
  const tokens: Token[] = [];
  lexInside(source, { from: 0, close: undefined, open: 0 }, tokens);
  tokens.push({ type: "end", text: "", number: 0, at: source.length });
  return tokens;
}

type Inside = {
  readonly from: number;
  readonly close: "}}" | "%}" | undefined;
  readonly open: number;
};

function lexInside(
  source: string,
  { from, close, open }: Inside,
  tokens: Token[],
): { readonly at: number; readonly trim: boolean } {
  const brackets: string[] = [];
  let at = from;
  while (at < source.length) {
    at = skip(whitespace, source, at);
    if (close !== undefined && brackets.length === 0) {
      const sign = source[at] === "-" || (close === "%}" && source[at] === "+") ? 1 : 0;
      if (source.startsWith(close, at + sign)) {
        tokens.push({
          type: close === "}}" ? "printEnd" : "statementEnd",
          text: close,
          number: 0,
          at,
        });
        return { at: at + sign + 2, trim: source[at] === "-" };
      }
    }
    if (at >= source.length) break;
    const token = lexOne(source, at, tokens.at(-1));
    if (token.type === "operator") balance(brackets, token);
    tokens.push(token);
    at = token.end;
  }
  if (close === undefined) return { at, trim: false };
  throw new TemplateFault(
    `${close === "}}" ? "{{" : "{%"} is not closed: end it with ${close}`,
    open,
  );
}

function lexOne(source: string, at: number, before: Token | undefined): Token & { end: number } {
  const afterDot = before?.type === "operator" && before.text === ".";
  const number = (afterDot ? undefined : match(float, source, at)) ?? match(integer, source, at);
  if (number !== undefined) {
    const value = Number(number.replaceAll("_", ""));
    if (!/[.e]/i.test(number.replace(/^0x.*/i, "")) && !Number.isSafeInteger(value)) {
      throw new TemplateFault(
        `${number} is beyond what a JSON number holds exactly: write it in quotes`,
        at,
      );
    }
    if (!Number.isFinite(value))
      throw new TemplateFault(`${number} is no number that JSON can hold`, at);
    return { type: "number", text: number, number: value, at, end: at + number.length };
  }
  const word = match(name, source, at);
  if (word !== undefined) return { type: "name", text: word, number: 0, at, end: at + word.length };
  const quoted = match(string, source, at);
  if (quoted !== undefined) {
    const text = unescape(quoted.slice(1, -1));
    return { type: "string", text, number: 0, at, end: at + quoted.length };
  }
  const sign = match(operator, source, at);
  if (sign !== undefined)
    return { type: "operator", text: sign, number: 0, at, end: at + sign.length };
  throw new TemplateFault(unexpected(source, at), at);
}

function unexpected(source: string, at: number): string {
  const char = String.fromCodePoint(source.codePointAt(at) ?? 0);
  const hint: { readonly [char: string]: string } = {
    "'": "the string is not closed: end it with '",
    '"': 'the string is not closed: end it with "',
    "&": "write and",
    "!": "write not, or !=",
    "?": "write a if condition else b",
    "^": "write ** for a power",
  };
  return `Unexpected ${char}: ${Object.hasOwn(hint, char) ? (hint[char] ?? "") : "it has no meaning in an expression; put text in quotes"}`;
}

function balance(brackets: string[], token: Token): void {
  const closes = ")]}".indexOf(token.text);
  if (["(", "[", "{"].includes(token.text)) brackets.push(token.text);
  else if (closes >= 0) {
    const open = brackets.pop();
    if (open === "([{".charAt(closes)) return;
    const problem =
      open === undefined ? "nothing is open that it closes" : `the ${open} before it is not closed`;
    throw new TemplateFault(`Unexpected ${token.text}: ${problem}`, token.at);
  }
}

function nextTag(source: string, from: number, end: number): number {
  for (let at = source.indexOf("{", from); at >= 0 && at < end; at = source.indexOf("{", at + 1)) {
    if (["{", "%", "#"].includes(source.charAt(at + 1))) return at;
  }
  return end;
}

function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

function skip(pattern: RegExp, source: string, at: number): number {
  return at + (match(pattern, source, at)?.length ?? 0);
}

const escape = /\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[^])/g;

const simpleEscapes: { readonly [char: string]: string } = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\u0007",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/** Python's escapes; an unknown one stays as written. */
function unescape(text: string): string {
  if (!text.includes("\\")) return text.replace(/\r\n?/g, "\n");
  return text.replace(/\r\n?/g, "\n").replace(escape, (whole) => {
    const kind = whole.charAt(1);
    if (Object.hasOwn(simpleEscapes, kind) && whole.length === 2) return simpleEscapes[kind] ?? "";
    if (/[0-7]/.test(kind)) return String.fromCharCode(parseInt(whole.slice(1), 8));
    const code = whole.length > 2 ? parseInt(whole.slice(2), 16) : NaN;
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

const leading = new RegExp(`^[${space}]+`);

export function trimStart(text: string): string {
  return text.replace(leading, "");
}

export function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

const oneSpace = new RegExp(`^[${space}]$`);

export function isSpace(char: string): boolean {
  return oneSpace.test(char);
}
