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
 * Invariants
 * 1. Nothing is lost on the way out: `eventFromCloudEvent` and `eventFromBinaryCloudEvent` give back every
 *    event of the log (whose texts are Unicode: a lone surrogate becomes U+FFFD).
 * 2. An observation from outside is minted anew: it has no event_id yet, and may not be of a type that this
 *    system decides. `time` is required, as event time is never invented; without `subject` the entity is
 *    the `source`; without `idempotencykey` the key is (source, id), which CloudEvents promises to be unique.
 * 3. Nothing is dropped without a word: an attribute that has no field becomes a tag, also the extensions
 *    that only the log's own events carry; data that is no object becomes `{value: data}`; what has no place
 *    in an event (bytes, an attribute that is an object) is refused.
 *
 * Source: CloudEvents 1.0.2, its JSON format and its HTTP protocol binding.
 */
import { sha256Hex } from "../base/hash.ts";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { deedError, type DeedError } from "./error.ts";
import type { DeedEvent, EventSource, NewEvent } from "./envelope.ts";
import { parseEvent, parseObservation } from "./schema.ts";

export type CloudEvent = { readonly [attribute: string]: Json | undefined };

/** Binary mode: header names are lower case, the body is JSON text. */
export type BinaryCloudEvent = {
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
};

/** As an HTTP server gives them; a header that came twice is an array. */
export type Headers = { readonly [name: string]: string | readonly string[] | undefined };

/** Extensions of events from outside. */
const observed = [
  ["correlationid", "correlation_id"],
  ["causationid", "causation_id"],
  ["idempotencykey", "idempotency_key"],
  ["traceparent", "traceparent"],
] as const;

/** Extensions that only the log's own events have. */
const decided = [
  ["actionid", "action_id"],
  ["executionid", "execution_id"],
  ["parentexecutionid", "parent_execution_id"],
  ["attempt", "attempt"],
] as const;

const everyExtension = [...observed, ...decided];

const context: readonly string[] = [
  "specversion",
  "id",
  "source",
  "type",
  "time",
  "subject",
  "data",
  "tags",
];

/** Longer keys are replaced by their digest. */
const keyCharsMax = 512;

/** Structured mode. */
export function toCloudEvent(event: DeedEvent): CloudEvent {
  const cloud: Record<string, Json> = {
    specversion: "1.0",
    id: event.event_id,
    source: spellSource(event.source),
    type: event.event_type,
    time: event.ts,
    subject: event.entity_id,
    datacontenttype: json,
    data: event.attrs,
  };
  if (Object.keys(event.tags).length > 0) cloud["tags"] = JSON.stringify(event.tags);
  for (const [extension, field] of everyExtension) {
    const value = event[field];
    if (value !== undefined) cloud[extension] = value;
  }
  return cloud;
}

/** Batch mode: `application/cloudevents-batch+json`. */
export function toCloudEventBatch(events: readonly DeedEvent[]): readonly CloudEvent[] {
  return events.map(toCloudEvent);
}

/** Binary mode. */
export function toBinaryCloudEvent(event: DeedEvent): BinaryCloudEvent {
  const { data, datacontenttype, ...attributes } = toCloudEvent(event);
  const headers: Record<string, string> = { "content-type": spell(datacontenttype ?? json) };
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) headers[`ce-${name}`] = encodeHeader(spell(value));
  }
  return { headers, body: JSON.stringify(data) };
}

/** Reads an observation from structured mode. */
export function fromCloudEvent(value: unknown): Result<NewEvent, DeedError> {
  const read = readAttributes(value, observed);
  if (!read.ok) return read;
  const { cloud, members } = read.value;
  const key = `${cloud.source}#${cloud.id}`;
  const idempotencyKey = key.length > keyCharsMax ? `cloudevent:${sha256Hex(key)}` : key;
  return inTheirWords(parseObservation({ idempotency_key: idempotencyKey, ...members }));
}

/** Reads an observation from binary mode; header names must be lower case, `body` is parsed JSON. */
export function fromBinaryCloudEvent(headers: Headers, body: Json): Result<NewEvent, DeedError> {
  const cloud = fromHeaders(headers, body);
  return cloud.ok ? fromCloudEvent(cloud.value) : cloud;
}

/** Reads observations from batch mode: all of them, or the first problem with its place in the batch. */
export function fromCloudEventBatch(value: unknown): Result<readonly NewEvent[], DeedError> {
  if (!Array.isArray(value)) return refused("a batch is a JSON array");
  const events: NewEvent[] = [];
  for (const [index, one] of value.entries()) {
    const event = fromCloudEvent(one);
    if (!event.ok) {
      const { error } = event;
      return err({ ...error, message: `${error.message} (event ${String(index)} of the batch)` });
    }
    events.push(event.value);
  }
  return ok(events);
}

/** Reads an event of a log, of whatever type, with its id: the inverse of {@link toCloudEvent}. */
export function eventFromCloudEvent(value: unknown): Result<DeedEvent, DeedError> {
  const read = readAttributes(value, everyExtension);
  if (!read.ok) return read;
  return inTheirWords(parseEvent({ event_id: read.value.cloud.id, ...read.value.members }));
}

/** The inverse of {@link toBinaryCloudEvent}; `body` is parsed JSON. */
export function eventFromBinaryCloudEvent(
  headers: Headers,
  body: Json,
): Result<DeedEvent, DeedError> {
  const cloud = fromHeaders(headers, body);
  if (!cloud.ok) return cloud;
  const { attempt } = cloud.value;
  const whole = typeof attempt === "string" && /^\d{1,9}$/.test(attempt);
  return eventFromCloudEvent(whole ? { ...cloud.value, attempt: Number(attempt) } : cloud.value);
}

type Attributes = {
  readonly cloud: { readonly id: string; readonly source: string };
  readonly members: JsonObject;
};

/** What every reading has in common; `extensions` have their field, any other attribute becomes a tag. */
function readAttributes(
  value: unknown,
  extensions: readonly (readonly [string, string])[],
): Result<Attributes, DeedError> {
  if (!isJsonObject(value)) return refused("it is not a JSON object");
  const { specversion, id, source, type, time } = value;
  if (specversion !== "1.0") {
    const got = specversion === undefined ? "none" : JSON.stringify(specversion);
    return refused(`specversion must be "1.0": got ${got}`);
  }
  if (!isText(id)) return refused("id must be a text that is not empty");
  if (!isText(source)) return refused("source must be a text that is not empty");
  if (!isText(type)) return refused("type must be a text that is not empty");
  if (!isText(time)) return refused("time is required: event time is given by the producer");
  if (value["subject"] !== undefined && !isText(value["subject"])) {
    return refused("subject must be a text that is not empty");
  }
  if (value["data_base64"] !== undefined) {
    return refused("data_base64 holds bytes: send JSON as data, or a reference to the bytes");
  }
  const tags = readTags(value, new Set([...context, ...extensions.map(([name]) => name)]));
  if (!tags.ok) return tags;
  const fields = extensions.flatMap(([name, field]) =>
    value[name] === undefined ? [] : [[field, value[name]]],
  );
  return ok({
    cloud: { id, source },
    members: {
      ts: time,
      event_type: type,
      entity_id: value["subject"] ?? source,
      source: readSource(source),
      tags: tags.value,
      attrs: readData(value["data"]),
      ...(Object.fromEntries(fields) as JsonObject),
    },
  });
}

/** The tags that were packed as JSON, and every attribute that has no field. */
function readTags(cloud: CloudEvent, fields: ReadonlySet<string>): Result<JsonObject, DeedError> {
  const tags: Record<string, Json> = {};
  for (const [name, value] of Object.entries(cloud)) {
    if (fields.has(name) || value === undefined) continue;
    if (name === "datacontenttype" && isJsonType(value)) continue;
    if (!/^[a-z0-9]+$/.test(name)) return refused(`"${name}" is not an attribute name`);
    if (typeof value === "object" && value !== null) {
      return refused(`attribute ${name} must be a text, a number or true or false`);
    }
    tags[name] = value;
  }
  const packed = cloud["tags"];
  if (packed === undefined) return ok(tags);
  const read = parsed(packed);
  return isJsonObject(read)
    ? ok({ ...tags, ...read })
    : refused("tags must hold a JSON object as text");
}

const attributeOf: readonly (readonly [string, string])[] = [
  ["/event_id", "/id"],
  ["/ts", "/time"],
  ["/event_type", "/type"],
  ["/entity_id", "/subject"],
  ["/source", "/source"],
  ["/attrs", "/data"],
  ...everyExtension.map(([extension, field]) => [`/${field}`, `/${extension}`] as const),
];

/** Whoever sent a CloudEvent is told of its attributes, not of our fields. */
function inTheirWords<E>(read: Result<E, DeedError>): Result<E, DeedError> {
  if (read.ok) return read;
  const { message, detail } = read.error;
  const problems = Array.isArray(detail?.["problems"]) ? (detail["problems"] as Json[]) : [];
  return err({
    ...read.error,
    message: theirs(message.replace("the event", "the CloudEvent")),
    detail: {
      problems: problems.map((problem) =>
        isJsonObject(problem) && typeof problem["pointer"] === "string"
          ? { ...problem, pointer: theirs(problem["pointer"]) }
          : problem,
      ),
    },
  });
}

function theirs(text: string): string {
  for (const [ours, attribute] of attributeOf) {
    const at = text.search(new RegExp(`(^| )${ours}( |/|$)`));
    if (at >= 0) return text.replace(ours, attribute);
  }
  return text;
}

function parsed(text: Json): unknown {
  try {
    return typeof text === "string" ? (JSON.parse(text) as unknown) : undefined;
  } catch {
    return undefined;
  }
}

function fromHeaders(headers: Headers, body: Json): Result<CloudEvent, DeedError> {
  const cloud: Record<string, Json> = { data: body };
  const type = headers["content-type"];
  if (typeof type === "string") cloud["datacontenttype"] = type;
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith("ce-") || value === undefined) continue;
    if (typeof value !== "string") return refused(`header ${name} is given more than once`);
    if (name.startsWith("ce-data")) {
      return refused(`${name} is no header of binary mode: the body is the data`);
    }
    cloud[name.slice(3)] = decoded(value);
  }
  return ok(cloud);
}

function spellSource({ system, ns }: EventSource): string {
  const query = Object.entries(ns)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join("&");
  return `/${encode(system)}${query === "" ? "" : `?${query}`}`;
}

/** A source that is not spelled as ours is a system of that name. */
function readSource(source: string): EventSource {
  const foreign = { system: source, ns: {} };
  const [, system, query] = /^\/([^/?#]+)(?:\?([^#]+))?$/.exec(source) ?? [];
  if (system === undefined) return foreign;
  const ns = new Map<string, string>();
  for (const pair of query?.split("&") ?? []) {
    const at = pair.indexOf("=");
    const name = decoded(pair.slice(0, Math.max(0, at)));
    if (name === "" || ns.has(name)) return foreign;
    ns.set(name, decoded(pair.slice(at + 1)));
  }
  return { system: decoded(system), ns: Object.fromEntries(ns) };
}

function readData(data: Json | undefined): JsonObject {
  if (data === undefined || data === null) return {};
  return isJsonObject(data) ? data : { value: data };
}

const json = "application/json";

function isJsonType(type: Json): boolean {
  return typeof type === "string" && /^[a-z]+\/([a-z0-9.-]+\+)?json\s*(;|$)/i.test(type);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function spell(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Percent-encodes what a header may not hold. Source: HTTP protocol binding, 3.1.3.2. */
function encodeHeader(text: string): string {
  return text.replaceAll(/[^\u0021\u0023\u0024\u0026-\u007e]+/g, encode);
}

function encode(text: string): string {
  return encodeURIComponent(text.replaceAll(/\p{Surrogate}/gu, "\uFFFD"));
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
