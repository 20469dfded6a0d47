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
import { createHash, timingSafeEqual } from "node:crypto";
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../base/clock.ts";
import { defaultTenant } from "../event/ids.ts";
import { deedError, Fault, fault } from "../event/error.ts";
import { schemaError } from "../event/schema.ts";
import type { Log } from "../log/log.ts";
import type { Outcomes } from "../log/outcomes.ts";
import { HttpFault, problemOf, problemSchema, sendProblem } from "./problem.ts";
import { actionRoutes } from "./routes/actions.ts";
import { deadLetterRoutes } from "./routes/dead-letters.ts";
import { eventRoutes } from "./routes/events.ts";
import { operationRoutes } from "./routes/operations.ts";
import { streamRoutes } from "./routes/stream.ts";

/** A command that an executor of this node serves. */
export type CommandInfo = {
  readonly command: string;
  readonly description: string;
  readonly argsSchema: TSchema;
};

/** An active rule, as the log says. */
export type RuleInfo = {
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  readonly file: string;
  readonly offset: number;
};

export type ApiOptions = {
  readonly log: Log;
  readonly outcomes: Outcomes;
  readonly clock: Clock;
  readonly commands: () => readonly CommandInfo[];
  readonly rules: () => readonly RuleInfo[];
  readonly metrics: { readonly contentType: string; readonly render: () => Promise<string> };
  /** Undefined where requests can be served; else why not. */
  readonly notReady: () => string | undefined;
  /** Bearer tokens and the tenant of each. Without one it listens on loopback only. */
  readonly tokens?: readonly { readonly token: string; readonly tenant: string }[];
  readonly bodyBytesMax?: number;
  readonly onError?: (
    thrown: unknown,
    request: { readonly method: string; readonly url: string },
  ) => void;
};

/** What routes are given. */
export type Context = ApiOptions & {
  /** The tenant of the request: its token's, else the one it names, else `default`. */
  readonly tenant: (request: FastifyRequest, named?: string) => string;
  /** Limits reading to the tenant of the token; undefined: all tenants of a loopback API. */
  readonly tenantFilter: (request: FastifyRequest, named?: string) => string | undefined;
};

export type Api = {
  readonly app: FastifyInstance;
  /** @returns the URL. @throws {Fault} `permission` where it would listen beyond loopback without a token. */
  readonly listen: (at: { readonly host: string; readonly port: number }) => Promise<string>;
  readonly close: () => Promise<void>;
};

const bodyBytesMaxDefault = 4 * 1024 * 1024;

const loopback = new Set(["127.0.0.1", "localhost", "::1", "[::1]"]);

const openPaths = new Set(["/healthz", "/readyz"]);

export async function createApi(options: ApiOptions): Promise<Api> {
  const app = fastify({
    bodyLimit: options.bodyBytesMax ?? bodyBytesMaxDefault,
    routerOptions: { maxParamLength: 256 },
    forceCloseConnections: true,
  });
  const tokens = (options.tokens ?? []).map(({ token, tenant }) => ({
    digest: digestOf(token),
    tenant,
  }));
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
  await app.register(swagger, { openapi: description });
  app.setErrorHandler((thrown, request, reply) => {
    const problem = problemOf(thrown);
    if (problem.status >= 500)
      options.onError?.(thrown, { method: request.method, url: request.url });
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const message = `There is nothing at ${request.method} ${request.url.split("?")[0] ?? ""}: /openapi.json lists what there is`;
    return sendProblem(reply, { status: 404, error: deedError("not_found", message) });
  });
  app.addHook("onRequest", (request, _, done) => {
    const open = openPaths.has(request.url);
    if (tokens.length === 0) checkHost(request);
    else if (!open) tenants.set(request, authenticate(request, tokens));
    done();
  });
  app.addContentTypeParser(
    ["application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"],
    { parseAs: "string" },
    (_, body, done) => {
      done(null, body);
    },
  );
  eventRoutes(app, context);
  actionRoutes(app, context);
  deadLetterRoutes(app, context);
  streamRoutes(app, context);
  operationRoutes(app, context);
  await app.ready();

  return {
    app,
    listen: ({ host, port }) => {
      if (!loopback.has(host) && tokens.length === 0) {
        throw fault(
          "permission",
          `Cannot listen on ${host} as nothing but loopback is served without a token: set api.token_env or api.token_file`,
        );
      }
      return app.listen({ host, port });
    },
    close: () => app.close(),
  };
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

/** A page of another site that resolves its name to loopback still sends its own name as Host. */
function checkHost(request: FastifyRequest): void {
  const host = request.headers.host ?? "";
  const name = host.startsWith("[")
    ? host.slice(0, host.indexOf("]") + 1)
    : (host.split(":")[0] ?? "");
  if (loopback.has(name)) return;
  throw fault(
    "permission",
    `Cannot serve Host "${host}": without a token only loopback names are answered`,
  );
}

function authenticate(
  request: FastifyRequest,
  tokens: readonly { readonly digest: Buffer; readonly tenant: string }[],
): string {
  const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (given !== undefined) {
    const digest = digestOf(given);
    const match = tokens.find((token) => timingSafeEqual(token.digest, digest));
    if (match !== undefined) return match.tenant;
  }
  const message =
    "Cannot serve the request as it carries no valid token: send Authorization: Bearer <token>";
  throw new HttpFault(401, deedError("permission", message));
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

const description = {
  openapi: "3.1.0",
  info: {
    title: "Deed",
    version: "1",
    description: "Observations, decisions, commands and results as events on one log",
  },
  components: { securitySchemes: { bearer: { type: "http" as const, scheme: "bearer" } } },
};
