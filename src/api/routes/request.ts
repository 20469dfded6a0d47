/** `POST /v1/actions`: one append, which shares its commit with whatever else waits for one. */
import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static, type TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { canonicalJson } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import { requestMembers } from "../../action/request-schema.ts";
import { priorities, requestEvent, type RequestAttrs } from "../../action/request.ts";
import { deedError } from "../../event/error.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import type { ActionId } from "../../event/ids.ts";
import { schemaError } from "../../event/schema.ts";
import type { Receipt } from "../../log/log.ts";
import { HttpFault } from "../problem.ts";
import type { Context } from "../context.ts";
import {
  askingHeaders,
  beginWaiting,
  checkTags,
  endOf,
  keyOf,
  tagsSchema,
  traceOf,
} from "./asking.ts";
import { actionDetail, actionSchema, problems, recordAt, text } from "./shapes.ts";

const requestBody = Type.Object(
  {
    ...requestMembers,
    entity_id: Type.Optional(text),
    idempotency_key: Type.Optional(text),
    correlation_id: Type.Optional(text),
    priority: Type.Optional(Type.Enum([...priorities])),
    tenant: Type.Optional(text),
    tags: Type.Optional(tagsSchema),
  },
  { title: "RequestAction", additionalProperties: false },
);

type RequestBody = Static<typeof requestBody>;

type Asking = FastifyRequest<{ Body: RequestBody }>;

export function requestRoute(app: FastifyInstance, context: Context): void {
  app.post<{ Body: RequestBody }>(
    "/v1/actions",
    {
      schema: {
        operationId: "requestAction",
        description:
          "Asks for an action. The same Idempotency-Key asks for the same action. Prefer: wait=N answers with the outcome if there is one within N seconds. A command that no executor of this node serves waits for one until its ttl.",
        tags: ["actions"],
        headers: askingHeaders,
        body: requestBody,
        response: {
          200: actionSchema,
          202: actionSchema,
          ...problems(400, 401, 403, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { prefer } = request.headers;
      const { event, keyed } = eventOf(request, context);
      const waiting = beginWaiting(reply, prefer, (options) =>
        context.outcomes.wait(event.action_id as ActionId, { ...options, lookBack: keyed }),
      );
      try {
        const [receipt] = await context.log.append([event]);
        if (receipt?.duplicate === true) await refuseOtherRequest(context, event, receipt.offset);
        const ended = await endOf(reply, waiting);
        return await answer(context, reply, { event, receipt, ended });
      } finally {
        waiting?.giveUp();
      }
    },
  );
}

async function answer(
  context: Context,
  reply: FastifyReply,
  {
    event,
    receipt,
    ended,
  }: { event: NewEvent; receipt: Receipt | undefined; ended: LogRecord | undefined },
): Promise<FastifyReply> {
  const action = event.action_id as ActionId;
  const duplicate = receipt?.duplicate === true;
  const row = await context.log.getAction(action);
  const detail =
    row === undefined
      ? { action_id: action, status: "requested" }
      : await actionDetail(context.log, row, {
          ...(duplicate ? {} : { request: event }),
          ...(ended === undefined ? {} : { terminal: ended }),
        });
  const { command } = event.attrs as RequestAttrs;
  const open = row?.terminalOffset === undefined;
  const waits = open && infoOf(context, command) === undefined;
  const note = `no executor on this node serves ${command}: it waits for one`;
  reply.header("location", `/v1/actions/${action}`);
  return reply
    .code(ended === undefined ? 202 : 200)
    .send({ ...detail, duplicate, ...(waits ? { note } : {}) });
}

/** The event, and whether its key is the client's: without one it cannot have been asked before. */
function eventOf(
  request: Asking,
  context: Context,
): { readonly event: NewEvent; readonly keyed: boolean } {
  const { body, headers } = request;
  const { entity_id, idempotency_key, correlation_id, priority, tenant: named, ...rest } = body;
  const { tags, ...asked } = rest;
  const key = keyOf(headers, idempotency_key);
  const attrs = { ...asked, args: asked.args ?? {} } as RequestAttrs;
  checkArgs(context, attrs);
  checkTags(tags);
  const event = requestEvent({
    attrs,
    idempotencyKey: key ?? randomUUID(),
    entityId: entity_id ?? `command:${attrs.command}`,
    ts: timestamp(context.clock.nowMs()),
    source: { system: "deed", ns: { component: "api" } },
    tenant: context.tenant(request, named),
    ...(priority === undefined ? {} : { priority }),
    ...(correlation_id === undefined ? {} : { correlationId: correlation_id }),
    ...traceOf(headers),
    ...(tags === undefined ? {} : { tags }),
  });
  return { event, keyed: key !== undefined };
}

/** Compiled once for each schema, which lives as long as its executor. */
const validators = new WeakMap<TSchema, Validator>();

/**
 * What an executor of this node would refuse is refused before it becomes a fact; but where secrets are
 * still to be put in, which the worker does before it checks.
 */
function checkArgs(context: Context, attrs: RequestAttrs): void {
  const schema = infoOf(context, attrs.command)?.argsSchema;
  if (schema === undefined || attrs.secrets !== undefined) return;
  let validator = validators.get(schema);
  if (validator === undefined) validators.set(schema, (validator = Compile(schema)));
  if (validator.Check(attrs.args)) return;
  const attempted = `request ${attrs.command} with these args`;
  throw new HttpFault(422, schemaError(attempted, validator.Errors(attrs.args)));
}

function infoOf(context: Context, command: string): { readonly argsSchema: TSchema } | undefined {
  return context.commands().find((one) => one.command === command);
}

/** One key names one request: the same key with another body is a mistake of the client's. */
async function refuseOtherRequest(
  { log }: Context,
  event: NewEvent,
  offset: number,
): Promise<void> {
  const first = (await recordAt(log, offset))?.event;
  if (first === undefined) return;
  const same =
    first.event_type === "action.requested" &&
    canonicalJson(first.attrs) === canonicalJson(event.attrs) &&
    first.entity_id === event.entity_id;
  if (same) return;
  const message = `Cannot request the action as the idempotency key "${String(event.idempotency_key)}" was used for another request (event ${first.event_id}): use a new key`;
  throw new HttpFault(422, deedError("conflict", message));
}
