import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { fault } from "../../event/error.ts";
import type { LogRecord } from "../../event/envelope.ts";
import type { Log } from "../../log/log.ts";
import type { Context } from "../context.ts";
import { digits, parseTopics, problems, recordView } from "./shapes.ts";

type StreamQuery = {
  topic?: string;
  type?: string;
  entity_id?: string;
  action_id?: string;
  execution_id?: string;
  correlation_id?: string;
  tenant?: string;
  from?: string;
};

const querystring = Type.Object(
  {
    topic: Type.Optional(Type.String({ description: "Comma-separated" })),
    type: Type.Optional(
      Type.String({ description: "Event type; a * at the end stands for any rest" }),
    ),
    entity_id: Type.Optional(Type.String()),
    action_id: Type.Optional(Type.String()),
    execution_id: Type.Optional(
      Type.String({ description: "Its thread: also where its children begin and end" }),
    ),
    correlation_id: Type.Optional(Type.String()),
    tenant: Type.Optional(Type.String()),
    from: Type.Optional(digits),
  },
  { additionalProperties: false },
);

const streamsMax = 256;

/** A comment this often keeps proxies from closing a quiet stream, milliseconds. */
const heartbeatMs = 15_000;

/** Text is handed to a connection in pieces of about this size, characters: a slow client costs no more. */
const pieceMax = 64 * 1024;

/**
 * Server-sent events: each record once, in order, from where `Last-Event-ID` or `from` says.
 *
 * The stream says its place at its beginning and with each heartbeat, too (an id without data): a client
 * that saw no record resumes without a gap.
 */
export function streamRoutes(app: FastifyInstance, context: Context): void {
  const open = new Set<AbortController>();
  app.addHook("preClose", (done) => {
    for (const stream of open) stream.abort();
    done();
  });

  app.get<{ Querystring: StreamQuery; Headers: { "last-event-id"?: string } }>(
    "/v1/events/stream",
    {
      exposeHeadRoute: false,
      schema: {
        operationId: "streamEvents",
        description:
          "Follows the log as server-sent events. id is the offset: Last-Event-ID resumes behind it. Without it and without from, it begins with what comes next.",
        tags: ["events"],
        headers: Type.Object({ "last-event-id": Type.Optional(digits) }),
        querystring,
        response: {
          200: {
            description: "A stream",
            content: { "text/event-stream": { schema: Type.String() } },
          },
          ...problems(400, 401, 403, 429),
        },
      },
    },
    async (request, reply) => {
      if (open.size >= streamsMax) {
        throw fault("rate_limited", `Cannot open another stream: ${String(streamsMax)} are open`);
      }
      const controller = new AbortController();
      const { query } = request;
      const topics = parseTopics(query.topic);
      const tenant = context.tenantFilter(request, query.tenant);
      const following = {
        from: startOf(context, query.from, request.headers["last-event-id"]),
        signal: controller.signal,
        ...(topics === undefined ? {} : { topics }),
        ...(tenant === undefined ? {} : { tenant }),
      };
      reply.hijack();
      open.add(controller);
      reply.raw.on("close", () => {
        controller.abort();
      });
      try {
        await serve(context, reply.raw, { following, matches: filterOf(query) });
      } finally {
        open.delete(controller);
        reply.raw.end();
      }
    },
  );
}

function startOf({ log }: Context, from: string | undefined, lastId: string | undefined): number {
  if (lastId === undefined) return Math.max(1, Number(from ?? log.head() + 1));
  if (Number(lastId) <= log.head()) return Number(lastId) + 1;
  throw fault(
    "invalid_args",
    `Cannot resume behind Last-Event-ID ${lastId} as the newest offset is ${String(log.head())}: is it of another log?`,
  );
}

type Serving = {
  readonly following: Parameters<Log["follow"]>[0];
  readonly matches: (record: LogRecord) => boolean;
};

async function serve(
  { log, clock }: Context,
  response: ServerResponse,
  { following, matches }: Serving,
): Promise<void> {
  const { signal } = following;
  let place = following.from - 1;
  const drained = async (): Promise<void> => {
    if (response.writableNeedDrain)
      await once(response, "drain", { signal }).catch(() => undefined);
  };
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  response.write(`: deed\nid: ${String(place)}\n\n`);
  let cancelBeat = clock.after(heartbeatMs, beat);
  function beat(): void {
    if (!response.writableNeedDrain) response.write(`: still here\nid: ${String(place)}\n\n`);
    cancelBeat = clock.after(heartbeatMs, beat);
  }
  try {
    for await (const records of log.follow(following)) {
      let piece = "";
      for (const record of records) {
        if (matches(record)) piece += spell(record);
        place = record.offset;
        if (piece.length < pieceMax) continue;
        response.write(piece);
        piece = "";
        await drained();
        if (signal.aborted) return;
      }
      if (piece !== "") response.write(piece);
      await drained();
    }
  } finally {
    cancelBeat();
  }
}

function filterOf(query: StreamQuery): (record: LogRecord) => boolean {
  const { type, entity_id: entity, action_id: action, correlation_id: correlation } = query;
  const { execution_id: execution } = query;
  const prefix = type?.endsWith("*") === true ? type.slice(0, -1) : undefined;
  return ({ event }) =>
    (entity === undefined || event.entity_id === entity) &&
    (action === undefined || event.action_id === action) &&
    (execution === undefined ||
      event.execution_id === execution ||
      event.parent_execution_id === execution) &&
    (correlation === undefined || event.correlation_id === correlation) &&
    (type === undefined ||
      (prefix === undefined ? event.event_type === type : event.event_type.startsWith(prefix)));
}

function spell(record: LogRecord): string {
  return `id: ${String(record.offset)}\nevent: ${record.event.event_type.replaceAll(/[\r\n]/g, " ")}\ndata: ${JSON.stringify(recordView(record))}\n\n`;
}
