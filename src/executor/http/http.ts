/**
 * `http.request`: one HTTP exchange.
 *
 * The request's headers never appear in an error or a result: they may carry secrets.
 */
import Type, { type Static } from "typebox";
import { request, type Dispatcher } from "undici";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault, Fault, type ErrorKind } from "../../event/error.ts";
import type { BlobRef, ExecutionContext, Executor } from "../executor.ts";

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
    json: Type.Optional(Type.Unknown()),
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
  /** Host names that may be called; all where it is left out. */
  readonly allowHosts?: readonly string[];
  readonly concurrency?: number;
  readonly timeoutMs?: number;
  /** Larger responses are refused, bytes. Default 16 MiB. */
  readonly responseBytesMax?: number;
};

const responseBytesMaxDefault = 16 * 1024 * 1024;

/** Bodies up to this size are part of the result; larger ones go into a blob, bytes. */
const inlineBytesMax = 32 * 1024;

const safeMethods = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);

export function createHttp(options: HttpOptions = {}): Executor {
  return {
    command: "http.request",
    description: "Sends one HTTP request and gives back status, headers and body",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true || safeMethods.has(methodOf(args)),
    concurrency: options.concurrency ?? 64,
    timeoutMs: options.timeoutMs ?? 30_000,
    execute: async (args, context) => {
      const call = args as HttpArgs;
      const url = targetOf(call, options.allowHosts);
      const response = await send(call, url, context);
      const body = await readBody(
        response,
        context,
        options.responseBytesMax ?? responseBytesMaxDefault,
      );
      if (!expected(call, response.statusCode)) throw refusedBy(url, response, body);
      return { status: response.statusCode, headers: headersOf(response), body };
    },
  };
}

function methodOf(args: JsonObject | HttpArgs): string {
  return typeof args["method"] === "string" ? args["method"] : "GET";
}

function targetOf({ url: text, query }: HttpArgs, allowHosts: readonly string[] | undefined): URL {
  if (!URL.canParse(text))
    throw fault("invalid_args", `Cannot send a request as "${text}" is not a URL`);
  const url = new URL(text);
  if (allowHosts !== undefined && !allowHosts.includes(url.hostname)) {
    throw fault(
      "permission",
      `Cannot call ${url.hostname} as it is not in executors.http.allow_hosts of the configuration`,
    );
  }
  for (const [name, value] of Object.entries(query ?? {}))
    url.searchParams.append(name, String(value));
  return url;
}

async function send(
  call: HttpArgs,
  url: URL,
  context: ExecutionContext,
): Promise<Dispatcher.ResponseData> {
  const method = methodOf(call) as Dispatcher.HttpMethod;
  const body = call.json === undefined ? (call.body ?? null) : JSON.stringify(call.json);
  try {
    return await request(url, {
      method,
      headers: {
        "user-agent": "deed",
        "idempotency-key": context.actionId,
        ...(call.json === undefined ? {} : { "content-type": "application/json" }),
        ...call.headers,
      },
      body,
      signal: context.signal,
    });
  } catch (thrown) {
    throw networkFault(url, thrown);
  }
}

function networkFault(url: URL, thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const kind: ErrorKind = code.includes("TIMEOUT") ? "timeout" : "unavailable";
  return new Fault(
    {
      kind,
      message: `Cannot reach ${url.origin}: ${message.includes(code) ? message : `${code} ${message}`}`,
      retryable: true,
    },
    thrown,
  );
}

async function readBody(
  response: Dispatcher.ResponseData,
  context: ExecutionContext,
  bytesMax: number,
): Promise<Json> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > bytesMax) {
        response.body.destroy();
        throw fault("unprocessable", `The response is larger than ${String(bytesMax)} bytes`);
      }
      chunks.push(chunk);
    }
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Fault(
      { kind: "unavailable", message: `The response broke off: ${message}`, retryable: true },
      thrown,
    );
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > inlineBytesMax) return (await context.keep(bytes)) satisfies BlobRef;
  const text = bytes.toString("utf8");
  const type = String(response.headers["content-type"] ?? "");
  return /[/+]json\b/.test(type) ? parsedOr(text) : text;
}

function parsedOr(text: string): Json {
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
  return Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [name, value as Json]),
  );
}

const kindOfStatus: { readonly [status: number]: ErrorKind | undefined } = {
  400: "invalid_args",
  401: "permission",
  403: "permission",
  404: "not_found",
  408: "timeout",
  409: "conflict",
  410: "not_found",
  412: "conflict",
  422: "unprocessable",
  425: "unavailable",
  429: "rate_limited",
};

function refusedBy(url: URL, response: Dispatcher.ResponseData, body: Json): Fault {
  const { statusCode: status } = response;
  const kind = kindOfStatus[status] ?? (status >= 500 ? "unavailable" : "executor_error");
  const retryAfterMs = retryAfter(response.headers["retry-after"]);
  const shown = typeof body === "string" ? body : JSON.stringify(body);
  return new Fault({
    kind,
    message: `${url.origin}${url.pathname} answered ${String(status)}`,
    retryable: status >= 500 || status === 408 || status === 425 || status === 429,
    detail: {
      status,
      body: shown.slice(0, 2_000),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
  });
}

/** `Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3), in milliseconds from now. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1_000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - Date.now());
}
