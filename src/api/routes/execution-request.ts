/** Runs playbooks: `POST /v1/executions`, and `POST /v1/executions/{id}/rerun`. */
import { randomUUID } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import {
  executionRequestEvent,
  type ExecutionRequestAttrs,
} from "../../action/execution-request.ts";
import { canonicalJson } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import { deedError, fault } from "../../event/error.ts";
import { anomalyTag, type NewEvent, type Tags } from "../../event/envelope.ts";
import type { ExecutionId } from "../../event/ids.ts";
import type { ExecutionRow } from "../../log/log.ts";
import type { Context } from "../context.ts";
import { HttpFault } from "../problem.ts";
import {
  askingHeaders,
  beginWaiting,
  checkTags,
  endOf,
  keyOf,
  tagsSchema,
  traceOf,
} from "./asking.ts";
import { executionDetail, executionSchema, findExecution, requestOf } from "./execution-shapes.ts";
import { currentOf, findPlaybook, versionOf } from "./playbooks.ts";
import { idParams, problems, recordAt, text } from "./shapes.ts";

const input = Type.Record(Type.String(), Type.Unknown());

const digest = Type.String({ pattern: "^[0-9a-f]{64}$" });

const runBody = Type.Object(
  {
    playbook: text,
    digest: Type.Optional(digest),
    input: Type.Optional(input),
    return_step: Type.Optional(text),
    correlation_id: Type.Optional(text),
    idempotency_key: Type.Optional(text),
    tenant: Type.Optional(text),
    tags: Type.Optional(tagsSchema),
  },
  { title: "RunPlaybook", additionalProperties: false },
);

const rerunBody = Type.Union([
  Type.Null(),
  Type.Object(
    {
      input: Type.Optional(input),
      from_step: Type.Optional(text),
      digest: Type.Optional(digest),
      correlation_id: Type.Optional(text),
      idempotency_key: Type.Optional(text),
    },
    { title: "RerunExecution", additionalProperties: false },
  ),
]);

/** Tags that say where in a playbook something stands, and who asked. */
const placeTags = ["step", "activation", "item", "task", "attempt", "schedule"];

export function runRoutes(app: FastifyInstance, context: Context): void {
  app.post<{ Body: Static<typeof runBody> }>(
    "/v1/executions",
    {
      schema: {
        operationId: "runPlaybook",
        description:
          "Runs a registered playbook: the version that stands at its path when it starts, or the one named. The same Idempotency-Key asks for the same execution. Prefer: wait=N answers with the result if there is one within N seconds.",
        tags: ["executions"],
        headers: askingHeaders,
        body: runBody,
        response: {
          200: executionSchema,
          202: executionSchema,
          ...problems(400, 401, 403, 404, 413, 415, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { body } = request;
      checkTags(body.tags, placeTags);
      const entry = findPlaybook(context.playbooks, body.playbook);
      const runs =
        body.digest === undefined ? currentOf(entry) : versionOf(entry, body.digest).digest;
      checkStep(context, { digest: runs, step: body.return_step, member: "return_step" });
      const asked = {
        ...body,
        tenant: context.tenant(request, body.tenant),
        tags: body.tags ?? {},
        attrs: {
          playbook: entry.path,
          ...(body.digest === undefined ? {} : { digest: body.digest }),
          payload: objectOf(body.input),
          ...(body.return_step === undefined ? {} : { return_step: body.return_step }),
        },
      };
      return run(context, reply, eventOf(context, request, asked));
    },
  );
  rerunRoute(app, context);
}

function rerunRoute(app: FastifyInstance, context: Context): void {
  app.post<{ Params: { id: string }; Body: Static<typeof rerunBody> }>(
    "/v1/executions/:id/rerun",
    {
      schema: {
        operationId: "rerunExecution",
        description:
          "Runs an ended execution again, as a new one that is linked to it (rerun_of): the same version unless digest names another, its input with the members of input over it. from_step begins at that step, with what the former one knew when it came there last.",
        tags: ["executions"],
        params: idParams,
        headers: askingHeaders,
        body: rerunBody,
        response: {
          200: executionSchema,
          202: executionSchema,
          ...problems(400, 401, 404, 409, 413, 422, 503),
        },
      },
    },
    async (request, reply) => {
      const { log } = context;
      const former = await findExecution(log, request.params.id, context.tenantFilter(request));
      if (former.terminalOffset === undefined) {
        const message = `Cannot run execution ${former.executionId} again as it has not ended: it is ${former.status}`;
        throw fault("conflict", message);
      }
      const body = request.body ?? {};
      const { event } = await requestOf(log, former);
      const asked = {
        ...body,
        tenant: former.tenant,
        tags: tagsAgain(event.tags),
        attrs: await attrsAgain(context, { former, before: event.attrs, body }),
      };
      return run(context, reply, eventOf(context, request, asked));
    },
  );
}

/** What the former execution was asked for, with what is to be different. */
async function attrsAgain(
  { playbooks }: Context,
  given: {
    readonly former: ExecutionRow;
    readonly before: JsonObject;
    readonly body: NonNullable<Static<typeof rerunBody>>;
  },
): Promise<ExecutionRequestAttrs> {
  const { former, before, body } = given;
  const entry = findPlaybook(playbooks, former.playbook);
  const runs = versionOf(entry, body.digest ?? former.digest ?? currentOf(entry)).digest;
  const step = body.from_step;
  checkStep({ playbooks }, { digest: runs, step, member: "from_step" });
  const named = before["return_step"];
  const returnStep =
    typeof named === "string" && playbooks.steps(runs).includes(named) ? named : undefined;
  const restart =
    step === undefined
      ? undefined
      : await playbooks.restart(former, { step, digest: runs, returnStep });
  return {
    playbook: entry.path,
    digest: runs,
    payload: { ...objectOf(before["payload"]), ...objectOf(body.input) },
    ...(returnStep === undefined ? {} : { return_step: returnStep }),
    rerun_of: former.executionId,
    ...(restart === undefined ? {} : { restart }),
  };
}

/** The former's own tags: those of its place in a parent, or of its schedule, are not this one's. */
function tagsAgain(tags: Tags): Tags {
  const left = new Set([...placeTags, "tenant", anomalyTag]);
  return Object.fromEntries(Object.entries(tags).filter(([name]) => !left.has(name)));
}

function checkStep(
  { playbooks }: Pick<Context, "playbooks">,
  asked: { readonly digest: string; readonly step: string | undefined; readonly member: string },
): void {
  const { digest: version, step, member } = asked;
  if (step === undefined) return;
  const names = playbooks.steps(version);
  if (names.includes(step)) return;
  const message = `is no step of that version: it has ${names.join(", ")}`;
  const problem = { pointer: `/${member}`, message };
  const error = deedError("invalid_args", `Cannot run the playbook as "${step}" ${message}`, {
    problems: [problem],
  });
  throw new HttpFault(422, error);
}

type Asked = {
  readonly attrs: ExecutionRequestAttrs;
  readonly tenant: string;
  readonly tags: Tags;
  readonly correlation_id?: string | undefined;
  readonly idempotency_key?: string | undefined;
};

type Asking = {
  readonly event: NewEvent & { readonly execution_id: ExecutionId };
  readonly prefer: string | readonly string[] | undefined;
  /** The key is the client's: without one it cannot have been asked before. */
  readonly keyed: boolean;
};

function eventOf(context: Context, { headers }: FastifyRequest, asked: Asked): Asking {
  const { attrs, tenant, tags, correlation_id: correlation } = asked;
  const key = keyOf(headers, asked.idempotency_key);
  const env = context.playbooks.env();
  const event = executionRequestEvent({
    attrs: Object.keys(env).length === 0 ? attrs : { ...attrs, env },
    idempotencyKey: key ?? randomUUID(),
    ts: timestamp(context.clock.nowMs()),
    source: { system: "deed", ns: { component: "api" } },
    tenant,
    tags,
    ...(correlation === undefined ? {} : { correlationId: correlation }),
    ...traceOf(headers),
  });
  return { event, prefer: headers["prefer"], keyed: key !== undefined };
}

/** One append; then the end, where the client prefers to wait and it comes in time. */
async function run(
  { log, outcomes }: Context,
  reply: FastifyReply,
  { event, prefer, keyed }: Asking,
): Promise<FastifyReply> {
  const { execution_id: id } = event;
  const waiting = beginWaiting(reply, prefer, (options) =>
    outcomes.waitExecution(id, { ...options, lookBack: keyed }),
  );
  try {
    const [receipt] = await log.append([event]);
    const duplicate = receipt?.duplicate === true;
    if (duplicate) await refuseOther({ log }, event, receipt.offset);
    const terminal = await endOf(reply, waiting);
    const row = await log.getExecution(id);
    const detail =
      row === undefined
        ? { execution_id: id, status: "requested", playbook: event.attrs["playbook"] }
        : await executionDetail(log, row, terminal === undefined ? {} : { terminal });
    reply.header("location", `/v1/executions/${id}`);
    return await reply.code(terminal === undefined ? 202 : 200).send({ ...detail, duplicate });
  } finally {
    waiting?.giveUp();
  }
}

/** One key names one request. What the node adds by itself, the environment, is not compared. */
async function refuseOther(
  { log }: Pick<Context, "log">,
  event: NewEvent,
  offset: number,
): Promise<void> {
  const first = (await recordAt(log, offset))?.event;
  if (first === undefined) return;
  const spelled = (attrs: JsonObject): string => canonicalJson({ ...attrs, env: {} });
  const same =
    first.event_type === event.event_type && spelled(first.attrs) === spelled(event.attrs);
  if (same) return;
  const message = `Cannot run the playbook as the idempotency key "${String(event.idempotency_key)}" was used for another request (event ${first.event_id}): use a new key`;
  throw new HttpFault(422, deedError("conflict", message));
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
