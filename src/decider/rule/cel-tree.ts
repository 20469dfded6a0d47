/**
 * What an expression's syntax tree says before it is run: what it may cost, and what it may not use.
 */
import { err, ok, type Result } from "../../base/result.ts";
import { compilePattern } from "./pattern.ts";

/** `loops`: how many loops stand in one another; a search with `in` inside of one counts as one more. */
export type Tree = {
  readonly size: number;
  readonly loops: number;
  /** Texts become lists. */
  readonly splits: boolean;
};

export type TreeProblem = { readonly message: string; readonly at: number };

/** The part of the library's nodes that is read here. */
type Node = { readonly op: string; readonly start: number; readonly args: unknown };

const loopNames: ReadonlySet<string> = new Set(["map", "filter", "all", "exists", "exists_one"]);

const loopsMax = 2;

/** Measures a tree; refused with the first thing in it that no rule may use. */
export function readTree(root: unknown): Result<Tree, TreeProblem> {
  let size = 0;
  let loops = 0;
  let splits = false;
  let problem: TreeProblem | undefined;
  const walk = (part: unknown, depth: number): void => {
    if (Array.isArray(part)) {
      for (const one of part) walk(one, depth);
      return;
    }
    if (!isNode(part)) return;
    size += 1;
    problem ??= problemOf(part);
    loops = Math.max(loops, part.op === "in" && depth > 0 ? depth + 1 : depth);
    const call = callOf(part);
    splits ||= call?.name === "split";
    if (call === undefined || !loopNames.has(call.name)) {
      walk(part.args, depth);
      return;
    }
    walk(call.receiver, depth);
    if (depth + 1 > loopsMax) {
      const message = `loops may stand ${String(loopsMax)} deep in one another`;
      problem ??= { message, at: part.start };
    }
    loops = Math.max(loops, depth + 1);
    walk(call.args, depth + 1);
  };
  walk(root, 0);
  return problem === undefined ? ok({ size, loops, splits }) : err(problem);
}

/**
 * Puts our own functions where the library's backtrack or ask the machine for its time zone. The tree
 * must not have been checked yet.
 */
export function bind(root: unknown): void {
  if (Array.isArray(root)) {
    for (const one of root) bind(one);
    return;
  }
  if (!isNode(root)) return;
  const { op, args } = root;
  if (Array.isArray(args)) {
    if (op === "rcall" && args[0] === "matches") args[0] = "matchesInOnePass";
    if (op === "call" && args[0] === "timestamp") args[0] = "timestampWithZone";
  }
  bind(args);
}

function problemOf(node: Node): TreeProblem | undefined {
  const at = node.start;
  if (node.op === "id" && node.args === "optional") {
    return { message: "Unknown variable: optional", at };
  }
  const call = callOf(node);
  if (call === undefined) return undefined;
  const { name, receiver, args } = call;
  if (name === "bind" && isNode(receiver) && receiver.args === "cel") {
    return { message: "cel.bind is not known here: write the expression out", at };
  }
  if (name === "getDayOfYear" || (/^get[A-Z]/.test(name) && args.length > 0)) {
    const message = `${name} would ask the machine for a time zone: only getHours() and its like, in UTC`;
    return { message, at };
  }
  const [pattern] = args;
  if (name !== "matches" || !isNode(pattern) || typeof pattern.args !== "string") return undefined;
  const compiled = pattern.op === "value" ? compilePattern(pattern.args) : undefined;
  if (compiled === undefined || compiled.ok) return undefined;
  return { message: compiled.error.message, at: pattern.start + 1 + compiled.error.at };
}

type Call = {
  readonly name: string;
  readonly receiver: unknown;
  readonly args: readonly unknown[];
};

/** A call on a receiver: `receiver.name(args)`. */
function callOf({ op, args }: Node): Call | undefined {
  if (op !== "rcall" || !Array.isArray(args)) return undefined;
  const [name, receiver, given] = args as readonly unknown[];
  return typeof name === "string" && Array.isArray(given)
    ? { name, receiver, args: given as readonly unknown[] }
    : undefined;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
