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
import { fault, type Fault } from "../../event/error.ts";
import { tenantOf, type LogRecord } from "../../event/envelope.ts";
import { actionIdOf } from "../../event/ids.ts";
import type { ActionRow, Log } from "../../log/log.ts";
import type { Context } from "../context.ts";
import {
  actionSchema,
  actionView,
  cursorOf,
  digits,
  findAction,
  idParams,
  limitOf,
  pageOf,
  parseCursor,
  problems,
  recordAt,
  text,
} from "./shapes.ts";

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
      const { row } = letter;
      const actionId = actionIdOf(tenantOf(letter.request.event), `redrive/${row.actionId}`);
      const by = request.body?.by;
      const settled = redrivenEvent(
        identityOf(letter.request.event, row.actionId),
        moment(letter),
        { new_action_id: actionId, ...(by === undefined ? {} : { by }) },
      );
      await log.append([settled]);
      const again = await log.getAction(actionId);
      if (again === undefined) throw await notRedriven(log, row);
      reply.header("location", `/v1/actions/${actionId}`);
      return reply.code(202).send(actionView(again));
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

/** The lifecycle asks again in the commit that settles the letter: not where another settled it before. */
async function notRedriven(log: Log, { actionId }: ActionRow): Promise<Fault> {
  const row = await log.getAction(actionId);
  const state =
    row?.deadLetter === "redriven"
      ? "a request that could not be read"
      : (row?.deadLetter ?? "gone");
  return fault("conflict", `Cannot ask for ${actionId} again as it is ${state}`);
}

async function letterView(log: Log, row: ActionRow): Promise<JsonObject> {
  const last = await recordAt(log, row.lastOffset);
  const { reason, attempts, last_error: lastError } = last?.event.attrs ?? {};
  return { ...actionView(row), reason, attempts, last_error: lastError };
}
