/** What the API shows of executions. */
import Type from "typebox";
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { LogRecord } from "../../event/envelope.ts";
import { parseExecutionId } from "../../event/ids.ts";
import type { ActionRow, ActionStatus, ExecutionRow, Log } from "../../log/log.ts";
import { actionView, recordAt } from "./shapes.ts";

export const executionSchema = Type.Object(
  { execution_id: Type.String(), status: Type.String(), playbook: Type.String() },
  { title: "Execution", additionalProperties: true },
);

export function executionView(row: ExecutionRow): JsonObject {
  const at = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : timestamp(ms);
  return {
    execution_id: row.executionId,
    status: row.status,
    playbook: row.playbook,
    digest: row.digest,
    tenant: row.tenant,
    parent_execution_id: row.parentExecutionId,
    rerun_of: row.rerunOf,
    schedule: row.schedule,
    correlation_id: row.correlationId,
    requested_at: timestamp(row.requestedAtMs),
    started_at: at(row.startedAtMs),
    ended_at: at(row.endedAtMs),
    error_kind: row.errorKind,
    failed_steps: row.failedSteps,
    offset: row.requestOffset,
  };
}

/** How many open actions, and how many children, are shown with an execution. */
const besideMax = 100;

/** Open actions of one occurrence that are looked through for those of one execution. */
const candidatesMax = 500;

/** The row with what was asked for, what came of it, what it waits for, and whom it asked. */
export async function executionDetail(
  log: Log,
  row: ExecutionRow,
  known: { readonly terminal?: LogRecord } = {},
): Promise<JsonObject> {
  const [request, terminal] = await Promise.all([
    recordAt(log, row.requestOffset),
    known.terminal ??
      (row.terminalOffset === undefined ? undefined : recordAt(log, row.terminalOffset)),
  ]);
  const open = row.terminalOffset === undefined && request !== undefined;
  const [actions, children] = await Promise.all([
    open ? openActionsOf(log, row, row.correlationId ?? request.event.event_id) : [],
    log.listExecutions({ parent: row.executionId, limit: besideMax }),
  ]);
  const ended = terminal?.event.attrs ?? {};
  return {
    ...executionView(row),
    request: request?.event.attrs,
    tags: request?.event.tags,
    idempotency_key: request?.event.idempotency_key,
    result: ended["result"],
    error: ended["error"],
    failed: ended["failed"],
    reason: ended["reason"],
    open_actions: actions,
    children: children.map(executionView),
  };
}

const openStatuses: readonly ActionStatus[] = ["requested", "accepted", "started", "retrying"];

/** What an execution waits for, with the place that asked for it. All it asks for carries its correlation. */
async function openActionsOf(
  log: Log,
  { executionId, tenant }: ExecutionRow,
  correlationId: string,
): Promise<readonly JsonObject[]> {
  const rows = await log.listActions({
    correlationId,
    tenant,
    status: openStatuses,
    limit: candidatesMax,
  });
  const own: JsonObject[] = [];
  for (const row of rows) {
    if (own.length === besideMax) break;
    const request = (await recordAt(log, row.requestOffset))?.event;
    if (request?.execution_id !== executionId) continue;
    own.push({ ...actionView(row), ...placeOf(request.tags) });
  }
  return own;
}

/** Where in the playbook an action was asked for. */
export function placeOf(tags: JsonObject): JsonObject {
  const { step, activation, item, task } = tags;
  return { step, activation, item, task };
}

/** The execution with this id, as far as the caller may see it. @throws {Fault} `invalid_args`, `not_found` */
export async function findExecution(
  log: Log,
  text: string,
  tenant: string | undefined,
): Promise<ExecutionRow> {
  const id = parseExecutionId(text);
  if (id === undefined) {
    throw fault("invalid_args", `"${text}" is not an execution id: it is a decimal number`);
  }
  const row = await log.getExecution(id);
  if (row !== undefined && (tenant === undefined || row.tenant === tenant)) return row;
  throw fault("not_found", `There is no execution ${id}`);
}

/** The record that asked for an execution. @throws {Fault} `not_found` where retention has removed it. */
export async function requestOf(log: Log, row: ExecutionRow): Promise<LogRecord> {
  const record = await recordAt(log, row.requestOffset);
  if (record !== undefined) return record;
  throw fault("not_found", `The request of execution ${row.executionId} is no longer on the log`);
}

/** Actions wait for a person where they ask for this command. Source: `decider/approval`. */
export const approvalCommand = "approval";

/** An action that waits for a person, with its execution. */
export async function approvalView(log: Log, row: ActionRow): Promise<JsonObject> {
  const request = (await recordAt(log, row.requestOffset))?.event;
  const args = request?.attrs["args"];
  return {
    ...actionView(row),
    message: typeof args === "object" && args !== null && "message" in args ? args["message"] : "",
    execution_id: request?.execution_id,
    ...placeOf(request?.tags ?? {}),
  };
}
