import type { SwaggerTransform } from "@fastify/swagger";
import type { FastifyInstance, FastifyRequest } from "fastify";
import Type from "typebox";
import { isJsonObject, type Json } from "../../base/json.ts";
import type { Result } from "../../base/result.ts";
import { fromBinaryCloudEvent, fromCloudEvent } from "../../event/cloudevents.ts";
import { tenantOf, type LogRecord, type NewEvent } from "../../event/envelope.ts";
import { fault, Fault, type DeedError } from "../../event/error.ts";
import { eventId, executionId } from "../../event/ids.ts";
import { observationSchema, parseObservation } from "../../event/schema.ts";
import { readJson } from "../edge/json.ts";
import type { Context } from "../context.ts";
import {
  cursorOf,
  digits,
  limitOf,
  pageOf,
  parseCursor,
  parseTopics,
  problems,
  receiptSchema,
  recordSchema,
  recordView,
} from "./shapes.ts";

/** Events one call may bring. */
const batchMax = 1_000;

const pageMax = 1_000;

type EventsQuery = {
  topic?: string;
  from?: string;
  limit?: string;
  entity_id?: string;
  execution_id?: string;
  tenant?: string;
  cursor?: string;
};

const ndjson = "application/x-ndjson";

const cloudEvent = "application/cloudevents+json";

const cloudEventBatch = "application/cloudevents-batch+json";

export function eventRoutes(app: FastifyInstance, context: Context): void {
  publishRoute(app, context);
  readRoutes(app, context);
}

/** Its own scope: no other route takes the media types of this one. */
function publishRoute(app: FastifyInstance, context: Context): void {
  app.register((scope, _, done) => {
    scope.addContentTypeParser(
      [ndjson, cloudEvent, cloudEventBatch],
      { parseAs: "string" },
      (_request, body, parsed) => {
        parsed(null, body);
      },
    );
    scope.post(
      "/v1/events",
      {
        config: { swaggerTransform: describeBody },
        schema: {
          operationId: "publishEvents",
          description:
            "Appends observations: one, an array, {events: [...]}, NDJSON, or CloudEvents (structured, batch, binary). All of them or none.",
          tags: ["events"],
          response: {
            202: Type.Object({ receipts: Type.Array(receiptSchema) }),
            ...problems(400, 401, 403, 413, 415, 503),
          },
        },
      },
      async (request, reply) => {
        const events = parseAll(request).map((event) => withTenant(event, context, request));
        const receipts = await context.log.append(events);
        return reply.code(202).send({
          receipts: receipts.map(({ eventId: id, offset, duplicate }) => ({
            event_id: id,
            offset,
            duplicate,
          })),
        });
      },
    );
    done();
  });
}

/** What a body may be; `parseAll` checks it, as what it is depends on more than its media type. */
const describeBody: SwaggerTransform = ({ schema, url }) => {
  const observation = Type.Object(observationSchema.properties, { additionalProperties: false });
  const anyObject = { type: "object", additionalProperties: true };
  const many = { type: "array", minItems: 1, maxItems: batchMax, items: observation };
  const wrapped = { type: "object", required: ["events"], properties: { events: many } };
  const content = {
    "application/json": { schema: { anyOf: [observation, many, wrapped] } },
    [ndjson]: { schema: { type: "string", description: "One observation a line" } },
    [cloudEvent]: { schema: anyObject },
    [cloudEventBatch]: { schema: { type: "array", items: anyObject } },
  };
  return { schema: { ...schema, body: { content } }, url };
};

function readRoutes(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.get<{ Querystring: EventsQuery }>(
    "/v1/events",
    {
      schema: {
        operationId: "listEvents",
        description:
          "Reads records in offset order, of all topics, of some, or of one entity or execution",
        tags: ["events"],
        querystring: Type.Object(
          {
            topic: Type.Optional(Type.String({ description: "Comma-separated" })),
            from: Type.Optional(digits),
            limit: Type.Optional(digits),
            entity_id: Type.Optional(Type.String()),
            execution_id: Type.Optional(Type.String()),
            tenant: Type.Optional(Type.String()),
            cursor: Type.Optional(Type.String()),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            records: Type.Array(recordSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401, 403),
        },
      },
    },
    async (request) => {
      const { query } = request;
      const limit = limitOf(query.limit, 100, pageMax);
      const records = await recordsOf(context, request, limit + 1);
      const { page, last } = pageOf(records, limit);
      return {
        records: page.filter(matcherOf(query)).map(recordView),
        ...(last === undefined ? {} : { next_cursor: cursorOf("records", last.offset + 1) }),
      };
    },
  );

  app.get<{ Params: { id: string } }>(
    "/v1/events/:id",
    {
      schema: {
        operationId: "getEvent",
        description: "One event by its id",
        tags: ["events"],
        params: Type.Object({ id: Type.String({ pattern: "^\\d{1,20}$" }) }),
        response: { 200: recordSchema, ...problems(400, 401, 404) },
      },
    },
    async (request) => {
      const record = await log.findEvent(eventId(request.params.id));
      const tenant = context.tenantFilter(request);
      if (record === undefined || (tenant !== undefined && tenantOf(record.event) !== tenant))
        throw fault("not_found", `There is no event ${request.params.id}`);
      return recordView(record);
    },
  );
}

/** Records of one entity or execution where one is named, else of the whole log. */
function recordsOf(
  context: Context,
  request: FastifyRequest<{ Querystring: EventsQuery }>,
  limit: number,
): Promise<readonly LogRecord[]> {
  const { query } = request;
  const from = parseCursor("records", query.cursor) ?? Number(query.from ?? 1);
  const tenant = context.tenantFilter(request, query.tenant);
  const topics = parseTopics(query.topic);
  const scope = { from, limit, ...(tenant === undefined ? {} : { tenant }) };
  const { entity_id: entity, execution_id: execution } = query;
  if (execution !== undefined)
    return context.log.readThread({ of: { execution: executionId(execution) }, ...scope });
  if (entity !== undefined) return context.log.readThread({ of: { entity }, ...scope });
  return context.log.read({ ...scope, ...(topics === undefined ? {} : { topics }) });
}

/** What the read of a thread did not look at: a page may then hold fewer than its limit. */
function matcherOf(query: EventsQuery): (record: LogRecord) => boolean {
  const topics = parseTopics(query.topic);
  return ({ topic, event }) =>
    (topics?.includes(topic) ?? true) &&
    (query.entity_id === undefined || event.entity_id === query.entity_id);
}

function withTenant(event: NewEvent, context: Context, request: FastifyRequest): NewEvent {
  const named = event.tags["tenant"];
  const tenant = context.tenant(request, typeof named === "string" ? named : undefined);
  return { ...event, tags: { ...event.tags, tenant } };
}

function parseAll(request: FastifyRequest): readonly NewEvent[] {
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
  const { body } = request;
  if (type === cloudEvent) return [take(fromCloudEvent(readJson(String(body))), undefined)];
  if (type === cloudEventBatch) return each(list(readJson(String(body))), fromCloudEvent);
  if (type === ndjson) return each(lines(String(body)), parseObservation);
  if (request.headers["ce-specversion"] !== undefined) {
    return [take(fromBinaryCloudEvent(request.headers, body as Json), undefined)];
  }
  if (Array.isArray(body)) return each(body, parseObservation);
  if (isJsonObject(body) && Array.isArray(body["events"]) && Object.keys(body).length === 1) {
    return each(body["events"], parseObservation);
  }
  return [take(parseObservation(body), undefined)];
}

function each(
  values: readonly unknown[],
  parse: (value: unknown) => Result<NewEvent, DeedError>,
): readonly NewEvent[] {
  if (values.length === 0 || values.length > batchMax) {
    throw fault(
      "invalid_args",
      `A batch holds 1 to ${String(batchMax)} events: this one ${String(values.length)}`,
    );
  }
  return values.map((value, index) => take(parse(value), index));
}

function take(parsed: Result<NewEvent, DeedError>, index: number | undefined): NewEvent {
  if (parsed.ok) return parsed.value;
  if (index === undefined) throw new Fault(parsed.error);
  const { error } = parsed;
  const found = error.detail?.["problems"];
  const placed = isList(found) ? found.map((problem) => within(index, problem)) : [];
  const message = `${error.message} (event ${String(index)} of the batch; nothing was stored)`;
  throw new Fault({ ...error, message, detail: { problems: placed } });
}

/** The problem with a member of an event, as one of the batch that the event stands in. */
function within(index: number, problem: Json): Json {
  if (!isJsonObject(problem) || typeof problem["pointer"] !== "string") return problem;
  return { ...problem, pointer: `/${String(index)}${problem["pointer"]}` };
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

function lines(text: string): readonly unknown[] {
  return text
    .split("\n")
    .flatMap((line, index) => (line.trim() === "" ? [] : [readJson(line, index + 1)]));
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw fault("invalid_args", "A CloudEvents batch is a JSON array");
}
