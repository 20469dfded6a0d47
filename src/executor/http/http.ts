/**
 * `http.request`: one HTTP exchange.
 *
 * 1. Of the request, an error shows the origin of its URL and nothing else: headers, body, query and even
 *    a path may carry secrets.
 * 2. Redirects are not followed: a server must not lead a request past `allow_hosts`.
 * 3. A failure is `retryable` only where nothing was done, or where the call is idempotent. Where the
 *    connection broke after the request may have been read, a call that is not is `outcome_unknown`.
 * 4. How long it may take is the attempt's own time limit alone; only connecting ends after 10 s.
 */
import Type, { type Static } from "typebox";
import { request, type Dispatcher } from "undici";
import type { Json, JsonObject } from "../../base/json.ts";
import { deedError, fault, Fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { kindOfStatus, retryableStatus, retryAfter } from "./status.ts";

const argsSchema = Type.Object(
  {
    method: Type.Optional(
      Type.Union(
        (["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const).map((method) =>
          Type.Literal(method),
        ),
      ),
    ),
    url: Type.String({ pattern: "^https?://" }),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    query: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    ),
    /** At most one of `json`, `form` and `body`. The first two name their content type. */
    json: Type.Optional(Type.Unknown()),
    form: Type.Optional(
      Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    ),
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

export type HttpOptions = {
  /** Host names that may be called, without ports; all where it is left out. */
  readonly allowHosts?: readonly string[];
  /** Default 64. */
  readonly concurrency?: number;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** Larger responses are refused, bytes. Default 16 MiB. */
  readonly responseBytesMax?: number;
};

const responseBytesMaxDefault = 16 * 1024 * 1024;

/** Bodies up to this size are part of the result; larger ones go into a blob, bytes. */
const inlineBytesMax = 32 * 1024;

/** What an error shows of a body, bytes. */
const shownBytesMax = 2_000;

/** Methods that RFC 9110 (9.2.2) calls idempotent. */
const idempotentMethods = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);

export function createHttp(options: HttpOptions = {}): Executor {
  const allowHosts = options.allowHosts?.map((host) => host.toLowerCase());
  const bytesMax = options.responseBytesMax ?? responseBytesMaxDefault;
  return {
    command: "http.request",
    description: "Sends one HTTP request and gives back status, headers and body",
    argsSchema,
    idempotent: (args) => isIdempotent(args),
    concurrency: options.concurrency ?? 64,
    timeoutMs: options.timeoutMs ?? 30_000,
    execute: async (args, context) => {
      const call = args as HttpArgs;
      const url = targetOf(call, allowHosts);
      const exchange: Exchange = { call, url, context, idempotent: isIdempotent(args) };
      const response = await send(exchange);
      const { statusCode: status, headers } = response;
      if (!expected(call, status)) {
        const { bytes } = await readBody(response, exchange, shownBytesMax);
        throw refusedBy(exchange, response, bytes.toString("utf8", 0, shownBytesMax));
      }
      const { bytes, whole } = await readBody(response, exchange, bytesMax);
      if (!whole) {
        throw fault(
          "unprocessable",
          `Cannot take the answer of ${url.origin} as it is larger than ${String(bytesMax)} bytes`,
          { status },
        );
      }
      const body = bodyOf(bytes, headers);
      return {
        status,
        headers: headersOf(response),
        body: bytes.length > inlineBytesMax ? await context.keep(body) : body,
      };
    },
  };
}

/** One call with all that its failures are judged by. */
type Exchange = {
  readonly call: HttpArgs;
  readonly url: URL;
  readonly context: ExecutionContext;
  readonly idempotent: boolean;
};

function methodOf(args: JsonObject | HttpArgs): string {
  return typeof args["method"] === "string" ? args["method"] : "GET";
}

/** By its method, by the caller's word, or as the caller gave the target a key to tell repeats by. */
function isIdempotent(args: JsonObject): boolean {
  if (args["idempotent"] === true || idempotentMethods.has(methodOf(args))) return true;
  const headers = args["headers"];
  if (typeof headers !== "object" || headers === null) return false;
  return Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key");
}

function targetOf(call: HttpArgs, allowHosts: readonly string[] | undefined): URL {
  if (!URL.canParse(call.url))
    throw fault("invalid_args", "Cannot send a request as url is no URL");
  const url = new URL(call.url);
  if (url.username !== "" || url.password !== "") {
    throw fault(
      "invalid_args",
      "Cannot send a request as url holds a user or password: send a header instead",
    );
  }
  if (allowHosts !== undefined && !allowHosts.includes(url.hostname)) {
    throw fault(
      "permission",
      `Cannot call ${url.hostname} as it is not in executors.http.allow_hosts of the configuration`,
    );
  }
  for (const [name, value] of Object.entries(call.query ?? {}))
    url.searchParams.append(name, String(value));
  return url;
}

async function send(exchange: Exchange): Promise<Dispatcher.ResponseData> {
  const { call, url, context } = exchange;
  const { headers, body } = contentOf(call, context);
  try {
    context.signal.throwIfAborted();
    return await request(url, {
      method: methodOf(call),
      headers,
      body,
      signal: context.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  } catch (thrown) {
    throw networkFault(exchange, thrown);
  }
}

/** Names in lower case, so that what the caller sets replaces what is set for him. */
function contentOf(
  { headers: given = {}, json, form, body }: HttpArgs,
  context: ExecutionContext,
): { readonly headers: Record<string, string>; readonly body: string | null } {
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
  if (form === undefined) return { headers, body: body ?? null };
  const pairs = Object.entries(form).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  return { headers, body: new URLSearchParams(pairs).toString() };
}

/** No byte of the request had left when one of these was said. */
const neverSentCodes = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Says only what the code says: the driver's own message may quote what was sent. */
function networkFault({ url, context, idempotent }: Exchange, thrown: unknown): Fault {
  if (context.signal.aborted) return cancelled(url, thrown);
  const code =
    thrown instanceof Error && "code" in thrown && typeof thrown.code === "string"
      ? thrown.code
      : "unknown error";
  if (code === "UND_ERR_INVALID_ARG") {
    const message = "Cannot send a request as a header, the body or the method is not valid HTTP";
    return new Fault(deedError("invalid_args", message), thrown);
  }
  const garbled = thrown instanceof Error && thrown.name === "HTTPParserError";
  if (garbled || code === "UND_ERR_HEADERS_OVERFLOW") {
    const message = `Cannot understand the answer of ${url.origin}: it is not HTTP or its headers are too large`;
    return new Fault(deedError("unprocessable", message), thrown);
  }
  if (neverSentCodes.has(code)) {
    const kind = code === "UND_ERR_CONNECT_TIMEOUT" ? "timeout" : "unavailable";
    return new Fault(deedError(kind, `Cannot reach ${url.origin}: ${code}`, { code }), thrown);
  }
  return brokenOff(idempotent, `The connection to ${url.origin} broke off: ${code}`, thrown);
}

function brokenOff(idempotent: boolean, message: string, thrown: unknown): Fault {
  if (idempotent) return new Fault(deedError("unavailable", message), thrown);
  const unknown = `${message}; the request may have been carried out`;
  return new Fault(deedError("outcome_unknown", unknown), thrown);
}

function cancelled(url: URL, thrown: unknown): Fault {
  return new Fault(deedError("cancelled", `The call of ${url.origin} was ended`), thrown);
}

/** Reads up to `bytesMax` and lets go of the rest. */
async function readBody(
  response: Dispatcher.ResponseData,
  { url, context, idempotent }: Exchange,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      chunks.push(chunk);
      if (size > bytesMax) break;
    }
  } catch (thrown) {
    if (context.signal.aborted) throw cancelled(url, thrown);
    throw brokenOff(idempotent, `The answer of ${url.origin} broke off`, thrown);
  }
  return { bytes: Buffer.concat(chunks), whole: size <= bytesMax };
}

/** JSON where the server says that it is and it is; text otherwise, read as UTF-8. */
function bodyOf(bytes: Buffer, headers: Dispatcher.ResponseData["headers"]): Json {
  const text = bytes.toString("utf8");
  if (!/[/+]json\b/.test(String(headers["content-type"] ?? ""))) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function expected({ expect = ["2xx"] }: HttpArgs, status: number): boolean {
  return expect.some((one) => one === status || one === `${String(Math.floor(status / 100))}xx`);
}

function headersOf(response: Dispatcher.ResponseData): JsonObject {
  return Object.fromEntries(Object.entries(response.headers));
}

function refusedBy(
  { url, idempotent }: Exchange,
  { statusCode: status, headers }: Dispatcher.ResponseData,
  body: string,
): Fault {
  const retryAfterMs = retryAfter(headers["retry-after"], Date.now());
  const redirected = status >= 300 && status < 400 ? ": redirects are not followed" : "";
  return new Fault({
    kind: kindOfStatus(status),
    message: `${url.origin} answered ${String(status)}${redirected}`,
    retryable: retryableStatus(status, idempotent),
    detail: {
      status,
      body,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
  });
}
