/** A place in the tokens, and how a parser says what it expected. */
import { templateLimits } from "./limits.ts";
import { TemplateFault } from "./value.ts";
import type { Token } from "./lexer.ts";

export type Cursor = { readonly tokens: readonly Token[]; index: number; depth: number };

const end: Token = { type: "end", text: "", number: 0, at: 0 };

export function current(cursor: Cursor): Token {
  return cursor.tokens[cursor.index] ?? cursor.tokens.at(-1) ?? end;
}

export function ahead(cursor: Cursor): Token {
  return cursor.tokens[cursor.index + 1] ?? end;
}

export function take(cursor: Cursor): Token {
  const token = current(cursor);
  cursor.index += 1;
  return token;
}

export function isOperator(token: Token, text: string): boolean {
  return token.type === "operator" && token.text === text;
}

export function isWord(token: Token, text: string): boolean {
  return token.type === "name" && token.text === text;
}

/** Takes the token if it is this operator. */
export function skipOperator(cursor: Cursor, text: string): boolean {
  if (!isOperator(current(cursor), text)) return false;
  cursor.index += 1;
  return true;
}

/** Takes the token if it is this word. */
export function skipWord(cursor: Cursor, text: string): boolean {
  if (!isWord(current(cursor), text)) return false;
  cursor.index += 1;
  return true;
}

export function expectOperator(cursor: Cursor, text: string): void {
  if (!skipOperator(cursor, text)) expected(cursor, text);
}

export function expectName(cursor: Cursor, what: string): Token {
  return current(cursor).type === "name" ? take(cursor) : expected(cursor, what);
}

/** @throws {TemplateFault} that says what was expected and what stands there. */
export function expected(cursor: Cursor, what: string): never {
  const token = current(cursor);
  throw new TemplateFault(`Expected ${what}, but found ${shown(token)}`, token.at);
}

/** Runs a parser one level deeper. */
export function nested<T>(cursor: Cursor, parse: () => T): T {
  cursor.depth += 1;
  if (cursor.depth > templateLimits.nestingMax) {
    throw new TemplateFault(
      `The template is nested too deep: more than ${String(templateLimits.nestingMax)} levels`,
      current(cursor).at,
    );
  }
  const parsed = parse();
  cursor.depth -= 1;
  return parsed;
}

function shown(token: Token): string {
  switch (token.type) {
    case "end":
      return "the end of the template";
    case "string":
      return "a string";
    case "text":
      return "text";
    case "print":
      return "{{";
    case "statement":
      return "{%";
    default:
      return token.text;
  }
}
