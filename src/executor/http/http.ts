/** `http.request`: one HTTP exchange, for rules and people. See `exchange.ts` for what it promises. */
import Type, { type Static } from "typebox";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import {
  firstOfBody,
  formOf,
  headersOf,
  httpDefaults,
  httpMethods,
  isIdempotent,
  methodOf,
  pairsOf,
  refusedBy,
  send,
  targetOf,
  valueOf,
  wholeBody,
  type Exchange,
  type HttpOptions,
} from "./exchange.ts";
import { retryableStatus } from "./status.ts";

const scalars = Type.Record(
  Type.String(),
  Type.Union([Type.String(), Type.Number(), Type.Boolean()]),
);

const argsSchema = Type.Object(
  {
    method: Type.Optional(Type.Union(httpMethods.map((method) => Type.Literal(method)))),
    url: Type.String({ pattern: "^https?://" }),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    query: Type.Optional(scalars),
    /** At most one of `json`, `form` and `body`. The first two name their content type. */
    json: Type.Optional(Type.Unknown()),
    form: Type.Optional(scalars),
    body: Type.Optional(Type.String()),
    /** Status codes that count as success: `200`, or `2xx`. Default `2xx`. */
    expect: Type.Optional(
      Type.Array(
        Type.Union([
          Type.Integer({ minimum: 100, maximum: 599 }),
          Type.String({ pattern: "^[1-5]xx$" }),
        ]),
      ),
    ),
    /** The promise that sending it twice does no more than once, for methods that do not imply it. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type HttpArgs = Static<typeof argsSchema>;

/** Bodies up to this size are part of the result; larger ones go into a blob, bytes. */
const inlineBytesMax = 32 * 1024;

/** What an error shows of a body, bytes. */
const shownBytesMax = 2_000;

export function createHttp(options: HttpOptions = {}): Executor {
  return {
    command: "http.request",
    description: "Sends one HTTP request and gives back status, headers and body",
    argsSchema,
    idempotent: isIdempotent,
    concurrency: options.concurrency ?? httpDefaults.concurrency,
    timeoutMs: options.timeoutMs ?? httpDefaults.timeoutMs,
    execute: async (args, context) => {
      const call = args as HttpArgs;
      const exchange = exchangeOf(call, context, options);
      const answer = await send(exchange);
      const { statusCode: status, headers } = answer;
      if (!expected(call, status)) {
        const { bytes } = await firstOfBody(answer, exchange, shownBytesMax);
        throw refusedBy(exchange, answer, {
          retryable: retryableStatus(status, exchange.idempotent),
          detail: { body: bytes.toString("utf8") },
        });
      }
      const bytes = await wholeBody(answer, exchange, options.responseBytesMax);
      const body = valueOf(bytes, headers);
      return {
        status,
        headers: headersOf(answer),
        body: bytes.length > inlineBytesMax ? await context.keep(body) : body,
      };
    },
  };
}

function exchangeOf(call: HttpArgs, context: ExecutionContext, options: HttpOptions): Exchange {
  const { url, origin } = targetOf(call.url, options);
  for (const [name, value] of pairsOf(call.query ?? {})) url.searchParams.append(name, value);
  return {
    url,
    origin,
    method: methodOf(call as JsonObject),
    ...contentOf(call, context),
    signal: context.signal,
    idempotent: isIdempotent(call as JsonObject),
  };
}

/** Names in lower case, so that what the caller sets replaces what is set for him. */
function contentOf(
  { headers: given = {}, json, form, body }: HttpArgs,
  context: ExecutionContext,
): Pick<Exchange, "headers" | "body"> {
  const bodies = [json, form, body].filter((one) => one !== undefined);
  if (bodies.length > 1) {
    throw fault("invalid_args", "Cannot send a request with more than one of json, form and body");
  }
  const headers: Record<string, string> = {
    "user-agent": "deed",
    "idempotency-key": context.actionId,
  };
  if (json !== undefined) headers["content-type"] = "application/json";
  if (form !== undefined) headers["content-type"] = "application/x-www-form-urlencoded";
  for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = value;
  if (json !== undefined) return { headers, body: JSON.stringify(json) };
  return { headers, body: form === undefined ? (body ?? null) : formOf(form) };
}

function expected({ expect = ["2xx"] }: HttpArgs, status: number): boolean {
  return expect.some((one) => one === status || one === `${String(Math.floor(status / 100))}xx`);
}
