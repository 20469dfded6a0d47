/** Expressions, with the precedence that Jinja2 has: `if` < or < and < not < comparison < + - < ~ < * / // % < ** < sign < filter. */
import {
  ahead,
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
import type { BinaryOperator, CompareOperator } from "./operators.ts";
import type { AppliedFilter, Comparison, Given, Node } from "./syntax.ts";
import { TemplateFault } from "./value.ts";

/** An expression, or several with commas between: then a list. */
export function parseTuple(cursor: Cursor, withChoice = true): Node {
  const { at } = current(cursor);
  const one = (): Node =>
    withChoice ? parseExpression(cursor) : nested(cursor, () => parseOr(cursor));
  const first = one();
  if (!isOperator(current(cursor), ",")) return first;
  const items = [first];
  while (skipOperator(cursor, ",") && !endsTuple(cursor)) items.push(one());
  return { kind: "list", items, tuple: true, at };
}

/** `a if b else c`, and all that binds closer. */
export function parseExpression(cursor: Cursor): Node {
  return nested(cursor, () => {
    let node = parseOr(cursor);
    while (isWord(current(cursor), "if")) {
      const { at } = take(cursor);
      const condition = parseOr(cursor);
      const otherwise = skipWord(cursor, "else") ? parseExpression(cursor) : undefined;
      node = { kind: "choice", condition, then: node, otherwise, at };
    }
    return node;
  });
}

function parseOr(cursor: Cursor): Node {
  return several(cursor, "or", parseAnd);
}

function parseAnd(cursor: Cursor): Node {
  return several(cursor, "and", parseNot);
}

function several(cursor: Cursor, word: "and" | "or", parse: (cursor: Cursor) => Node): Node {
  const first = parse(cursor);
  if (!isWord(current(cursor), word)) return first;
  const { at } = current(cursor);
  const operands = [first];
  while (skipWord(cursor, word)) operands.push(parse(cursor));
  return { kind: word, operands, at };
}

function parseNot(cursor: Cursor): Node {
  if (!isWord(current(cursor), "not")) return parseComparison(cursor);
  const { at } = take(cursor);
  return { kind: "not", operand: nested(cursor, () => parseNot(cursor)), at };
}

const comparisons: readonly string[] = [
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
] satisfies CompareOperator[];

function parseComparison(cursor: Cursor): Node {
  const { at } = current(cursor);
  const first = parseSum(cursor);
  const rest: Comparison[] = [];
  for (;;) {
    const operator = comparison(cursor);
    if (operator === undefined) break;
    rest.push({ operator, operand: parseSum(cursor) });
  }
  return rest.length === 0 ? first : { kind: "compare", first, rest, at };
}

function comparison(cursor: Cursor): CompareOperator | undefined {
  const token = current(cursor);
  if (isOperator(token, "=")) {
    throw new TemplateFault("Expected a comparison, but found =: write == to compare", token.at);
  }
  if (token.type === "operator" && isComparison(token.text)) {
    cursor.index += 1;
    return token.text;
  }
  if (skipWord(cursor, "in")) return "in";
  if (!isWord(token, "not") || !isWord(ahead(cursor), "in")) return undefined;
  cursor.index += 2;
  return "not in";
}

function isComparison(text: string): text is CompareOperator {
  return comparisons.includes(text);
}

function parseSum(cursor: Cursor): Node {
  return leftToRight(cursor, ["+", "-"], parseJoined);
}

function parseJoined(cursor: Cursor): Node {
  const first = parseProduct(cursor);
  if (!isOperator(current(cursor), "~")) return first;
  const { at } = current(cursor);
  const parts = [first];
  while (skipOperator(cursor, "~")) parts.push(parseProduct(cursor));
  return { kind: "joined", parts, at };
}

function parseProduct(cursor: Cursor): Node {
  return leftToRight(cursor, ["*", "/", "//", "%"], parsePower);
}

function parsePower(cursor: Cursor): Node {
  return leftToRight(cursor, ["**"], (one) => parseSigned(one, true));
}

function leftToRight(
  cursor: Cursor,
  operators: readonly BinaryOperator[],
  parse: (cursor: Cursor) => Node,
): Node {
  let left = parse(cursor);
  for (;;) {
    const token = current(cursor);
    const operator = operators.find((one) => isOperator(token, one));
    if (operator === undefined) return left;
    cursor.index += 1;
    left = { kind: "binary", operator, left, right: parse(cursor), at: token.at };
  }
}

function parseSigned(cursor: Cursor, withFilters: boolean): Node {
  const token = current(cursor);
  let node: Node;
  if (isOperator(token, "-") || isOperator(token, "+")) {
    cursor.index += 1;
    const operand = nested(cursor, () => parseSigned(cursor, false));
    node =
      operand.kind === "constant" && typeof operand.value === "number" && token.text === "-"
        ? { kind: "constant", value: 0 - operand.value, at: token.at }
        : { kind: "signed", sign: token.text === "-" ? "-" : "+", operand, at: token.at };
  } else node = parsePrimary(cursor);
  node = parsePostfix(cursor, node);
  return withFilters ? parseFiltered(cursor, node) : node;
}

function parsePrimary(cursor: Cursor): Node {
  const token = take(cursor);
  const { at } = token;
  switch (token.type) {
    case "number":
      return { kind: "constant", value: token.number, at };
    case "string": {
      let value = token.text;
      while (current(cursor).type === "string") value += take(cursor).text;
      return { kind: "constant", value, at };
    }
    case "name":
      if (reserved.includes(token.text)) break;
      return named(token.text, at);
    case "operator":
      if (token.text === "(") return parseParentheses(cursor, at);
      if (token.text === "[") {
        const items = listed(cursor, "]", () => parseExpression(cursor));
        return { kind: "list", items, tuple: false, at };
      }
      if (token.text === "{") return { kind: "object", entries: parseEntries(cursor), at };
      break;
    default:
  }
  cursor.index -= 1;
  return expected(cursor, "a value (a name, a number, a string in quotes, a list)");
}

const reserved: readonly string[] = ["and", "or", "not", "in", "is", "if", "else"];

function named(word: string, at: number): Node {
  switch (word) {
    case "true":
    case "True":
      return { kind: "constant", value: true, at };
    case "false":
    case "False":
      return { kind: "constant", value: false, at };
    case "none":
    case "None":
      return { kind: "constant", value: null, at };
    default:
      return { kind: "name", name: word, at };
  }
}

function parseParentheses(cursor: Cursor, at: number): Node {
  if (skipOperator(cursor, ")")) return { kind: "list", items: [], tuple: true, at };
  const node = parseTuple(cursor);
  expectOperator(cursor, ")");
  return node;
}

function parseEntries(cursor: Cursor): readonly (readonly [Node, Node])[] {
  return listed(cursor, "}", () => {
    const key = parseExpression(cursor);
    expectOperator(cursor, ":");
    return [key, parseExpression(cursor)] as const;
  });
}

/** Things with commas between, up to a closing sign; a comma may end them. */
function listed<T>(cursor: Cursor, close: string, parse: () => T): readonly T[] {
  const items: T[] = [];
  while (!skipOperator(cursor, close)) {
    if (items.length > 0) {
      if (!skipOperator(cursor, ",")) expected(cursor, `, or ${close}`);
      if (skipOperator(cursor, close)) break;
    }
    items.push(parse());
  }
  return items;
}

function parsePostfix(cursor: Cursor, start: Node): Node {
  let base = start;
  for (;;) {
    const token = current(cursor);
    if (skipOperator(cursor, ".")) base = parseDotted(cursor, base);
    else if (skipOperator(cursor, "[")) base = parseSubscript(cursor, base);
    else if (isOperator(token, "(")) {
      base = { kind: "call", callee: base, given: parseGiven(cursor), at: token.at };
    } else return base;
  }
}

function parseDotted(cursor: Cursor, base: Node): Node {
  const token = take(cursor);
  if (token.type === "name") return { kind: "attribute", base, name: token.text, at: token.at };
  if (token.type === "number" && Number.isInteger(token.number)) {
    const key: Node = { kind: "constant", value: token.number, at: token.at };
    return { kind: "element", base, key, at: token.at };
  }
  cursor.index -= 1;
  return expected(cursor, "a name or a number after the dot");
}

function parseSubscript(cursor: Cursor, base: Node): Node {
  const { at } = current(cursor);
  const part = (): Node | undefined =>
    isOperator(current(cursor), ":") || isOperator(current(cursor), "]")
      ? undefined
      : parseExpression(cursor);
  const start = part();
  if (!skipOperator(cursor, ":")) {
    if (start === undefined) return expected(cursor, "an index or a key");
    expectOperator(cursor, "]");
    return { kind: "element", base, key: start, at };
  }
  const stop = part();
  const step = skipOperator(cursor, ":") ? part() : undefined;
  expectOperator(cursor, "]");
  return { kind: "slice", base, start, stop, step, at };
}

function parseGiven(cursor: Cursor): Given {
  expectOperator(cursor, "(");
  const positional: Node[] = [];
  const namedOnes: (readonly [string, Node])[] = [];
  listed(cursor, ")", () => {
    const token = current(cursor);
    if (isOperator(token, "*") || isOperator(token, "**")) {
      throw new TemplateFault(
        `${token.text} cannot spread arguments here: write them one by one`,
        token.at,
      );
    }
    if (token.type === "name" && isOperator(ahead(cursor), "=")) {
      cursor.index += 2;
      namedOnes.push([token.text, parseExpression(cursor)]);
    } else if (namedOnes.length > 0) {
      expected(cursor, "a named argument, as name=value, after a named one");
    } else positional.push(parseExpression(cursor));
  });
  return { positional, named: namedOnes };
}

const nothing: Given = { positional: [], named: [] };

function parseFiltered(cursor: Cursor, start: Node): Node {
  let base = start;
  for (;;) {
    const token = current(cursor);
    if (isOperator(token, "|")) base = { kind: "filter", base, ...parseFilterName(cursor) };
    else if (isWord(token, "is")) base = parseTest(cursor, base);
    else if (isOperator(token, "(")) {
      base = { kind: "call", callee: base, given: parseGiven(cursor), at: token.at };
    } else return base;
  }
}

/** `| name(…)` once or more, where no value stands before. */
export function parseFilters(cursor: Cursor): readonly AppliedFilter[] {
  const filters: AppliedFilter[] = [];
  while (isOperator(current(cursor), "|")) filters.push(parseFilterName(cursor));
  return filters;
}

/** The first filter of a `{% filter %}` has no bar before it. */
export function parseFirstFilter(cursor: Cursor): AppliedFilter {
  const token = expectName(cursor, "the name of a filter (to say or, write or)");
  const given = isOperator(current(cursor), "(") ? parseGiven(cursor) : nothing;
  return { name: token.text, given, at: token.at };
}

function parseFilterName(cursor: Cursor): AppliedFilter {
  expectOperator(cursor, "|");
  return parseFirstFilter(cursor);
}

function parseTest(cursor: Cursor, base: Node): Node {
  take(cursor);
  const negated = skipWord(cursor, "not");
  const { text: name, at } = expectName(cursor, "the name of a test");
  const token = current(cursor);
  let given = nothing;
  if (isOperator(token, "(")) given = parseGiven(cursor);
  else if (startsArgument(token.type, token.text)) {
    if (isWord(token, "is")) {
      throw new TemplateFault("Tests cannot be chained: write a is x and a is y", token.at);
    }
    given = { positional: [parsePostfix(cursor, parsePrimary(cursor))], named: [] };
  }
  return { kind: "test", base, name, given, negated, at };
}

/** After a test's name: one value without parentheses is its argument. */
function startsArgument(type: string, text: string): boolean {
  if (type === "name") return !["else", "or", "and", "if", "not", "in"].includes(text);
  return type === "string" || type === "number" || (type === "operator" && "[{".includes(text));
}

function endsTuple(cursor: Cursor): boolean {
  const token = current(cursor);
  return (
    ["printEnd", "statementEnd", "end"].includes(token.type) ||
    isOperator(token, ")") ||
    isWord(token, "in")
  );
}
