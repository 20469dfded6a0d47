/**
 * `playbook`: runs a playbook on behalf of who is none: a rule, a person, another program.
 *
 * 1. The execution's id follows from the action's: an attempt that runs again finds the execution that the former
 *    one asked for, so it is idempotent.
 * 2. Its result is the execution's; where that failed the action fails with its error.
 * 3. Whoever cancels the action, or lets it run out of time, cancels the execution. A node that stops does not:
 *    the next one waits on.
 */
import Type, { type Static } from "typebox";
import { executionCancelEvent, executionRequestEvent } from "../../action/execution-request.ts";
import { timestamp } from "../../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import { Fault, fault, isErrorKind } from "../../event/error.ts";
import { executionIdOf, type ExecutionId } from "../../event/ids.ts";
import { endedBy, type ExecutionContext, type Executor } from "../executor.ts";

const argsSchema = Type.Object(
  {
    /** Where the catalog knows the playbook. */
    path: Type.String({ minLength: 1 }),
    /** The digest of the version; default the one that stands there. */
    version: Type.Optional(Type.String({ pattern: "^[0-9a-f]{64}$" })),
    input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** The step whose data is the result. */
    return_step: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
);

export type PlaybookOptions = {
  /** Puts events on the log. */
  readonly append: (events: readonly NewEvent[]) => Promise<unknown>;
  /** The terminal record of an execution; `undefined` where the signal is aborted before. */
  readonly ended: (id: ExecutionId, signal: AbortSignal) => Promise<LogRecord | undefined>;
  readonly nowMs: () => number;
};

const source = { system: "deed", ns: { component: "playbook" } };

export function createPlaybook({ append, ended, nowMs }: PlaybookOptions): Executor {
  return {
    command: "playbook",
    description: "Runs a playbook and gives back its result",
    argsSchema,
    idempotent: () => true,
    concurrency: 10_000,
    timeoutMs: 86_400_000,
    execute: async (args, context) => {
      const { signal } = context;
      if (signal.aborted) throw fault("cancelled", "The playbook was not asked for: it was ended");
      const request = requestOf(args as Static<typeof argsSchema>, context);
      const id = executionIdOf(context.tenant, keyOf(context));
      await append([request]);
      const end = await ended(id, signal);
      if (end !== undefined) return resultOf(end);
      const why = endedBy(signal);
      if (why === "cancelled" || why === "timeout") {
        await append([cancelOf(request, id, { ts: timestamp(nowMs()), context, why })]);
      }
      throw fault("cancelled", `The wait for execution ${id} was ended`);
    },
  };
}

function requestOf(
  { path, version, input = {}, return_step: step }: Static<typeof argsSchema>,
  context: ExecutionContext,
): NewEvent {
  const { correlationId, eventId, traceparent, tags } = context.cause;
  return executionRequestEvent({
    attrs: {
      playbook: path,
      ...(version === undefined ? {} : { digest: version }),
      payload: input as JsonObject,
      ...(step === undefined ? {} : { return_step: step }),
    },
    idempotencyKey: keyOf(context),
    ts: timestamp(context.requestedAtMs),
    source,
    tenant: context.tenant,
    ...(correlationId === undefined ? {} : { correlationId }),
    causationId: eventId,
    ...(traceparent === undefined ? {} : { traceparent }),
    tags,
  });
}

function cancelOf(
  { entity_id, tags }: NewEvent,
  id: ExecutionId,
  of: { readonly ts: string; readonly context: ExecutionContext; readonly why: string },
): NewEvent {
  const { actionId, cause } = of.context;
  const { correlationId: correlation_id } = cause;
  const identity = { entity_id, tags, ...(correlation_id === undefined ? {} : { correlation_id }) };
  return executionCancelEvent(
    { ...identity, execution_id: id },
    { ts: of.ts, causationId: cause.eventId, source },
    { reason: of.why, by: `action ${actionId}` },
  );
}

function keyOf({ actionId }: ExecutionContext): string {
  return `action/${actionId}`;
}

function resultOf({ event }: LogRecord): Json {
  const { result = null, error, reason } = event.attrs;
  if (event.event_type === "execution.completed") return result;
  if (event.event_type === "execution.cancelled") {
    throw fault("cancelled", typeof reason === "string" ? reason : "its execution was cancelled");
  }
  const { kind, message } = error !== undefined && isJsonObject(error) ? error : {};
  throw new Fault({
    kind: isErrorKind(kind) ? kind : "executor_error",
    message: typeof message === "string" ? message : "its execution failed",
    retryable: false,
    detail: { execution_id: event.execution_id ?? "" },
  });
}
