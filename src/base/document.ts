/**
 * Files that people write: YAML read against a schema, every problem with its line and column.
 */
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { LineCounter, isMap, isScalar, parseAllDocuments, type Document } from "yaml";
import { nearest } from "./nearest.ts";
import { err, ok, type Result } from "./result.ts";

/** What is wrong with a file, where, and what to do. Lines and columns count from 1. */
export type DocumentProblem = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
};

/** One YAML document that fits its schema. */
export type ReadDocument<T> = {
  readonly value: T;
  /**
   * The problem with a member, placed in the file.
   *
   * @param path keys and indexes from the root.
   * @param within characters into a scalar's text, e.g. where an expression in it breaks.
   */
  readonly problem: (
    path: readonly (string | number)[],
    message: string,
    within?: number,
  ) => DocumentProblem;
};

/** `file:line:column: message`, as editors and terminals link it. */
export function formatProblem({ file, line, column, message }: DocumentProblem): string {
  return `${file}:${String(line)}:${String(column)}: ${message}`;
}

/** Reads every document of a YAML file; all problems are reported, not only the first. */
export function readDocuments<S extends TSchema>(
  text: string,
  file: string,
  schema: S,
): Result<readonly ReadDocument<Static<S>>[], readonly DocumentProblem[]> {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const validator = Compile(schema);
  const problems: DocumentProblem[] = [];
  const read: ReadDocument<Static<S>>[] = [];
  const at = (offset: number, message: string): DocumentProblem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), message };
  };
  for (const document of documents) {
    for (const error of document.errors)
      problems.push(at(error.pos[0], `not valid YAML: ${error.message}`));
    if (document.errors.length > 0 || document.contents === null) continue;
    const value: unknown = document.toJS();
    const problem: ReadDocument<Static<S>>["problem"] = (path, message, within = 0) =>
      at(offsetOf(document, path) + within, message);
    if (validator.Check(value)) {
      read.push({ value: value as Static<S>, problem });
      continue;
    }
    const seen = new Set<string>();
    for (const error of validator.Errors(value)) {
      const found = explain(error, schema);
      const key = JSON.stringify(found.path);
      if (found.message === "" || seen.has(key)) continue;
      seen.add(key);
      problems.push(problem(found.path, found.message));
    }
  }
  if (problems.length > 0) return err(problems);
  if (read.length === 0) return err([at(0, "the file is empty")]);
  return ok(read);
}

type SchemaError = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
};

function explain(
  error: SchemaError,
  schema: TSchema,
): { readonly path: readonly (string | number)[]; readonly message: string } {
  const path = error.instancePath.split("/").slice(1).map(unescapePointer);
  if ("additionalProperties" in error.params && Array.isArray(error.params.additionalProperties)) {
    const [unknown = ""] = error.params.additionalProperties as string[];
    const known = Object.keys(propertiesAt(schema, path));
    const near = nearest(unknown, known);
    const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean "${near}"?`;
    return { path: [...path, unknown], message: `unknown key "${unknown}": ${hint}` };
  }
  if (error.keyword === "boolean") return { path, message: "" };
  if ("requiredProperties" in error.params) {
    const missing = (error.params.requiredProperties as string[]).join(", ");
    return { path, message: `missing: ${missing}` };
  }
  const name = path.at(-1);
  const allowed = allowedAt(schema, path);
  const hint = allowed === undefined ? "" : `: one of ${allowed.join(", ")}`;
  return {
    path,
    message: `${name === undefined ? "the document" : `"${String(name)}"`} ${error.message}${hint}`,
  };
}

type LooseSchema = {
  readonly properties?: { readonly [key: string]: LooseSchema };
  readonly items?: LooseSchema;
  readonly anyOf?: readonly LooseSchema[];
  readonly const?: unknown;
};

function schemasAt(schema: TSchema, path: readonly string[]): readonly LooseSchema[] {
  let current: readonly LooseSchema[] = branches(schema as LooseSchema);
  for (const key of path) {
    current = current.flatMap((one) => branches(one.properties?.[key] ?? one.items ?? {}));
  }
  return current;
}

function branches(schema: LooseSchema): readonly LooseSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(branches);
}

function propertiesAt(
  schema: TSchema,
  path: readonly string[],
): { readonly [key: string]: LooseSchema } {
  return Object.assign({}, ...schemasAt(schema, path).map((one) => one.properties ?? {})) as {
    readonly [key: string]: LooseSchema;
  };
}

function allowedAt(schema: TSchema, path: readonly string[]): readonly string[] | undefined {
  const values = schemasAt(schema, path).flatMap((one) =>
    one.const === undefined ? [] : [one.const],
  );
  return values.length < 2 ? undefined : values.map(String);
}

/** Where a member's value stands; for a member that is not there or not known, its key or its parent. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const parent: unknown = document.getIn(path.slice(0, length - 1), true);
    if (length === path.length && isMap(parent)) {
      const pair = parent.items.find(
        (item) => isScalar(item.key) && item.key.value === path.at(-1),
      );
      const key = pair?.key;
      if (isScalar(key) && key.range && !isScalar(pair?.value)) return key.range[0];
    }
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isScalar(node) && node.range) {
      const quoted = node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE";
      return node.range[0] + (quoted ? 1 : 0);
    }
    if (typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)) {
      return Number(node.range[0]);
    }
  }
  return 0;
}

function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
