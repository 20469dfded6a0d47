/**
 * Files that people write: YAML read against a schema, every problem with its line and column.
 */
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { nearest } from "./nearest.ts";
import { err, ok, type Result } from "./result.ts";
import { readYaml, type YamlPlace } from "./yaml.ts";

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

/**
 * Reads every document of a YAML 1.2 file; all problems are reported, not only the first.
 *
 * A schema's `description` says in words what a text must look like, where it has a `pattern`.
 *
 * @returns the documents in their order; refused where one of them is not valid YAML or does not fit.
 */
export function readDocuments<S extends TSchema>(
  text: string,
  file: string,
  schema: S,
): Result<readonly ReadDocument<Static<S>>[], readonly DocumentProblem[]> {
  const check = checkOf(schema);
  return readEach(text, file, () => check);
}

/**
 * Reads a file whose documents are of several kinds, each named by its member `kind`.
 *
 * @param kinds the schema of each kind.
 * @returns as `readDocuments`; refused, too, where a document is of none of these kinds.
 */
export function readKinds<S extends TSchema>(
  text: string,
  file: string,
  kinds: { readonly [kind: string]: S },
): Result<readonly ReadDocument<Static<S>>[], readonly DocumentProblem[]> {
  const checks = new Map<string, Check<Static<S>>>();
  const known = Object.keys(kinds);
  return readEach(text, file, (value) => {
    const isObject = typeof value === "object" && value !== null;
    const kind = isObject ? (value as Loose)["kind"] : undefined;
    const schema = typeof kind === "string" && known.includes(kind) ? kinds[kind] : undefined;
    if (typeof kind !== "string" || schema === undefined) {
      const message =
        kind === undefined ? "missing: kind" : `"kind" must be one of ${known.join(", ")}`;
      return { path: kind === undefined ? [] : ["kind"], message: message + got(value, ["kind"]) };
    }
    const check = checks.get(kind) ?? checkOf(schema);
    checks.set(kind, check);
    return check;
  });
}

/** A schema, ready to check with. */
type Check<T> = {
  readonly schema: TSchema;
  readonly fits: (value: unknown) => value is T;
  readonly errors: (value: unknown) => readonly SchemaError[];
};

function checkOf<S extends TSchema>(schema: S): Check<Static<S>> {
  const validator = Compile(schema);
  return {
    schema,
    fits: (value): value is Static<S> => validator.Check(value),
    errors: (value) => validator.Errors(value),
  };
}

/** @param choose the check that a document is for, or why there is none. */
function readEach<T>(
  text: string,
  file: string,
  choose: (value: unknown) => Check<T> | Found,
): Result<readonly ReadDocument<T>[], readonly DocumentProblem[]> {
  const yaml = readYaml(text);
  const at = ({ line, column }: YamlPlace, message: string): DocumentProblem => {
    return { file, line, column, message };
  };
  const problems = yaml.problems.map((problem) => at(problem, problem.message));
  const read: ReadDocument<T>[] = [];
  for (const { value, place, keyPlace } of yaml.documents) {
    const check = choose(value);
    if ("message" in check) {
      problems.push(at(place(check.path), check.message));
      continue;
    }
    if (check.fits(value)) {
      const problem: ReadDocument<T>["problem"] = (path, message, within) =>
        at(place(path, within), message);
      read.push({ value, problem });
      continue;
    }
    const seen = new Set<string>();
    for (const error of check.errors(value)) {
      const found = explain(error, check.schema, value);
      const key = JSON.stringify(found?.path);
      if (found === undefined || seen.has(key)) continue;
      seen.add(key);
      const where = found.atKey === true ? keyPlace(found.path) : place(found.path);
      problems.push(at(where, found.message));
    }
  }
  if (problems.length > 0) return err(problems.sort(byPlace));
  if (read.length === 0) return err([at({ line: 1, column: 1 }, "the file is empty")]);
  return ok(read);
}

function byPlace(left: DocumentProblem, right: DocumentProblem): number {
  return left.line - right.line || left.column - right.column;
}

type SchemaError = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
};

type Found = {
  readonly path: readonly string[];
  readonly message: string;
  /** The key itself is wrong, not what it holds. */
  readonly atKey?: true;
};

/** The checker stops after some errors, so an unknown key is told by its own one. */
function explain(error: SchemaError, schema: TSchema, root: unknown): Found | undefined {
  if (error.keyword === "additionalProperties") return undefined;
  const path = error.instancePath.split("/").slice(1).map(unescapePointer);
  const name = path.at(-1);
  if (error.keyword === "boolean" && name !== undefined) {
    const known = Object.keys(propertiesAt(schema, path.slice(0, -1)));
    const near = nearest(name, known);
    const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean "${near}"?`;
    return { path, message: `unknown key "${name}": ${hint}`, atKey: true };
  }
  if ("requiredProperties" in error.params) {
    const missing = (error.params.requiredProperties as string[]).join(", ");
    return { path, message: `missing: ${missing}` };
  }
  const what = name === undefined ? "the document" : `"${name}"`;
  const expected = expectation(error, schemasAt(schema, path));
  return { path, message: `${what} ${expected}${got(root, path)}` };
}

/** What was expected, in words: the choices of a union, the description of a pattern. */
function expectation(error: SchemaError, schemas: readonly LooseSchema[]): string {
  const choices = schemas.flatMap((one) => (one.const === undefined ? [] : [spell(one.const)]));
  if (choices.length > 0)
    return `must be ${choices.length > 1 ? "one of " : ""}${choices.join(", ")}`;
  const described = schemas.find((one) => one.description !== undefined);
  if (error.keyword === "pattern" && described !== undefined) {
    return `must be ${String(described.description)}`;
  }
  return error.message;
}

function spell(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The current value, where it is short enough to be said. */
function got(root: unknown, path: readonly string[]): string {
  let value = root;
  for (const key of path) {
    value = typeof value === "object" && value !== null ? (value as Loose)[key] : undefined;
  }
  if (value === undefined) return "";
  const said = JSON.stringify(value);
  return said.length > saidMax ? "" : `: got ${said}`;
}

const saidMax = 80;

type Loose = { readonly [key: string]: unknown };

type LooseSchema = {
  readonly properties?: { readonly [key: string]: LooseSchema };
  /** Of a record: one pattern for all keys. */
  readonly patternProperties?: { readonly [pattern: string]: LooseSchema };
  readonly items?: LooseSchema;
  readonly anyOf?: readonly LooseSchema[];
  readonly const?: unknown;
  readonly description?: unknown;
};

function schemasAt(schema: TSchema, path: readonly string[]): readonly LooseSchema[] {
  let current: readonly LooseSchema[] = branches(schema);
  for (const key of path) {
    current = current.flatMap(({ properties, patternProperties, items }) => {
      const [record] = Object.values(patternProperties ?? {});
      return branches(properties?.[key] ?? record ?? items ?? {});
    });
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

function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}
