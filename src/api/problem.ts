/** RFC 9457 problem details: every error of the API has this one form. */
import type { FastifyReply } from "fastify";
import Type from "typebox";
import type { JsonObject } from "../base/json.ts";
import { Fault, type DeedError, type ErrorKind } from "../event/error.ts";
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
  409: "Conflict",
  413: "Too large",
  415: "Unsupported media type",
  422: "The request cannot be processed",
  429: "Too many requests",
  503: "Not available now",
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
    title: titles[status] ?? "The request failed",
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

/** Whatever was thrown while a request was served, as the problem that the client sees. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof HttpFault) return { status: thrown.status, error: thrown.error };
  if (thrown instanceof Fault)
    return { status: statusOfKind[thrown.error.kind], error: thrown.error };
  if (thrown instanceof LogError) {
    const status = statusOfLogError[thrown.code];
    const kind: ErrorKind =
      status === 413 ? "unprocessable" : thrown.retryable ? "unavailable" : "executor_error";
    const error = { kind, message: thrown.message, retryable: thrown.retryable };
    return thrown.retryable
      ? { status, error, headers: { "retry-after": "5" } }
      : { status, error };
  }
  return frameworkProblem(thrown);
}

type FrameworkError = Error & { readonly statusCode?: number };

/** Errors of the HTTP framework: parsing and limits. Anything else is ours, and says nothing. */
function frameworkProblem(thrown: unknown): Problem {
  const error = thrown as FrameworkError;
  const status = error instanceof Error ? (error.statusCode ?? 500) : 500;
  if (status >= 500) {
    const message =
      "The request failed for a reason that is not the client's: the program's own log says which";
    return { status: 500, error: { kind: "executor_error", message, retryable: false } };
  }
  const kind: ErrorKind = status === 413 || status === 415 ? "unprocessable" : "invalid_args";
  return { status, error: { kind, message: error.message, retryable: false } };
}
