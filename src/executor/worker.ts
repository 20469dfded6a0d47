/**
 * The worker: runs attempts that the kernel assigns, and reports what became of them.
 *
 * How many run at one time is the kernel's decision: it knows each executor's concurrency and assigns no
 * more than that.
 *
 * Invariants
 * 1. `run` returns at once and never throws; every attempt ends in exactly one report, or in none where
 *    it was fenced or the worker stopped (the log then decides).
 * 2. A report is repeated until the log takes it: a result is never dropped, and what was done is not
 *    done again because its result could not be stored. Where the log refuses a report for good, the
 *    attempt fails with that reason.
 * 3. Arguments are validated before `execute` sees them.
 * 4. What still runs after a third of its lease is kept alive by heartbeats, one shared timer for all,
 *    until its outcome is recorded. One that ignores its abort is given up after 5 seconds.
 * 5. A result that is too large for an event goes into a blob; its reference is reported.
 * 6. Time-outs: an attempt that runs longer than `timeout_sec` is aborted, and tried again only where its
 *    executor promised that it may.
 * 7. What was revealed to an attempt is in none of its reports: results, errors, progress and blobs are
 *    cleared of it before they leave, and before they are cut.
 */
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
import { deedError, fault, type DeedError } from "../event/error.ts";
import { tenantOf, type DeedEvent, type NewEvent } from "../event/envelope.ts";
import type { ActionId, EventId, WorkerId } from "../event/ids.ts";
import { createArgsCheck } from "./args.ts";
import { storeValue } from "./blob.ts";
import { noCredentials, type AttemptCredentials, type Credentials } from "./credential.ts";
import {
  AttemptEnded,
  type BlobRef,
  type BlobStore,
  type ExecutionContext,
  type Executor,
  type Ended,
} from "./executor.ts";
import { isFinal, recordable, timeoutError } from "./worker/failure.ts";
import { createTaint, type Taint } from "./worker/taint.ts";

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

/**
 * Gives the arguments of a request with all in place that its `secrets` stand for.
 *
 * @throws {Fault}
 */
export type RenderSecrets = (
  request: RequestAttrs,
  credentials: AttemptCredentials,
) => Promise<JsonObject>;

export type WorkerOptions = {
  readonly id: WorkerId;
  readonly executors: readonly Executor[];
  /** Puts events on the log: resolves when they are durable. */
  readonly report: (events: readonly NewEvent[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly blobs: BlobStore;
  /** Default: none. */
  readonly credentials?: Credentials;
  /** Default: a request with secrets fails. */
  readonly renderSecrets?: RenderSecrets;
  readonly leaseMs: number;
  /** Results whose JSON is larger go into a blob, bytes. Default 64 KiB. */
  readonly inlineBytesMax?: number;
  readonly warn: (message: string, detail?: Readonly<Record<string, unknown>>) => void;
};

type Attempt = {
  readonly assignment: Assignment;
  readonly action: ActionId;
  readonly attrs: RequestAttrs;
  readonly executor: Executor;
  readonly deadlineMs: number;
  nextBeatMs: number;
  controller: AbortController | undefined;
  /** There once it asked for a secret. */
  taint: Taint | undefined;
  /** Why it was aborted; decides what is reported. */
  ended: Ended | undefined;
  endedAtMs: number;
  /** `execute` has ended: what is left is to record what came of it. */
  settled: boolean;
  progress:
    { readonly percent: number | undefined; readonly message: string | undefined } | undefined;
  progressAtMs: number;
};

const inlineBytesMaxDefault = 64 * 1024;

/** How often running attempts are looked at: heartbeats, time-outs and progress are this exact. */
const beatMs = 100;

/** Progress of one action reaches the log this often at most. */
const progressMs = 1_000;

const progressCharsMax = 1_000;

/** What an aborted attempt may take to end. */
const abortMsMax = 5_000;

const repeatMs = { first: 50, max: 5_000 } as const;

export function createWorker(options: WorkerOptions): Worker {
  const { id, clock, leaseMs, warn } = options;
  const executors = new Map(options.executors.map((executor) => [executor.command, executor]));
  const checkedArgs = createArgsCheck();
  /** All that run; and of each action the newest, which is the one that may be cancelled. */
  const attempts = new Set<Attempt>();
  const newest = new Map<ActionId, Attempt>();
  const idle = new Set<() => void>();
  let stopped = false;
  let cancelBeat: (() => void) | undefined;

  const begin = async (attempt: Attempt): Promise<void> => {
    const { executor } = attempt;
    let report: NewEvent | undefined;
    try {
      const { attrs } = attempt;
      const given = attrs.secrets === undefined ? attrs.args : await withSecrets(attempt);
      const args = checkedArgs(executor, given);
      const result = await executor.execute(args, contextOf(attempt));
      attempt.settled = attempt.ended === undefined;
      report = attempt.settled
        ? success(attempt, await inlined(attempt, attempt.taint?.value(result) ?? result))
        : abortedReport(attempt);
    } catch (thrown) {
      report =
        attempt.ended === undefined
          ? failure(attempt, recordable(thrown, attempt.taint?.error))
          : abortedReport(attempt);
    }
    attempt.settled = true;
    if (report !== undefined) await deliver(attempt, report);
    finish(attempt);
  };

  const credentialsOf = (attempt: Attempt): Taint => {
    const { request } = attempt.assignment;
    attempt.taint ??= createTaint(options.credentials ?? noCredentials, tenantOf(request));
    return attempt.taint;
  };

  const withSecrets = async (attempt: Attempt): Promise<JsonObject> => {
    const { renderSecrets } = options;
    if (renderSecrets === undefined)
      throw fault("unprocessable", "Cannot run the request as this worker puts in no secrets");
    const args = await renderSecrets(attempt.attrs, credentialsOf(attempt));
    if (attempt.ended !== undefined) throw fault("cancelled", "The attempt was ended");
    return args;
  };

  const abortedReport = (attempt: Attempt): NewEvent | undefined => {
    switch (attempt.ended) {
      case "cancelled":
        return cancelledEvent(identity(attempt), moment(attempt), "asked for");
      case "timeout":
        return failure(attempt, timedOut(attempt));
      default:
        return undefined;
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
    const { delayMs } = next;
    const at = { ...moment(attempt), attempt: next.attempt };
    const retryAt = timestamp(nowMs + delayMs);
    return retryingEvent(identity(attempt), at, { delayMs, retryAt, error });
  };

  const moment = (attempt: Attempt): Moment => ({
    ts: timestamp(clock.nowMs()),
    causationId: attempt.assignment.startedEventId,
    attempt: attempt.assignment.attempt,
  });

  /** Whatever it reports now, nobody wants it. */
  const isAbandoned = ({ ended }: Attempt): boolean =>
    stopped || ended === "fenced" || ended === "stopped";

  /** Does it again until it works. Throws where it never will, and where the attempt is abandoned. */
  const untilDone = async <T>(
    attempt: Attempt,
    what: string,
    task: () => Promise<T>,
  ): Promise<T> => {
    for (let waitMs: number = repeatMs.first; ; waitMs = Math.min(repeatMs.max, waitMs * 2)) {
      try {
        return await task();
      } catch (thrown) {
        if (isAbandoned(attempt) || isFinal(thrown)) throw thrown;
        warn(`${what} of ${attempt.action} could not be stored and will be tried again`, {
          thrown,
        });
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        if (isAbandoned(attempt)) throw thrown;
      }
    }
  };

  const deliver = async (attempt: Attempt, report: NewEvent): Promise<void> => {
    const record = (event: NewEvent): Promise<unknown> =>
      untilDone(attempt, "The outcome", () => options.report([event]));
    try {
      await record(report);
    } catch (thrown) {
      if (isAbandoned(attempt)) return;
      const { message } = recordable(thrown);
      const error = deedError(
        "unprocessable",
        `The log refused ${report.event_type} of attempt ${String(attempt.assignment.attempt)}: ${message}`,
      );
      await record(failedEvent(identity(attempt), moment(attempt), error)).catch(
        (again: unknown) => {
          warn(`The outcome of ${attempt.action} was refused by the log`, { thrown: again });
        },
      );
    }
  };

  const finish = (attempt: Attempt): void => {
    attempts.delete(attempt);
    if (newest.get(attempt.action) === attempt) newest.delete(attempt.action);
    if (attempts.size > 0) return;
    cancelBeat?.();
    cancelBeat = undefined;
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

  /** The first reason counts; but a fence, as nothing that a fenced attempt reports is wanted. */
  const abort = (attempt: Attempt, why: Ended): void => {
    if (attempt.settled && why !== "fenced" && why !== "stopped") return;
    if (attempt.ended !== undefined) {
      if (why === "fenced") attempt.ended = why;
      return;
    }
    attempt.ended = why;
    attempt.endedAtMs = clock.nowMs();
    attempt.controller?.abort(new AttemptEnded(why));
  };

  const contextOf = (attempt: Attempt): ExecutionContext => {
    const { request, attempt: number } = attempt.assignment;
    return {
      actionId: attempt.action,
      attempt: number,
      tenant: tenantOf(request),
      entityId: request.entity_id,
      executionId: request.execution_id,
      requestedAtMs: Date.parse(request.ts),
      cause: {
        eventId: request.event_id,
        correlationId: request.correlation_id,
        tags: request.tags,
        traceparent: request.traceparent,
      },
      get signal(): AbortSignal {
        if (attempt.controller === undefined) {
          attempt.controller = new AbortController();
          if (attempt.ended !== undefined) {
            attempt.controller.abort(new AttemptEnded(attempt.ended));
          }
        }
        return attempt.controller.signal;
      },
      progress: (percent, message) => {
        attempt.progress = {
          percent: Number.isFinite(percent) ? Math.min(100, Math.max(0, percent ?? 0)) : undefined,
          message: (message === undefined
            ? undefined
            : (attempt.taint?.text(message) ?? message)
          )?.slice(0, progressCharsMax),
        };
      },
      keep: (value) => keep(attempt, attempt.taint?.value(value) ?? value),
      credentials: { resolve: (alias) => credentialsOf(attempt).resolve(alias) },
    };
  };

  const keep = (attempt: Attempt, value: Json): Promise<BlobRef> =>
    untilDone(attempt, "A result", () => {
      if (attempt.ended !== undefined) throw fault("cancelled", "The attempt was ended");
      return storeValue(options.blobs, value);
    });

  const inlined = async (attempt: Attempt, result: Json): Promise<Json> => {
    if (result === null || typeof result === "number" || typeof result === "boolean") return result;
    const text = JSON.stringify(result);
    const max = options.inlineBytesMax ?? inlineBytesMaxDefault;
    if (text.length * 3 <= max || new TextEncoder().encode(text).length <= max) return result;
    return keep(attempt, result);
  };

  const beat = (): void => {
    cancelBeat = undefined;
    const nowMs = clock.nowMs();
    const events: NewEvent[] = [];
    for (const attempt of attempts) {
      if (!attempt.settled && nowMs >= attempt.deadlineMs) abort(attempt, "timeout");
      if (isAlive(attempt, nowMs)) keepAlive(attempt, nowMs, events);
    }
    if (events.length > 0) {
      options.report(events).catch((thrown: unknown) => {
        warn("Heartbeats could not be recorded", { thrown });
      });
    }
    if (attempts.size > 0) cancelBeat = clock.after(beatMs, beat);
  };

  /** Runs, ends, or waits for its outcome to be recorded. */
  const isAlive = (attempt: Attempt, nowMs: number): boolean => {
    if (isAbandoned(attempt)) return false;
    if (attempt.ended === undefined || attempt.settled) return true;
    return nowMs < attempt.endedAtMs + abortMsMax;
  };

  const keepAlive = (attempt: Attempt, nowMs: number, events: NewEvent[]): void => {
    const due = nowMs >= attempt.nextBeatMs;
    const news = attempt.progress !== undefined && nowMs >= attempt.progressAtMs + progressMs;
    if (!due && !news) return;
    attempt.nextBeatMs = nowMs + leaseMs / 3;
    const { percent, message } = attempt.progress ?? {};
    attempt.progress = undefined;
    attempt.progressAtMs = nowMs;
    events.push(
      progressEvent(identity(attempt), moment(attempt), {
        ...(percent === undefined ? {} : { percent }),
        ...(message === undefined ? {} : { message }),
        lease_until: timestamp(nowMs + leaseMs),
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
        executor,
        deadlineMs: nowMs + timeoutMs,
        nextBeatMs: nowMs + leaseMs / 3,
        controller: undefined,
        taint: undefined,
        ended: undefined,
        endedAtMs: 0,
        settled: false,
        progress: undefined,
        progressAtMs: 0,
      };
      const former = newest.get(action);
      if (former !== undefined) abort(former, "fenced");
      attempts.add(attempt);
      newest.set(action, attempt);
      cancelBeat ??= clock.after(beatMs, beat);
      void begin(attempt);
    },
    cancel: (action, reason) => {
      const attempt = newest.get(action);
      if (attempt !== undefined) abort(attempt, reason);
    },
    running: () => attempts.size,
    stop: async (graceMs) => {
      if (graceMs > 0) await idleWithin(graceMs);
      stopped = true;
      cancelBeat?.();
      cancelBeat = undefined;
      for (const attempt of attempts) abort(attempt, "stopped");
      await idleWithin(abortMsMax);
      if (attempts.size > 0) warn("Attempts did not end when aborted", { count: attempts.size });
    },
  };
}

function identity({ assignment, action }: Attempt): ActionIdentity {
  return identityOf(assignment.request, action);
}

function timedOut({ attrs, assignment, deadlineMs, executor }: Attempt): DeedError {
  const { command, args } = attrs;
  const deadline = timestamp(deadlineMs);
  let idempotent = false;
  try {
    idempotent = executor.idempotent(args);
  } catch {
    // An executor that cannot say so for these arguments has not promised it.
  }
  return timeoutError({ command, attempt: assignment.attempt, deadline }, idempotent);
}
