/**
 * The executor port: the only code that touches a target system.
 *
 * Invariants (cases of `executor-contract.ts`, which every executor runs)
 * 1. `execute` ends: by a result, by a `Fault`, or soon after its signal is aborted, and leaves no
 *    process, socket or timer behind.
 * 2. Arguments were validated against `argsSchema` before; they are never spliced into a text that
 *    something interprets.
 * 3. Every failure is a `Fault` with a kind of the taxonomy. `retryable` is true only where another
 *    attempt may do no harm: nothing was done, or the executor promised that twice does no more than once.
 * 4. The result is JSON.
 */
import type { TSchema } from "typebox";
import type { Json, JsonObject } from "../base/json.ts";
import { deedError, Fault } from "../event/error.ts";
import type { Tags } from "../event/envelope.ts";
import type { ActionId, EventId, ExecutionId } from "../event/ids.ts";
import type { AttemptCredentials } from "./credential.ts";

export type ExecutionContext = {
  readonly actionId: ActionId;
  readonly attempt: number;
  readonly tenant: string;
  readonly entityId: string;
  /** The execution of a playbook that asked for it, if one did. */
  readonly executionId: ExecutionId | undefined;
  /** Event time of the request, the same for every attempt: milliseconds since the Unix epoch. */
  readonly requestedAtMs: number;
  /** The request, for what an executor asks for in its turn. */
  readonly cause: {
    readonly eventId: EventId;
    readonly correlationId: string | undefined;
    readonly tags: Tags;
    readonly traceparent: string | undefined;
  };
  /** Aborted on cancel, time-out, lost lease and shutdown: {@link endedBy} says which. */
  readonly signal: AbortSignal;
  /** Tells the log how far it is: percent 0 to 100. Frequent calls are thinned out. */
  readonly progress: (percent: number | undefined, message?: string) => void;
  /** Stores a value that is too large for an event: the reference is returned in its place. */
  readonly keep: (value: Json) => Promise<BlobRef>;
  /**
   * Credentials of the attempt's tenant. Whatever an attempt reports is cleared of what was revealed to it:
   * an executor that takes a secret another way, or keeps it from an earlier attempt, is not covered.
   */
  readonly credentials: AttemptCredentials;
};

/** Why an attempt is ended. A node that stops leaves it to the next one. */
export type Ended = "cancelled" | "fenced" | "timeout" | "stopped";

/** What the signal of an attempt is aborted with. */
export class AttemptEnded extends Fault {
  readonly why: Ended;

  constructor(why: Ended) {
    super(deedError("cancelled", `The attempt was ended: ${why}`));
    this.why = why;
  }
}

/** Why an attempt was ended; `undefined` where it was not, or not by the worker. */
export function endedBy(signal: AbortSignal): Ended | undefined {
  const reason: unknown = signal.reason;
  return reason instanceof AttemptEnded ? reason.why : undefined;
}

/**
 * A content-addressed reference. The blob holds the JSON text of the value in whose place it stands, so
 * reading through it (`readThrough` of blob.ts) gives exactly what inline would have.
 */
export type BlobRef = { readonly $ref: `blob:sha256:${string}`; readonly size: number };

export type Executor = {
  /** The command it serves: dotted lower case, e.g. `http.request`. */
  readonly command: string;
  readonly description: string;
  /** JSON Schema of `args`; unknown members are refused. */
  readonly argsSchema: TSchema;
  /** May a started attempt whose outcome is unknown run again? The executor's own promise. */
  readonly idempotent: (args: JsonObject) => boolean;
  /** How many attempts run at one time in one process. */
  readonly concurrency: number;
  /** How long one attempt may run where the request does not say, milliseconds. */
  readonly timeoutMs: number;
  /** @throws {Fault} */
  readonly execute: (args: JsonObject, context: ExecutionContext) => Promise<Json>;
  /** Lets go of what it keeps for reuse. Called once, after the last attempt has ended. */
  readonly close?: () => Promise<void>;
};

/** Where large results lie. One adapter a sub-folder. */
export type BlobStore = {
  readonly put: (bytes: Uint8Array) => Promise<BlobRef>;
  /** `undefined` where there is no such blob. */
  readonly get: (ref: BlobRef) => Promise<Uint8Array | undefined>;
  /** The same at once, for who decides in a commit. */
  readonly getNow: (ref: BlobRef) => Uint8Array | undefined;
};
