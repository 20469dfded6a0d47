import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import {
  discardedEvent,
  identityOf,
  redrivenEvent,
  type Moment,
} from "../../action/lifecycle-event.ts";
import { isPriority, requestEvent, type RequestAttrs } from "../../action/request.ts";
import { fault } from "../../event/error.ts";
import { tenantOf, type LogRecord } from "../../event/envelope.ts";
import type { ActionRow, Log } from "../../log/log.ts";
import type { Context } from "../context.ts";
import {
  actionSchema,
  actionView,
  cursorOf,
  digits,
  findAction,
  limitOf,
  pageOf,
  parseCursor,
  problems,
  recordAt,
} from "./shapes.ts";

const text = Type.String({ minLength: 1, maxLength: 512 });

const idParams = Type.Object({ id: Type.String() });

type Letter = { readonly row: ActionRow; readonly request: LogRecord };

export function deadLetterRoutes(app: FastifyInstance, context: Context): void {
  const { log, clock } = context;
  const moment = ({ row, request }: Letter): Moment => ({
    ts: timestamp(clock.nowMs()),
    causationId: request.event.event_id,
    attempt: row.attempt,
  });

  app.get<{ Querystring: { limit?: string; cursor?: string; tenant?: string } }>(
    "/v1/dlq",
    {
      schema: {
        operationId: "listDeadLetters",
        description:
          "Actions that need a person, newest first: why, after how many attempts, with which last error",
        tags: ["dead letters"],
        querystring: Type.Object(
          {
            limit: Type.Optional(digits),
            cursor: Type.Optional(Type.String()),
            tenant: Type.Optional(text),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            dead_letters: Type.Array(actionSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401, 403),
        },
      },
    },
    async (request) => {
      const limit = limitOf(request.query.limit, 50, 500);
      const before = parseCursor("actions", request.query.cursor);
      const tenant = context.tenantFilter(request, request.query.tenant);
      const rows = await log.listActions({
        limit: limit + 1,
        deadLetter: "pending",
        ...(before === undefined ? {} : { before }),
        ...(tenant === undefined ? {} : { tenant }),
      });
      const { page, last } = pageOf(rows, limit);
      return {
        dead_letters: await Promise.all(page.map((row) => letterView(log, row))),
        ...(last === undefined ? {} : { next_cursor: cursorOf("actions", last.requestOffset) }),
      };
    },
  );

  app.post<{ Params: { id: string }; Body: { by?: string } | null }>(
    "/v1/dlq/:id/redrive",
    {
      schema: {
        operationId: "redriveDeadLetter",
        description: "Asks for the dead action again, as a new action that is linked to it",
        tags: ["dead letters"],
        params: idParams,
        body: Type.Union([
          Type.Null(),
          Type.Object({ by: Type.Optional(text) }, { additionalProperties: false }),
        ]),
        response: { 202: actionSchema, ...problems(400, 401, 404, 409) },
      },
    },
    async (request, reply) => {
      const letter = await pendingLetter(log, request.params.id, context.tenantFilter(request));
      const again = requestAgain(letter, moment(letter));
      const actionId = again.action_id;
      if (actionId === undefined) throw fault("executor_error", "A request without an action id");
      const by = request.body?.by;
      const settled = redrivenEvent(
        identityOf(letter.request.event, letter.row.actionId),
        moment(letter),
        {
          new_action_id: actionId,
          ...(by === undefined ? {} : { by }),
        },
      );
      await log.append([settled, again]);
      const row = await log.getAction(actionId);
      reply.header("location", `/v1/actions/${actionId}`);
      return reply.code(202).send(row === undefined ? { action_id: actionId } : actionView(row));
    },
  );

  app.post<{ Params: { id: string }; Body: { by: string; reason: string } }>(
    "/v1/dlq/:id/discard",
    {
      schema: {
        operationId: "discardDeadLetter",
        description: "Settles a dead letter without another try; who and why is recorded",
        tags: ["dead letters"],
        params: idParams,
        body: Type.Object({ by: text, reason: text }, { additionalProperties: false }),
        response: { 202: actionSchema, ...problems(400, 401, 404, 409) },
      },
    },
    async (request, reply) => {
      const letter = await pendingLetter(log, request.params.id, context.tenantFilter(request));
      const identity = identityOf(letter.request.event, letter.row.actionId);
      await log.append([discardedEvent(identity, moment(letter), request.body)]);
      const row = await log.getAction(letter.row.actionId);
      return reply.code(202).send(actionView(row ?? letter.row));
    },
  );
}

async function pendingLetter(log: Log, id: string, tenant: string | undefined): Promise<Letter> {
  const row = await findAction(log, id, tenant);
  const request = await recordAt(log, row.requestOffset);
  if (row.deadLetter === "pending" && request !== undefined) return { row, request };
  const state = row.deadLetter ?? `no dead letter: it is ${row.status}`;
  throw fault("conflict", `Cannot settle ${row.actionId} as it is ${state}`);
}

/** The key is derived from the dead action: two people who ask at once ask for one new action. */
function requestAgain({ row, request }: Letter, at: Moment): ReturnType<typeof requestEvent> {
  const { event } = request;
  const { priority } = event.tags;
  return requestEvent({
    attrs: { ...(event.attrs as RequestAttrs), redrive_of: row.actionId },
    idempotencyKey: `redrive/${row.actionId}`,
    entityId: event.entity_id,
    ts: at.ts,
    source: { system: "deed", ns: { component: "api" } },
    tenant: tenantOf(event),
    ...(isPriority(priority) ? { priority } : {}),
    ...(event.correlation_id === undefined ? {} : { correlationId: event.correlation_id }),
    causationId: event.event_id,
    ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
    tags: event.tags,
  });
}

async function letterView(log: Log, row: ActionRow): Promise<JsonObject> {
  const last = await recordAt(log, row.lastOffset);
  const { reason, attempts, last_error: lastError } = last?.event.attrs ?? {};
  return { ...actionView(row), reason, attempts, last_error: lastError };
}
