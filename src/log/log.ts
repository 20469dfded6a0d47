/**
 * The log: the one place where things become facts.
 *
 * Invariants (each is a case of `log-contract.ts`, which every adapter runs)
 * 1. `append` resolves when its events are durable, and never before. Appends that wait together share
 *    one commit. All events of one call are on the log, or none.
 * 2. Offsets rise strictly in commit order, over all topics; an acknowledged offset never changes.
 * 3. An `idempotency_key` seen for this tenant inside the window is answered with the first event's
 *    receipt (`duplicate: true`) and changes nothing, also where both stand in one batch.
 * 4. What the attached stage derives from a record is committed together with it: events, rows of
 *    actions and executions, timers and snapshots, or nothing of it. Derived events stand right behind their cause,
 *    each followed by what it led to itself.
 * 5. Where a commit fails, every append in it is rejected with one `LogError`, the stage is told by
 *    `rolledBack`, and the log goes on as if they had never been asked.
 * 6. A reader sees committed records only, in offset order, each once.
 */
import type { Json } from "../base/json.ts";
import type { ActionId, EventId, ExecutionId, Offset } from "../event/ids.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import type { ErrorKind } from "../event/error.ts";
import type { Topic } from "../event/topic.ts";

/** What became of one appended event. For a duplicate: id and offset of the first one. */
export type Receipt = {
  readonly eventId: EventId;
  readonly offset: Offset;
  readonly duplicate: boolean;
};

export type ReadQuery = {
  /** The first offset of interest, inclusive. */
  readonly from: Offset;
  readonly limit: number;
  /** All topics where it is left out. */
  readonly topics?: readonly Topic[];
  readonly tenant?: string;
};

/**
 * All events of one action, one execution or one entity. The thread of an action begins with its
 * request, and is empty where that is not on the log. The thread of an execution holds the events that
 * carry its id as their `execution_id`, and those of its direct children that carry it as their
 * `parent_execution_id`: where a child was asked for, started, and how it ended.
 */
export type ThreadQuery = {
  readonly of:
    | { readonly action: ActionId }
    | { readonly execution: ExecutionId }
    | { readonly entity: string };
  /** The first offset of interest, inclusive. Default 1. */
  readonly from?: Offset;
  readonly limit: number;
  /** `newest` reads backwards: the last `limit` records, newest first. Default `oldest`. */
  readonly order?: "oldest" | "newest";
  readonly tenant?: string;
};

/** Where an action stands, as the views show it. */
export const actionStatuses = [
  "requested",
  "accepted",
  "started",
  "retrying",
  "succeeded",
  "failed",
  "cancelled",
] as const;

export type ActionStatus = (typeof actionStatuses)[number];

/** What became of an action's dead letter. */
export const deadLetterStatuses = ["pending", "redriven", "discarded"] as const;

export type DeadLetterStatus = (typeof deadLetterStatuses)[number];

/** One row of `action_state_current`: a fold of the action's events (I10). Times in ms since the epoch. */
export type ActionRow = {
  readonly actionId: ActionId;
  /** Offset of `action.requested`: the row's place in every list. */
  readonly requestOffset: Offset;
  /** Offset of the newest event that counted. */
  readonly lastOffset: Offset;
  /** Offset of the one terminal event. */
  readonly terminalOffset?: Offset;
  readonly tenant: string;
  readonly command: string;
  readonly entityId: string;
  readonly correlationId?: string;
  readonly status: ActionStatus;
  readonly attempt: number;
  readonly requestedAtMs: number;
  readonly acceptedAtMs?: number;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly errorKind?: ErrorKind;
  readonly deadLetter?: DeadLetterStatus;
};

export type ActionListQuery = {
  readonly limit: number;
  /** Newest first: rows with a request offset below this one. */
  readonly before?: Offset;
  readonly tenant?: string;
  /** Any of these. */
  readonly status?: readonly ActionStatus[];
  readonly command?: string;
  readonly entityId?: string;
  readonly correlationId?: string;
  readonly deadLetter?: DeadLetterStatus;
};

/** Where an execution of a playbook stands, as the views show it. */
export const executionStatuses = [
  "requested",
  "running",
  "paused",
  "completed",
  "failed",
  "cancelled",
] as const;

export type ExecutionStatus = (typeof executionStatuses)[number];

/**
 * One execution of a playbook: a fold of its events, as an action's row is. Times in ms since the epoch.
 *
 * What the request says stays as it was first written: tenant, playbook, parent, origin and request time.
 */
export type ExecutionRow = {
  readonly executionId: ExecutionId;
  /** Offset of `execution.requested`: the row's place in every list. */
  readonly requestOffset: Offset;
  /** Offset of the newest event that counted. */
  readonly lastOffset: Offset;
  /** Offset of the one terminal event. */
  readonly terminalOffset?: Offset;
  readonly tenant: string;
  /** Path of the playbook. */
  readonly playbook: string;
  /** Content hash of the playbook that runs. */
  readonly digest?: string;
  readonly status: ExecutionStatus;
  /** The execution that asked for this one and waits for it. */
  readonly parentExecutionId?: ExecutionId;
  /** The execution that this one repeats. */
  readonly rerunOf?: ExecutionId;
  /** Name of the schedule that asked for it. */
  readonly schedule?: string;
  readonly correlationId?: string;
  readonly requestedAtMs: number;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly errorKind?: ErrorKind;
  /** The steps that a failed execution failed by. */
  readonly failedSteps?: readonly string[];
};

export type ExecutionListQuery = {
  readonly limit: number;
  /** Newest first: rows with a request offset below this one. */
  readonly before?: Offset;
  readonly tenant?: string;
  /** Any of these. */
  readonly status?: readonly ExecutionStatus[];
  readonly playbook?: string;
  /** Direct children of this execution. */
  readonly parent?: ExecutionId;
  /** Only those that no other execution asked for. */
  readonly rootsOnly?: boolean;
  readonly correlationId?: string;
};

/** A stretch of a thread. */
export type ThreadRange = {
  /** The first offset of interest, inclusive. */
  readonly from: Offset;
  /** The last offset of interest, inclusive. Whoever knows it is spared the search in all that came since. */
  readonly to?: Offset;
  /** A page of the thread: the next one is from the last offset + 1 on. Default: all of it. */
  readonly limit?: number;
};

export type TimerRow = {
  readonly decider: string;
  readonly instance: string;
  readonly name: string;
  readonly dueMs: number;
};

/** Arms (`dueMs` given) or disarms a timer. */
export type TimerWrite = Omit<TimerRow, "dueMs"> & { readonly dueMs: number | undefined };

/** State of a decider's instance as of `offset`; `state: undefined` removes it. */
export type SnapshotWrite = {
  readonly decider: string;
  readonly instance: string;
  readonly offset: Offset;
  readonly state: Json | undefined;
};

export type Snapshot = { readonly offset: Offset; readonly state: Json };

/** Reads of committed state that a stage may make while it decides. */
export type StageReads = {
  /**
   * From the request on; empty where that is not on the log.
   *
   * @param to the last offset of interest. Whoever knows it, as from the action's row, is spared the
   *   search in all that came since.
   */
  readonly actionThread: (id: ActionId, to?: Offset) => readonly LogRecord[];
  readonly execution: (id: ExecutionId) => ExecutionRow | undefined;
  /**
   * The thread of an execution (see {@link ThreadQuery}), oldest first. Read a long one in pages: what a
   * page costs does not depend on how much of the thread lies before it.
   */
  readonly executionThread: (id: ExecutionId, range: ThreadRange) => readonly LogRecord[];
  readonly snapshot: (decider: string, instance: string) => Snapshot | undefined;
};

export type StepResult = {
  /** What follows from the record: appended right behind it, in the same commit. */
  readonly events: readonly NewEvent[];
  /** Kept, but it changed nothing: the reason becomes `tags.anomaly` of the stored event. */
  readonly anomaly?: string;
};

export type StageWrites = {
  readonly actions: readonly ActionRow[];
  /** Each is new where its request is in this commit, else it takes the place of the row that was. */
  readonly executions: readonly ExecutionRow[];
  readonly timers: readonly TimerWrite[];
  readonly snapshots: readonly SnapshotWrite[];
};

/**
 * Decides inside the commit: the kernel implements it, the log calls it.
 *
 * For every fresh record, in offset order: `step`; what it derives is stepped before the next input.
 * When no input is left: `settle`, and what that derives is stepped, until `settle` gives nothing. Then `writes` once,
 * the commit, and `committed`. Where anything failed: `rolledBack`, and nothing of it happened.
 * All calls are synchronous, so nothing comes between.
 */
export type Stage = {
  readonly step: (record: LogRecord, reads: StageReads) => StepResult;
  /** @param nowMs the time of this commit. */
  readonly settle: (nowMs: number, reads: StageReads) => readonly NewEvent[];
  readonly writes: () => StageWrites;
  readonly committed: (records: readonly LogRecord[]) => void;
  readonly rolledBack: () => void;
};

/** How long each topic is kept, milliseconds; a topic that is not named is kept for ever. */
export type RetentionPolicy = { readonly [T in Topic]?: number };

export type Log = {
  /** Appends all of `events` (>= 1) or none. @throws {LogError} */
  readonly append: (events: readonly NewEvent[]) => Promise<readonly Receipt[]>;
  /** One stage a log, before the first append. */
  readonly attach: (stage: Stage) => void;
  /** Makes the stage `settle` although nothing was appended: capacity came or went. */
  readonly nudge: () => void;
  /** The newest committed offset; 0 on an empty log. */
  readonly head: () => Offset;
  readonly read: (query: ReadQuery) => Promise<readonly LogRecord[]>;
  readonly readThread: (query: ThreadQuery) => Promise<readonly LogRecord[]>;
  readonly findEvent: (id: EventId) => Promise<LogRecord | undefined>;
  /**
   * Every record from `from` on, in batches, for as long as `signal` is not aborted. A slow consumer
   * holds up nobody and costs no memory: it reads from the store until it has caught up.
   */
  readonly follow: (
    query: Omit<ReadQuery, "limit"> & { readonly signal: AbortSignal },
  ) => AsyncIterable<readonly LogRecord[]>;
  /** Calls `listener` after each commit with its records, in the process; it must not throw. Returns what ends it. */
  readonly onCommit: (listener: (records: readonly LogRecord[]) => void) => () => void;
  readonly getAction: (id: ActionId) => Promise<ActionRow | undefined>;
  /** Newest first. */
  readonly listActions: (query: ActionListQuery) => Promise<readonly ActionRow[]>;
  /** Every action that is not terminal, oldest first: what a kernel takes up at start. */
  readonly openActions: () => readonly ActionRow[];
  readonly getExecution: (id: ExecutionId) => Promise<ExecutionRow | undefined>;
  /** Newest first. */
  readonly listExecutions: (query: ExecutionListQuery) => Promise<readonly ExecutionRow[]>;
  /** Every execution that is not terminal, oldest first: what a kernel takes up at start. */
  readonly openExecutions: () => readonly ExecutionRow[];
  readonly timers: () => readonly TimerRow[];
  readonly snapshots: (decider: string) => readonly (Snapshot & { readonly instance: string })[];
  readonly reads: StageReads;
  /**
   * Removes what is older than its topic's time. Kept all the same: every event of an open action,
   * the whole thread of an open execution, an event whose key is still inside the window, and the newest
   * event, as offsets go on from it. A key goes with its event, the row of an action or of an execution
   * with its request.
   *
   * @returns the number of events removed.
   */
  readonly retain: (policy: RetentionPolicy) => Promise<number>;
  /** A consistent copy at `path`, while appends go on. @throws {LogError} `exists` */
  readonly backup: (path: string) => Promise<void>;
  /** Commits what was asked for, then lets go of the store. */
  readonly close: () => Promise<void>;
};

export const logErrorCodes = [
  /** Another process writes this log. */
  "locked",
  /** No space is left on the device. */
  "full",
  /** The store is damaged. */
  "corrupt",
  /** A newer version of the program wrote it. */
  "newer_version",
  /** One event is over the size limit. */
  "too_large",
  /** The batch is empty, or an event in it cannot be stored. */
  "invalid",
  /** The target of a backup is there already. */
  "exists",
  /** Asked after `close`. */
  "closed",
  /** Anything else that the device or the driver said. */
  "io",
] as const;

export type LogErrorCode = (typeof logErrorCodes)[number];

/** The world, as the log met it: `code` is stable, the message says what was attempted and what to do. */
export class LogError extends Error {
  override readonly name = "LogError";
  readonly code: LogErrorCode;
  readonly retryable: boolean;

  constructor(code: LogErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = code === "full" || code === "locked" || code === "io";
  }
}
