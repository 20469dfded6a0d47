import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { executionControlEvent, type ExecutionControl } from "../../action/execution-request.ts";
import { timestamp } from "../../base/clock.ts";
import { fault } from "../../event/error.ts";
import { parseExecutionId, type ExecutionId } from "../../event/ids.ts";
import { executionStatuses, type ExecutionRow, type ExecutionStatus } from "../../log/log.ts";
import type { Context } from "../context.ts";
import { runRoutes } from "./execution-request.ts";
import {
  executionDetail,
  executionSchema,
  executionView,
  findExecution,
  requestOf,
} from "./execution-shapes.ts";
import {
  cursorOf,
  digits,
  idParams,
  limitOf,
  pageOf,
  parseCursor,
  problems,
  recordSchema,
  recordView,
  text,
} from "./shapes.ts";

const tags = ["executions"];

export function executionRoutes(app: FastifyInstance, context: Context): void {
  runRoutes(app, context);
  listRoute(app, context);
  oneRoutes(app, context);
  controlRoutes(app, context);
}

type ListQuery = {
  status?: string;
  playbook?: string;
  parent?: string;
  roots?: string;
  correlation_id?: string;
  tenant?: string;
  limit?: string;
  cursor?: string;
};

function listRoute(app: FastifyInstance, context: Context): void {
  app.get<{ Querystring: ListQuery }>(
    "/v1/executions",
    {
      schema: {
        operationId: "listExecutions",
        description: "Lists executions of playbooks, newest first",
        tags,
        querystring: Type.Object(
          {
            status: Type.Optional(Type.String({ description: "Comma-separated" })),
            playbook: Type.Optional(Type.String({ description: "Path" })),
            parent: Type.Optional(Type.String({ description: "Direct children of this one" })),
            roots: Type.Optional(
              Type.Enum(["true", "false"], { description: "Only those that no other asked for" }),
            ),
            correlation_id: Type.Optional(Type.String()),
            tenant: Type.Optional(Type.String()),
            limit: Type.Optional(digits),
            cursor: Type.Optional(Type.String()),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            executions: Type.Array(executionSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401, 403),
        },
      },
    },
    async (request) => {
      const { query } = request;
      const limit = limitOf(query.limit, 50, 500);
      const before = parseCursor("executions", query.cursor);
      const tenant = context.tenantFilter(request, query.tenant);
      const status = query.status?.split(",").map(parseStatus);
      const rows = await context.log.listExecutions({
        limit: limit + 1,
        ...(before === undefined ? {} : { before }),
        ...(tenant === undefined ? {} : { tenant }),
        ...(status === undefined ? {} : { status }),
        ...(query.playbook === undefined ? {} : { playbook: query.playbook }),
        ...(query.parent === undefined ? {} : { parent: idOf(query.parent) }),
        ...(query.roots === "true" ? { rootsOnly: true } : {}),
        ...(query.correlation_id === undefined ? {} : { correlationId: query.correlation_id }),
      });
      const { page, last } = pageOf(rows, limit);
      return {
        executions: page.map(executionView),
        ...(last === undefined ? {} : { next_cursor: cursorOf("executions", last.requestOffset) }),
      };
    },
  );
}

function parseStatus(name: string): ExecutionStatus {
  const status = executionStatuses.find((one) => one === name);
  if (status !== undefined) return status;
  throw fault("invalid_args", `"${name}" is not a status: one of ${executionStatuses.join(", ")}`);
}

function idOf(given: string): ExecutionId {
  const id = parseExecutionId(given);
  if (id !== undefined) return id;
  throw fault("invalid_args", `"${given}" is not an execution id: it is a decimal number`);
}

function oneRoutes(app: FastifyInstance, context: Context): void {
  const { log } = context;
  app.get<{ Params: { id: string } }>(
    "/v1/executions/:id",
    {
      schema: {
        operationId: "getExecution",
        description:
          "One execution: where it stands, what was asked, what came of it, its open actions and its children (100 of each at most)",
        tags,
        params: idParams,
        response: { 200: executionSchema, ...problems(400, 401, 404) },
      },
    },
    async (request) => {
      const row = await findExecution(log, request.params.id, context.tenantFilter(request));
      return executionDetail(log, row);
    },
  );

  app.get<{
    Params: { id: string };
    Querystring: { limit?: string; cursor?: string; order?: "oldest" | "newest" };
  }>(
    "/v1/executions/:id/events",
    {
      schema: {
        operationId: "listExecutionEvents",
        description:
          "The thread of an execution, oldest first: its events, those of its actions, and where its children began and ended. order=newest gives the last ones, newest first, and no cursor. /v1/events/stream?execution_id= follows it.",
        tags,
        params: idParams,
        querystring: Type.Object(
          {
            limit: Type.Optional(digits),
            cursor: Type.Optional(Type.String()),
            order: Type.Optional(Type.Enum(["oldest", "newest"])),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            records: Type.Array(recordSchema),
            next_cursor: Type.Optional(Type.String()),
          }),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => {
      const { query } = request;
      const row = await findExecution(log, request.params.id, context.tenantFilter(request));
      const limit = limitOf(query.limit, 100, 1_000);
      const of = { execution: row.executionId };
      if (query.order === "newest") {
        const newest = await log.readThread({ of, limit, order: "newest" });
        return { records: newest.map(recordView) };
      }
      const from = parseCursor("records", query.cursor) ?? row.requestOffset;
      const records = await log.readThread({ of, from, limit: limit + 1 });
      const { page, last } = pageOf(records, limit);
      return {
        records: page.map(recordView),
        ...(last === undefined ? {} : { next_cursor: cursorOf("records", last.offset + 1) }),
      };
    },
  );
}

type Control = {
  readonly word: "cancel" | "pause" | "resume";
  readonly type: ExecutionControl["type"];
  readonly operationId: string;
  readonly description: string;
  /** Why it would change nothing, where it would. */
  readonly idle: (row: ExecutionRow) => string | undefined;
};

const controls: readonly Control[] = [
  {
    word: "cancel",
    type: "execution.cancel_requested",
    operationId: "cancelExecution",
    description:
      "Asks for an execution to be cancelled: nothing new begins, what runs and its sub-playbooks are told, and once they have ended it ends as cancelled.",
    idle: () => undefined,
  },
  {
    word: "pause",
    type: "execution.paused",
    operationId: "pauseExecution",
    description:
      "Holds an execution: what runs ends, nothing new begins until it is resumed. Its sub-playbooks are executions of their own and go on.",
    idle: ({ status }) => (status === "paused" ? "it is paused already" : undefined),
  },
  {
    word: "resume",
    type: "execution.resumed",
    operationId: "resumeExecution",
    description: "Lets a paused execution go on",
    idle: ({ status }) => (status === "paused" ? undefined : `it is not paused: ${status}`),
  },
];

function controlRoutes(app: FastifyInstance, context: Context): void {
  for (const control of controls) controlRoute(app, context, control);
}

function controlRoute(app: FastifyInstance, context: Context, control: Control): void {
  const { log, clock } = context;
  const { word, type, operationId, description } = control;
  app.post<{ Params: { id: string }; Body: { reason?: string; by?: string } | null }>(
    `/v1/executions/:id/${word}`,
    {
      schema: {
        operationId,
        description,
        tags,
        params: idParams,
        body: Type.Union([
          Type.Null(),
          Type.Object(
            { reason: Type.Optional(text), by: Type.Optional(text) },
            { additionalProperties: false },
          ),
        ]),
        response: { 202: executionSchema, ...problems(400, 401, 404, 409, 503) },
      },
    },
    async (request, reply) => {
      const row = await findExecution(log, request.params.id, context.tenantFilter(request));
      const why =
        row.terminalOffset === undefined ? control.idle(row) : `it has ended: ${row.status}`;
      if (why !== undefined) {
        throw fault("conflict", `Cannot ${word} execution ${row.executionId} as ${why}`);
      }
      const { event } = await requestOf(log, row);
      const ts = timestamp(clock.nowMs());
      await log.append([executionControlEvent(event, { type, ts, ...request.body })]);
      const now = await log.getExecution(row.executionId);
      return reply.code(202).send(executionView(now ?? row));
    },
  );
}
