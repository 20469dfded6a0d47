/** What every tool for SQL is called with. */
import Type from "typebox";
import type { Json } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { scriptSchema, textOrScript, type Script, type Scripts } from "../script.ts";
import { bindParams, type Bound } from "./bind.ts";

/** Members of `argsSchema`. */
export const queryMembers = {
  /** One of `query` and `script`. */
  query: Type.Optional(Type.String({ minLength: 1 })),
  script: Type.Optional(scriptSchema),
  /** For `$1` to `$n`, or by name for `:name` and `%(name)s`. */
  params: Type.Optional(
    Type.Union([Type.Array(Type.Unknown()), Type.Record(Type.String(), Type.Unknown())]),
  ),
  /** What the templates of the query were rendered with: carried, not used. */
  input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
};

type QueryArgs = {
  readonly query?: string;
  readonly script?: Script;
  readonly params?: unknown[] | { readonly [name: string]: unknown };
};

/** A query as it was written, and with its parameters beside it. */
export type Query = { readonly written: string; readonly bound: Bound };

/** @throws {Fault} */
export async function queryOf(
  { query, script, params }: QueryArgs,
  on: { readonly scripts: Scripts | undefined; readonly signal: AbortSignal },
): Promise<Query> {
  const text = await textOrScript({ text: query, script }, { ...on, what: "SQL", member: "query" });
  if (text.includes("\0")) {
    throw fault("invalid_args", "Cannot run the query as it holds a NUL character");
  }
  if (params === undefined) {
    return { written: text, bound: { text, values: [], rewritten: false } };
  }
  return { written: text, bound: bindParams(text, params as readonly Json[]) };
}
