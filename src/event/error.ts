import type { JsonObject } from "../base/json.ts";

/** Every way in which an action or a call can fail. Closed: a new kind is a change of the contract. */
export const errorKinds = [
  "timeout",
  "unavailable",
  "rate_limited",
  "conflict",
  "not_found",
  "permission",
  "invalid_args",
  "unprocessable",
  "rejected",
  "ttl_expired",
  "outcome_unknown",
  "cancelled",
  "executor_error",
] as const;

export type ErrorKind = (typeof errorKinds)[number];

/**
 * One error, the same in an event, an executor's answer and an HTTP problem.
 *
 * `message` says what was attempted, then what was wrong. `retryable` is a promise of the one who
 * made the error: the same attempt may succeed later.
 */
export type DeedError = {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly retryable: boolean;
  readonly detail?: JsonObject;
};

const retryableKinds: ReadonlySet<ErrorKind> = new Set(["timeout", "unavailable", "rate_limited"]);

/** An error whose `retryable` is what its kind usually means. */
export function deedError(kind: ErrorKind, message: string, detail?: JsonObject): DeedError {
  const retryable = retryableKinds.has(kind);
  return detail === undefined ? { kind, message, retryable } : { kind, message, retryable, detail };
}

/** A {@link DeedError} on its way up through code that throws: adapters and executors. */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly error: DeedError;

  constructor(error: DeedError, cause?: unknown) {
    super(error.message, cause === undefined ? undefined : { cause });
    this.error = error;
  }
}

/** Throws nothing: makes the {@link Fault} that a caller throws. */
export function fault(kind: ErrorKind, message: string, detail?: JsonObject): Fault {
  return new Fault(deedError(kind, message, detail));
}

/** Whatever was thrown, as one error: a {@link Fault} keeps its kind, anything else is `executor_error`. */
export function toDeedError(thrown: unknown): DeedError {
  if (thrown instanceof Fault) return thrown.error;
  return deedError("executor_error", thrown instanceof Error ? thrown.message : String(thrown));
}

const kindSet: ReadonlySet<string> = new Set(errorKinds);

export function isErrorKind(text: unknown): text is ErrorKind {
  return typeof text === "string" && kindSet.has(text);
}
