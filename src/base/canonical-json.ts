import type { Json } from "./json.ts";

/**
 * One spelling for one value: RFC 8785 (JSON Canonicalization Scheme).
 *
 * Keys are ordered by UTF-16 code units, members that are `undefined` are left out as in JSON,
 * numbers print as ECMAScript prints them. Used wherever bytes are compared or hashed.
 * One step beyond the RFC: a lone surrogate, which it refuses, is written as its escape (`\ud800`), so
 * that no text from outside can stop a fold.
 *
 * @throws {RangeError} for NaN and infinities, which JSON cannot say.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new RangeError(`Cannot write ${String(value)} as JSON`);
    return JSON.stringify(value);
  }
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member !== undefined) members.push(`${JSON.stringify(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(",")}}`;
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
