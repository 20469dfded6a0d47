/**
 * Expressions in rules: CEL over the event that is looked at.
 *
 * Invariants
 * 1. One root: `event`, the envelope. Only its own members can be read, never what a prototype holds.
 * 2. Whole numbers (within 2^53) are `int`, others `double`, as JSON does not tell them apart; arithmetic
 *    takes both together and gives a double. Two whole numbers divide as whole numbers: `double(x) / y`
 *    where that is not meant.
 * 3. A member that is not there makes the expression *missing*, unless `&&`, `||` or `has` settles it
 *    without that member. Its user says what missing means.
 * 4. The same event gives the same value on every machine: times are RFC 3339 with their zone, and what
 *    asks the machine for a time zone is refused. There is no `now()`: time is `event.ts`.
 * 5. The cost is bounded: by the size of the expression, by the work that loops in loops would be for this
 *    event, and patterns never backtrack (see `pattern.ts`).
 * 6. A value is JSON: a timestamp becomes RFC 3339 text, a duration seconds as in `90s`; what JSON cannot
 *    say (bytes, types, infinities, whole numbers beyond 2^53) is a failure.
 *
 * Source: the CEL specification; its strings extension.
 */
import { Environment } from "@marcbachmann/cel-js";
import { parseTimestampMs, timestamp } from "../../base/clock.ts";
import type { Json } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import { bind, readTree, type Tree } from "./cel-tree.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

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

/** Steps that the loops of one evaluation may come to. */
const workMax = 4_000_000;

const arithmetic: readonly (readonly [string, (left: number, right: number) => number])[] = [
  ["+", (left, right) => left + right],
  ["-", (left, right) => left - right],
  ["*", (left, right) => left * right],
  ["/", (left, right) => left / right],
];

const environment = createEnvironment();

/**
 * Parses and type-checks once; `evaluate` never throws.
 *
 * @param wanted the type that the expression must have, where that can be known before an event is seen.
 */
export function compileExpression(
  source: string,
  wanted: "any" | "bool" = "any",
): Result<Expression, ExpressionProblem> {
  try {
    const run = environment.parse(source);
    const read = readTree(run.ast);
    if (!read.ok) return read;
    bind(run.ast);
    const checked = run.check();
    if (!checked.valid) return err(problemOf(checked.error));
    const { type = "dyn" } = checked;
    if (wanted === "bool" && type !== "bool" && type !== "dyn") {
      return err({
        message: `it gives a value of type ${type}: it must give true or false`,
        at: 0,
      });
    }
    return ok({ source, evaluate: (event) => evaluate(run, read.value, event) });
  } catch (thrown) {
    return err(problemOf(thrown));
  }
}

type Run = ReturnType<typeof environment.parse>;

function evaluate(run: Run, tree: Tree, event: DeedEvent): Evaluated {
  try {
    const { longestList, longestText } = looked(event);
    const turns = tree.splits ? Math.max(longestList, longestText) : longestList;
    if (tree.loops > 0 && tree.size * turns ** tree.loops > workMax) {
      const message = "its loops come to too many steps for an event of this size";
      return { kind: "failed", message };
    }
    const given: unknown = run({ event: looked(event).value });
    return { kind: "value", value: fromCel(given) };
  } catch (thrown) {
    const missing = missingCodes.has(codeOf(thrown));
    return { kind: missing ? "missing" : "failed", message: messageOf(thrown) };
  }
}

const missingCodes: ReadonlySet<string> = new Set(["no_such_key", "index_out_of_bounds"]);

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
}

/** The library's messages go on with a drawing of the place. */
function messageOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return (message.split("\n")[0] ?? "").replace("matchesInOnePass", "matches");
}

function problemOf(thrown: unknown): ExpressionProblem {
  const range = thrown instanceof Error && "range" in thrown ? thrown.range : undefined;
  const placed = typeof range === "object" && range !== null && "start" in range;
  return { message: messageOf(thrown), at: placed ? Number(range.start) : 0 };
}

function createEnvironment(): Environment {
  const created = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 2_000, maxDepth: 64 },
  })
    .registerVariable("event", "map")
    .registerFunction("string.matchesInOnePass(string): bool", matches)
    .registerFunction("timestampWithZone(string): google.protobuf.Timestamp", toTime)
    .registerFunction("timestampWithZone(int): google.protobuf.Timestamp", (seconds: bigint) =>
      toTime(timestamp(Number(seconds) * 1_000)),
    );
  for (const [sign, join] of arithmetic) {
    created
      .registerOperator(`int ${sign} double`, (left: bigint, right: number) =>
        join(Number(left), right),
      )
      .registerOperator(`double ${sign} int`, (left: number, right: bigint) =>
        join(left, Number(right)),
      );
  }
  return created;
}

function toTime(text: string): Date {
  const atMs = parseTimestampMs(text);
  if (atMs !== undefined) return new Date(atMs);
  throw new RangeError(`timestamp(${JSON.stringify(text)}) is no RFC 3339 time with its zone`);
}

/** Patterns come from rules and now and then from events: so many are kept. */
const patternsMax = 256;

const patterns = new Map<string, Pattern>();

function matches(text: string, source: string): boolean {
  let pattern = patterns.get(source);
  if (pattern === undefined) {
    const compiled = compilePattern(source);
    if (!compiled.ok) throw new RangeError(compiled.error.message);
    pattern = compiled.value;
    if (patterns.size >= patternsMax) patterns.clear();
    patterns.set(source, pattern);
  }
  return pattern(text);
}

/** The longest list or object and the longest text are what a loop may run over. */
type Size = { longestList: number; longestText: number };

type Looked = Readonly<Size> & { readonly value: unknown };

const lookedAt = new WeakMap<DeedEvent, Looked>();

/** The same event is looked at by many rules: it is converted once. */
function looked(event: DeedEvent): Looked {
  let found = lookedAt.get(event);
  if (found === undefined) {
    const size = { longestList: 1, longestText: 1 };
    const value = toCel(event, size);
    found = { value, ...size };
    lookedAt.set(event, found);
  }
  return found;
}

function toCel(value: unknown, size: Size): unknown {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === "string") size.longestText = Math.max(size.longestText, value.length);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    size.longestList = Math.max(size.longestList, value.length);
    return value.map((item) => toCel(item, size));
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  size.longestList = Math.max(size.longestList, members.length);
  return Object.fromEntries(members.map(([key, member]) => [key, toCel(member, size)]));
}

function fromCel(value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new RangeError(`JSON has no number for ${String(value)}`);
    case "bigint":
      if (Number.isSafeInteger(Number(value))) return Number(value);
      throw new RangeError(`JSON has no exact number for ${String(value)}: use string()`);
    case "object":
      return value === null ? null : fromCelObject(value);
    default:
      throw new RangeError(`JSON has no value for a ${typeof value}`);
  }
}

function fromCelObject(value: object): Json {
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Date) return timestamp(value.getTime());
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const kind = Object.prototype.toString.call(value);
  if (value instanceof Map || kind === "[object Object]") {
    if (isPlain(value)) {
      return Object.fromEntries(entries.map(([key, member]) => [String(key), fromCel(member)]));
    }
  } else if (kind === "[object google.protobuf.Duration]")
    return `${String(Number(value) / 1_000)}s`;
  else if (kind.startsWith("[object value = ")) return Number(value);
  throw new RangeError("JSON has no value for bytes or a type");
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || value instanceof Map;
}
