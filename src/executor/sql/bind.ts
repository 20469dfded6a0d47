/** The parameters of a query: placeholders and values, never a text made of both. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { piecesOf } from "./lex.ts";

export type SqlParams = readonly Json[] | JsonObject;

/** A query with `$1` to `$n` and what stands for them. */
export type Bound = {
  readonly text: string;
  readonly values: readonly BoundValue[];
  /** True where names were replaced, so that positions in `text` are not those of what was written. */
  readonly rewritten: boolean;
};

/** One value; `json` where the query takes it as JSON by a cast: `:name::jsonb`. */
export type BoundValue = { readonly value: Json; readonly json: boolean };

const named = /:([\p{L}_][\p{L}\p{N}_]*)|%\(([^()]+)\)s/uy;
const numbered = /\$(\d+)/y;
const jsonCast = /\s*::\s*jsonb?(?![\w[])/iy;
/** After one of these a colon is a cast, an assignment or the slice of an array. */
const noPlaceholderAfter = /[\p{L}\p{N}_:\])]$/u;

/**
 * A list stands for `$1` to `$n`, a mapping for `:name` and `%(name)s`; what stands in literals, quoted names
 * and comments is no placeholder.
 *
 * @throws {Fault} `invalid_args` where the query names a parameter that is not given.
 */
export function bindParams(sql: string, params: SqlParams): Bound {
  return isJsonObject(params) ? bindMapping(sql, params) : bindList(sql, params);
}

function bindMapping(sql: string, params: JsonObject): Bound {
  const values: BoundValue[] = [];
  let text = "";
  let copied = 0;
  for (const { kind, from } of piecesOf(sql)) {
    if (kind !== "other" || from < copied) continue;
    named.lastIndex = from;
    const found = named.exec(sql);
    const name = found?.[1] ?? found?.[2];
    if (found === null || name === undefined) continue;
    if (found[1] !== undefined && noPlaceholderAfter.test(sql.slice(Math.max(0, from - 2), from)))
      continue;
    const value = Object.hasOwn(params, name) ? params[name] : undefined;
    if (value === undefined) throw missing(name, Object.keys(params));
    values.push({ value, json: isCastToJson(sql, named.lastIndex) });
    text += `${sql.slice(copied, from)}$${String(values.length)}`;
    copied = from + found[0].length;
  }
  return { text: text + sql.slice(copied), values, rewritten: values.length > 0 };
}

function bindList(sql: string, params: readonly Json[]): Bound {
  const json = new Set<number>();
  for (const { kind, from } of piecesOf(sql)) {
    if (kind !== "other") continue;
    numbered.lastIndex = from;
    const number = Number(numbered.exec(sql)?.[1]);
    if (number >= 1 && isCastToJson(sql, numbered.lastIndex)) json.add(number);
  }
  const values = params.map((value, index) => ({ value, json: json.has(index + 1) }));
  return { text: sql, values, rewritten: false };
}

function isCastToJson(sql: string, from: number): boolean {
  jsonCast.lastIndex = from;
  return jsonCast.test(sql);
}

function missing(name: string, known: readonly string[]): Error {
  const has = known.length === 0 ? "none is given" : `given are ${known.join(", ")}`;
  return fault("invalid_args", `Cannot bind the parameter "${name}" of the query: ${has}`);
}
