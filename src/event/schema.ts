/**
 * The envelope as JSON Schema: what is checked at every edge, and what is published.
 *
 * The published files are written by `tools/publish-schema.ts`; their digest is pinned here, so that a
 * change of the contract is a decision and not an accident.
 */
import Type, { type TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { err, ok, type Result } from "../base/result.ts";
import { deedError, type DeedError } from "./error.ts";
import type { NewEvent } from "./envelope.ts";
import { isReservedEventType } from "./topic.ts";

const name = Type.String({ minLength: 1, maxLength: 512 });

const scalar = Type.Union([
  Type.String({ maxLength: 1_024 }),
  Type.Number(),
  Type.Boolean(),
  Type.Null(),
]);

/** RFC 3339 with a zone; fractions of a second are kept to milliseconds. */
const timePattern =
  "^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])[Tt]([01]\\d|2[0-3]):[0-5]\\d:([0-5]\\d|60)(\\.\\d+)?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)$";

const members = {
  ts: Type.String({ pattern: timePattern, description: "Event time, RFC 3339" }),
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
      ns: Type.Record(Type.String({ maxLength: 128 }), Type.String({ maxLength: 1_024 })),
    },
    { additionalProperties: false },
  ),
  tags: Type.Record(Type.String({ maxLength: 128 }), scalar, { maxProperties: 64 }),
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

/** SHA-256 of the canonical JSON of [observationSchema, eventSchema]. */
export const envelopeSchemaDigest = "unpinned";

const observation = Compile(observationSchema);

const stored = Compile(eventSchema);

/** Checks what a producer sent; times are brought to UTC milliseconds, nothing else is changed. */
export function parseObservation(value: unknown): Result<NewEvent, DeedError> {
  if (!observation.Check(value))
    return err(schemaError("accept the event", observation.Errors(value)));
  if (isReservedEventType(value.event_type)) {
    return err(
      deedError(
        "invalid_args",
        `Cannot accept the event as event_type "${value.event_type}" is reserved for events that this system decides: give the observation another name`,
        { problems: [{ pointer: "/event_type", message: "is reserved" }] },
      ),
    );
  }
  const atMs = Date.parse(value.ts);
  if (Number.isNaN(atMs)) {
    const message = `Cannot accept the event as ts "${value.ts}" is no date of the calendar`;
    return err(
      deedError("invalid_args", message, { problems: [{ pointer: "/ts", message: "is no date" }] }),
    );
  }
  return ok({ ...(value as unknown as NewEvent), ts: new Date(atMs).toISOString() });
}

/** True for an event in the form in which it stands on the log. */
export function isStoredEvent(value: unknown): boolean {
  return stored.Check(value);
}

const problemsMax = 20;

type SchemaProblem = {
  readonly instancePath: string;
  readonly message: string;
  readonly keyword: string;
  readonly params: object;
};

/**
 * The error of a value that does not fit its schema.
 *
 * @param attempted what could not be done with it, as in `accept the event`.
 */
export function schemaError(attempted: string, errors: readonly SchemaProblem[]): DeedError {
  const problems: { pointer: string; message: string }[] = [];
  for (const { instancePath, message, keyword, params } of errors) {
    if (keyword === "boolean") continue;
    const unknown =
      "additionalProperties" in params ? (params.additionalProperties as string[]) : undefined;
    if (unknown !== undefined) {
      for (const one of unknown)
        problems.push({ pointer: `${instancePath}/${one}`, message: "is not known" });
    } else problems.push({ pointer: instancePath, message });
    if (problems.length >= problemsMax) break;
  }
  const [first] = problems;
  const where = first === undefined || first.pointer === "" ? "it" : first.pointer;
  return deedError(
    "invalid_args",
    `Cannot ${attempted} as ${where} ${first?.message ?? "is not valid"}`,
    {
      problems,
    },
  );
}

/** The schemas that are published, by file name. */
export const publishedSchemas: Readonly<Record<string, TSchema>> = {
  "observation.schema.json": observationSchema,
  "event.schema.json": eventSchema,
};
