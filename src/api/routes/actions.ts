import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import { cancelRequestedEvent, identityOf } from "../../action/lifecycle-event.ts";
import { fault } from "../../event/error.ts";
import { actionStatuses, type ActionStatus } from "../../log/log.ts";
import type { Context } from "../context.ts";
import { requestRoute } from "./request.ts";
import {
  actionDetail,
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
  recordSchema,
  recordView,
  text,
} from "./shapes.ts";

export function actionRoutes(app: FastifyInstance, context: Context): void {
  requestRoute(app, context);
  readRoutes(app, context);
  cancelRoute(app, context);
}

type ListQuery = {
  status?: string;
  command?: string;
  entity_id?: string;
  correlation_id?: string;
  tenant?: string;
  limit?: string;
  cursor?: string;
};

function readRoutes(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.get<{ Querystring: ListQuery }>(
    "/v1/actions",
    {
      schema: {
        operationId: "listActions",
        description: "Lists actions, newest first",
        tags: ["actions"],
        querystring: Type.Object(
          {
            status: Type.Optional(Type.String({ description: "Comma-separated" })),
            command: Type.Optional(Type.String()),
            entity_id: Type.Optional(Type.String()),
            correlation_id: Type.Optional(Type.String()),
            tenant: Type.Optional(Type.String()),
            limit: Type.Optional(digits),
            cursor: Type.Optional(Type.String()),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            actions: Type.Array(actionSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401, 403),
        },
      },
    },
    async (request) => {
      const { query } = request;
      const limit = limitOf(query.limit, 50, 500);
      const before = parseCursor("actions", query.cursor);
      const tenant = context.tenantFilter(request, query.tenant);
      const status = query.status?.split(",").map(parseStatus);
      const rows = await log.listActions({
        limit: limit + 1,
        ...(before === undefined ? {} : { before }),
        ...(tenant === undefined ? {} : { tenant }),
        ...(status === undefined ? {} : { status }),
        ...(query.command === undefined ? {} : { command: query.command }),
        ...(query.entity_id === undefined ? {} : { entityId: query.entity_id }),
        ...(query.correlation_id === undefined ? {} : { correlationId: query.correlation_id }),
      });
      const { page, last } = pageOf(rows, limit);
      return {
        actions: page.map(actionView),
        ...(last === undefined ? {} : { next_cursor: cursorOf("actions", last.requestOffset) }),
      };
    },
  );

  app.get<{ Params: { id: string } }>(
    "/v1/actions/:id",
    {
      schema: {
        operationId: "getAction",
        description: "One action: where it stands, what was asked, what came of it, why it waits",
        tags: ["actions"],
        params: idParams,
        response: { 200: actionSchema, ...problems(400, 401, 404) },
      },
    },
    async (request) => {
      const row = await findAction(log, request.params.id, context.tenantFilter(request));
      return actionDetail(log, row);
    },
  );

  app.get<{ Params: { id: string } }>(
    "/v1/actions/:id/events",
    {
      schema: {
        operationId: "listActionEvents",
        description: "All events of an action, oldest first",
        tags: ["actions"],
        params: idParams,
        response: {
          200: Type.Object({ records: Type.Array(recordSchema) }),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => {
      const row = await findAction(log, request.params.id, context.tenantFilter(request));
      const records = await log.readThread({ of: { action: row.actionId }, limit: 10_000 });
      return { records: records.map(recordView) };
    },
  );
}

function parseStatus(name: string): ActionStatus {
  const status = actionStatuses.find((one) => one === name);
  if (status !== undefined) return status;
  throw fault("invalid_args", `"${name}" is not a status: one of ${actionStatuses.join(", ")}`);
}

function cancelRoute(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.post<{ Params: { id: string }; Body: { reason?: string; by?: string } | null }>(
    "/v1/actions/:id/cancel",
    {
      schema: {
        operationId: "cancelAction",
        description:
          "Asks for an action to be cancelled. Queued work is cancelled at once and for good.",
        tags: ["actions"],
        params: idParams,
        body: Type.Union([
          Type.Null(),
          Type.Object(
            { reason: Type.Optional(text), by: Type.Optional(text) },
            { additionalProperties: false },
          ),
        ]),
        response: { 202: actionSchema, ...problems(400, 401, 404, 409) },
      },
    },
    async (request, reply) => {
      const row = await findAction(log, request.params.id, context.tenantFilter(request));
      const first = await recordAt(log, row.requestOffset);
      if (row.terminalOffset !== undefined || first === undefined) {
        throw fault("conflict", `Cannot cancel ${row.actionId} as it has ended: ${row.status}`);
      }
      const { reason, by } = request.body ?? {};
      const at = {
        ts: timestamp(context.clock.nowMs()),
        causationId: first.event.event_id,
        attempt: row.attempt,
      };
      await log.append([
        cancelRequestedEvent(identityOf(first.event, row.actionId), at, {
          ...(reason === undefined ? {} : { reason }),
          ...(by === undefined ? {} : { by }),
        }),
      ]);
      const now = await log.getAction(row.actionId);
      return reply.code(202).send(actionView(now ?? row));
    },
  );
}
