/** What can be known of a condition before anything runs. */
import type { Node } from "../template/syntax.ts";
import { chainOf, partsOf } from "./expression.ts";
import { wordProblem, type Facts, type WordProblem } from "./words.ts";

export type Known = { readonly facts: Facts; readonly strict: boolean };

export type Literal = WordProblem & { readonly at: number };

/** Comparisons with a literal that their member never equals, or that has another word. */
export function literalProblems(nodes: readonly Node[], known: Known): readonly Literal[] {
  const found: Literal[] = [];
  const visit = (node: Node): void => {
    found.push(...problemsOf(node, known));
    for (const part of partsOf(node)) visit(part);
  };
  for (const node of nodes) visit(node);
  return found;
}

function problemsOf(node: Node, known: Known): readonly Literal[] {
  const pair = pairOf(node);
  if (pair === undefined) return [];
  return pair.literals.flatMap((literal) => {
    const problem = wordProblem(pair.chain, literal.value, known);
    return problem === undefined ? [] : [{ ...problem, at: literal.at }];
  });
}

/** Whether it holds whatever happens; undefined where that depends. */
export function outcomeOf(node: Node, known: Known): "always" | "never" | undefined {
  switch (node.kind) {
    case "constant":
      return node.value === null || node.value === false || node.value === 0 || node.value === ""
        ? "never"
        : "always";
    case "not": {
      const inner = outcomeOf(node.operand, known);
      if (inner === undefined) return undefined;
      return inner === "always" ? "never" : "always";
    }
    case "and":
      return joined(node.operands, known, "never");
    case "or":
      return joined(node.operands, known, "always");
    case "compare":
      return comparison(node, known);
    default:
      return undefined;
  }
}

/** `deciding`: what one operand says for all of them. */
function joined(
  operands: readonly Node[],
  known: Known,
  deciding: "always" | "never",
): "always" | "never" | undefined {
  const outcomes = operands.map((operand) => outcomeOf(operand, known));
  if (outcomes.includes(deciding)) return deciding;
  const other = deciding === "never" ? "always" : "never";
  return outcomes.every((outcome) => outcome === other) ? other : undefined;
}

function comparison(node: Compare, known: Known): "always" | "never" | undefined {
  const pair = pairOf(node);
  if (pair === undefined) return constantComparison(node);
  const dead = pair.literals.every(
    ({ value }) => wordProblem(pair.chain, value, known)?.code === "never-equal",
  );
  if (!dead) return undefined;
  return pair.negated ? "always" : "never";
}

type Compare = Extract<Node, { readonly kind: "compare" }>;

/** `1 == 2`: both sides are written out. */
function constantComparison({ first, rest }: Compare): "always" | "never" | undefined {
  const [only, ...more] = rest;
  if (only === undefined || more.length > 0) return undefined;
  if (first.kind !== "constant" || only.operand.kind !== "constant") return undefined;
  if (typeof first.value !== typeof only.operand.value) return undefined;
  const equal = first.value === only.operand.value;
  if (only.operator === "==") return equal ? "always" : "never";
  if (only.operator === "!=") return equal ? "never" : "always";
  return undefined;
}

type Pair = {
  readonly chain: string;
  readonly literals: readonly Constant[];
  readonly negated: boolean;
};

type Constant = Extract<Node, { readonly kind: "constant" }>;

/** A member beside a literal, in whichever order; or beside a list of literals. */
function pairOf(node: Node): Pair | undefined {
  if (node.kind !== "compare") return undefined;
  const [only, ...more] = node.rest;
  if (only === undefined || more.length > 0) return undefined;
  const { operator, operand } = only;
  switch (operator) {
    case "==":
    case "!=": {
      const [member, literal] =
        node.first.kind === "constant" ? [operand, node.first] : [node.first, operand];
      const chain = chainOf(member);
      if (chain === undefined || literal.kind !== "constant") return undefined;
      return { chain, literals: [literal], negated: operator === "!=" };
    }
    case "in":
    case "not in": {
      const chain = chainOf(node.first);
      if (chain === undefined || operand.kind !== "list") return undefined;
      const literals = operand.items.filter((item) => item.kind === "constant");
      if (literals.length === 0 || literals.length < operand.items.length) return undefined;
      return { chain, literals, negated: operator === "not in" };
    }
    default:
      return undefined;
  }
}
