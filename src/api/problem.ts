/** RFC 9457 problem details: every error of the API has this one form. */
import type { Socket } from "node:net";
import type { FastifyReply } from "fastify";
import Type from "typebox";
import type { JsonObject } from "../base/json.ts";
import { deedError, Fault, type DeedError, type ErrorKind } from "../event/error.ts";
import { LogError, type LogErrorCode } from "../log/log.ts";

export const problemSchema = Type.Object(
  {
    type: Type.String({ description: "A URI for the kind of problem" }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: "What was attempted, and what was wrong" }),
    kind: Type.String({ description: "A word of the error taxonomy" }),
    instance: Type.Optional(Type.String()),
    problems: Type.Optional(
      Type.Array(
        Type.Object(
          { pointer: Type.String(), message: Type.String() },
          { additionalProperties: true },
        ),
      ),
    ),
  },
  { $id: "Problem", title: "Problem", description: "RFC 9457 problem details" },
);

const statusOfKind: { readonly [K in ErrorKind]: number } = {
  timeout: 504,
  unavailable: 503,
  rate_limited: 429,
  conflict: 409,
  not_found: 404,
  permission: 403,
  invalid_args: 400,
  unprocessable: 422,
  rejected: 422,
  ttl_expired: 410,
  outcome_unknown: 500,
  cancelled: 409,
  executor_error: 500,
};

const titles: { readonly [status: number]: string | undefined } = {
  400: "The request is not valid",
  401: "Not authenticated",
  403: "Not permitted",
  404: "Not found",
  405: "Method not allowed",
  408: "The request took too long to arrive",
  409: "Conflict",
  410: "Gone",
  413: "Too large",
  415: "Unsupported media type",
  414: "The path is too long",
  422: "The request cannot be processed",
  429: "Too many requests",
  431: "The headers are too large",
  503: "Not available now",
  504: "It took too long",
  507: "No space left",
};

/** A problem on its way to the client. */
export type Problem = {
  readonly status: number;
  readonly error: DeedError;
  readonly headers?: Record<string, string>;
};

/** An error with the HTTP status it goes out with, where that is not the one of its kind. */
export class HttpFault extends Fault {
  readonly status: number;

  constructor(status: number, error: DeedError) {
    super(error);
    this.status = status;
  }
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const { status, error } = problem;
  const problems = error.detail?.["problems"];
  const body: JsonObject = {
    type: `urn:deed:problem:${error.kind}`,
    title: titleOf(status),
    status,
    detail: error.message,
    kind: error.kind,
    instance: reply.request.url.split("?")[0] ?? "",
    ...(Array.isArray(problems) ? { problems } : {}),
  };
  return reply
    .code(status)
    .headers(problem.headers ?? {})
    .type("application/problem+json")
    .send(body);
}

const statusOfLogError: { readonly [C in LogErrorCode]: number } = {
  locked: 503,
  full: 507,
  corrupt: 500,
  newer_version: 500,
  too_large: 413,
  invalid: 400,
  exists: 409,
  closed: 503,
  io: 503,
};

const kindOfLogError: { readonly [C in LogErrorCode]: ErrorKind } = {
  locked: "unavailable",
  full: "unavailable",
  corrupt: "executor_error",
  newer_version: "executor_error",
  too_large: "unprocessable",
  invalid: "invalid_args",
  exists: "conflict",
  closed: "unavailable",
  io: "unavailable",
};

/** What a client waits before it asks again where the log cannot take events, seconds. */
const retryAfterSec = "5";

/**
 * Whatever was thrown while a request was served, as the problem that the client sees.
 *
 * @param bodyBytesMax what one body may hold: named where one held more.
 */
export function problemOf(thrown: unknown, bodyBytesMax: number): Problem {
  if (thrown instanceof HttpFault) return { status: thrown.status, error: thrown.error };
  if (thrown instanceof Fault)
    return { status: statusOfKind[thrown.error.kind], error: thrown.error };
  if (thrown instanceof LogError) {
    const kind = kindOfLogError[thrown.code];
    const error = { kind, message: thrown.message, retryable: kind === "unavailable" };
    const headers = error.retryable ? { "retry-after": retryAfterSec } : {};
    return { status: statusOfLogError[thrown.code], error, headers };
  }
  return frameworkProblem(thrown, bodyBytesMax);
}

/** Errors of the HTTP framework: parsing and limits. Anything else is ours, and says nothing. */
function frameworkProblem(thrown: unknown, bodyBytesMax: number): Problem {
  const status = statusCodeOf(thrown);
  if (status >= 500 || !(thrown instanceof Error)) {
    const message =
      "The request failed for a reason that is not the client's: the program's own log says which";
    return { status: 500, error: deedError("executor_error", message) };
  }
  if (status === 413) {
    const message = `Cannot take the body as it may hold ${String(bodyBytesMax)} bytes at most: send less in one call, or raise api.body_bytes_max`;
    return { status, error: deedError("unprocessable", message) };
  }
  if (status === 415) {
    const message =
      "Cannot take the body as its Content-Type is not one of this route's: send application/json; /v1/events takes application/x-ndjson and CloudEvents, too";
    return { status, error: deedError("unprocessable", message) };
  }
  return { status, error: deedError("invalid_args", `Cannot read the request: ${thrown.message}`) };
}

function statusCodeOf(thrown: unknown): number {
  return thrown instanceof Error && "statusCode" in thrown && typeof thrown.statusCode === "number"
    ? thrown.statusCode
    : 500;
}

/** Answers what is not HTTP, or more header than a request may have, and closes the connection. */
export function answerBadHttp(thrown: Error & { readonly code?: string }, socket: Socket): void {
  if (!socket.writable || thrown.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status =
    thrown.code === "HPE_HEADER_OVERFLOW"
      ? 431
      : thrown.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? 408
        : 400;
  const body = JSON.stringify({
    type: "urn:deed:problem:invalid_args",
    title: titleOf(status),
    status,
    detail: `Cannot read the request: ${thrown.message}`,
    kind: "invalid_args",
  });
  socket.end(
    `HTTP/1.1 ${String(status)} ${titleOf(status)}\r\ncontent-type: application/problem+json; charset=utf-8\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function titleOf(status: number): string {
  return titles[status] ?? "The request failed";
}
