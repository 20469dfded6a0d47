/**
 * The HTTP API: appends to the log and reads its views. It never reaches into the kernel.
 *
 * Invariants
 * 1. What is acknowledged is durable: every 202 follows the commit.
 * 2. Nothing of a batch with one bad event is stored.
 * 3. It listens on loopback, or it has a token; there is no third way.
 * 4. Every error is an RFC 9457 problem whose `kind` is a word of the taxonomy.
 * 5. A token names its tenant: what it asks for and sees is that tenant's alone.
 */
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { defaultTenant } from "../event/ids.ts";
import { Fault, fault } from "../event/error.ts";
import { schemaError } from "../event/schema.ts";
import type { ApiOptions, Context } from "./context.ts";
import { authenticate, checkLocal, tokenOf } from "./edge/access.ts";
import { readJson } from "./edge/json.ts";
import { answerUnrouted } from "./edge/no-route.ts";
import { readOut } from "./edge/read-out.ts";
import { isLoopback } from "./loopback.ts";
import { answerBadHttp, problemOf, problemSchema, sendProblem } from "./problem.ts";
import { actionRoutes } from "./routes/actions.ts";
import { approvalRoutes } from "./routes/approvals.ts";
import { deadLetterRoutes } from "./routes/dead-letters.ts";
import { eventRoutes } from "./routes/events.ts";
import { executionRoutes } from "./routes/executions.ts";
import { operationRoutes } from "./routes/operations.ts";
import { playbookRoutes } from "./routes/playbooks.ts";
import { streamRoutes } from "./routes/stream.ts";

export type Api = {
  readonly app: FastifyInstance;
  /** @returns the URL. @throws {Fault} `permission` where it would listen beyond loopback without a token. */
  readonly listen: (at: { readonly host: string; readonly port: number }) => Promise<string>;
  readonly close: () => Promise<void>;
};

const bodyBytesMaxDefault = 4 * 1024 * 1024;

/** A client that sends a request more slowly than this is not waited for, milliseconds. */
const requestMsMax = 30_000;

const openPaths = new Set(["/healthz", "/readyz"]);

export async function createApi(options: ApiOptions): Promise<Api> {
  const bodyBytesMax = options.bodyBytesMax ?? bodyBytesMaxDefault;
  const app = fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMsMax,
    routerOptions: { maxParamLength: 1_024 },
    forceCloseConnections: true,
    clientErrorHandler: answerBadHttp,
    frameworkErrors: (thrown, _, reply) => {
      sendProblem(reply, problemOf(thrown, bodyBytesMax));
    },
  });
  const tokens = (options.tokens ?? []).map(tokenOf);
  const tenants = new WeakMap<FastifyRequest, string>();
  const context: Context = {
    ...options,
    tenant: (request, named) => {
      const own = tenants.get(request);
      if (own !== undefined && named !== undefined && named !== own) {
        throw fault("permission", `Cannot act for tenant "${named}": the token is for "${own}"`);
      }
      return own ?? named ?? defaultTenant;
    },
    tenantFilter: (request, named) =>
      tenants.has(request) ? context.tenant(request, named) : named,
  };

  app.setValidatorCompiler(({ schema, httpPart }) =>
    validatorOf(schema as TSchema, httpPart ?? "body"),
  );
  app.setSerializerCompiler(() => JSON.stringify);
  app.addSchema(problemSchema);
  await app.register(swagger, {
    openapi: description,
    refResolver: { buildLocalReference: (schema) => nameOf(schema["$id"]) },
  });
  app.setErrorHandler((thrown, request, reply) => {
    const problem = problemOf(thrown, bodyBytesMax);
    if (problem.status >= 500)
      options.onError?.(thrown, { method: request.method, url: request.url });
    return sendProblem(reply, problem);
  });
  app.addHook("onSend", readOut(options.clock));
  answerUnrouted(app);
  app.addHook("onRequest", (request, _, done) => {
    const open = openPaths.has(request.routeOptions.url ?? "");
    if (tokens.length === 0) checkLocal(request);
    else if (!open) tenants.set(request, authenticate(request, tokens));
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, readBody);
  const routes = [
    eventRoutes,
    actionRoutes,
    deadLetterRoutes,
    playbookRoutes,
    executionRoutes,
    approvalRoutes,
    streamRoutes,
    operationRoutes,
  ];
  await app.register((scope, _, done) => {
    for (const add of routes) add(scope, context);
    done();
  });
  await app.ready();

  return {
    app,
    listen: ({ host, port }) => {
      if (!isLoopback(host) && tokens.length === 0) throw openWithoutToken(host);
      return app.listen({ host, port });
    },
    close: () => app.close(),
  };
}

function readBody(
  _: FastifyRequest,
  body: string | Buffer,
  done: (error: Error | null, value?: unknown) => void,
): void {
  try {
    done(null, body === "" ? undefined : readJson(String(body)));
  } catch (thrown) {
    done(thrown instanceof Error ? thrown : new Error(String(thrown)));
  }
}

/** Schemas are named in the description as they are in the program. */
function nameOf(id: unknown): string {
  return typeof id === "string" ? id : "Unnamed";
}

function openWithoutToken(host: string): Fault {
  return fault(
    "permission",
    `Cannot listen on ${host} as nothing but loopback is served without a token: set api.token_env or api.token_file`,
  );
}

/** The same schemas check requests and describe them; nothing is converted, nothing is dropped. */
function validatorOf(
  schema: TSchema,
  part: string,
): (data: unknown) => { value: unknown } | { error: Error } {
  const validator = Compile(schema);
  return (sent) => {
    const data: unknown = sent ?? null;
    if (validator.Check(data)) return { value: data };
    return { error: new Fault(schemaError(`take the request's ${part}`, validator.Errors(data))) };
  };
}

const description = {
  openapi: "3.1.0",
  info: {
    title: "Deed",
    version: "1",
    description: "Observations, decisions, commands and results as events on one log",
  },
  security: [{}, { bearer: [] }],
  components: { securitySchemes: { bearer: { type: "http" as const, scheme: "bearer" } } },
};
