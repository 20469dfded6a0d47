import type { FastifyInstance, FastifyRequest } from "fastify";
import Type from "typebox";
import { isJsonObject, type Json } from "../../base/json.ts";
import type { Result } from "../../base/result.ts";
import { fromBinaryCloudEvent, fromCloudEvent } from "../../event/cloudevents.ts";
import type { NewEvent } from "../../event/envelope.ts";
import { fault, Fault, type DeedError } from "../../event/error.ts";
import { eventId, executionId } from "../../event/ids.ts";
import { parseObservation } from "../../event/schema.ts";
import type { Context } from "../server.ts";
import {
  cursorOf,
  digits,
  limitOf,
  parseCursor,
  parseTopics,
  problemRef,
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

export function eventRoutes(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.post(
    "/v1/events",
    {
      schema: {
        operationId: "publishEvents",
        description:
          "Appends observations: one, an array, {events: [...]}, NDJSON, or CloudEvents (structured, batch, binary). All of them or none.",
        tags: ["events"],
        response: {
          202: Type.Object({ receipts: Type.Array(receiptSchema) }),
          400: problemRef,
          413: problemRef,
        },
      },
    },
    async (request, reply) => {
      const events = parseAll(request).map((event) => withTenant(event, context, request));
      const receipts = await log.append(events);
      return reply.code(202).send({
        receipts: receipts.map(({ eventId: id, offset, duplicate }) => ({
          event_id: id,
          offset,
          duplicate,
        })),
      });
    },
  );

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
          400: problemRef,
        },
      },
    },
    async (request) => {
      const { query } = request;
      const limit = limitOf(query.limit, 100, pageMax);
      const from = parseCursor(query.cursor) ?? Number(query.from ?? 1);
      const tenant = context.tenantFilter(request, query.tenant);
      const topics = parseTopics(query.topic);
      const scope = { from, limit, ...(tenant === undefined ? {} : { tenant }) };
      const records =
        query.entity_id !== undefined
          ? await log.readThread({ of: { entity: query.entity_id }, ...scope })
          : query.execution_id !== undefined
            ? await log.readThread({ of: { execution: executionId(query.execution_id) }, ...scope })
            : await log.read({ ...scope, ...(topics === undefined ? {} : { topics }) });
      const last = records.at(-1);
      const more = records.length === limit && last !== undefined;
      return {
        records: records.map(recordView),
        ...(more ? { next_cursor: cursorOf(last.offset + 1) } : {}),
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
        response: { 200: recordSchema, 400: problemRef, 404: problemRef },
      },
    },
    async (request) => {
      const record = await log.findEvent(eventId(request.params.id));
      const tenant = context.tenantFilter(request);
      const seen = tenant === undefined || (record?.event.tags["tenant"] ?? "default") === tenant;
      if (record === undefined || !seen)
        throw fault("not_found", `There is no event ${request.params.id}`);
      return recordView(record);
    },
  );
}

function withTenant(event: NewEvent, context: Context, request: FastifyRequest): NewEvent {
  const named = event.tags["tenant"];
  const tenant = context.tenant(request, typeof named === "string" ? named : undefined);
  return { ...event, tags: { ...event.tags, tenant } };
}

function parseAll(request: FastifyRequest): readonly NewEvent[] {
  const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim() ?? "";
  const { body } = request;
  if (type === "application/cloudevents+json") return [take(fromCloudEvent(json(body)), undefined)];
  if (type === "application/cloudevents-batch+json") return each(list(json(body)), fromCloudEvent);
  if (type === "application/x-ndjson") return each(lines(String(body)), parseObservation);
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
  const problems = error.detail?.["problems"];
  const placed = (Array.isArray(problems) ? problems : []).map((problem) =>
    isJsonObject(problem)
      ? { ...problem, pointer: `/${String(index)}${String(problem["pointer"])}` }
      : problem,
  );
  const message = `${error.message} (event ${String(index)} of the batch; nothing was stored)`;
  throw new Fault({ ...error, message, detail: { problems: placed } });
}

function lines(text: string): readonly unknown[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(json);
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw fault("invalid_args", "A CloudEvents batch is a JSON array");
}

function json(text: unknown): unknown {
  try {
    return JSON.parse(String(text)) as unknown;
  } catch (thrown) {
    throw fault(
      "invalid_args",
      `The body is not JSON: ${thrown instanceof Error ? thrown.message : ""}`,
    );
  }
}
