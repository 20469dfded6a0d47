/**
 * Expressions in rules: CEL over the event that is looked at.
 *
 * One root: `event`, the envelope. Whole numbers are `int`, others `double`. A member that is not there
 * makes the expression *missing*: its user says what that means.
 */
import { Environment } from "@marcbachmann/cel-js";
import type { Json } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { DeedEvent } from "../../event/envelope.ts";

/** What an expression gave; `missing` where it reached for a member that is not there. */
export type Evaluated =
  | { readonly kind: "value"; readonly value: Json }
  | { readonly kind: "missing"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

export type Expression = {
  readonly source: string;
  readonly evaluate: (event: DeedEvent) => Evaluated;
};

/** `at`: characters into the expression. */
export type ExpressionProblem = { readonly message: string; readonly at: number };

const environment = new Environment({
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: 2_000, maxDepth: 64 },
}).registerVariable("event", "map");

/** Parses and type-checks once; `evaluate` never throws. */
export function compileExpression(source: string): Result<Expression, ExpressionProblem> {
  try {
    const checked = environment.check(source);
    if (!checked.valid) return err(problemOf(checked.error));
    const run = environment.parse(source);
    return ok({
      source,
      evaluate: (event) => {
        try {
          return { kind: "value", value: fromCel(run({ event: toCelEvent(event) })) };
        } catch (thrown) {
          const message =
            thrown instanceof Error ? (thrown.message.split("\n")[0] ?? "") : String(thrown);
          return {
            kind: /no such key|unknown variable|not found/i.test(message) ? "missing" : "failed",
            message,
          };
        }
      },
    });
  } catch (thrown) {
    return err(problemOf(thrown));
  }
}

function problemOf(thrown: unknown): ExpressionProblem {
  const message = thrown instanceof Error ? (thrown.message.split("\n")[0] ?? "") : String(thrown);
  const node = thrown as { node?: { pos?: number; start?: number }; range?: { start: number } };
  return { message, at: node.range?.start ?? node.node?.start ?? node.node?.pos ?? 0 };
}

const converted = new WeakMap<DeedEvent, unknown>();

/** The same event is looked at by many rules: it is converted once. */
function toCelEvent(event: DeedEvent): unknown {
  let value = converted.get(event);
  if (value === undefined) {
    value = toCel(event);
    converted.set(event, value);
  }
  return value;
}

function toCel(value: unknown): unknown {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value !== "object" || value === null) return value;
  const members: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) members[key] = toCel(member);
  }
  return members;
}

function fromCel(value: unknown): Json {
  if (typeof value === "bigint") return Number(value);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return value;
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, member]) => [String(key), fromCel(member)]));
  }
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fromCel(member)]));
  }
  return String(value);
}
