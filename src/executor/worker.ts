/**
 * The worker: runs attempts that the kernel assigns, and reports what became of them.
 *
 * Invariants
 * 1. `run` returns at once and never throws; every attempt ends in exactly one report, or in none where
 *    it was fenced or the worker stopped (the log then decides).
 * 2. A report is repeated until the log takes it: a result is never dropped.
 * 3. Arguments are validated before `execute` sees them.
 * 4. What still runs after a third of its lease is kept alive by heartbeats, one shared timer for all.
 * 5. A result that is too large for an event goes into a blob; its reference is reported.
 */
import { Compile, type Validator } from "typebox/compile";
import { timestamp, type Clock } from "../base/clock.ts";
import type { Json, JsonObject } from "../base/json.ts";
import {
  cancelledEvent,
  failedEvent,
  identityOf,
  progressEvent,
  retryingEvent,
  succeededEvent,
  type ActionIdentity,
  type Moment,
} from "../action/lifecycle-event.ts";
import type { RequestAttrs } from "../action/request.ts";
import { afterFailure } from "../action/retry.ts";
import { deedError, fault, toDeedError, type DeedError } from "../event/error.ts";
import { tenantOf, type DeedEvent, type NewEvent } from "../event/envelope.ts";
import type { ActionId, EventId, WorkerId } from "../event/ids.ts";
import type { BlobStore, ExecutionContext, Executor } from "./executor.ts";

/** One attempt, as the committed log assigned it. */
export type Assignment = {
  readonly request: DeedEvent;
  readonly attempt: number;
  readonly startedEventId: EventId;
  /** Milliseconds since the Unix epoch. */
  readonly leaseUntilMs: number;
};

export type Worker = {
  readonly id: WorkerId;
  readonly executors: ReadonlyMap<string, Executor>;
  readonly run: (assignment: Assignment) => void;
  /** Aborts a running attempt. `cancelled` is reported once it has ended, `fenced` never. */
  readonly cancel: (action: ActionId, reason: "cancelled" | "fenced") => void;
  readonly running: () => number;
  /** Lets attempts end for `graceMs`, then aborts the rest without a report. */
  readonly stop: (graceMs: number) => Promise<void>;
};

export type WorkerOptions = {
  readonly id: WorkerId;
  readonly executors: readonly Executor[];
  /** Puts events on the log: resolves when they are durable. */
  readonly report: (events: readonly NewEvent[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly blobs: BlobStore;
  readonly leaseMs: number;
  /** Results whose JSON is larger go into a blob, bytes. Default 64 KiB. */
  readonly inlineBytesMax?: number;
  readonly warn: (message: string, detail?: Readonly<Record<string, unknown>>) => void;
};

type Attempt = {
  readonly assignment: Assignment;
  readonly action: ActionId;
  readonly attrs: RequestAttrs;
  readonly deadlineMs: number;
  nextBeatMs: number;
  leaseUntilMs: number;
  controller: AbortController | undefined;
  /** Why it was aborted; decides what is reported. */
  ended: "cancelled" | "fenced" | "timeout" | "stopped" | undefined;
  progress:
    { readonly percent: number | undefined; readonly message: string | undefined } | undefined;
  progressAtMs: number;
};

const inlineBytesMaxDefault = 64 * 1024;

/** How often running attempts are looked at: heartbeats, time-outs and progress are this exact. */
const beatMs = 100;

/** Progress of one action reaches the log this often at most. */
const progressMs = 1_000;

/** What an aborted attempt may take to end when the worker stops. */
const abortMsMax = 5_000;

const reportRetryMs = { first: 50, max: 5_000 } as const;

export function createWorker(options: WorkerOptions): Worker {
  const { id, clock, leaseMs, warn } = options;
  const executors = new Map(options.executors.map((executor) => [executor.command, executor]));
  const validators = new Map<string, Validator>();
  const attempts = new Map<ActionId, Attempt>();
  const idle = new Set<() => void>();
  let stopped = false;
  let cancelBeat: (() => void) | undefined;

  const begin = async (attempt: Attempt, executor: Executor): Promise<void> => {
    let report: readonly NewEvent[];
    try {
      const args = checkedArgs(validators, executor, attempt.attrs.args);
      const result = await executor.execute(args, contextOf(attempt));
      report =
        attempt.ended === undefined ? [success(attempt, await inlined(result))] : outcome(attempt);
    } catch (thrown) {
      report =
        attempt.ended === undefined ? [failure(attempt, toDeedError(thrown))] : outcome(attempt);
    }
    if (report.length > 0) await deliver(attempt, report);
    finish(attempt);
  };

  /** What an aborted attempt reports. */
  const outcome = (attempt: Attempt): readonly NewEvent[] => {
    switch (attempt.ended) {
      case "cancelled":
        return [cancelledEvent(identity(attempt), moment(attempt), "asked for")];
      case "timeout":
        return [failure(attempt, timeoutError(attempt))];
      default:
        return [];
    }
  };

  const success = (attempt: Attempt, result: Json): NewEvent =>
    succeededEvent(identity(attempt), moment(attempt), result);

  const failure = (attempt: Attempt, error: DeedError): NewEvent => {
    const { attrs, assignment } = attempt;
    const nowMs = clock.nowMs();
    const requestedAtMs = Date.parse(assignment.request.ts);
    const next = afterFailure({
      actionId: attempt.action,
      attempt: assignment.attempt,
      error,
      policy: attrs.retry,
      expiresAtMs: attrs.ttl_sec === undefined ? undefined : requestedAtMs + attrs.ttl_sec * 1_000,
      nowMs,
    });
    if (next.kind === "fail") return failedEvent(identity(attempt), moment(attempt), error);
    const at = { ...moment(attempt), attempt: next.attempt };
    const retryAt = timestamp(nowMs + next.delayMs);
    return retryingEvent(identity(attempt), at, { delayMs: next.delayMs, retryAt, error });
  };

  const moment = (attempt: Attempt): Moment => ({
    ts: timestamp(clock.nowMs()),
    causationId: attempt.assignment.startedEventId,
    attempt: attempt.assignment.attempt,
  });

  const deliver = async (attempt: Attempt, report: readonly NewEvent[]): Promise<void> => {
    for (
      let waitMs: number = reportRetryMs.first;
      ;
      waitMs = Math.min(reportRetryMs.max, waitMs * 2)
    ) {
      try {
        await options.report(report);
        return;
      } catch (thrown) {
        if (stopped) return;
        warn(`The outcome of ${attempt.action} could not be recorded and will be tried again`, {
          thrown,
        });
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
      }
    }
  };

  const finish = (attempt: Attempt): void => {
    if (attempts.get(attempt.action) === attempt) attempts.delete(attempt.action);
    if (attempts.size > 0) return;
    for (const resolve of idle) resolve();
    idle.clear();
  };

  const idleWithin = async (timeMs: number): Promise<void> => {
    if (attempts.size === 0) return;
    await new Promise<void>((resolve) => {
      const giveUp = clock.after(timeMs, resolve);
      idle.add(() => {
        giveUp();
        resolve();
      });
    });
  };

  const abort = (attempt: Attempt, why: NonNullable<Attempt["ended"]>): void => {
    if (attempt.ended !== undefined) return;
    attempt.ended = why;
    attempt.controller?.abort(fault("cancelled", `The attempt was ended: ${why}`));
  };

  const contextOf = (attempt: Attempt): ExecutionContext => {
    const { request, attempt: number } = attempt.assignment;
    return {
      actionId: attempt.action,
      attempt: number,
      tenant: tenantOf(request),
      entityId: request.entity_id,
      get signal(): AbortSignal {
        if (attempt.controller === undefined) {
          attempt.controller = new AbortController();
          if (attempt.ended !== undefined) attempt.controller.abort();
        }
        return attempt.controller.signal;
      },
      progress: (percent, message) => {
        attempt.progress = { percent, message };
      },
      keep: (bytes) => options.blobs.put(bytes),
    };
  };

  const inlined = async (result: Json): Promise<Json> => {
    if (result === null || typeof result === "number" || typeof result === "boolean") return result;
    const text = JSON.stringify(result);
    const max = options.inlineBytesMax ?? inlineBytesMaxDefault;
    if (text.length * 3 <= max) return result;
    const bytes = new TextEncoder().encode(text);
    return bytes.length <= max ? result : options.blobs.put(bytes);
  };

  const beat = (): void => {
    cancelBeat = undefined;
    const nowMs = clock.nowMs();
    const events: NewEvent[] = [];
    for (const attempt of attempts.values()) {
      if (attempt.ended !== undefined) continue;
      if (nowMs >= attempt.deadlineMs) abort(attempt, "timeout");
      else keepAlive(attempt, nowMs, events);
    }
    if (events.length > 0) {
      options.report(events).catch((thrown: unknown) => {
        warn("Heartbeats could not be recorded", { thrown });
      });
    }
    if (attempts.size > 0) cancelBeat = clock.after(beatMs, beat);
  };

  const keepAlive = (attempt: Attempt, nowMs: number, events: NewEvent[]): void => {
    const due = nowMs >= attempt.nextBeatMs;
    const news = attempt.progress !== undefined && nowMs >= attempt.progressAtMs + progressMs;
    if (!due && !news) return;
    attempt.leaseUntilMs = nowMs + leaseMs;
    attempt.nextBeatMs = nowMs + leaseMs / 3;
    const { percent, message } = attempt.progress ?? {};
    attempt.progress = undefined;
    attempt.progressAtMs = nowMs;
    events.push(
      progressEvent(identity(attempt), moment(attempt), {
        ...(percent === undefined ? {} : { percent }),
        ...(message === undefined ? {} : { message }),
        lease_until: timestamp(attempt.leaseUntilMs),
      }),
    );
  };

  return {
    id,
    executors,
    run: (assignment) => {
      const { request } = assignment;
      const action = request.action_id;
      const attrs = request.attrs as RequestAttrs;
      const executor = executors.get(attrs.command);
      if (stopped || action === undefined || executor === undefined) return;
      const nowMs = clock.nowMs();
      const timeoutMs =
        attrs.timeout_sec === undefined ? executor.timeoutMs : attrs.timeout_sec * 1_000;
      const attempt: Attempt = {
        assignment,
        action,
        attrs,
        deadlineMs: nowMs + timeoutMs,
        nextBeatMs: nowMs + leaseMs / 3,
        leaseUntilMs: assignment.leaseUntilMs,
        controller: undefined,
        ended: undefined,
        progress: undefined,
        progressAtMs: 0,
      };
      attempts.set(action, attempt);
      cancelBeat ??= clock.after(beatMs, beat);
      void begin(attempt, executor);
    },
    cancel: (action, reason) => {
      const attempt = attempts.get(action);
      if (attempt !== undefined) abort(attempt, reason);
    },
    running: () => attempts.size,
    stop: async (graceMs) => {
      if (graceMs > 0) await idleWithin(graceMs);
      stopped = true;
      cancelBeat?.();
      for (const attempt of attempts.values()) abort(attempt, "stopped");
      await idleWithin(abortMsMax);
      if (attempts.size > 0) warn("Attempts did not end when aborted", { count: attempts.size });
    },
  };
}

function identity({ assignment, action }: Attempt): ActionIdentity {
  return identityOf(assignment.request, action);
}

function timeoutError({ attrs, assignment, deadlineMs }: Attempt): DeedError {
  const at = timestamp(deadlineMs);
  return deedError(
    "timeout",
    `${attrs.command} attempt ${String(assignment.attempt)} did not end by ${at}`,
  );
}

function checkedArgs(
  validators: Map<string, Validator>,
  executor: Executor,
  args: JsonObject,
): JsonObject {
  let validator = validators.get(executor.command);
  if (validator === undefined) {
    validator = Compile(executor.argsSchema);
    validators.set(executor.command, validator);
  }
  if (validator.Check(args)) return args;
  const problems = validator.Errors(args).map((problem) => ({
    pointer: problem.instancePath,
    message: problem.message,
  }));
  const [first] = problems;
  throw fault(
    "invalid_args",
    `Cannot run ${executor.command} as args${first?.pointer ?? ""} ${first?.message ?? "are not valid"}`,
    { problems },
  );
}
