import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { EventSource, NewEvent } from "../../event/envelope.ts";
import { parseObservation } from "../../event/schema.ts";

/**
 * How a line becomes an observation: for each member either a path into the line (`$.job.id`) or a
 * text, in which `${path}` stands for a value. The whole line becomes `attrs`. Without a mapping a line
 * is the envelope itself.
 *
 * A line without a value that a member is made of is refused; a tag without one is left out.
 */
export type LineMapping = {
  readonly event_type: string;
  readonly entity_id: string;
  readonly ts: string;
  readonly correlation_id?: string;
  readonly tags?: { readonly [name: string]: string };
};

/** @returns the observation, or why the line gives none. */
export function mapLine(
  text: string,
  given: {
    readonly mapping?: LineMapping;
    readonly source: EventSource;
    readonly idempotencyKey: string;
  },
): Result<NewEvent, string> {
  let line: Json;
  try {
    line = JSON.parse(text) as Json;
  } catch (thrown) {
    return err(
      `the line is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
  }
  if (!isJsonObject(line)) return err("the line is not a JSON object");
  const { mapping, source, idempotencyKey } = given;
  if (mapping === undefined) {
    return parsed({ idempotency_key: idempotencyKey, source, tags: {}, attrs: {}, ...line });
  }
  const members: { [name: string]: Json } = {};
  for (const name of ["ts", "event_type", "entity_id", "correlation_id"] as const) {
    const pattern = mapping[name];
    if (pattern === undefined) continue;
    const filled = fill(pattern, line);
    if (!filled.ok) return err(`the line has no ${filled.error}, which ${name} is made of`);
    members[name] = filled.value;
  }
  const tags: { [name: string]: Json } = {};
  for (const [name, pattern] of Object.entries(mapping.tags ?? {})) {
    const filled = fill(pattern, line);
    if (filled.ok) tags[name] = filled.value;
  }
  return parsed({ ...members, idempotency_key: idempotencyKey, source, tags, attrs: line });
}

function parsed(candidate: JsonObject): Result<NewEvent, string> {
  const read = parseObservation(candidate);
  return read.ok ? ok(read.value) : err(read.error.message);
}

/** @returns the value, or the path that the line does not have (or where it has `null`). */
function fill(pattern: string, line: JsonObject): Result<Json, string> {
  if (pattern.startsWith("$.")) return at(pattern.slice(2), line);
  let missing: string | undefined;
  const text = pattern.replace(/\$\{([^}]+)\}/g, (_, path: string) => {
    const found = at(path, line);
    if (!found.ok) {
      missing ??= found.error;
      return "";
    }
    return typeof found.value === "string" ? found.value : JSON.stringify(found.value);
  });
  return missing === undefined ? ok(text) : err(missing);
}

function at(path: string, line: JsonObject): Result<Json, string> {
  let value: Json | undefined = line;
  for (const key of path.split(".")) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return err(path);
    value = value[key];
  }
  return value === undefined || value === null ? err(path) : ok(value);
}
