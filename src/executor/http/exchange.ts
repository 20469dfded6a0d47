/**
 * One HTTP exchange: what the executors that speak HTTP have in common.
 *
 * 1. Of the request, an error shows the origin of its URL and nothing else: headers, body, query and even
 *    a path may carry secrets.
 * 2. Redirects are not followed: a server must not lead a request past `allow_hosts`.
 * 3. A failure is `retryable` only where nothing was done, or where the call is idempotent. Where the
 *    connection broke after the request may have been read, a call that is not is `outcome_unknown`.
 * 4. How long it may take is the attempt's own time limit alone; only connecting ends after 10 s.
 */
import { request, type Dispatcher } from "undici";
import type { Json, JsonObject } from "../../base/json.ts";
import { deedError, fault, Fault } from "../../event/error.ts";
import { kindOfStatus, retryAfter } from "./status.ts";

export type HttpOptions = {
  /** Host names that may be called, without ports; all where it is left out. */
  readonly allowHosts?: readonly string[];
  /**
   * Where a URL that begins so is really sent: `{"https://api.example.com": "http://127.0.0.1:5555/api"}`.
   * The longest beginning wins. For tests and proxies: `allowHosts` holds for the URL as it is written.
   */
  readonly remap?: { readonly [from: string]: string };
  /** Default 64. */
  readonly concurrency?: number;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** Larger responses are refused, bytes. Default 16 MiB. */
  readonly responseBytesMax?: number;
};

export const httpDefaults = {
  concurrency: 64,
  timeoutMs: 30_000,
  responseBytesMax: 16 * 1024 * 1024,
} as const;

export type ResponseHeaders = Dispatcher.ResponseData["headers"];

/** One call with all that its failures are judged by. */
export type Exchange = {
  readonly url: URL;
  /** The origin of its URL, as errors name it. */
  readonly origin: string;
  readonly method: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
  readonly idempotent: boolean;
};

/** An answer whose body nobody has read yet. */
export type Answer = Dispatcher.ResponseData;

export const httpMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

/** Methods that RFC 9110 (9.2.2) calls idempotent. */
const idempotentMethods = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]);

/** Upper case; GET where the call names none. */
export function methodOf(args: JsonObject): string {
  return typeof args["method"] === "string" ? args["method"].toUpperCase() : "GET";
}

/** By its method, or as the caller gave the target a key to tell repeats by. */
export function isIdempotent(args: JsonObject): boolean {
  if (args["idempotent"] === true || idempotentMethods.has(methodOf(args))) return true;
  const { headers } = args;
  if (typeof headers !== "object" || headers === null) return false;
  return Object.keys(headers).some((name) => name.toLowerCase() === "idempotency-key");
}

/**
 * Where a call goes, and what errors call it.
 *
 * @throws {Fault} `invalid_args` where it is no URL or holds a password, `permission` where its host may
 *   not be called.
 */
export function targetOf(
  written: string,
  { allowHosts, remap = {} }: HttpOptions,
): Pick<Exchange, "url" | "origin"> {
  if (!URL.canParse(written)) throw fault("invalid_args", "Cannot send a request as url is no URL");
  const url = new URL(written);
  if (url.username !== "" || url.password !== "") {
    throw fault(
      "invalid_args",
      "Cannot send a request as url holds a user or password: send a header instead",
    );
  }
  if (allowHosts?.some((host) => host.toLowerCase() === url.hostname) === false) {
    throw fault(
      "permission",
      `Cannot call ${url.hostname} as it is not in executors.http.allow_hosts of the configuration`,
    );
  }
  const { origin } = url;
  const from = Object.keys(remap)
    .filter((one) => beginsWith(url.href, one))
    .sort((left, right) => right.length - left.length)[0];
  const to = from === undefined ? undefined : remap[from];
  if (from === undefined || to === undefined) return { url, origin };
  const rest = url.href.slice(withoutSlash(from).length);
  const target = new URL(withoutSlash(to) + rest);
  return { url: target, origin: `${origin} (remapped to ${target.origin})` };
}

/** A beginning ends where a part of the URL does: `http://a` is none of `http://a.example`. */
function beginsWith(href: string, from: string): boolean {
  const beginning = withoutSlash(from);
  return href.startsWith(beginning) && /^(?:[/?#]|$)/.test(href.slice(beginning.length));
}

/** As `URL` writes it: a default port is left out, the host in lower case. */
function withoutSlash(prefix: string): string {
  return (URL.canParse(prefix) ? new URL(prefix).href : prefix).replace(/\/+$/, "");
}

export async function send(exchange: Exchange): Promise<Answer> {
  const { url, method, headers, body, signal } = exchange;
  try {
    signal.throwIfAborted();
    return await request(url, {
      method,
      headers,
      body,
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  } catch (thrown) {
    throw networkFault(exchange, thrown);
  }
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
function networkFault({ origin, signal, idempotent }: Exchange, thrown: unknown): Fault {
  if (signal.aborted) return cancelled(origin, thrown);
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
    const message = `Cannot understand the answer of ${origin}: it is not HTTP or its headers are too large`;
    return new Fault(deedError("unprocessable", message), thrown);
  }
  if (neverSentCodes.has(code)) {
    const kind = code === "UND_ERR_CONNECT_TIMEOUT" ? "timeout" : "unavailable";
    return new Fault(deedError(kind, `Cannot reach ${origin}: ${code}`, { code }), thrown);
  }
  return brokenOff(idempotent, `The connection to ${origin} broke off: ${code}`, thrown);
}

function brokenOff(idempotent: boolean, message: string, thrown: unknown): Fault {
  if (idempotent) return new Fault(deedError("unavailable", message), thrown);
  const unknown = `${message}; the request may have been carried out`;
  return new Fault(deedError("outcome_unknown", unknown), thrown);
}

function cancelled(origin: string, thrown: unknown): Fault {
  return new Fault(deedError("cancelled", `The call of ${origin} was ended`), thrown);
}

/** Reads the whole body. @throws {Fault} `unprocessable` where it is larger than `bytesMax`. */
export async function wholeBody(
  answer: Answer,
  exchange: Exchange,
  bytesMax: number = httpDefaults.responseBytesMax,
): Promise<Buffer> {
  const { bytes, whole } = await readBody(answer, exchange, bytesMax);
  if (whole) return bytes;
  throw fault(
    "unprocessable",
    `Cannot take the answer of ${exchange.origin} as it is larger than ${String(bytesMax)} bytes`,
    { status: answer.statusCode },
  );
}

/** The first `bytesMax` of a body; lets go of the rest. */
export async function firstOfBody(
  answer: Answer,
  exchange: Exchange,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const { bytes, whole } = await readBody(answer, exchange, bytesMax);
  return { bytes: bytes.subarray(0, bytesMax), whole };
}

async function readBody(
  answer: Answer,
  { origin, signal, idempotent }: Exchange,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      chunks.push(chunk);
      if (size > bytesMax) break;
    }
  } catch (thrown) {
    if (signal.aborted) throw cancelled(origin, thrown);
    throw brokenOff(idempotent, `The answer of ${origin} broke off`, thrown);
  }
  return { bytes: Buffer.concat(chunks), whole: size <= bytesMax };
}

/** JSON where the server says that it is and it is; text otherwise, read as UTF-8. */
export function valueOf(bytes: Buffer, headers: ResponseHeaders): Json {
  const text = bytes.toString("utf8");
  if (!/[/+]json\b/.test(String(headers["content-type"] ?? ""))) return text;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

export function headersOf(answer: Answer): JsonObject {
  return Object.fromEntries(Object.entries(answer.headers));
}

/** What an answer that was not expected is: `detail` holds its status, and what is given beside. */
export function refusedBy(
  { origin }: Exchange,
  { statusCode: status, headers }: Answer,
  { retryable, detail }: { readonly retryable: boolean; readonly detail: JsonObject },
): Fault {
  const retryAfterMs = retryAfter(headers["retry-after"], Date.now());
  const redirected = status >= 300 && status < 400 ? ": redirects are not followed" : "";
  return new Fault({
    kind: kindOfStatus(status),
    message: `${origin} answered ${String(status)}${redirected}`,
    retryable,
    detail: {
      status,
      ...detail,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
  });
}

/** A form as it travels: `a=1&b=2`. */
export function formOf(members: JsonObject): string {
  return new URLSearchParams(pairsOf(members)).toString();
}

/** Names and values as a query or a form writes them: a list is its items in a row, null is left out. */
export function pairsOf(members: JsonObject): [string, string][] {
  return Object.entries(members).flatMap(([name, value]): [string, string][] => {
    if (value === undefined || value === null) return [];
    if (isList(value)) return value.map((item) => [name, textOf(item)]);
    return [[name, textOf(value)]];
  });
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Text as it is, anything else as JSON. */
function textOf(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
