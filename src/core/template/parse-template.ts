/** Texts, `{{ }}` and the statements of `{% %}`. */
import { nearest } from "../../base/nearest.ts";
import {
  current,
  expectName,
  expectOperator,
  expected,
  isOperator,
  isWord,
  nested,
  skipOperator,
  skipWord,
  take,
  type Cursor,
} from "./cursor.ts";
import { lexExpression, lexTemplate } from "./lexer.ts";
import { parseExpression, parseFilters, parseFirstFilter, parseTuple } from "./parse-expression.ts";
import type { AppliedFilter, Body, Node, Statement, Target } from "./syntax.ts";
import { TemplateFault } from "./value.ts";

/** @throws {TemplateFault} */
export function parseTemplate(source: string): Body {
  const cursor: Cursor = { tokens: lexTemplate(source), index: 0, depth: 0 };
  const body = parseBody(cursor, undefined);
  if (current(cursor).type !== "end") expected(cursor, "the end of the template");
  return body;
}

/** The whole source is one expression. @throws {TemplateFault} */
export function parseBare(source: string): Node {
  const cursor: Cursor = { tokens: lexExpression(source), index: 0, depth: 0 };
  const node = parseTuple(cursor);
  if (current(cursor).type !== "end") expected(cursor, "an operator, a filter or the end");
  return node;
}

/** An open statement, and the words that may end its body. */
type Open = { readonly name: string; readonly at: number; readonly ends: readonly string[] };

/** Up to the statement that ends it; its word is left to be taken. */
function parseBody(cursor: Cursor, open: Open | undefined): Body {
  const body: Statement[] = [];
  for (;;) {
    const token = take(cursor);
    switch (token.type) {
      case "text":
        body.push({ kind: "text", text: token.text, at: token.at });
        break;
      case "print": {
        const value = parseTuple(cursor);
        if (current(cursor).type !== "printEnd") expected(cursor, "an operator, a filter or }}");
        cursor.index += 1;
        body.push({ kind: "print", value, at: token.at });
        break;
      }
      case "statement":
        if (open?.ends.includes(current(cursor).text) === true) return body;
        body.push(nested(cursor, () => parseStatement(cursor, open)));
        break;
      default:
        cursor.index -= 1;
        if (open === undefined) return body;
        throw new TemplateFault(
          `{% ${open.name} %} is not closed: end it with {% ${open.ends.at(-1) ?? ""} %}`,
          open.at,
        );
    }
  }
}

const parsers: { readonly [name: string]: (cursor: Cursor, at: number) => Statement } = {
  if: parseIf,
  for: parseFor,
  set: parseSet,
  with: parseWith,
  filter: parseFilterBlock,
};

const elsewhere = [
  "macro",
  "call",
  "include",
  "import",
  "from",
  "extends",
  "block",
  "do",
  "break",
  "continue",
  "autoescape",
  "trans",
];

function parseStatement(cursor: Cursor, open: Open | undefined): Statement {
  const { text: name, at } = expectName(cursor, "a statement (if, for, set, with, filter, raw)");
  const parse = Object.hasOwn(parsers, name) ? parsers[name] : undefined;
  if (parse !== undefined) return parse(cursor, at);
  if (elsewhere.includes(name)) {
    throw new TemplateFault(
      `{% ${name} %} is not available in playbooks: use if, for, set, with, filter or raw`,
      at,
    );
  }
  if (/^(end|el)/.test(name)) {
    const inside =
      open === undefined
        ? "nothing is open"
        : `${open.name} is open, which ends with ${open.ends.join(", ")}`;
    throw new TemplateFault(`Unexpected {% ${name} %}: ${inside}`, at);
  }
  const near = nearest(name, Object.keys(parsers));
  const hint =
    near === undefined ? "known are if, for, set, with, filter, raw" : `did you mean ${near}?`;
  throw new TemplateFault(`Unknown statement {% ${name} %}: ${hint}`, at);
}

function parseIf(cursor: Cursor, at: number): Statement {
  const branches: { condition: Node; body: Body }[] = [];
  const open: Open = { name: "if", at, ends: ["elif", "else", "endif"] };
  do {
    const condition = parseTuple(cursor);
    endStatement(cursor);
    branches.push({ condition, body: parseBody(cursor, open) });
  } while (skipWord(cursor, "elif"));
  const otherwise = parseElse(cursor, { ...open, ends: ["endif"] });
  return { kind: "if", branches, otherwise, at };
}

function parseFor(cursor: Cursor, at: number): Statement {
  const targets = parseNames(cursor);
  if (!skipWord(cursor, "in")) expected(cursor, "in, as in {% for item in items %}");
  const over = parseTuple(cursor, false);
  const only = skipWord(cursor, "if") ? parseExpression(cursor) : undefined;
  if (isWord(current(cursor), "recursive")) {
    throw new TemplateFault(
      "Recursive loops are not available in playbooks: compute this in a step",
      current(cursor).at,
    );
  }
  endStatement(cursor);
  const open: Open = { name: "for", at, ends: ["else", "endfor"] };
  const body = parseBody(cursor, open);
  const otherwise = parseElse(cursor, { ...open, ends: ["endfor"] });
  return { kind: "for", targets, over, only, body, otherwise, at };
}

/** What stands after `else`, if there is one, and the end of the statement. */
function parseElse(cursor: Cursor, open: Open): Body | undefined {
  let otherwise: Body | undefined;
  if (skipWord(cursor, "else")) {
    endStatement(cursor);
    otherwise = parseBody(cursor, open);
  }
  closeStatement(cursor);
  return otherwise;
}

function parseSet(cursor: Cursor, at: number): Statement {
  const target = parseTarget(cursor);
  if (skipOperator(cursor, "=")) {
    const value = parseTuple(cursor);
    endStatement(cursor);
    return { kind: "set", target, value, at };
  }
  const filters = parseFilters(cursor);
  if (current(cursor).type !== "statementEnd")
    expected(cursor, "= and a value, or %} and a text up to {% endset %}");
  const body = parseBlock(cursor, { name: "set", at, ends: ["endset"] });
  return { kind: "capture", target, filters, body, at };
}

function parseTarget(cursor: Cursor): Target {
  const token = current(cursor);
  const names = parseNames(cursor);
  const [name = ""] = names;
  if (names.length > 1 || !skipOperator(cursor, ".")) return { kind: "names", names };
  const namespace: Node = { kind: "name", name, at: token.at };
  return { kind: "member", namespace, name: expectName(cursor, "the name of a member").text };
}

function parseNames(cursor: Cursor): readonly string[] {
  const enclosed = skipOperator(cursor, "(");
  const names = [parseName(cursor)];
  while (skipOperator(cursor, ",")) {
    if (isWord(current(cursor), "in") || isOperator(current(cursor), "=")) break;
    names.push(parseName(cursor));
  }
  if (enclosed) expectOperator(cursor, ")");
  return names;
}

const constants: readonly string[] = ["true", "True", "false", "False", "none", "None"];

function parseName(cursor: Cursor): string {
  const token = expectName(cursor, "the name of a variable");
  if (!constants.includes(token.text)) return token.text;
  throw new TemplateFault(`${token.text} cannot be set: it is a constant`, token.at);
}

function parseWith(cursor: Cursor, at: number): Statement {
  const locals: (readonly [string, Node])[] = [];
  while (current(cursor).type === "name") {
    const name = parseName(cursor);
    expectOperator(cursor, "=");
    locals.push([name, parseExpression(cursor)]);
    if (!skipOperator(cursor, ",")) break;
  }
  const body = parseBlock(cursor, { name: "with", at, ends: ["endwith"] });
  return { kind: "with", locals, body, at };
}

function parseFilterBlock(cursor: Cursor, at: number): Statement {
  const filters: AppliedFilter[] = [parseFirstFilter(cursor), ...parseFilters(cursor)];
  const body = parseBlock(cursor, { name: "filter", at, ends: ["endfilter"] });
  return { kind: "filtered", filters, body, at };
}

function parseBlock(cursor: Cursor, open: Open): Body {
  endStatement(cursor);
  const body = parseBody(cursor, open);
  closeStatement(cursor);
  return body;
}

/** The word that ended a body, and the `%}` behind it. */
function closeStatement(cursor: Cursor): void {
  take(cursor);
  endStatement(cursor);
}

function endStatement(cursor: Cursor): void {
  skipOperator(cursor, ":");
  if (current(cursor).type !== "statementEnd") expected(cursor, "%}");
  cursor.index += 1;
}
