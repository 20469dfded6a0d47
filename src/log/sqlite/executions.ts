/**
 * Rows of `executions`: how they are written, read and listed.
 */
import { present } from "../../base/assert.ts";
import { isErrorKind } from "../../event/error.ts";
import { executionId, type ExecutionId, type Offset } from "../../event/ids.ts";
import { executionStatuses, type ExecutionListQuery, type ExecutionRow } from "../log.ts";
import { bulkInsert, type Value } from "./bulk-insert.ts";
import type { Database } from "./driver.ts";
import { listNewestFirst, type Filter } from "./listing.ts";

const statusNumbers = new Map(executionStatuses.map((status, index) => [status, index]));

/** Writes rows within the commit under way; `first` is its first offset. */
export function executionWriter(
  db: Database,
): (rows: readonly ExecutionRow[], first: Offset) => void {
  const insert = bulkInsert(db, "INSERT OR REPLACE INTO executions VALUES", 17);
  const move = db.prepare(
    `UPDATE executions SET last_offset = ?, terminal_offset = ?, digest = ?, status = ?, started_at = ?,
      ended_at = ?, error_kind = ?, failed_steps = ? WHERE request_offset = ?`,
  );
  return (rows, first) => {
    if (rows.length === 0) return;
    insert(rows.filter((row) => row.requestOffset >= first).flatMap(valuesOf));
    for (const row of rows) {
      if (row.requestOffset < first) move.run(...movedValues(row));
    }
  };
}

export type ExecutionReads = {
  readonly execution: (id: ExecutionId) => ExecutionRow | undefined;
  /** Oldest first. */
  readonly openExecutions: () => readonly ExecutionRow[];
  readonly executions: (query: ExecutionListQuery) => Promise<readonly ExecutionRow[]>;
};

export function executionReads(db: Database, head: () => Offset): ExecutionReads {
  const byId = db.prepare("SELECT * FROM executions WHERE execution_id = ?");
  const open = db.prepare(
    "SELECT * FROM executions WHERE terminal_offset IS NULL ORDER BY request_offset",
  );
  return {
    execution: (id) => {
      const row = byId.get(id) as RawExecution | undefined;
      return row === undefined ? undefined : executionOf(row);
    },
    openExecutions: () => (open.all() as RawExecution[]).map(executionOf),
    executions: async (query) => {
      const filter = { table: "executions", ...filterOf(query) } as const;
      const { before, limit } = query;
      const rows = await listNewestFirst(db, filter, { head: head(), before, limit });
      return (rows as RawExecution[]).map(executionOf);
    },
  };
}

type RawExecution = {
  request_offset: number;
  execution_id: string;
  last_offset: number;
  terminal_offset: number | null;
  tenant: string;
  playbook: string;
  digest: string | null;
  status: number;
  parent_execution_id: string | null;
  rerun_of: string | null;
  schedule: string | null;
  correlation_id: string | null;
  requested_at: number;
  started_at: number | null;
  ended_at: number | null;
  error_kind: string | null;
  failed_steps: string | null;
};

function executionOf(raw: RawExecution): ExecutionRow {
  const { parent_execution_id: parent, rerun_of: rerunOf } = raw;
  return {
    executionId: executionId(raw.execution_id),
    requestOffset: raw.request_offset,
    lastOffset: raw.last_offset,
    ...(raw.terminal_offset === null ? {} : { terminalOffset: raw.terminal_offset }),
    tenant: raw.tenant,
    playbook: raw.playbook,
    ...(raw.digest === null ? {} : { digest: raw.digest }),
    status: executionStatuses[raw.status] ?? "requested",
    ...(parent === null ? {} : { parentExecutionId: executionId(parent) }),
    ...(rerunOf === null ? {} : { rerunOf: executionId(rerunOf) }),
    ...(raw.schedule === null ? {} : { schedule: raw.schedule }),
    ...(raw.correlation_id === null ? {} : { correlationId: raw.correlation_id }),
    requestedAtMs: raw.requested_at,
    ...(raw.started_at === null ? {} : { startedAtMs: raw.started_at }),
    ...(raw.ended_at === null ? {} : { endedAtMs: raw.ended_at }),
    ...(isErrorKind(raw.error_kind) ? { errorKind: raw.error_kind } : {}),
    ...(raw.failed_steps === null
      ? {}
      : { failedSteps: JSON.parse(raw.failed_steps) as readonly string[] }),
  };
}

function valuesOf(row: ExecutionRow): Value[] {
  return [
    row.requestOffset,
    row.executionId,
    row.lastOffset,
    row.terminalOffset ?? null,
    row.tenant,
    row.playbook,
    row.digest ?? null,
    statusNumber(row),
    row.parentExecutionId ?? null,
    row.rerunOf ?? null,
    row.schedule ?? null,
    row.correlationId ?? null,
    row.requestedAtMs,
    row.startedAtMs ?? null,
    row.endedAtMs ?? null,
    row.errorKind ?? null,
    failedStepsText(row),
  ];
}

/** What of a row can change, and where. */
function movedValues(row: ExecutionRow): Value[] {
  return [
    row.lastOffset,
    row.terminalOffset ?? null,
    row.digest ?? null,
    statusNumber(row),
    row.startedAtMs ?? null,
    row.endedAtMs ?? null,
    row.errorKind ?? null,
    failedStepsText(row),
    row.requestOffset,
  ];
}

function statusNumber({ status }: ExecutionRow): number {
  return present(statusNumbers.get(status), status);
}

function failedStepsText({ failedSteps }: ExecutionRow): string | null {
  return failedSteps === undefined ? null : JSON.stringify(failedSteps);
}

function filterOf(query: ExecutionListQuery): Filter {
  const where: string[] = [];
  const values: (string | number)[] = [];
  const equal = (column: string, value: string | undefined): void => {
    if (value === undefined) return;
    where.push(`${column} = ?`);
    values.push(value);
  };
  equal("tenant", query.tenant);
  equal("playbook", query.playbook);
  equal("correlation_id", query.correlationId);
  equal("parent_execution_id", query.parent);
  if (query.rootsOnly === true) where.push("parent_execution_id IS NULL");
  let indexed = where.length === 0 || query.parent !== undefined;
  if (query.status !== undefined) {
    const numbers = query.status.map((status) => executionStatuses.indexOf(status));
    const open = numbers.every((number) => number < executionStatuses.indexOf("completed"));
    where.push(`status IN (${numbers.join(", ")})`);
    if (open) where.push("terminal_offset IS NULL");
    indexed = open || query.parent !== undefined;
  }
  return { where, values, indexed };
}
