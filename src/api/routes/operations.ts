import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { fault } from "../../event/error.ts";
import type { Context } from "../context.ts";
import { problems } from "./shapes.ts";

const status = Type.Object({ status: Type.String(), head: Type.Optional(Type.Integer()) });

const anyObject = Type.Object({}, { additionalProperties: true });

const tags = ["operations"];

export function operationRoutes(app: FastifyInstance, context: Context): void {
  indexRoutes(app);
  listRoutes(app, context);
  healthRoutes(app, context);
}

function indexRoutes(app: FastifyInstance): void {
  app.get(
    "/",
    {
      schema: {
        operationId: "getIndex",
        description: "Where things are",
        tags,
        response: { 200: anyObject, ...problems(401) },
      },
    },
    () => ({
      name: "deed",
      openapi: "/openapi.json",
      events: "/v1/events",
      stream: "/v1/events/stream",
      actions: "/v1/actions",
      dead_letters: "/v1/dlq",
      playbooks: "/v1/playbooks",
      executions: "/v1/executions",
      approvals: "/v1/approvals",
      commands: "/v1/commands",
      rules: "/v1/rules",
      schedules: "/v1/schedules",
      health: "/healthz",
      ready: "/readyz",
      metrics: "/metrics",
    }),
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}

function listRoutes(app: FastifyInstance, context: Context): void {
  app.get(
    "/v1/commands",
    {
      schema: {
        operationId: "listCommands",
        description:
          "The commands that executors of this node serve, with the schema of their args",
        tags,
        response: { 200: Type.Object({ commands: Type.Array(anyObject) }), ...problems(401) },
      },
    },
    () => ({
      commands: context.commands().map(({ command, description, argsSchema }) => ({
        command,
        description,
        args_schema: argsSchema,
      })),
    }),
  );
  app.get(
    "/v1/rules",
    {
      schema: {
        operationId: "listRules",
        description:
          "The rules that are active, each with its version and the offset from which it decides",
        tags,
        response: { 200: Type.Object({ rules: Type.Array(anyObject) }), ...problems(401) },
      },
    },
    () => ({ rules: context.rules() }),
  );
  app.get(
    "/v1/schedules",
    {
      schema: {
        operationId: "listSchedules",
        description:
          "The schedules that are active, each with its version and the offset from which it decides. What they started: /v1/executions",
        tags,
        response: { 200: Type.Object({ schedules: Type.Array(anyObject) }), ...problems(401) },
      },
    },
    () => ({ schedules: context.schedules() }),
  );
}

function healthRoutes(app: FastifyInstance, context: Context): void {
  app.get(
    "/healthz",
    {
      schema: {
        operationId: "getHealth",
        description: "The process answers; needs no token",
        tags,
        response: { 200: status, ...problems() },
      },
    },
    () => ({ status: "ok" }),
  );
  app.get(
    "/readyz",
    {
      schema: {
        operationId: "getReadiness",
        description: "The log takes events and the kernel runs; needs no token",
        tags,
        response: { 200: status, ...problems(503) },
      },
    },
    () => {
      const reason = context.notReady();
      if (reason !== undefined) throw fault("unavailable", `Not ready: ${reason}`);
      return { status: "ready", head: context.log.head() };
    },
  );
  app.get(
    "/metrics",
    {
      schema: {
        operationId: "getMetrics",
        description: "Prometheus metrics",
        tags,
        response: {
          200: { description: "Metrics", content: { "text/plain": { schema: Type.String() } } },
          ...problems(401),
        },
      },
    },
    async (_, reply) =>
      reply
        .header("content-type", context.metrics.contentType)
        .send(await context.metrics.render()),
  );
}
