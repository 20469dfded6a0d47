import { once } from "node:events";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { fault } from "../../event/error.ts";
import type { LogRecord } from "../../event/envelope.ts";
import type { Context } from "../server.ts";
import { digits, parseTopics, problemRef, recordView } from "./shapes.ts";

type StreamQuery = {
  topic?: string;
  type?: string;
  entity_id?: string;
  action_id?: string;
  tenant?: string;
  from?: string;
};

const streamsMax = 256;

/** A comment this often keeps proxies from closing a quiet stream, milliseconds. */
const heartbeatMs = 15_000;

/** Server-sent events: each record once, in order, from where `Last-Event-ID` or `from` says. */
export function streamRoutes(app: FastifyInstance, context: Context): void {
  const { log, clock } = context;
  const open = new Set<AbortController>();
  app.addHook("preClose", (done) => {
    for (const stream of open) stream.abort();
    done();
  });

  app.get<{ Querystring: StreamQuery; Headers: { "last-event-id"?: string } }>(
    "/v1/events/stream",
    {
      schema: {
        operationId: "streamEvents",
        description:
          "Follows the log as server-sent events. id is the offset: Last-Event-ID resumes behind it. Without it and without from, it begins with what comes next.",
        tags: ["events"],
        headers: Type.Object({ "last-event-id": Type.Optional(digits) }),
        querystring: Type.Object(
          {
            topic: Type.Optional(Type.String({ description: "Comma-separated" })),
            type: Type.Optional(
              Type.String({ description: "Event type; a * at the end stands for any rest" }),
            ),
            entity_id: Type.Optional(Type.String()),
            action_id: Type.Optional(Type.String()),
            tenant: Type.Optional(Type.String()),
            from: Type.Optional(digits),
          },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: "A stream",
            content: { "text/event-stream": { schema: Type.String() } },
          },
          400: problemRef,
          429: problemRef,
        },
      },
    },
    async (request, reply) => {
      if (open.size >= streamsMax) {
        throw fault("rate_limited", `Cannot open another stream: ${String(streamsMax)} are open`);
      }
      const { query } = request;
      const topics = parseTopics(query.topic);
      const tenant = context.tenantFilter(request, query.tenant);
      const lastId = request.headers["last-event-id"];
      const from = lastId === undefined ? Number(query.from ?? log.head() + 1) : Number(lastId) + 1;
      const matches = filterOf(query);
      const controller = new AbortController();
      const response = reply.raw;
      reply.hijack();
      open.add(controller);
      response.on("close", () => {
        controller.abort();
      });
      response.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      });
      response.write(": deed\n\n");
      let cancelBeat = clock.after(heartbeatMs, beat);
      function beat(): void {
        response.write(": still here\n\n");
        cancelBeat = clock.after(heartbeatMs, beat);
      }
      try {
        const follow = log.follow({
          from,
          signal: controller.signal,
          ...(topics === undefined ? {} : { topics }),
          ...(tenant === undefined ? {} : { tenant }),
        });
        for await (const records of follow) {
          const text = records.filter(matches).map(spell).join("");
          if (text !== "" && !response.write(text)) {
            await once(response, "drain", { signal: controller.signal }).catch(() => undefined);
          }
        }
      } finally {
        cancelBeat();
        open.delete(controller);
        response.end();
      }
    },
  );
}

function filterOf(query: StreamQuery): (record: LogRecord) => boolean {
  const { type, entity_id: entity, action_id: action } = query;
  const prefix = type?.endsWith("*") === true ? type.slice(0, -1) : undefined;
  return ({ event }) =>
    (entity === undefined || event.entity_id === entity) &&
    (action === undefined || event.action_id === action) &&
    (type === undefined ||
      (prefix === undefined ? event.event_type === type : event.event_type.startsWith(prefix)));
}

function spell(record: LogRecord): string {
  return `id: ${String(record.offset)}\nevent: ${record.event.event_type.replaceAll(/[\r\n]/g, " ")}\ndata: ${JSON.stringify(recordView(record))}\n\n`;
}
