import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { approvalAnsweredEvent, identityOf } from "../../action/lifecycle-event.ts";
import { timestamp } from "../../base/clock.ts";
import { fault } from "../../event/error.ts";
import type { Context } from "../context.ts";
import { approvalCommand, approvalView } from "./execution-shapes.ts";
import {
  actionDetail,
  actionSchema,
  cursorOf,
  digits,
  findAction,
  limitOf,
  pageOf,
  parseCursor,
  problems,
  recordAt,
  text,
} from "./shapes.ts";

const tags = ["approvals"];

export function approvalRoutes(app: FastifyInstance, context: Context): void {
  listRoute(app, context);
  answerRoute(app, context);
}

function listRoute(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.get<{ Querystring: { limit?: string; cursor?: string; tenant?: string } }>(
    "/v1/approvals",
    {
      schema: {
        operationId: "listApprovals",
        description: "What waits for a person's answer, newest first, with its execution",
        tags,
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
            approvals: Type.Array(actionSchema),
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
        command: approvalCommand,
        status: ["requested"],
        ...(before === undefined ? {} : { before }),
        ...(tenant === undefined ? {} : { tenant }),
      });
      const { page, last } = pageOf(rows, limit);
      return {
        approvals: await Promise.all(page.map((row) => approvalView(log, row))),
        ...(last === undefined ? {} : { next_cursor: cursorOf("actions", last.requestOffset) }),
      };
    },
  );
}

function answerRoute(app: FastifyInstance, context: Context): void {
  const { log, clock } = context;
  app.post<{
    Params: { action_id: string };
    Body: { approved: boolean; by?: string; reason?: string };
  }>(
    "/v1/approvals/:action_id",
    {
      schema: {
        operationId: "answerApproval",
        description:
          "Answers what waits for a person. The first answer counts; by is the token's tenant where it is left out.",
        tags,
        params: Type.Object({ action_id: Type.String() }),
        body: Type.Object(
          { approved: Type.Boolean(), by: Type.Optional(text), reason: Type.Optional(text) },
          { additionalProperties: false },
        ),
        response: { 200: actionSchema, ...problems(400, 401, 404, 409, 503) },
      },
    },
    async (request) => {
      const tenant = context.tenantFilter(request);
      const row = await findAction(log, request.params.action_id, tenant);
      const { actionId } = row;
      const first = await recordAt(log, row.requestOffset);
      if (row.command !== approvalCommand) {
        throw fault("conflict", `Cannot answer ${actionId} as it is no approval: ${row.command}`);
      }
      if (row.terminalOffset !== undefined || first === undefined) {
        throw fault("conflict", `Cannot answer ${actionId} as it does not wait: ${row.status}`);
      }
      const { approved, by = row.tenant, reason } = request.body;
      const at = {
        ts: timestamp(clock.nowMs()),
        causationId: first.event.event_id,
        attempt: row.attempt,
      };
      const answer = { approved, by, ...(reason === undefined ? {} : { reason }) };
      const [receipt] = await log.append([
        approvalAnsweredEvent(identityOf(first.event, actionId), at, answer),
      ]);
      const now = await findAction(log, actionId, tenant);
      const end =
        now.terminalOffset === undefined ? undefined : await recordAt(log, now.terminalOffset);
      if (end !== undefined && end.event.causation_id !== receipt?.eventId) {
        throw fault("conflict", `Cannot answer ${actionId} as it was ended before: ${now.status}`);
      }
      return actionDetail(log, now, end === undefined ? {} : { terminal: end });
    },
  );
}
