/**
 * The one Jinja2 engine: every template and every condition of a playbook is compiled here, once, and rendered
 * as often as it is needed.
 *
 * 1. A text that is exactly one `{{ expression }}` gives the value with its type; any other gives a string.
 *    A text without `{{`, `{%` or `{#` is given back as it is. Nothing is typed a second time.
 * 2. The same template over the same scope gives the same result, on every host: no clock, no locale, no
 *    randomness, nothing that depends on what was rendered before.
 * 3. A scope is asked only for the roots that a template names (`roots`).
 * 4. Nothing is reached but data: no prototype, no host object, no method that changes a value.
 * 5. Every render ends, in bounded memory: see `templateLimits`.
 * 6. Nothing throws: what is wrong in a template, or in what it meets, is a problem with its place.
 *
 * Where this differs from Python's Jinja2 is written beside the vectors in `test/golden/templates.json`.
 */
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { compileExpression, type Compiler } from "./template/compile-expression.ts";
import { compileBody } from "./template/compile-template.ts";
import { templateLimits } from "./template/limits.ts";
import { createNames } from "./template/names.ts";
import { parseBare, parseTemplate } from "./template/parse-template.ts";
import { resultOf } from "./template/result.ts";
import type { Body, Node, Statement } from "./template/syntax.ts";
import { TemplateFault, objectOf, truthy, type Frame, type Scope } from "./template/value.ts";

export { templateLimits } from "./template/limits.ts";
export type { Scope } from "./template/value.ts";

/** `strict`: using an undefined value is an error. `lenient`: alone it is null, within a text it is empty. */
export type UndefinedMode = "strict" | "lenient";

/** What is wrong and what to do; `at` is the offset in the source, in UTF-16 code units. */
export type TemplateProblem = { readonly message: string; readonly at: number };

/** A problem in one string of a value; `path` leads there by keys and indexes. */
export type ValueProblem = TemplateProblem & { readonly path: Path };

type Path = readonly (string | number)[];

type Compiled<T, Problem> = {
  /** Every root that a render may ask for. */
  readonly roots: ReadonlySet<string>;
  readonly render: (scope: Scope) => Result<T, Problem>;
};

export type Template = Compiled<Json, TemplateProblem>;

export type Condition = Compiled<boolean, TemplateProblem>;

export type ValueTemplate = Compiled<Json, ValueProblem>;

/** Compiles one text. */
export function compileTemplate(
  source: string,
  mode: UndefinedMode,
): Result<Template, TemplateProblem> {
  return attempt(() => {
    const roots = new Set<string>();
    const render = compileText(source, { mode, roots });
    return { roots, render: (scope) => attempt(() => render(createFrame(scope))) };
  });
}

/**
 * Compiles a condition: `{{ expression }}`, or the expression alone. It holds where the value is true as Jinja2
 * has it: the string `"false"` is not empty, and so it is true.
 */
export function compileCondition(
  source: string,
  mode: UndefinedMode,
): Result<Condition, TemplateProblem> {
  return attempt(() => {
    const roots = new Set<string>();
    const evaluate = compileExpression(parseCondition(source), createCompiler({ mode, roots }));
    return { roots, render: (scope) => attempt(() => truthy(evaluate(createFrame(scope)))) };
  });
}

/** Compiles the templates in the strings of a value. Keys are no templates. What holds none is given as it is. */
export function compileValue(
  value: Json,
  mode: UndefinedMode,
): Result<ValueTemplate, ValueProblem> {
  const roots = new Set<string>();
  const paths: Path[] = [];
  const compileString = (source: string, path: Path): Render => {
    const part = paths.push(path) - 1;
    const render = compileText(source, { mode, roots });
    return (frame) => {
      frame.part = part;
      return render(frame);
    };
  };
  const compiled = attempt(() => compileJson(value, [], compileString));
  if (!compiled.ok) return err({ ...compiled.error, path: paths.at(-1) ?? [] });
  const render = compiled.value;
  if (render === undefined) return ok({ roots, render: () => ok(value) });
  return ok({
    roots,
    render: (scope) => {
      const frame = createFrame(scope);
      const rendered = attempt(() => render(frame));
      return rendered.ok ? rendered : err({ ...rendered.error, path: paths[frame.part] ?? [] });
    },
  });
}

/** A scope over the members of one object. */
export function scopeOf(roots: JsonObject): Scope {
  return { get: (root) => (Object.hasOwn(roots, root) ? roots[root] : undefined) };
}

type Render = (frame: Frame) => Json;

function attempt<T>(run: () => T): Result<T, TemplateProblem> {
  try {
    return ok(run());
  } catch (thrown) {
    if (!(thrown instanceof TemplateFault)) throw thrown;
    return err({ message: thrown.message, at: thrown.at });
  }
}

type Compiling = { readonly mode: UndefinedMode; readonly roots: Set<string> };

function createCompiler({ mode, roots }: Compiling): Compiler {
  return {
    strict: mode === "strict",
    names: createNames(),
    roots,
    builds: false,
    depth: 0,
    nodes: 0,
  };
}

const noSlots: Frame["slots"] = [];

function createFrame(scope: Scope): Frame {
  return {
    scope,
    slots: noSlots,
    text: "",
    workLeft: templateLimits.workMax,
    loopStepsLeft: templateLimits.loopStepsMax,
    at: 0,
    depth: 0,
    part: 0,
  };
}

function isTemplate(source: string): boolean {
  return /\{[{%#]/.test(source);
}

function compileText(source: string, compiling: Compiling): Render {
  if (!isTemplate(source)) return () => source;
  const compiler = createCompiler(compiling);
  const body = parseTemplate(source);
  const single = /^\{\{[^]*\}\}(?:\r?\n)?$/.test(source) ? onlyExpression(body) : undefined;
  if (single !== undefined) {
    const evaluate = compileExpression(single, compiler);
    const { builds } = compiler;
    return (frame) => resultOf(evaluate(frame), builds, frame);
  }
  const emit = compileBody(body, compiler);
  const slots = compiler.names.slotCount();
  return (frame) => {
    frame.text = "";
    if (slots > 0) frame.slots = Array.from({ length: slots }, () => undefined);
    emit(frame);
    return frame.text;
  };
}

function onlyExpression(body: Body): Node | undefined {
  const [only, more] = body;
  return only?.kind === "print" && more === undefined ? only.value : undefined;
}

function parseCondition(source: string): Node {
  if (!isTemplate(source)) return parseBare(source);
  const isBlank = (one: Statement): boolean => one.kind === "text" && one.text.trim() === "";
  const single = onlyExpression(parseTemplate(source).filter((one) => !isBlank(one)));
  if (single !== undefined) return single;
  throw new TemplateFault(
    "A condition is one expression: write all of it within one pair of {{ }}, or without",
    0,
  );
}

/** Undefined where no string in it is a template. */
function compileJson(
  value: Json,
  path: Path,
  compileString: (source: string, path: Path) => Render,
): Render | undefined {
  if (typeof value === "string") return isTemplate(value) ? compileString(value, path) : undefined;
  if (path.length > templateLimits.depthMax) {
    throw new TemplateFault(
      `The value is nested too deep: more than ${String(templateLimits.depthMax)} levels`,
      0,
    );
  }
  if (isList(value)) {
    const items = value.map((item, index) => compileJson(item, [...path, index], compileString));
    if (items.every((item) => item === undefined)) return undefined;
    return (frame) => value.map((item, index) => rendered(item, items[index], frame));
  }
  if (!isJsonObject(value)) return undefined;
  const members = Object.entries(value).flatMap(([key, member]) =>
    member === undefined
      ? []
      : [{ key, member, render: compileJson(member, [...path, key], compileString) }],
  );
  if (members.every(({ render }) => render === undefined)) return undefined;
  return (frame) =>
    objectOf(members.map(({ key, member, render }) => [key, rendered(member, render, frame)]));
}

function rendered(value: Json, render: Render | undefined, frame: Frame): Json {
  return render === undefined ? value : render(frame);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
