import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { SetValue } from "../decision.ts";

/** The object with one member, deep in it, replaced: what stands along the path is copied, never changed. */
export function assigned(target: JsonObject, path: readonly string[], value: Json): JsonObject {
  const [name, ...rest] = path;
  if (name === undefined) return isJsonObject(value) ? value : target;
  if (rest.length === 0) return { ...target, [name]: value };
  const inner = Object.hasOwn(target, name) ? target[name] : undefined;
  return { ...target, [name]: assigned(isJsonObject(inner) ? inner : {}, rest, value) };
}

/** The three places that a `set` can write to. */
export type Scopes = { ctx: JsonObject; iter: JsonObject; step: JsonObject };

export function assign(scopes: Scopes, { scope, path, value }: SetValue): void {
  scopes[scope] = assigned(scopes[scope], path, value);
}
