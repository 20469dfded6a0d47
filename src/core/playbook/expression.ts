/** The expressions of a template, for the linter: what they name and how they are put together. */
import { parseBare, parseTemplate } from "../template/parse-template.ts";
import type { AppliedFilter, Body, Given, Node, Statement } from "../template/syntax.ts";
import { TemplateFault } from "../template/value.ts";
import { isTemplate } from "./reader.ts";

/** Every outermost expression of a text; none where it cannot be parsed, which compiling tells. */
export function expressionsOf(source: string, isCondition: boolean): readonly Node[] {
  try {
    if (isTemplate(source)) return expressionsIn(parseTemplate(source));
    return isCondition ? [parseBare(source)] : [];
  } catch (thrown) {
    if (thrown instanceof TemplateFault) return [];
    throw thrown;
  }
}

function expressionsIn(body: Body): readonly Node[] {
  return body.flatMap(expressionsOfStatement);
}

function expressionsOfStatement(statement: Statement): readonly Node[] {
  switch (statement.kind) {
    case "text":
      return [];
    case "print":
      return [statement.value];
    case "if":
      return [
        ...statement.branches.flatMap(({ condition, body }) => [condition, ...expressionsIn(body)]),
        ...expressionsIn(statement.otherwise ?? []),
      ];
    case "for":
      return [
        statement.over,
        ...(statement.only === undefined ? [] : [statement.only]),
        ...expressionsIn(statement.body),
        ...expressionsIn(statement.otherwise ?? []),
      ];
    case "set":
      return [statement.value];
    case "capture":
    case "filtered":
      return [...statement.filters.flatMap(givenTo), ...expressionsIn(statement.body)];
    case "with":
      return [...statement.locals.map(([, value]) => value), ...expressionsIn(statement.body)];
  }
}

function givenTo({ given }: AppliedFilter): readonly Node[] {
  return argumentsOf(given);
}

function argumentsOf({ positional, named }: Given): readonly Node[] {
  return [...positional, ...named.map(([, value]) => value)];
}

/** What an expression is made of, in the order of the text. */
export function partsOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case "constant":
    case "name":
      return [];
    case "list":
      return node.items;
    case "object":
      return node.entries.flat();
    case "attribute":
      return [node.base];
    case "element":
      return [node.base, node.key];
    case "slice":
      return [node.base, node.start, node.stop, node.step].filter((one) => one !== undefined);
    case "call":
      return [node.callee, ...argumentsOf(node.given)];
    case "filter":
    case "test":
      return [node.base, ...argumentsOf(node.given)];
    case "not":
    case "signed":
      return [node.operand];
    case "binary":
      return [node.left, node.right];
    case "joined":
      return node.parts;
    case "and":
    case "or":
      return node.operands;
    case "compare":
      return [node.first, ...node.rest.map(({ operand }) => operand)];
    case "choice":
      return [node.condition, node.then, node.otherwise].filter((one) => one !== undefined);
  }
}

/** The name that a chain of members begins with. */
export function rootOf(node: Node): Extract<Node, { readonly kind: "name" }> | undefined {
  if (node.kind === "name") return node;
  if (node.kind === "attribute" || node.kind === "element" || node.kind === "slice") {
    return rootOf(node.base);
  }
  return undefined;
}

/** `output.error.kind` as text; undefined where it is no chain of plain members. */
export function chainOf(node: Node): string | undefined {
  if (node.kind === "name") return node.name;
  const key = keyOf(node);
  if (key === undefined || !("base" in node)) return undefined;
  const base = chainOf(node.base);
  return base === undefined ? undefined : `${base}.${key}`;
}

/** The member that a node reads. */
export function keyOf(node: Node): string | undefined {
  if (node.kind === "attribute") return node.name;
  if (node.kind !== "element" || node.key.kind !== "constant") return undefined;
  return typeof node.key.value === "string" ? node.key.value : undefined;
}

/**
 * Names that are read without a way out for what is not there (`| default`, `is defined`), by name, at the
 * first of their places.
 */
export function bareNames(nodes: readonly Node[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const visit = (node: Node): void => {
    const guarded =
      (node.kind === "filter" && (node.name === "default" || node.name === "d")) ||
      (node.kind === "test" && (node.name === "defined" || node.name === "undefined"));
    if (node.kind === "name" && !found.has(node.name)) found.set(node.name, node.at);
    for (const part of partsOf(node)) {
      const isBase = "base" in node && part === node.base;
      if (guarded && isBase && rootOf(part) !== undefined) continue;
      visit(part);
    }
  };
  for (const node of nodes) visit(node);
  return found;
}
