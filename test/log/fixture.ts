/** What tests of a log are made of: a clock that they move, events, and a stage that they steer. */
import type { Clock } from "../../src/base/clock.ts";
import { timestamp } from "../../src/base/clock.ts";
import { tenantOf, type LogRecord, type NewEvent } from "../../src/event/envelope.ts";
import { actionIdOf, executionId, type ActionId, type ExecutionId } from "../../src/event/ids.ts";
import type { ActionRow, ExecutionRow, Log, Stage } from "../../src/log/log.ts";

export const startMs = Date.UTC(2026, 10, 24, 5, 0, 0);

export type TestClock = Clock & {
  readonly move: (byMs: number) => void;
  /** How many timers were asked for so far. */
  readonly timers: () => number;
  /** Calls every task that waits for a time. */
  readonly ring: () => void;
};

/** A clock whose time stands still until it is moved, and whose turns are the process's. */
export function createTestClock(): TestClock {
  let nowMs = startMs;
  let asked = 0;
  let tasks: (() => void)[] = [];
  return {
    nowMs: () => nowMs,
    after: (_delayMs, task) => {
      asked += 1;
      tasks.push(task);
      return () => {
        tasks = tasks.filter((other) => other !== task);
      };
    },
    soon: (task) => {
      setImmediate(task);
    },
    move: (byMs) => {
      nowMs += byMs;
    },
    timers: () => asked,
    ring: () => {
      const due = tasks;
      tasks = [];
      for (const task of due) task();
    },
  };
}

export type OpenOptions = {
  readonly clock: TestClock;
  readonly dedupWindowMs?: number;
  readonly eventBytesMax?: number;
  /** A store that takes a few small events, but no commit of four events of 100 kB. */
  readonly small?: boolean;
};

/** One store. Each `open` is a process that starts on it, after the former one has closed its log. */
export type LogStore = {
  readonly open: (options: OpenOptions) => Promise<Log>;
  /** Lets go of what the store took. */
  readonly remove: () => void;
};

/** The log of one case, opened before it and closed behind it. */
export type LogCase = {
  readonly log: () => Log;
  readonly clock: () => TestClock;
  /** Closes the log and opens another one on the same store. */
  readonly reopen: (options?: Omit<OpenOptions, "clock">) => Promise<Log>;
};

export type EventSketch = {
  readonly type?: string;
  readonly entity?: string;
  readonly key?: string;
  readonly tenant?: string;
  readonly action?: ActionId;
  readonly execution?: string;
  /** The execution that asked for this one. */
  readonly parent?: string;
  readonly attrs?: NewEvent["attrs"];
};

export function eventOf(sketch: EventSketch = {}): NewEvent {
  const { type = "job.failed", entity = "job:nightly", key, tenant, action } = sketch;
  const { execution, parent } = sketch;
  return {
    ts: timestamp(startMs),
    event_type: type,
    entity_id: entity,
    source: { system: "test", ns: {} },
    tags: tenant === undefined ? {} : { tenant },
    attrs: sketch.attrs ?? {},
    ...(key === undefined ? {} : { idempotency_key: key }),
    ...(action === undefined ? {} : { action_id: action }),
    ...(execution === undefined ? {} : { execution_id: executionId(execution) }),
    ...(parent === undefined ? {} : { parent_execution_id: executionId(parent) }),
  };
}

/** A request as the API makes it: its action's id follows from tenant and key. */
export function requestOf(key: string, more: Omit<EventSketch, "key" | "action"> = {}): NewEvent {
  const action = actionIdOf(more.tenant ?? "default", key);
  return eventOf({ attrs: { command: "noop" }, ...more, type: "action.requested", key, action });
}

/** A stage of which a test gives what matters to it. */
export function stageOf(parts: Partial<Stage>): Stage {
  return {
    step: () => ({ events: [] }),
    settle: () => [],
    writes: () => ({ actions: [], executions: [], timers: [], snapshots: [] }),
    committed: () => undefined,
    rolledBack: () => undefined,
    ...parts,
  };
}

const statusOf: { readonly [type: string]: ActionRow["status"] | undefined } = {
  "action.requested": "requested",
  "action.accepted": "accepted",
  "action.started": "started",
  "action.retrying": "retrying",
  "action.succeeded": "succeeded",
  "action.failed": "failed",
  "action.cancelled": "cancelled",
};

const terminal: ReadonlySet<string> = new Set(["succeeded", "completed", "failed", "cancelled"]);

const executionStatusOf: { readonly [type: string]: ExecutionRow["status"] | undefined } = {
  "execution.requested": "requested",
  "execution.started": "running",
  "execution.paused": "paused",
  "execution.resumed": "running",
  "execution.completed": "completed",
  "execution.failed": "failed",
  "execution.cancelled": "cancelled",
};

/**
 * Keeps a row for each action and each execution, the newest event's type as its status: the smallest
 * of kernels.
 */
export function rowStage(
  log: Pick<Log, "openActions" | "openExecutions">,
  parts: Partial<Stage> = {},
): Stage {
  const actions = foldOf(log.openActions().map((row) => [row.actionId, row]));
  const executions = foldOf(log.openExecutions().map((row) => [row.executionId, row]));
  const folds = [actions, executions];
  return stageOf({
    ...parts,
    step: (record, reads) => {
      const { action_id: action, execution_id: execution, event_type: type } = record.event;
      if (action !== undefined) {
        actions.step({ id: action, record, status: statusOf[type], requested: requestedRow });
      }
      if (execution !== undefined) {
        const status = executionStatusOf[type];
        executions.step({ id: execution, record, status, requested: requestedExecutionRow });
      }
      return parts.step?.(record, reads) ?? { events: [] };
    },
    writes: () => {
      const more = parts.writes?.() ?? { actions: [], executions: [], timers: [], snapshots: [] };
      return {
        ...more,
        actions: [...more.actions, ...actions.touched()],
        executions: [...more.executions, ...executions.touched()],
      };
    },
    committed: (records) => {
      for (const fold of folds) fold.committed();
      parts.committed?.(records);
    },
    rolledBack: () => {
      for (const fold of folds) fold.rolledBack();
      parts.rolledBack?.();
    },
  });
}

type FoldStep<Id, Row extends ActionRow | ExecutionRow> = {
  readonly id: Id;
  readonly record: LogRecord;
  readonly status: Row["status"] | undefined;
  readonly requested: (record: LogRecord, id: Id) => Row;
};

/** Rows as the commit under way would have them, and as they are committed. */
function foldOf<Id extends string, Row extends ActionRow | ExecutionRow>(
  open: readonly (readonly [Id, Row])[],
) {
  const rows = new Map(open);
  let touched = new Map<Id, Row>();
  return {
    step: ({ id, record, status, requested }: FoldStep<Id, Row>): void => {
      if (status === undefined) return;
      const before =
        status === "requested" ? requested(record, id) : (touched.get(id) ?? rows.get(id));
      if (before === undefined || before.terminalOffset !== undefined) return;
      const { offset, ingestedAtMs } = record;
      const ended = terminal.has(status) ? { terminalOffset: offset, endedAtMs: ingestedAtMs } : {};
      touched.set(id, { ...before, ...ended, status, lastOffset: offset });
    },
    touched: () => [...touched.values()],
    committed: () => {
      for (const [id, row] of touched) rows.set(id, row);
      touched = new Map();
    },
    rolledBack: () => {
      touched = new Map();
    },
  };
}

function requestedExecutionRow(record: LogRecord, executionId: ExecutionId): ExecutionRow {
  const { event, offset, ingestedAtMs } = record;
  const { correlation_id: correlationId, parent_execution_id: parentExecutionId } = event;
  return {
    executionId,
    requestOffset: offset,
    lastOffset: offset,
    tenant: tenantOf(event),
    playbook: typeof event.attrs["playbook"] === "string" ? event.attrs["playbook"] : "none",
    ...(parentExecutionId === undefined ? {} : { parentExecutionId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    status: "requested",
    requestedAtMs: ingestedAtMs,
  };
}

function requestedRow({ event, offset, ingestedAtMs }: LogRecord, actionId: ActionId): ActionRow {
  const { correlation_id: correlationId } = event;
  return {
    actionId,
    requestOffset: offset,
    lastOffset: offset,
    tenant: typeof event.tags["tenant"] === "string" ? event.tags["tenant"] : "default",
    command: typeof event.attrs["command"] === "string" ? event.attrs["command"] : "none",
    entityId: event.entity_id,
    ...(correlationId === undefined ? {} : { correlationId }),
    status: "requested",
    attempt: 1,
    requestedAtMs: ingestedAtMs,
  };
}

/** Whatever a promise was rejected with; fails where it was not. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`Expected a rejection: got ${JSON.stringify(value).slice(0, 100)}`);
    },
    (thrown: unknown) => thrown,
  );
}

export function offsetsOf(records: readonly { readonly offset: number }[]): readonly number[] {
  return records.map(({ offset }) => offset);
}
