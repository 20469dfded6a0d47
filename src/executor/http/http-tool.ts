/**
 * `http`: one HTTP exchange, in the words of playbooks. See `exchange.ts` for what it promises, too.
 *
 * 1. The result is `{status_code, headers, data, body}`, where `data` and `body` are both the body: JSON
 *    where the server says that it is and it is, and text otherwise.
 * 2. A status of 400 and more is an error, whose `detail` holds `status`, `headers` and, where it is small,
 *    the body as `data`. It may be tried again where the server says that it did not do it, and after any
 *    5xx: a playbook's own policy decides whether it is.
 * 3. A credential is looked up at the moment of sending, and stands in no result and no error. A header
 *    that the tool names itself is sent as it stands there.
 */
import Type, { type Static } from "typebox";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { authHeaders } from "./auth.ts";
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
  type Answer,
  type Exchange,
  type HttpOptions,
} from "./exchange.ts";
import { retryableStatus } from "./status.ts";

const map = Type.Record(Type.String(), Type.Unknown());

/** What a template that found nothing leaves behind. */
const orNull = Type.Null();

const argsSchema = Type.Object(
  {
    /** In any letters. Default GET. */
    method: Type.Optional(
      Type.String({ pattern: `^(${httpMethods.map(inAnyLetters).join("|")})$` }),
    ),
    url: Type.String({ pattern: "^https?://" }),
    headers: Type.Optional(Type.Union([map, orNull])),
    /** Joins the query of the URL. A list is sent as its items in a row, null is left out. */
    params: Type.Optional(Type.Union([map, orNull])),
    /** A text as it is; anything else as JSON, or as a form where the content type says so. */
    body: Type.Optional(Type.Unknown()),
    /** The alias of a credential. */
    auth: Type.Optional(Type.Union([Type.String(), orNull])),
    /** The promise that sending it twice does no more than once. Default by method. */
    idempotent: Type.Optional(Type.Boolean()),
    /** What the playbook gave its templates; nothing of it is sent. */
    input: Type.Optional(map),
  },
  { additionalProperties: false },
);

type HttpToolArgs = Static<typeof argsSchema>;

/** `data` and `body` together, and what stands around them, stay below what an event holds inline. Bytes. */
const inlineBytesMax = 28 * 1024;

/** Larger bodies of errors are shown as the text of their first 2,000 bytes. */
const errorBytesMax = 16 * 1024;
const shownBytesMax = 2_000;

export function createHttpTool(options: HttpOptions = {}): Executor {
  return {
    command: "http",
    description: "Sends one HTTP request and gives back status_code, headers, data and body",
    argsSchema,
    idempotent: isIdempotent,
    concurrency: options.concurrency ?? httpDefaults.concurrency,
    timeoutMs: options.timeoutMs ?? httpDefaults.timeoutMs,
    execute: async (args, context) => {
      const call = args as HttpToolArgs;
      const target = targetOf(call.url, options);
      const auth = call.auth ? await authHeaders(call.auth, context.credentials) : {};
      const exchange = exchangeOf(call, target, { auth, context });
      const answer = await send(exchange);
      if (answer.statusCode >= 400) throw await refusal(exchange, answer);
      const bytes = await wholeBody(answer, exchange, options.responseBytesMax);
      const value = valueOf(bytes, answer.headers);
      const kept = bytes.length > inlineBytesMax ? await context.keep(value) : value;
      return {
        status_code: answer.statusCode,
        headers: headersOf(answer),
        data: kept,
        body: kept,
      };
    },
  };
}

function inAnyLetters(method: string): string {
  return method.replace(/./g, (letter) => `[${letter}${letter.toLowerCase()}]`);
}

function exchangeOf(
  call: HttpToolArgs,
  { url, origin }: Pick<Exchange, "url" | "origin">,
  from: { readonly auth: Readonly<Record<string, string>>; readonly context: ExecutionContext },
): Exchange {
  const { auth, context } = from;
  for (const [name, value] of pairsOf((call.params ?? {}) as JsonObject)) {
    url.searchParams.append(name, value);
  }
  const own: Record<string, string> = {};
  for (const [name, value] of pairsOf((call.headers ?? {}) as JsonObject)) {
    own[name.toLowerCase()] = value;
  }
  const content = contentOf(call.body as Json | undefined, own["content-type"]);
  const headers = {
    "user-agent": "deed",
    "idempotency-key": context.actionId,
    ...(content.type === undefined ? {} : { "content-type": content.type }),
    ...auth,
    ...own,
  };
  return {
    url,
    origin,
    method: methodOf(call as JsonObject),
    headers,
    body: content.body,
    signal: context.signal,
    idempotent: isIdempotent(call as JsonObject),
  };
}

type Content = { readonly type: string | undefined; readonly body: string | null };

/** @param type the content type that the call names, if any. */
function contentOf(body: Json | undefined, type: string | undefined): Content {
  if (body === undefined || body === null) return { type: undefined, body: null };
  if (typeof body === "string") return { type: isJsonText(body) ? json : plain, body };
  if (type === undefined || !/^application\/x-www-form-urlencoded\b/i.test(type)) {
    return { type: json, body: JSON.stringify(body) };
  }
  if (typeof body === "object" && !Array.isArray(body)) {
    return { type, body: formOf(body as JsonObject) };
  }
  throw fault("invalid_args", "Cannot send a form as body is neither a map nor a text");
}

const json = "application/json";
const plain = "text/plain; charset=utf-8";

/** An object or a list as text, as the filter `tojson` makes it. */
function isJsonText(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function refusal(exchange: Exchange, answer: Answer): Promise<Error> {
  const { statusCode: status } = answer;
  const { bytes, whole } = await firstOfBody(answer, exchange, errorBytesMax);
  const data = whole ? valueOf(bytes, answer.headers) : bytes.toString("utf8", 0, shownBytesMax);
  return refusedBy(exchange, answer, {
    retryable: retryableStatus(status, true),
    detail: { headers: headersOf(answer), data },
  });
}
