/**
 * CloudEvents 1.0, both ways: structured and batch as JSON values, binary as headers and a body.
 *
 * | envelope | CloudEvents |
 * |---|---|
 * | `event_id` | `id` |
 * | `source.system`, `source.ns` | `source`: `/<system>?<ns as a query>` |
 * | `event_type`, `ts`, `entity_id` | `type`, `time`, `subject` |
 * | `attrs` | `data` |
 * | `tags` | extension `tags`, as JSON text |
 * | the rest | extensions named as the field, without `_` |
 *
 * Coming in: `time` is required, as event time is never invented; without `subject` the entity is the
 * `source`; without `idempotencykey` the key is (source, id), which CloudEvents promises to be unique;
 * data that is no object becomes `{value: data}`.
 */
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { deedError, type DeedError } from "./error.ts";
import type { DeedEvent, EventSource, NewEvent } from "./envelope.ts";
import { parseObservation } from "./schema.ts";

export type CloudEvent = { readonly [attribute: string]: Json | undefined };

const extensions = [
  ["correlationid", "correlation_id"],
  ["causationid", "causation_id"],
  ["idempotencykey", "idempotency_key"],
  ["actionid", "action_id"],
  ["executionid", "execution_id"],
  ["parentexecutionid", "parent_execution_id"],
  ["attempt", "attempt"],
  ["traceparent", "traceparent"],
] as const;

const known: ReadonlySet<string> = new Set([
  "specversion",
  "id",
  "source",
  "type",
  "time",
  "subject",
  "data",
  "data_base64",
  "datacontenttype",
  "dataschema",
  "tags",
  ...extensions.map(([extension]) => extension),
]);

/** Structured mode. Loses nothing: `fromCloudEvent` gives the event back. */
export function toCloudEvent(event: DeedEvent): CloudEvent {
  const cloud: Record<string, Json> = {
    specversion: "1.0",
    id: event.event_id,
    source: spellSource(event.source),
    type: event.event_type,
    time: event.ts,
    subject: event.entity_id,
    datacontenttype: "application/json",
    data: event.attrs,
  };
  if (Object.keys(event.tags).length > 0) cloud["tags"] = JSON.stringify(event.tags);
  for (const [extension, field] of extensions) {
    const value = event[field];
    if (value !== undefined) cloud[extension] = value;
  }
  return cloud;
}

/** Binary mode: header names are lower case; the body is the data as JSON. */
export function toBinaryCloudEvent(event: DeedEvent): {
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
} {
  const headers: Record<string, string> = { "content-type": "application/json" };
  for (const [name, value] of Object.entries(toCloudEvent(event))) {
    if (name === "data" || name === "datacontenttype" || value === undefined) continue;
    headers[`ce-${name}`] = encodeURI(typeof value === "string" ? value : JSON.stringify(value));
  }
  return { headers, body: JSON.stringify(event.attrs) };
}

/** Reads an observation from structured mode. */
export function fromCloudEvent(value: unknown): Result<NewEvent, DeedError> {
  if (!isJsonObject(value)) return refused("it is not a JSON object");
  const { specversion, id, source, type, time } = value;
  if (specversion !== "1.0")
    return refused(`specversion must be "1.0": got ${JSON.stringify(specversion)}`);
  for (const [name, member] of Object.entries({ id, source, type })) {
    if (typeof member !== "string" || member === "")
      return refused(`${name} must be a text that is not empty`);
  }
  if (typeof time !== "string")
    return refused("time is required: event time is given by the producer");
  const unknown = Object.keys(value).find((name) => !/^[a-z0-9]+$/.test(name) && !known.has(name));
  if (unknown !== undefined) return refused(`"${unknown}" is not an attribute name`);
  const tags = readTags(value);
  if (!tags.ok) return tags;
  return parseObservation({
    ts: time,
    event_type: type,
    entity_id: value["subject"] ?? source,
    idempotency_key: value["idempotencykey"] ?? `${String(source)}#${String(id)}`,
    source: readSource(String(source)),
    tags: tags.value,
    attrs: readData(value["data"]),
    ...(value["correlationid"] === undefined ? {} : { correlation_id: value["correlationid"] }),
    ...(value["causationid"] === undefined ? {} : { causation_id: value["causationid"] }),
    ...(value["traceparent"] === undefined ? {} : { traceparent: value["traceparent"] }),
  });
}

/** Reads an observation from binary mode; header names must be lower case, `body` is parsed JSON. */
export function fromBinaryCloudEvent(
  headers: { readonly [name: string]: string | readonly string[] | undefined },
  body: Json,
): Result<NewEvent, DeedError> {
  const cloud: Record<string, Json> = { data: body };
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith("ce-") && typeof value === "string") cloud[name.slice(3)] = decoded(value);
  }
  return fromCloudEvent(cloud);
}

function spellSource({ system, ns }: EventSource): string {
  const query = Object.entries(ns)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join("&");
  return `/${encodeURIComponent(system)}${query === "" ? "" : `?${query}`}`;
}

/** A source that is not spelled as ours is a system of that name. */
function readSource(source: string): EventSource {
  const [, system, query] = /^\/([^/?#]+)(?:\?(.*))?$/.exec(source) ?? [];
  if (system === undefined) return { system: source, ns: {} };
  const ns: Record<string, string> = {};
  for (const pair of (query ?? "").split("&")) {
    const [name = "", value = ""] = pair.split("=");
    if (name !== "") ns[decoded(name)] = decoded(value);
  }
  return { system: decoded(system), ns };
}

/** Known extensions have their field; any other becomes a tag. */
function readTags(cloud: CloudEvent): Result<JsonObject, DeedError> {
  const tags: Record<string, Json> = {};
  for (const [name, value] of Object.entries(cloud)) {
    if (!known.has(name) && value !== undefined) tags[name] = value;
  }
  const packed = cloud["tags"];
  if (packed === undefined) return ok(tags);
  try {
    const read: unknown = JSON.parse(String(packed));
    return isJsonObject(read) ? ok({ ...tags, ...read }) : refused("tags must hold a JSON object");
  } catch {
    return refused("tags must hold a JSON object");
  }
}

function readData(data: Json | undefined): JsonObject {
  if (data === undefined || data === null) return {};
  return isJsonObject(data) ? data : { value: data };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function refused(what: string): Result<never, DeedError> {
  return err(deedError("invalid_args", `Cannot accept the CloudEvent as ${what}`));
}
