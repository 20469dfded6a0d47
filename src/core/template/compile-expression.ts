/** Expressions as functions: what can be decided from the source is decided once, here. */
import { attribute, element, slice } from "./access.ts";
import {
  prepareFilter,
  prepareFunction,
  prepareMethod,
  prepareTest,
  type Evaluate,
  type Tools,
} from "./calls.ts";
import { templateLimits } from "./limits.ts";
import type { Names } from "./names.ts";
import { binary, comparers, joined, signed } from "./operators.ts";
import { numberText } from "./print.ts";
import type { Comparison, Node } from "./syntax.ts";
import {
  type Missing,
  TemplateFault,
  fail,
  kindOf,
  objectOf,
  spend,
  truthy,
  type Frame,
  type Value,
  createMissing,
} from "./value.ts";

/** One template being compiled. */
export type Compiler = {
  readonly strict: boolean;
  readonly names: Names;
  /** Every root that a render may ask for. */
  readonly roots: Set<string>;
  /** Whether a value may hold parts that the template built: then a result is looked through. */
  builds: boolean;
  depth: number;
  /** How much was compiled so far: what a pass of a loop costs. */
  nodes: number;
};

/** @throws {TemplateFault} */
export function compileExpression(node: Node, compiler: Compiler): Evaluate {
  compiler.depth += 1;
  compiler.nodes += 1;
  if (compiler.depth > templateLimits.chainMax) {
    throw new TemplateFault(
      `The expression is too long: more than ${String(templateLimits.chainMax)} operators in one chain. Set a variable for a part`,
      node.at,
    );
  }
  const evaluate = compileNode(node, compiler);
  compiler.depth -= 1;
  return evaluate;
}

function compileNode(node: Node, compiler: Compiler): Evaluate {
  const compile = (one: Node): Evaluate => compileExpression(one, compiler);
  switch (node.kind) {
    case "constant": {
      const { value } = node;
      return () => value;
    }
    case "name":
      return compileName(node, compiler);
    case "list":
    case "object":
      return compileLiteral(node, compiler);
    case "attribute":
      return compileAttribute(node, compiler);
    case "element":
      return compileElement(node, compiler);
    case "slice":
      return compileSlice(node, compiler);
    case "call":
      return compileCall(node, compiler);
    case "filter": {
      const base = compile(node.base);
      const apply = prepareFilter(node, toolsOf(compiler));
      return (frame) => apply(base(frame), frame);
    }
    case "test": {
      const base = compile(node.base);
      const holds = prepareTest(node, toolsOf(compiler));
      const { negated } = node;
      return (frame) => holds(base(frame), frame) !== negated;
    }
    case "not": {
      const operand = compile(node.operand);
      return (frame) => !truthy(operand(frame));
    }
    case "signed": {
      const { sign, at } = node;
      const operand = compile(node.operand);
      return (frame) => {
        const value = operand(frame);
        frame.at = at;
        return signed(sign, value, frame);
      };
    }
    case "binary":
      return compileBinary(node, compiler);
    case "joined": {
      const parts = node.parts.map(compile);
      return (frame) =>
        joined(
          parts.map((part) => part(frame)),
          frame,
        );
    }
    case "and":
    case "or":
      return compileLogic(node.kind === "or", node.operands.map(compile));
    case "compare":
      return compileComparison(compile(node.first), node.rest, compiler);
    case "choice": {
      const condition = compile(node.condition);
      const then = compile(node.then);
      // As in Jinja2, what an if without else lacks is no error, however strict.
      const missing = createMissing("the value of an if without else", false, node.at);
      const otherwise = node.otherwise === undefined ? () => missing : compile(node.otherwise);
      return (frame) => (truthy(condition(frame)) ? then(frame) : otherwise(frame));
    }
  }
}

type Of<Kind extends Node["kind"]> = Extract<Node, { readonly kind: Kind }>;

function compileName(node: Of<"name">, compiler: Compiler): Evaluate {
  const { name } = node;
  const { slots, root } = compiler.names.find(name);
  const missing = missingAt(node, compiler);
  if (root) compiler.roots.add(name);
  if (slots.length === 0) {
    return ({ scope }) => {
      const found = scope.get(name);
      return found === undefined ? missing : found;
    };
  }
  return (frame) => {
    for (const slot of slots) {
      const found = frame.slots[slot];
      if (found !== undefined) return found;
    }
    const found = root ? frame.scope.get(name) : undefined;
    return found === undefined ? missing : found;
  };
}

/** A member of a root that its value does not have may still be known to the scope, as `<step>.data` is. */
function compileAttribute(
  { base: of, name, ...node }: Of<"attribute">,
  compiler: Compiler,
): Evaluate {
  const base = compileExpression(of, compiler);
  const missing = missingAt({ base: of, name, ...node }, compiler);
  if (of.kind !== "name" || compiler.names.find(of.name).slots.length > 0) {
    return (frame) => attribute(base(frame), name, missing);
  }
  const root = of.name;
  return (frame) => {
    const found = attribute(base(frame), name, missing);
    if (found !== missing) return found;
    const known = frame.scope.member?.(root, name);
    return known === undefined ? found : known;
  };
}

function compileLiteral(node: Of<"list"> | Of<"object">, compiler: Compiler): Evaluate {
  const constant = constantOf(node);
  if (constant !== undefined) return () => constant;
  compiler.builds = true;
  if (node.kind === "list") {
    const items = node.items.map((one) => compileExpression(one, compiler));
    return (frame) => {
      spend(frame, items.length);
      return items.map((item) => item(frame));
    };
  }
  const entries = node.entries.map(
    ([key, value]) =>
      [compileExpression(key, compiler), compileExpression(value, compiler)] as const,
  );
  return (frame) => {
    spend(frame, entries.length);
    return objectOf(
      entries.map(([key, value]) => {
        const name = key(frame);
        frame.at = node.at;
        return [keyText(name, frame), value(frame)] as const;
      }),
    );
  };
}

function keyText(key: Value, frame: Frame): string {
  if (typeof key === "string") return key;
  if (typeof key === "number") return numberText(key);
  return fail(frame, `A key must be a string, not ${kindOf(key)}: write it in quotes`);
}

/** The value of a literal that holds nothing but literals. */
function constantOf(node: Node): Value | undefined {
  if (node.kind === "constant") return node.value;
  if (node.kind === "list") {
    const items: Value[] = [];
    for (const item of node.items) {
      const value = constantOf(item);
      if (value === undefined) return undefined;
      items.push(value);
    }
    return items;
  }
  if (node.kind !== "object") return undefined;
  const entries: (readonly [string, Value])[] = [];
  for (const [key, member] of node.entries) {
    const value = constantOf(member);
    if (key.kind !== "constant" || typeof key.value !== "string" || value === undefined)
      return undefined;
    entries.push([key.value, value]);
  }
  return objectOf(entries);
}

function compileElement(node: Of<"element">, compiler: Compiler): Evaluate {
  const base = compileExpression(node.base, compiler);
  const missing = missingAt(node, compiler);
  const { key: keyNode, at } = node;
  if (keyNode.kind === "constant" && typeof keyNode.value === "string") {
    const name = keyNode.value;
    return (frame) => attribute(base(frame), name, missing);
  }
  const key = compileExpression(keyNode, compiler);
  return (frame) => {
    const value = base(frame);
    const index = key(frame);
    frame.at = at;
    return element(value, index, { missing, frame });
  };
}

function compileSlice(node: Of<"slice">, compiler: Compiler): Evaluate {
  const base = compileExpression(node.base, compiler);
  const [start, stop, step] = [node.start, node.stop, node.step].map((one) =>
    one === undefined ? undefined : compileExpression(one, compiler),
  );
  return (frame) => {
    const value = base(frame);
    const bounds = { start: start?.(frame), stop: stop?.(frame), step: step?.(frame) };
    frame.at = node.at;
    return slice(value, bounds, frame);
  };
}

/** A method of a value, a function by name, or the time. */
function compileCall({ callee, given, at }: Of<"call">, compiler: Compiler): Evaluate {
  if (callee.kind === "attribute") {
    const base = compileExpression(callee.base, compiler);
    const apply = prepareMethod({ name: callee.name, given, at: callee.at }, toolsOf(compiler));
    return (frame) => apply(base(frame), frame);
  }
  if (callee.kind !== "name" || compiler.names.find(callee.name).slots.length > 0) {
    throw new TemplateFault(
      "Only methods and functions can be called: as in x.get('a') or range(3)",
      at,
    );
  }
  if (callee.name === "now" && given.positional.length + given.named.length === 0) {
    return compileName(callee, compiler);
  }
  return prepareFunction({ name: callee.name, given, at: callee.at }, toolsOf(compiler));
}

function compileBinary(node: Of<"binary">, compiler: Compiler): Evaluate {
  const { operator, at } = node;
  const left = compileExpression(node.left, compiler);
  // A list in parentheses after % gives the fields one by one; any other value is one field.
  const single = operator === "%" && !(node.right.kind === "list" && node.right.tuple);
  const right = compileExpression(node.right, compiler);
  const calculate = binary[operator];
  if (operator === "*") compiler.builds = true;
  return (frame) => {
    const one = left(frame);
    const other = right(frame);
    frame.at = at;
    return calculate(one, single && Array.isArray(other) ? [other] : other, frame);
  };
}

/** Gives the operand that decided, as Python does. */
function compileLogic(decidedByTrue: boolean, operands: readonly Evaluate[]): Evaluate {
  const [first = () => null, second = () => null] = operands;
  if (operands.length === 2) {
    return (frame) => {
      const value = first(frame);
      return truthy(value) === decidedByTrue ? value : second(frame);
    };
  }
  return (frame) => {
    let value: Value = null;
    for (const operand of operands) {
      value = operand(frame);
      if (operand !== operands.at(-1) && truthy(value) === decidedByTrue) return value;
    }
    return value;
  };
}

/** `a < b <= c`: each pair must hold, and each operand is evaluated once. */
function compileComparison(
  first: Evaluate,
  rest: readonly Comparison[],
  compiler: Compiler,
): Evaluate {
  const steps = rest.map(({ operator, operand }) => ({
    holds: comparers[operator],
    at: operand.at,
    operand: compileExpression(operand, compiler),
  }));
  const [only] = steps;
  if (only !== undefined && steps.length === 1) {
    const { holds, at, operand } = only;
    return (frame) => {
      const left = first(frame);
      const right = operand(frame);
      frame.at = at;
      return holds(left, right, frame);
    };
  }
  return (frame) => {
    let left = first(frame);
    for (const { holds, operand, at } of steps) {
      const right = operand(frame);
      frame.at = at;
      if (!holds(left, right, frame)) return false;
      left = right;
    }
    return true;
  };
}

function toolsOf(compiler: Compiler): Tools {
  return {
    evaluate: (node) => compileExpression(node, compiler),
    constant: constantOf,
    builds: () => (compiler.builds = true),
  };
}

/** The filters of a captured or filtered text. */
export function compileFilters(
  uses: readonly Parameters<typeof prepareFilter>[0][],
  compiler: Compiler,
): (text: Value, frame: Frame) => Value {
  const filters = uses.map((use) => prepareFilter(use, toolsOf(compiler)));
  return (text, frame) => filters.reduce((value, apply) => apply(value, frame), text);
}

function missingAt(node: Node, { strict }: Compiler): Missing {
  return createMissing(pathOf(node), strict, node.at);
}

/** A name and its members as written; what is computed is left out. */
function pathOf(node: Node): string {
  switch (node.kind) {
    case "name":
      return node.name;
    case "attribute":
      return `${pathOf(node.base)}.${node.name}`;
    case "element": {
      const key = node.key.kind === "constant" ? node.key.value : undefined;
      const shown = typeof key === "string" ? `'${key}'` : key === undefined ? "…" : String(key);
      return `${pathOf(node.base)}[${shown}]`;
    }
    default:
      return "(…)";
  }
}
