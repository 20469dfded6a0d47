/**
 * What people do with playbooks in a simulated world: register, pin, start, run again, pause, resume, cancel,
 * answer.
 */
import { timestamp } from "../src/base/clock.ts";
import { executionRequestEvent, type Restart } from "../src/action/execution-request.ts";
import { approvalAnsweredEvent, identityOf } from "../src/action/lifecycle-event.ts";
import { pinnedEvent, registeredEvent } from "../src/decider/playbook.ts";
import type { NewEvent } from "../src/event/envelope.ts";
import type { ExecutionId } from "../src/event/ids.ts";
import type { ActionRow, ExecutionRow } from "../src/log/log.ts";
import type { MemoryDisk } from "../src/log/memory/memory-log.ts";
import type { Dice } from "./dice.ts";
import { playbookFile, playbooksMax } from "./playbook-pool.ts";

export type PlaybookPeople = {
  /** What a world begins with. */
  readonly begin: () => readonly NewEvent[];
  /** Some one thing; none where there is nothing to do it with. */
  readonly act: () => readonly NewEvent[];
  /** Resumes whatever is paused and answers whatever asks. */
  readonly tidyUp: () => readonly NewEvent[];
};

const source = { system: "sim", ns: {} };

/** Executions that people of one world start; sub-playbooks and repeats come on top. */
const startsMax = 14;

export function createPlaybookPeople(world: {
  readonly dice: Dice;
  readonly disk: MemoryDisk;
  readonly nowMs: () => number;
}): PlaybookPeople {
  const { dice, disk, nowMs } = world;
  const known = [0, ...Array.from({ length: 4 }, () => dice.between(1, playbooksMax - 1))];
  const newest = new Map<string, string>();
  let asked = 0;
  let started = 0;
  const ts = (): string => timestamp(nowMs() - dice.pick([0, 0, 700]));

  const register = (number: number, at: string): NewEvent => {
    const { text, digest } = playbookFile(number);
    const replaces = newest.get(at);
    newest.set(at, digest);
    return registeredEvent({ path: at, digest, text }, { ts: timestamp(nowMs()), replaces });
  };

  const start = (): readonly NewEvent[] => {
    if (started >= startsMax) return [];
    started += 1;
    asked += 1;
    const playbook = playbookFile(dice.pick(known)).path;
    return [
      executionRequestEvent({
        attrs: { playbook, payload: { who: `p${String(asked)}` } },
        idempotencyKey: `start-${String(asked)}`,
        ts: ts(),
        source,
      }),
    ];
  };

  const rerun = (): readonly NewEvent[] => {
    const row = some(disk.executions.values());
    const file = row && known.map(playbookFile).find(({ path }) => path === row.playbook);
    if (row === undefined || file === undefined || started >= startsMax) return [];
    started += 1;
    asked += 1;
    const step = dice.chance(0.1) ? "none" : dice.pick(file.steps);
    const restart: Restart = { step, workload: { limit: 5 }, ctx: { again: asked }, steps: {} };
    return [
      executionRequestEvent({
        attrs: {
          playbook: row.playbook,
          ...(row.digest === undefined ? {} : { digest: row.digest }),
          payload: {},
          rerun_of: row.executionId,
          ...(dice.chance(0.6) ? { restart } : {}),
        },
        idempotencyKey: `rerun-${String(asked)}`,
        ts: ts(),
        source,
      }),
    ];
  };

  const some = <T>(of: Iterable<T>): T | undefined => {
    const all = [...of];
    return all.length === 0 ? undefined : dice.pick(all);
  };

  const tell = (row: ExecutionRow, what: string): NewEvent => {
    asked += 1;
    return {
      ts: timestamp(nowMs()),
      event_type: what,
      entity_id: `playbook:${row.playbook}`,
      execution_id: row.executionId,
      ...(row.parentExecutionId === undefined
        ? {}
        : { parent_execution_id: row.parentExecutionId }),
      idempotency_key: `${what}-${String(asked)}`,
      source,
      tags: {},
      attrs: what === "execution.cancel_requested" ? { reason: "enough", by: "sim" } : {},
    };
  };

  const control = (what: string): readonly NewEvent[] => {
    const row = dice.chance(0.9) ? some(open(disk)) : some(disk.executions.values());
    return row === undefined ? [] : [tell(row, what)];
  };

  const answer = (row: ActionRow): readonly NewEvent[] => {
    const request = disk.records.get(row.requestOffset)?.event;
    if (request === undefined) return [];
    const identity = identityOf(request, row.actionId);
    const at = { ts: timestamp(nowMs()), causationId: request.event_id, attempt: 1 };
    return [approvalAnsweredEvent(identity, at, { approved: dice.chance(0.8), by: "sim" })];
  };

  const edit = (): readonly NewEvent[] => {
    const number = dice.pick(known);
    const { path } = playbookFile(number);
    const current = newest.get(path);
    const kind = dice.between(1, 3);
    // A text calls those before it: so none comes to call itself, for ever.
    if (kind === 1) return [register(dice.pick(known.filter((one) => one <= number)), path)];
    const digest = kind === 2 ? current : undefined;
    return [pinnedEvent(path, digest, timestamp(nowMs()))];
  };

  return {
    begin: () => known.map((number) => register(number, playbookFile(number).path)),
    act: () => {
      const kind = dice.between(1, 100);
      if (kind <= 35) return start();
      if (kind <= 42) return rerun();
      if (kind <= 50) return control("execution.paused");
      if (kind <= 68) return control("execution.resumed");
      if (kind <= 73) return control("execution.cancel_requested");
      if (kind <= 78) return edit();
      const row = some(approvals(disk));
      return row === undefined ? [] : answer(row);
    },
    tidyUp: () => [
      ...open(disk)
        .filter(({ status }) => status === "paused")
        .map((row) => tell(row, "execution.resumed")),
      ...approvals(disk).flatMap(answer),
    ],
  };
}

/** Executions that have not ended. */
export function open(disk: MemoryDisk): readonly ExecutionRow[] {
  return [...disk.executions.values()].filter((row) => row.terminalOffset === undefined);
}

function approvals(disk: MemoryDisk): readonly ActionRow[] {
  return [...disk.actions.values()].filter(
    (row) => row.command === "approval" && row.terminalOffset === undefined,
  );
}

/** Open executions that wait for nobody: neither paused, nor for a person's answer, nor for one that is so. */
export function unexcused(disk: MemoryDisk): readonly ExecutionRow[] {
  const rows = open(disk);
  const excused = new Set<ExecutionId | undefined>();
  for (const row of rows) if (row.status === "paused") excused.add(row.executionId);
  for (const { requestOffset } of approvals(disk)) {
    excused.add(disk.records.get(requestOffset)?.event.execution_id);
  }
  for (let before = -1; before !== excused.size;) {
    before = excused.size;
    for (const row of rows) {
      if (excused.has(row.executionId) && row.parentExecutionId !== undefined) {
        excused.add(row.parentExecutionId);
      }
    }
  }
  return rows.filter((row) => !excused.has(row.executionId));
}
