import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { fault } from "../../event/error.ts";
import type { Context } from "../server.ts";
import { problemRef } from "./shapes.ts";

const status = Type.Object({ status: Type.String(), head: Type.Optional(Type.Integer()) });

export function operationRoutes(app: FastifyInstance, context: Context): void {
  const tags = ["operations"];
  app.get(
    "/",
    { schema: { operationId: "getIndex", description: "Where things are", tags } },
    () => ({
      name: "deed",
      openapi: "/openapi.json",
      events: "/v1/events",
      stream: "/v1/events/stream",
      actions: "/v1/actions",
      dead_letters: "/v1/dlq",
      commands: "/v1/commands",
      rules: "/v1/rules",
      health: "/healthz",
      ready: "/readyz",
      metrics: "/metrics",
    }),
  );
  app.get(
    "/v1/commands",
    {
      schema: {
        operationId: "listCommands",
        description:
          "The commands that executors of this node serve, with the schema of their args",
        tags,
        response: {
          200: Type.Object({
            commands: Type.Array(Type.Object({}, { additionalProperties: true })),
          }),
        },
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
        response: {
          200: Type.Object({ rules: Type.Array(Type.Object({}, { additionalProperties: true })) }),
        },
      },
    },
    () => ({ rules: context.rules() }),
  );
  app.get(
    "/healthz",
    {
      schema: {
        operationId: "getHealth",
        description: "The process answers",
        tags,
        response: { 200: status },
      },
    },
    () => ({ status: "ok" }),
  );
  app.get(
    "/readyz",
    {
      schema: {
        operationId: "getReadiness",
        description: "The log takes events and the kernel runs",
        tags,
        response: { 200: status, 503: problemRef },
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
    { schema: { operationId: "getMetrics", description: "Prometheus metrics", tags } },
    async (_, reply) =>
      reply
        .header("content-type", context.metrics.contentType)
        .send(await context.metrics.render()),
  );
  app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}
