/**
 * The rows of executions: a fold of their own events (I10), and the guard that each ends once (I2).
 *
 * What an execution does is its decider's business (`decider/playbook`); here is only where it stands.
 */
import { isJsonObject, type Json } from "../../base/json.ts";
import { isErrorKind, type ErrorKind } from "../../event/error.ts";
import { parseTimestampMs } from "../../base/clock.ts";
import { tenantOf, type LogRecord } from "../../event/envelope.ts";
import { executionId, type ExecutionId } from "../../event/ids.ts";
import type { ExecutionRow, StageReads } from "../../log/log.ts";

export type Executions = {
  /** @returns why the record changes nothing, where it does not. */
  readonly step: (record: LogRecord, reads: StageReads) => string | undefined;
  /** Those that this commit changed. */
  readonly rows: () => readonly ExecutionRow[];
  readonly committed: () => void;
  readonly rolledBack: () => void;
};

export function createExecutions(): Executions {
  const journal = new Map<ExecutionId, ExecutionRow>();
  return {
    step: (record, reads) => {
      const { event_type: type, execution_id: id } = record.event;
      if (!type.startsWith("execution.") || id === undefined) return undefined;
      const before = journal.get(id) ?? reads.execution(id);
      const after = before === undefined ? begun(record, id) : moved(before, record);
      if (typeof after === "string") return after;
      if (after !== before) journal.set(id, after);
      return undefined;
    },
    rows: () => [...journal.values()],
    committed: () => {
      journal.clear();
    },
    rolledBack: () => {
      journal.clear();
    },
  };
}

function begun(record: LogRecord, id: ExecutionId): ExecutionRow | string {
  const { event } = record;
  const { playbook, digest, rerun_of: rerunOf } = event.attrs;
  if (event.event_type !== "execution.requested") return "unknown_execution";
  const requestedAtMs = parseTimestampMs(event.ts);
  if (typeof playbook !== "string" || requestedAtMs === undefined) return "malformed";
  const { schedule } = event.tags;
  return {
    executionId: id,
    requestOffset: record.offset,
    lastOffset: record.offset,
    tenant: tenantOf(event),
    playbook,
    ...(typeof digest === "string" ? { digest } : {}),
    status: "requested",
    ...(event.parent_execution_id === undefined
      ? {}
      : { parentExecutionId: event.parent_execution_id }),
    ...(typeof rerunOf === "string" ? { rerunOf: executionId(rerunOf) } : {}),
    ...(typeof schedule === "string" ? { schedule } : {}),
    ...(event.correlation_id === undefined ? {} : { correlationId: event.correlation_id }),
    requestedAtMs,
  };
}

function moved(row: ExecutionRow, record: LogRecord): ExecutionRow | string {
  const { event, offset } = record;
  if (row.terminalOffset !== undefined) return "terminal";
  const atMs = parseTimestampMs(event.ts);
  if (atMs === undefined) return "malformed";
  const now = { ...row, lastOffset: offset };
  const { digest, error, failed } = event.attrs;
  switch (event.event_type) {
    case "execution.requested":
      return "duplicate";
    case "execution.cancel_requested":
      return row;
    case "execution.started":
      if (row.startedAtMs !== undefined) return "out_of_order";
      return {
        ...now,
        status: row.status === "paused" ? "paused" : "running",
        startedAtMs: atMs,
        ...(typeof digest === "string" ? { digest } : {}),
      };
    case "execution.paused":
      return row.status === "paused" ? "out_of_order" : { ...now, status: "paused" };
    case "execution.resumed":
      if (row.status !== "paused") return "out_of_order";
      return { ...now, status: row.startedAtMs === undefined ? "requested" : "running" };
    case "execution.completed":
      return { ...now, status: "completed", endedAtMs: atMs, terminalOffset: offset };
    case "execution.cancelled":
      return { ...now, status: "cancelled", endedAtMs: atMs, terminalOffset: offset };
    case "execution.failed":
      return {
        ...now,
        status: "failed",
        endedAtMs: atMs,
        terminalOffset: offset,
        errorKind: kindOf(error),
        failedSteps: stepsOf(failed),
      };
    default:
      return row;
  }
}

function kindOf(error: Json | undefined): ErrorKind {
  const kind = error !== undefined && isJsonObject(error) ? error["kind"] : undefined;
  return isErrorKind(kind) ? kind : "executor_error";
}

function stepsOf(failed: Json | undefined): readonly string[] {
  if (!Array.isArray(failed)) return [];
  return failed.flatMap((one: Json) => {
    const step = isJsonObject(one) ? one["step"] : undefined;
    return typeof step === "string" ? [step] : [];
  });
}
