/**
 * The envelope as JSON Schema: what is checked at every edge, and what is published.
 *
 * The published files are written by `tools/publish-schema.ts`; their digest is pinned here, so that a
 * change of the contract is a decision and not an accident.
 */
import Type, { type TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { parseTimestampMs, timestamp } from "../base/clock.ts";
import { jsonDepthMax, nestsDeeperThan } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import { deedError, type DeedError } from "./error.ts";
import type { DeedEvent, NewEvent } from "./envelope.ts";
import { isReservedEventType } from "./topic.ts";

const name = Type.String({ minLength: 1, maxLength: 512 });

/** The name of a tag or of a part of `ns`: 1 to 128 characters, none of them a control character. */
const label = Type.String({ pattern: "^[^\\u0000-\\u001f]{1,128}$" });

const scalar = Type.Union([
  Type.String({ maxLength: 1_024 }),
  Type.Number(),
  Type.Boolean(),
  Type.Null(),
]);

/** The form of RFC 3339; `parseTimestampMs` says whether the calendar has such a day. */
const timePattern =
  "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])[Tt]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)$";

const members = {
  ts: Type.String({ pattern: timePattern, description: "Event time, RFC 3339 with a zone" }),
  event_type: name,
  entity_id: Type.String({
    minLength: 1,
    maxLength: 512,
    description: "What it is about, by convention <kind>:<id>",
  }),
  correlation_id: Type.Optional(name),
  causation_id: Type.Optional(Type.String({ pattern: "^\\d{1,20}$" })),
  idempotency_key: name,
  source: Type.Object(
    {
      system: name,
      ns: Type.Record(label, Type.String({ maxLength: 1_024 }), { additionalProperties: false }),
    },
    { additionalProperties: false },
  ),
  tags: Type.Record(label, scalar, { maxProperties: 64, additionalProperties: false }),
  attrs: Type.Record(Type.String(), Type.Unknown()),
  traceparent: Type.Optional(
    Type.String({ pattern: "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" }),
  ),
};

/** An observation as a producer gives it. */
export const observationSchema = Type.Object(members, {
  $id: "https://deed.dev/schema/observation.json",
  title: "Observation",
  description: "An event as a producer gives it: the log mints its event_id",
  additionalProperties: false,
});

const actionId = Type.String({ pattern: "^act_[0-9a-f]{32}$" });

/** An event as it stands on the log. */
export const eventSchema = Type.Object(
  {
    event_id: Type.String({ pattern: "^\\d{1,20}$", description: "Decimal snowflake, 63 bit" }),
    ...members,
    idempotency_key: Type.Optional(name),
    action_id: Type.Optional(actionId),
    execution_id: Type.Optional(name),
    parent_execution_id: Type.Optional(name),
    attempt: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  {
    $id: "https://deed.dev/schema/event.json",
    title: "Event",
    description: "The one envelope of observations, decisions, commands and results",
    additionalProperties: false,
  },
);

/**
 * SHA-256 of the canonical JSON of [observationSchema, eventSchema].
 *
 * Whoever changes the envelope changes this line, too, writes the files anew
 * (`npx tsx tools/publish-schema.ts`) and says in a decision why events of before can still be read.
 */
export const envelopeSchemaDigest =
  "7b6f553c6479243008aa2f138c2d96a34b1fc1679c34bca267c42fd41dc0bc80";

const observation = Compile(observationSchema);

const stored = Compile(eventSchema);

/** Checks what a producer sent; times are brought to UTC milliseconds, nothing else is changed. */
export function parseObservation(value: unknown): Result<NewEvent, DeedError> {
  if (!observation.Check(value))
    return err(schemaError("accept the event", observation.Errors(value)));
  if (isReservedEventType(value.event_type)) {
    const why = `event_type "${value.event_type}" is reserved for events that this system decides: give the observation another name`;
    return refused({ pointer: "/event_type", message: "is reserved" }, why);
  }
  return settled(value as unknown as NewEvent);
}

/** Checks an event in the form in which it stands on the log, of whatever type. */
export function parseEvent(value: unknown): Result<DeedEvent, DeedError> {
  if (!stored.Check(value)) return err(schemaError("accept the event", stored.Errors(value)));
  return settled(value as unknown as DeedEvent);
}

/** What a schema cannot say. */
function settled<E extends NewEvent>(event: E): Result<E, DeedError> {
  const atMs = parseTimestampMs(event.ts);
  if (atMs === undefined) {
    const why = `ts "${event.ts}" is no date of the calendar`;
    return refused({ pointer: "/ts", message: "is no date" }, why);
  }
  if (nestsDeeperThan(event.attrs, jsonDepthMax)) {
    const message = `nests deeper than ${String(jsonDepthMax)} levels`;
    return refused({ pointer: "/attrs", message }, `/attrs ${message}`);
  }
  return ok({ ...event, ts: timestamp(atMs) });
}

type Problem = { readonly pointer: string; readonly message: string };

function refused(problem: Problem, why: string): Result<never, DeedError> {
  const message = `Cannot accept the event as ${why}`;
  return err(deedError("invalid_args", message, { problems: [problem] }));
}

const labelExpected = "has no name of 1 to 128 characters, none of them a control character";

const timeExpected = "must be an RFC 3339 time with its zone, as in 2026-11-24T05:00:00.000Z";

type SchemaProblem = {
  readonly instancePath: string;
  readonly message: string;
  readonly keyword: string;
};

/**
 * The error of a value that does not fit its schema.
 *
 * @param attempted what could not be done with it, as in `accept the event`.
 */
export function schemaError(attempted: string, errors: readonly SchemaProblem[]): DeedError {
  const found = new Map<string, string>();
  for (const error of errors) {
    const problem = problemOf(error);
    if (problem === undefined) continue;
    const { pointer, message } = problem;
    const before = found.get(pointer);
    if (before === undefined) found.set(pointer, message);
    // The branches of a union come one by one: "must be string or number or null".
    else if (message.startsWith(mustBe)) {
      found.set(pointer, `${before} or ${message.slice(mustBe.length)}`);
    }
  }
  const problems = [...found].map(([pointer, message]) => ({ pointer, message }));
  const [first] = problems;
  const where = first === undefined || first.pointer === "" ? "it" : first.pointer;
  return deedError(
    "invalid_args",
    `Cannot ${attempted} as ${where} ${first?.message ?? "is not valid"}`,
    { problems },
  );
}

const mustBe = "must be ";

/** The checker stops after some errors, so an unknown member is told by its own one. */
function problemOf({
  instancePath: pointer,
  message,
  keyword,
}: SchemaProblem): Problem | undefined {
  if (keyword === "anyOf" || keyword === "additionalProperties") return undefined;
  if (keyword === "boolean") {
    const named = /^\/(tags|source\/ns)\/[^/]*$/.test(pointer);
    return { pointer, message: named ? labelExpected : "is not known" };
  }
  const isTime = pointer === "/ts" && keyword === "pattern";
  return { pointer, message: isTime ? timeExpected : message };
}

/** The schemas that are published, by file name. */
export const publishedSchemas: Readonly<Record<string, TSchema>> = {
  "observation.schema.json": observationSchema,
  "event.schema.json": eventSchema,
};
