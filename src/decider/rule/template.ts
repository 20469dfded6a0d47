import { canonicalJson } from "../../base/canonical-json.ts";
import { isJsonObject, type Json } from "../../base/json.ts";
import { ok, err, type Result } from "../../base/result.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import { compileExpression, type Evaluated, type ExpressionProblem } from "./cel.ts";

/** A JSON value in whose strings `{{ CEL }}` stands for what the expression gives. */
export type Template = (event: DeedEvent) => Evaluated;

export type TemplateProblem = ExpressionProblem & { readonly path: readonly (string | number)[] };

/**
 * Compiles a template. A string that is exactly one `{{ expression }}` gives the value with its type;
 * anything around it makes it text. Braces and quotes inside an expression are its own; two opening braces
 * as text are written `{{ "{{" }}`. Opening braces that are never closed are refused.
 */
export function compileTemplate(value: Json): Result<Template, TemplateProblem> {
  if (typeof value === "string") return compileText(value);
  if (Array.isArray(value)) return compileList(value as readonly Json[]);
  if (isJsonObject(value)) return compileMembers(value);
  return ok(() => ({ kind: "value", value }));
}

function compileList(items: readonly Json[]): Result<Template, TemplateProblem> {
  const templates: Template[] = [];
  for (const [index, item] of items.entries()) {
    const compiled = compileTemplate(item);
    if (!compiled.ok) return within(compiled.error, index);
    templates.push(compiled.value);
  }
  return ok((event) =>
    all(
      templates.map((template) => template(event)),
      (values) => values,
    ),
  );
}

function compileMembers(members: {
  readonly [key: string]: Json | undefined;
}): Result<Template, TemplateProblem> {
  const keys: string[] = [];
  const templates: Template[] = [];
  for (const [key, member] of Object.entries(members)) {
    const compiled = compileTemplate(member ?? null);
    if (!compiled.ok) return within(compiled.error, key);
    keys.push(key);
    templates.push(compiled.value);
  }
  return ok((event) =>
    all(
      templates.map((template) => template(event)),
      (values) => Object.fromEntries(keys.map((key, index) => [key, values[index] ?? null])),
    ),
  );
}

function within(problem: TemplateProblem, key: string | number): Result<never, TemplateProblem> {
  return err({ ...problem, path: [key, ...problem.path] });
}

function compileText(text: string): Result<Template, TemplateProblem> {
  const parts: Template[] = [];
  let end = 0;
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", end)) {
    const close = closeOf(text, open + 2);
    if (close === undefined) {
      return err({
        message: "{{ is never closed: write }} behind the expression",
        at: open,
        path: [],
      });
    }
    const compiled = compileExpression(text.slice(open + 2, close));
    if (!compiled.ok) return err({ ...compiled.error, at: open + 2 + compiled.error.at, path: [] });
    if (open === 0 && close + 2 === text.length) return ok(compiled.value.evaluate);
    parts.push(literal(text.slice(end, open)), compiled.value.evaluate);
    end = close + 2;
  }
  if (parts.length === 0) return ok(literal(text));
  parts.push(literal(text.slice(end)));
  return ok((event) =>
    all(
      parts.map((part) => part(event)),
      (values) => values.map(spell).join(""),
    ),
  );
}

/** Where the expression that begins at `from` ends: at the first `}}` outside of its texts and maps. */
function closeOf(text: string, from: number): number | undefined {
  let depth = 0;
  let quote: string | undefined;
  for (let at = from; at < text.length; at += 1) {
    const sign = text.charAt(at);
    if (quote !== undefined) {
      if (sign === "\\") at += 1;
      else if (sign === quote) quote = undefined;
    } else if (sign === '"' || sign === "'") quote = sign;
    else if (sign === "{") depth += 1;
    else if (sign === "}" && depth > 0) depth -= 1;
    else if (sign === "}" && text.charAt(at + 1) === "}") return at;
  }
  return undefined;
}

function literal(value: Json): Template {
  return () => ({ kind: "value", value });
}

/** Text as it is, anything else as canonical JSON. */
export function spell(value: Json): string {
  return typeof value === "string" ? value : canonicalJson(value);
}

/** Joins the values, or gives the first that is none. */
function all(parts: readonly Evaluated[], join: (values: readonly Json[]) => Json): Evaluated {
  const values: Json[] = [];
  for (const part of parts) {
    if (part.kind !== "value") return part;
    values.push(part.value);
  }
  return { kind: "value", value: join(values) };
}
