/** Filters, tests, methods and functions, found by name and given their arguments when a template is compiled. */
import { nearest } from "../../base/nearest.ts";
import { along } from "./access.ts";
import { numberFilters } from "./filters/numbers.ts";
import { objectFilters } from "./filters/objects.ts";
import { sequenceFilters } from "./filters/sequences.ts";
import { textFilters } from "./filters/text.ts";
import { functions } from "./functions.ts";
import { pathArg, type Args, type Definition, type Definitions } from "./given.ts";
import { changing, hasMethods, methodNames, methodsNamed } from "./methods.ts";
import type { AppliedFilter, Given, Node } from "./syntax.ts";
import { tests } from "./tests.ts";
import {
  TemplateFault,
  fail,
  iterate,
  kindOf,
  objectOf,
  spend,
  touch,
  truthy,
  type Frame,
  type Value,
  isMissing,
  createMissing,
} from "./value.ts";

export type Evaluate = (frame: Frame) => Value;

/** What the compiler of expressions lends to that of calls. */
export type Tools = {
  readonly evaluate: (node: Node) => Evaluate;
  /** The value of a node that is the same in every render; undefined for all others. */
  readonly constant: (node: Node) => Value | undefined;
  /** Says that values are built which may share parts, or hold what is undefined. */
  readonly builds: () => void;
};

type Apply<T> = (value: Value, frame: Frame) => T;

const filters: Definitions<Value> = {
  ...textFilters,
  ...numberFilters,
  ...sequenceFilters,
  ...objectFilters,
};

/** Filters that take the name of another filter or of a test. */
const appliers: { readonly [name: string]: (use: AppliedFilter, tools: Tools) => Apply<Value> } = {
  map: prepareMap,
  select: (use, tools) => prepareSelect(use, { tools, keep: true, byMember: false }),
  reject: (use, tools) => prepareSelect(use, { tools, keep: false, byMember: false }),
  selectattr: (use, tools) => prepareSelect(use, { tools, keep: true, byMember: true }),
  rejectattr: (use, tools) => prepareSelect(use, { tools, keep: false, byMember: true }),
};

/** @throws {TemplateFault} where there is no such filter, or not with these arguments. */
export function prepareFilter(use: AppliedFilter, tools: Tools): Apply<Value> {
  const applier = own(appliers, use.name);
  if (applier !== undefined) {
    tools.builds();
    return applier(use, tools);
  }
  const filter = own(filters, use.name);
  if (filter === undefined) {
    return unknown("filter", use, [...Object.keys(filters), ...Object.keys(appliers)]);
  }
  if (filter.plain !== true) tools.builds();
  return prepare(filter, { ...use, what: `The filter ${use.name}` }, tools);
}

export function prepareTest(use: AppliedFilter, tools: Tools): Apply<boolean> {
  const test = own(tests, use.name);
  if (test === undefined) return unknown("test", use, Object.keys(tests));
  return prepare(test, { ...use, what: `The test ${use.name}` }, tools);
}

export function prepareMethod(use: AppliedFilter, tools: Tools): Apply<Value> {
  tools.builds();
  if (changing.includes(use.name) && methodsNamed(use.name).length === 0) {
    throw new TemplateFault(
      `.${use.name}() would change a value, which no template can: build a new one (a + [b], | sort)`,
      use.at,
    );
  }
  const methods = methodsNamed(use.name).map((method) => ({
    of: method.of,
    apply: prepare(method, { ...use, what: `The method ${use.name}` }, tools),
  }));
  if (methods.length === 0) return unknown("method", use, methodNames());
  return (value, frame) => {
    if (isMissing(value)) {
      touch(value);
      return value;
    }
    for (const { of, apply } of methods) if (hasMethods(value, of)) return apply(value, frame);
    frame.at = use.at;
    const owners = methods.map(({ of }) => `${of}s`).join(" and ");
    return fail(
      frame,
      `Cannot call .${use.name}() of ${kindOf(value)}: it is a method of ${owners}`,
    );
  };
}

export function prepareFunction(use: AppliedFilter, tools: Tools): Evaluate {
  const definition = own(functions, use.name);
  if (definition === undefined) return unknown("function", use, [...Object.keys(functions), "now"]);
  tools.builds();
  const apply = prepare(definition, { ...use, what: `The function ${use.name}` }, tools);
  return (frame) => apply(null, frame);
}

type Use = AppliedFilter & { readonly what: string };

function prepare<T>(definition: Definition<T>, use: Use, tools: Tools): Apply<T> {
  const args = bind(definition, use, tools);
  const { run, takesUndefined = false } = definition;
  const { at } = use;
  return (value, frame) => {
    if (!takesUndefined && isMissing(value)) touch(value);
    const given = args(frame);
    frame.at = at;
    if (typeof value === "string") spend(frame, value.length);
    return run(value, given, frame);
  };
}

const none: Args = [];

/** Puts arguments in the order of the parameters. Where all are constant, they are put once and for all. */
function bind<T>(definition: Definition<T>, use: Use, tools: Tools): (frame: Frame) => Args {
  const { positional, named } = use.given;
  if (definition.variadic === true) return bindVariadic(use.given, tools);
  const { params, required = 0 } = definition;
  const placed: (Node | undefined)[] = [...positional];
  const takes = params.length === 0 ? "nothing" : params.join(", ");
  const wrong = (problem: string): never => {
    throw new TemplateFault(`${use.what} ${problem}: it takes ${takes}`, use.at);
  };
  if (positional.length > params.length) wrong(`is given ${String(positional.length)} arguments`);
  for (const [name, node] of named) {
    const index = params.indexOf(name);
    if (index < 0) wrong(`has no parameter ${name}`);
    if (placed[index] !== undefined) wrong(`is given ${name} twice`);
    placed[index] = node;
  }
  for (let index = 0; index < required; index += 1) {
    if (placed[index] === undefined) wrong(`needs ${params[index] ?? "more"}`);
  }
  if (placed.length === 0) return () => none;
  const constants = placed.map((node) => (node === undefined ? undefined : tools.constant(node)));
  if (constants.every((value, index) => value !== undefined || placed[index] === undefined)) {
    return () => constants;
  }
  const evaluate = Array.from(placed, (node) =>
    node === undefined ? undefined : tools.evaluate(node),
  );
  return (frame) => evaluate.map((one) => one?.(frame));
}

function bindVariadic({ positional, named }: Given, tools: Tools): (frame: Frame) => Args {
  const members = named.map(([name, node]) => [name, tools.evaluate(node)] as const);
  const others = positional.map(tools.evaluate);
  return (frame) => [
    objectOf(members.map(([name, evaluate]) => [name, evaluate(frame)] as const)),
    ...others.map((evaluate) => evaluate(frame)),
  ];
}

/** `map(attribute='a.b', default=…)`, or `map('filter', …)` with what that filter takes. */
function prepareMap(use: AppliedFilter, tools: Tools): Apply<Value> {
  const { positional, named } = use.given;
  const attribute = named.find(([name]) => name === "attribute")?.[1];
  if (positional.length === 0 && attribute !== undefined) {
    const fallback = named.find(([name]) => name === "default")?.[1];
    const path = tools.evaluate(attribute);
    const otherwise = fallback === undefined ? undefined : tools.evaluate(fallback);
    return (value, frame) => {
      const parts = pathArg(path(frame));
      const instead = otherwise?.(frame);
      return eachOf(value, frame).map((one) => {
        const found = memberOf(one, parts, { use, frame });
        return isMissing(found) && instead !== undefined ? instead : found;
      });
    };
  }
  const name = nameIn(
    positional[0] ?? use,
    "map needs a filter's name in quotes, or attribute='…'",
    tools,
  );
  const apply = prepareFilter(
    { name, at: use.at, given: { positional: positional.slice(1), named } },
    tools,
  );
  return (value, frame) => eachOf(value, frame).map((one) => apply(one, frame));
}

type Selecting = { readonly tools: Tools; readonly keep: boolean; readonly byMember: boolean };

/** `select('test', …)` and `selectattr('a.b', 'test', …)`; without a test, what is true is taken. */
function prepareSelect(use: AppliedFilter, { tools, keep, byMember }: Selecting): Apply<Value> {
  const positional = [...use.given.positional];
  const attribute = byMember ? positional.shift() : undefined;
  if (byMember && attribute === undefined) {
    throw new TemplateFault(`${use.name} needs the name of a member in quotes`, use.at);
  }
  const path = attribute === undefined ? undefined : tools.evaluate(attribute);
  const test = positional.shift();
  const holds =
    test === undefined
      ? truthy
      : prepareTest(
          {
            name: nameIn(test, `${use.name} needs a test's name in quotes`, tools),
            at: use.at,
            given: { positional, named: use.given.named },
          },
          tools,
        );
  return (value, frame) => {
    const parts = path === undefined ? undefined : pathArg(path(frame));
    return eachOf(value, frame).filter((one) => {
      const asked = parts === undefined ? one : memberOf(one, parts, { use, frame });
      return holds(asked, frame) === keep;
    });
  };
}

function eachOf(value: Value, frame: Frame): readonly Value[] {
  if (isMissing(value)) touch(value);
  const items = iterate(value, frame);
  spend(frame, items.length);
  return items;
}

function memberOf(
  value: Value,
  parts: readonly (string | number)[],
  { use, frame }: { readonly use: AppliedFilter; readonly frame: Frame },
): Value {
  frame.at = use.at;
  const missing = createMissing(`the member ${parts.join(".")} of an element`, false, use.at);
  return along(value, parts, { missing, frame });
}

function nameIn(node: Node | AppliedFilter, needed: string, tools: Tools): string {
  const name = "kind" in node ? tools.constant(node) : undefined;
  if (typeof name === "string") return name;
  throw new TemplateFault(needed, node.at);
}

function own<T>(table: { readonly [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function unknown(what: string, { name, at }: AppliedFilter, known: readonly string[]): never {
  const near = nearest(name, known);
  const hint =
    near === undefined ? `known are ${[...known].sort().join(", ")}` : `did you mean ${near}?`;
  throw new TemplateFault(`Unknown ${what} ${name}: ${hint}`, at);
}
