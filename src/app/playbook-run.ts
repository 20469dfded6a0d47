/**
 * Runs one playbook in this process: the engine of a node, without what listens.
 *
 * 1. What the run knows is on the log: it can be ended at any instant, and a node, or another run, goes on.
 * 2. Every event of the execution and of its sub-playbooks is told, once, in the order of the log.
 */
import { randomUUID } from "node:crypto";
import { timestamp } from "../base/clock.ts";
import type { JsonObject } from "../base/json.ts";
import { approvalAnsweredEvent, identityOf } from "../action/lifecycle-event.ts";
import {
  executionControlEvent,
  executionRequestEvent,
  type ExecutionControl,
} from "../action/execution-request.ts";
import { registeredEvent } from "../decider/playbook.ts";
import { anomalyTag, type LogRecord, type NewEvent } from "../event/envelope.ts";
import { fault } from "../event/error.ts";
import { parseActionId, type ExecutionId } from "../event/ids.ts";
import type { Log } from "../log/log.ts";
import type { RunningEngine } from "./app.ts";
import type { Closure, PlaybookSource } from "./playbook-closure.ts";

export type PlaybookRun = {
  readonly executionId: ExecutionId;
  /** Ends with the execution. */
  readonly ended: Promise<void>;
  /** Asks to cancel it. */
  readonly cancel: (reason: string) => Promise<void>;
  /** Answers an approval that waits. */
  readonly answer: (action: string, approved: boolean) => Promise<void>;
};

export type RunOptions = {
  /** Called with each event, after it was committed; it must not throw. */
  readonly onRecord: (record: LogRecord) => void;
  /** Who acts: it stands in what is recorded. */
  readonly by: string;
};

const source = { system: "deed", ns: { component: "run" } };

/** Registers what is new of a playbook and of those that it runs, and asks for an execution. */
export async function startRun(
  engine: RunningEngine,
  asked: {
    readonly closure: Closure;
    readonly payload: JsonObject;
    /** What of the environment playbooks may see. */
    readonly env: JsonObject;
  },
  options: RunOptions,
): Promise<PlaybookRun> {
  const { root, children } = asked.closure;
  const ts = timestamp(engine.clock.nowMs());
  const request = executionRequestEvent({
    attrs: {
      playbook: root.path,
      digest: root.digest,
      payload: asked.payload,
      ...(Object.keys(asked.env).length === 0 ? {} : { env: asked.env }),
    },
    idempotencyKey: `run/${randomUUID()}`,
    ts,
    source,
  });
  const { execution_id: id } = request;
  const tracker = createTracker(id, options.onRecord);
  const stop = engine.log.onCommit((records) => {
    for (const record of records) tracker.take(record);
  });
  void tracker.ended.then(stop);
  await engine.log.append([...registrations(engine, [root, ...children], ts), request]);
  return { ...controls(engine, id, options), ended: tracker.ended };
}

/**
 * Goes on with an execution of the log. One that has ended, perhaps as the log was opened, is told as it went.
 *
 * @throws {Fault} `not_found` where the log has none of that id.
 */
export async function resumeRun(
  engine: RunningEngine,
  id: ExecutionId,
  options: RunOptions,
): Promise<PlaybookRun> {
  const row = await engine.log.getExecution(id);
  if (row === undefined) throw fault("not_found", `Cannot go on with ${id}: it is not on this log`);
  const tracker = createTracker(id, options.onRecord);
  const held: LogRecord[] = [];
  let take = (record: LogRecord): void => void held.push(record);
  const stop = engine.log.onCommit((records) => {
    for (const record of records) take(record);
  });
  void tracker.ended.then(stop);
  const past = await treeOf(engine.log, id);
  const known = new Set(past.map(({ offset }) => offset));
  for (const record of past) tracker.take(record);
  for (const record of held) if (!known.has(record.offset)) tracker.take(record);
  take = tracker.take;
  const run = controls(engine, id, options);
  if (row.status === "paused") {
    await control(engine, id, { type: "execution.resumed", by: options.by });
  }
  return { ...run, ended: tracker.ended };
}

/** The events of an execution and of its sub-playbooks, in the order of the log. */
async function treeOf(log: Log, root: ExecutionId): Promise<readonly LogRecord[]> {
  const records = new Map<number, LogRecord>();
  const open = [root];
  for (let id = open.shift(); id !== undefined; id = open.shift()) {
    for await (const record of threadOf(log, id)) {
      records.set(record.offset, record);
      const { event_type: type, execution_id: own, parent_execution_id: parent } = record.event;
      if (type === "execution.requested" && parent === id && own !== undefined) open.push(own);
    }
  }
  return [...records.values()].sort((left, right) => left.offset - right.offset);
}

const pageMax = 1_000;

async function* threadOf(log: Log, execution: ExecutionId): AsyncGenerator<LogRecord> {
  let from = 1;
  for (;;) {
    const page = await log.readThread({ of: { execution }, from, limit: pageMax });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < pageMax) return;
    from = last.offset + 1;
  }
}

/** Those whose newest version is another. */
function registrations(
  { kernel }: RunningEngine,
  sources: readonly PlaybookSource[],
  ts: string,
): readonly NewEvent[] {
  const entries = new Map(kernel.playbooks.entries().map((entry) => [entry.path, entry]));
  return sources.flatMap(({ path, digest, text, file }) => {
    const replaces = entries.get(path)?.versions.at(-1)?.digest;
    if (replaces === digest) return [];
    return [registeredEvent({ path, digest, text, file }, { ts, replaces })];
  });
}

type Tracker = {
  readonly take: (record: LogRecord) => void;
  readonly ended: Promise<void>;
};

/** Lets through what is of an execution and of its sub-playbooks. */
function createTracker(id: ExecutionId, onRecord: RunOptions["onRecord"]): Tracker {
  const known = new Set<ExecutionId>([id]);
  let resolve = (): void => undefined;
  const ended = new Promise<void>((done) => {
    resolve = done;
  });
  return {
    ended,
    take: (record) => {
      const { execution_id: own, parent_execution_id: parent, event_type, tags } = record.event;
      if (own === undefined) return;
      if (parent !== undefined && known.has(parent)) known.add(own);
      if (!known.has(own)) return;
      onRecord(record);
      if (own === id && isTerminal(event_type) && tags[anomalyTag] === undefined) resolve();
    },
  };
}

function controls(
  engine: RunningEngine,
  id: ExecutionId,
  { by }: RunOptions,
): Pick<PlaybookRun, "executionId" | "cancel" | "answer"> {
  const { log, clock } = engine;
  return {
    executionId: id,
    cancel: (reason) => control(engine, id, { type: "execution.cancel_requested", reason, by }),
    answer: async (action, approved) => {
      const actionId = parseActionId(action);
      if (actionId === undefined) return;
      const [request] = await log.readThread({ of: { action: actionId }, limit: 1 });
      if (request === undefined) return;
      const { event } = request;
      const at = { ts: timestamp(clock.nowMs()), causationId: event.event_id, attempt: 1 };
      await log.append([approvalAnsweredEvent(identityOf(event, actionId), at, { approved, by })]);
    },
  };
}

/** Asks the execution to end, or to go on. */
async function control(
  { log, clock }: RunningEngine,
  id: ExecutionId,
  asked: Pick<ExecutionControl, "type" | "reason" | "by">,
): Promise<void> {
  const [request] = await log.readThread({ of: { execution: id }, limit: 1 });
  if (request === undefined) return;
  await log.append([
    executionControlEvent(request.event, { ...asked, ts: timestamp(clock.nowMs()) }),
  ]);
}

function isTerminal(type: string): boolean {
  return (
    type === "execution.completed" || type === "execution.failed" || type === "execution.cancelled"
  );
}
