import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { EventSource, NewEvent } from "../../event/envelope.ts";
import { parseObservation } from "../../event/schema.ts";

/**
 * How a line becomes an observation: for each member either a path into the line (`$.job.id`) or a
 * text, in which `${path}` stands for a value. Without a mapping a line is the envelope itself.
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
  const candidate =
    mapping === undefined
      ? { idempotency_key: idempotencyKey, source, tags: {}, attrs: {}, ...line }
      : {
          ts: fill(mapping.ts, line),
          event_type: fill(mapping.event_type, line),
          entity_id: fill(mapping.entity_id, line),
          ...(mapping.correlation_id === undefined
            ? {}
            : { correlation_id: fill(mapping.correlation_id, line) }),
          idempotency_key: idempotencyKey,
          source,
          tags: Object.fromEntries(
            Object.entries(mapping.tags ?? {}).map(([name, value]) => [name, fill(value, line)]),
          ),
          attrs: line,
        };
  const parsed = parseObservation(candidate);
  return parsed.ok ? ok(parsed.value) : err(parsed.error.message);
}

function fill(pattern: string, line: JsonObject): Json | undefined {
  if (pattern.startsWith("$.")) return at(pattern.slice(2), line);
  return pattern.replace(/\$\{([^}]+)\}/g, (_, path: string) => {
    const value = at(path, line);
    return typeof value === "string" ? value : JSON.stringify(value ?? null);
  });
}

function at(path: string, line: JsonObject): Json | undefined {
  let value: Json | undefined = line;
  for (const key of path.split(".")) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
