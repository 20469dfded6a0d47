import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { canonicalJson } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { cancelRequestedEvent, identityOf } from "../../action/lifecycle-event.ts";
import { requestMembers } from "../../action/request-schema.ts";
import { priorities, requestEvent, type RequestAttrs } from "../../action/request.ts";
import { deedError, fault } from "../../event/error.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { ActionId } from "../../event/ids.ts";
import { schemaError } from "../../event/schema.ts";
import { actionStatuses, type ActionStatus } from "../../log/log.ts";
import { HttpFault } from "../problem.ts";
import type { Context } from "../server.ts";
import {
  actionDetail,
  actionSchema,
  actionView,
  cursorOf,
  digits,
  findAction,
  limitOf,
  parseCursor,
  problemRef,
  recordAt,
  recordSchema,
  recordView,
} from "./shapes.ts";

const text = Type.String({ minLength: 1, maxLength: 512 });

const requestBody = Type.Object(
  {
    ...requestMembers,
    entity_id: Type.Optional(text),
    idempotency_key: Type.Optional(text),
    correlation_id: Type.Optional(text),
    priority: Type.Optional(Type.Union(priorities.map((priority) => Type.Literal(priority)))),
    tenant: Type.Optional(text),
    tags: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    ),
  },
  { title: "RequestAction", additionalProperties: false },
);

type RequestBody = Static<typeof requestBody>;

const idParams = Type.Object({ id: Type.String() });

/** Longer waits are cut to this, seconds. */
const waitSecMax = 300;

export function actionRoutes(app: FastifyInstance, context: Context): void {
  requestRoute(app, context);
  readRoutes(app, context);
  cancelRoute(app, context);
}

function requestRoute(app: FastifyInstance, context: Context): void {
  app.post<{ Body: RequestBody }>(
    "/v1/actions",
    {
      schema: {
        operationId: "requestAction",
        description:
          "Asks for an action. The same Idempotency-Key asks for the same action. Prefer: wait=N answers with the outcome if there is one within N seconds.",
        tags: ["actions"],
        headers: Type.Object({
          "idempotency-key": Type.Optional(text),
          prefer: Type.Optional(Type.String()),
        }),
        body: requestBody,
        response: {
          200: actionSchema,
          202: actionSchema,
          400: problemRef,
          409: problemRef,
          422: problemRef,
        },
      },
    },
    async (request, reply) => {
      const event = eventOf(request, context);
      const action = event.action_id as ActionId;
      const waitMs = preferredWaitMs(request);
      const controller = new AbortController();
      const outcome =
        waitMs === undefined
          ? undefined
          : context.outcomes.wait(action, { timeoutMs: waitMs, signal: controller.signal });
      reply.raw.once("close", () => {
        controller.abort();
      });
      try {
        const [receipt] = await context.log.append([event]);
        if (receipt?.duplicate === true) await refuseOtherRequest(context, event, receipt.offset);
        const ended = await outcome;
        return await answer(context, reply, {
          action,
          duplicate: receipt?.duplicate === true,
          waited: waitMs !== undefined,
          ended: ended !== undefined,
        });
      } catch (thrown) {
        controller.abort();
        throw thrown;
      }
    },
  );
}

async function answer(
  context: Context,
  reply: FastifyReply,
  said: {
    readonly action: ActionId;
    readonly duplicate: boolean;
    readonly waited: boolean;
    readonly ended: boolean;
  },
): Promise<FastifyReply> {
  const row = await context.log.getAction(said.action);
  const body: JsonObject = {
    action_id: said.action,
    ...(row === undefined ? { status: "requested" } : await actionDetail(context.log, row)),
    duplicate: said.duplicate,
  };
  const known = context.commands().some((one) => one.command === row?.command);
  const note =
    known || said.ended
      ? {}
      : { note: `no executor on this node serves ${String(row?.command)}: it waits for one` };
  reply.header("location", `/v1/actions/${said.action}`);
  if (said.waited) reply.header("preference-applied", "wait");
  return reply.code(said.ended ? 200 : 202).send({ ...body, ...note });
}

function eventOf(request: FastifyRequest<{ Body: RequestBody }>, context: Context): NewEvent {
  const { body, headers } = request;
  const {
    entity_id,
    idempotency_key,
    correlation_id,
    priority,
    tenant: named,
    tags,
    ...asked
  } = body;
  const header = headers["idempotency-key"];
  const key = (typeof header === "string" ? header : undefined) ?? idempotency_key ?? randomUUID();
  const attrs = { ...asked, args: (asked.args ?? {}) as JsonObject } as RequestAttrs;
  checkArgs(context, attrs);
  const { traceparent } = headers;
  return requestEvent({
    attrs,
    idempotencyKey: key,
    entityId: entity_id ?? `command:${attrs.command}`,
    ts: timestamp(context.clock.nowMs()),
    source: { system: "deed", ns: { component: "api" } },
    tenant: context.tenant(request, named),
    ...(priority === undefined ? {} : { priority }),
    ...(correlation_id === undefined ? {} : { correlationId: correlation_id }),
    ...(typeof traceparent === "string" ? { traceparent } : {}),
    ...(tags === undefined ? {} : { tags }),
  });
}

/** What an executor of this node would refuse is refused before it becomes a fact. */
function checkArgs(context: Context, attrs: RequestAttrs): void {
  const info = context.commands().find((one) => one.command === attrs.command);
  if (info === undefined) return;
  const validator = Compile(info.argsSchema);
  if (validator.Check(attrs.args)) return;
  const error = schemaError(
    `request ${attrs.command} with these args`,
    validator.Errors(attrs.args),
  );
  throw new HttpFault(422, error);
}

/** One key names one request: the same key with another body is a mistake of the client's. */
async function refuseOtherRequest(
  context: Context,
  event: NewEvent,
  offset: number,
): Promise<void> {
  const first = await recordAt(context.log, offset);
  if (first === undefined) return;
  const same =
    first.event.event_type === "action.requested" &&
    canonicalJson(first.event.attrs) === canonicalJson(event.attrs as Json) &&
    first.event.entity_id === event.entity_id;
  if (same) return;
  const message = `Cannot request the action as the idempotency key "${String(event.idempotency_key)}" was used for another request (event ${first.event.event_id}): use a new key`;
  throw new HttpFault(422, deedError("conflict", message));
}

/** `Prefer: wait=N` (RFC 7240), in milliseconds. */
function preferredWaitMs(request: FastifyRequest): number | undefined {
  const { prefer } = request.headers;
  const seconds =
    typeof prefer === "string" ? /(?:^|[,;\s])wait=(\d{1,6})/.exec(prefer)?.[1] : undefined;
  return seconds === undefined ? undefined : Math.min(Number(seconds), waitSecMax) * 1_000;
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
          400: problemRef,
        },
      },
    },
    async (request) => {
      const { query } = request;
      const limit = limitOf(query.limit, 50, 500);
      const before = parseCursor(query.cursor);
      const tenant = context.tenantFilter(request, query.tenant);
      const status = query.status?.split(",").map(parseStatus);
      const rows = await log.listActions({
        limit,
        ...(before === undefined ? {} : { before }),
        ...(tenant === undefined ? {} : { tenant }),
        ...(status === undefined ? {} : { status }),
        ...(query.command === undefined ? {} : { command: query.command }),
        ...(query.entity_id === undefined ? {} : { entityId: query.entity_id }),
        ...(query.correlation_id === undefined ? {} : { correlationId: query.correlation_id }),
      });
      const last = rows.at(-1);
      const more = rows.length === limit && last !== undefined;
      return {
        actions: rows.map(actionView),
        ...(more ? { next_cursor: cursorOf(last.requestOffset) } : {}),
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
        response: { 200: actionSchema, 400: problemRef, 404: problemRef },
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
        response: { 200: Type.Object({ records: Type.Array(recordSchema) }), 404: problemRef },
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
        response: { 202: actionSchema, 404: problemRef, 409: problemRef },
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
