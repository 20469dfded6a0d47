/** What a database says about values must not show them. */
import { isJsonObject, type Json } from "../../base/json.ts";
import type { Bound } from "./bind.ts";

/** Shorter values are no secret, and would take words apart. */
const maskedCharsMin = 3;

/** The text without the values of the query's parameters. */
export function masked(text: string, { values }: Bound): string {
  return values
    .flatMap(({ value }) => textsIn(value))
    .filter((one) => one.length >= maskedCharsMin)
    .sort((left, right) => right.length - left.length)
    .reduce((left, one) => left.replaceAll(one, "…"), text);
}

function textsIn(value: Json | undefined): readonly string[] {
  if (value === null || value === undefined || typeof value === "boolean") return [];
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  const members = isJsonObject(value) ? Object.values(value) : value;
  return [JSON.stringify(value), ...members.flatMap(textsIn)];
}
