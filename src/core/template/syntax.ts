/** The tree of a template. `at` is the offset in the source, in UTF-16 code units. */
import type { BinaryOperator, CompareOperator } from "./operators.ts";

export type Node = { readonly at: number } & (
  | { readonly kind: "constant"; readonly value: null | boolean | number | string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list"; readonly items: readonly Node[]; readonly tuple: boolean }
  | { readonly kind: "object"; readonly entries: readonly (readonly [Node, Node])[] }
  | { readonly kind: "attribute"; readonly base: Node; readonly name: string }
  | { readonly kind: "element"; readonly base: Node; readonly key: Node }
  | {
      readonly kind: "slice";
      readonly base: Node;
      readonly start: Node | undefined;
      readonly stop: Node | undefined;
      readonly step: Node | undefined;
    }
  | { readonly kind: "call"; readonly callee: Node; readonly given: Given }
  | { readonly kind: "filter"; readonly base: Node; readonly name: string; readonly given: Given }
  | {
      readonly kind: "test";
      readonly base: Node;
      readonly name: string;
      readonly given: Given;
      readonly negated: boolean;
    }
  | { readonly kind: "not"; readonly operand: Node }
  | { readonly kind: "signed"; readonly sign: "-" | "+"; readonly operand: Node }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Node;
      readonly right: Node;
    }
  | { readonly kind: "joined"; readonly parts: readonly Node[] }
  | { readonly kind: "and" | "or"; readonly operands: readonly Node[] }
  | { readonly kind: "compare"; readonly first: Node; readonly rest: readonly Comparison[] }
  | {
      readonly kind: "choice";
      readonly condition: Node;
      readonly then: Node;
      readonly otherwise: Node | undefined;
    }
);

export type Comparison = { readonly operator: CompareOperator; readonly operand: Node };

/** What a call, a filter or a test is given. */
export type Given = {
  readonly positional: readonly Node[];
  readonly named: readonly (readonly [string, Node])[];
};

export type Statement = { readonly at: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly value: Node }
  | {
      readonly kind: "if";
      readonly branches: readonly { readonly condition: Node; readonly body: Body }[];
      readonly otherwise: Body | undefined;
    }
  | {
      readonly kind: "for";
      readonly targets: readonly string[];
      readonly over: Node;
      readonly only: Node | undefined;
      readonly body: Body;
      readonly otherwise: Body | undefined;
    }
  | { readonly kind: "set"; readonly target: Target; readonly value: Node }
  | {
      readonly kind: "capture";
      readonly target: Target;
      readonly filters: readonly AppliedFilter[];
      readonly body: Body;
    }
  | {
      readonly kind: "with";
      readonly locals: readonly (readonly [string, Node])[];
      readonly body: Body;
    }
  | { readonly kind: "filtered"; readonly filters: readonly AppliedFilter[]; readonly body: Body }
);

export type Body = readonly Statement[];

export type Target =
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "member"; readonly namespace: Node; readonly name: string };

export type AppliedFilter = { readonly name: string; readonly given: Given; readonly at: number };
