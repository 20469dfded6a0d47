/**
 * Faults planted into the program, one at a time: each breaks one promise, and the simulation must
 * notice. A promise that no mutant breaks is a promise that nobody knows to be tested.
 */
import type { Clock } from "../src/base/clock.ts";
import type { LogRecord, NewEvent } from "../src/event/envelope.ts";
import { eventId, type ActionId } from "../src/event/ids.ts";
import type { Worker } from "../src/executor/worker.ts";
import type { Log, Stage, StepResult } from "../src/log/log.ts";
import type { MemoryDisk } from "../src/log/memory/memory-log.ts";

/** What a mutant changes, made anew for every world. */
export type Mutant = {
  readonly stage?: (stage: Stage) => Stage;
  readonly log?: (log: Log) => Log;
  readonly clock?: (clock: Clock) => Clock;
  readonly cancel?: (worker: Worker) => Worker["cancel"];
  readonly beforeCommit?: (disk: MemoryDisk) => void;
  readonly onCrash?: (disk: MemoryDisk) => void;
  /** Executors promise to be idempotent, and are not. */
  readonly lies?: true;
};

export type NamedMutant = {
  readonly name: string;
  /** One of these must be seen broken. */
  readonly breaks: readonly string[];
  readonly make: () => Mutant;
};

export const noMutant: Mutant = {};

const ends: ReadonlySet<string> = new Set([
  "action.succeeded",
  "action.failed",
  "action.cancelled",
]);

export const mutants: readonly NamedMutant[] = [
  {
    name: "a worker reports twice and the second report counts",
    breaks: ["I2"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) => ({ events: stage.step(record, reads).events }),
      }),
      log: (log) => ({
        ...log,
        append: (events) =>
          log.append(
            events.flatMap((event) => (ends.has(event.event_type) ? [event, event] : [event])),
          ),
      }),
    }),
  },
  {
    name: "no attempt is fenced, and whatever comes counts for the current one",
    breaks: ["I4"],
    make: () => ({ stage: unfenced, cancel: () => () => undefined }),
  },
  {
    name: "a ttl is not read",
    breaks: ["I4"],
    make: () => ({ stage: requestsWithout("ttl_sec") }),
  },
  {
    name: "a cancel is not read",
    breaks: ["I4"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) =>
          record.event.event_type === "action.cancel_requested"
            ? { events: [] }
            : stage.step(record, reads),
      }),
    }),
  },
  {
    name: "a concurrency limit is not read",
    breaks: ["I9"],
    make: () => ({ stage: requestsWithout("concurrency") }),
  },
  {
    name: "a rate limit is not read",
    breaks: ["I9"],
    make: () => ({ stage: requestsWithout("rate") }),
  },
  {
    name: "an executor promises what it does not keep",
    breaks: ["I3"],
    make: () => ({ lies: true }),
  },
  {
    name: "keys are forgotten by a crash",
    breaks: ["I3"],
    make: () => ({
      onCrash: (disk) => {
        disk.keys.clear();
      },
    }),
  },
  {
    name: "the last commit is lost by a crash",
    breaks: ["I1"],
    make: losesLastCommit,
  },
  {
    name: "what could not be committed is acknowledged",
    breaks: ["I1"],
    make: () => ({
      log: (log) => ({
        ...log,
        append: (events) =>
          log.append(events).catch(() =>
            events.map(() => ({
              eventId: eventId("1"),
              offset: log.head() + 1,
              duplicate: false,
            })),
          ),
      }),
    }),
  },
  {
    name: "what a failed commit decided is executed",
    breaks: ["I4", "I8"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        rolledBack: () => {
          stage.committed([]);
        },
      }),
    }),
  },
  {
    name: "a derived dead letter is dropped",
    breaks: ["dlq"],
    make: () => ({ stage: derivedWithout("action.dead_lettered") }),
  },
  {
    name: "a derived deferral is dropped",
    breaks: ["I5"],
    make: () => ({ stage: derivedWithout("action.deferred") }),
  },
  {
    name: "a derived request is dropped",
    breaks: ["atomic"],
    make: () => ({ stage: derivedWithout("action.requested") }),
  },
  {
    name: "some rows are not written",
    breaks: ["I10"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        writes: () => {
          const writes = stage.writes();
          return { ...writes, actions: writes.actions.filter((row) => row.lastOffset % 7 !== 0) };
        },
      }),
    }),
  },
  {
    name: "what rules remember is not written",
    breaks: ["rule"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        writes: () => {
          const writes = stage.writes();
          return {
            ...writes,
            snapshots: writes.snapshots.filter((one) => !one.decider.startsWith("rule/")),
          };
        },
      }),
    }),
  },
  {
    name: "now and then a timer never rings",
    breaks: ["liveness"],
    make: () => {
      let timers = 0;
      return {
        clock: (clock) => ({
          ...clock,
          after: (delayMs, task) => {
            timers += 1;
            return timers % 20 === 0 ? () => undefined : clock.after(delayMs, task);
          },
        }),
      };
    },
  },
  {
    name: "a start takes up all open actions but the oldest",
    breaks: ["liveness", "restart", "memory"],
    make: () => ({ log: (log) => ({ ...log, openActions: () => log.openActions().slice(1) }) }),
  },
];

function requestsWithout(member: string): (stage: Stage) => Stage {
  return (stage) => ({
    ...stage,
    step: (record, reads) => {
      if (record.event.event_type !== "action.requested") return stage.step(record, reads);
      const attrs = { ...record.event.attrs, [member]: undefined };
      return stage.step({ ...record, event: { ...record.event, attrs } }, reads);
    },
  });
}

function derivedWithout(type: string): (stage: Stage) => Stage {
  const kept = (events: readonly NewEvent[]): readonly NewEvent[] =>
    events.filter((event) => event.event_type !== type);
  return (stage) => ({
    ...stage,
    step: (record, reads) => {
      const result = stage.step(record, reads);
      return { ...result, events: kept(result.events) };
    },
    settle: (nowMs, reads) => kept(stage.settle(nowMs, reads)),
  });
}

/** Results are taken for those of the attempt that is current. */
function unfenced(stage: Stage): Stage {
  const current = new Map<ActionId, number>();
  const seenAs = (record: LogRecord): LogRecord => {
    const { action_id: action, event_type: type, attempt = 1 } = record.event;
    if (action === undefined) return record;
    if (type === "action.retrying") current.set(action, attempt);
    const now = current.get(action);
    if (!ends.has(type) || now === undefined) return record;
    return { ...record, event: { ...record.event, attempt: now } };
  };
  return {
    ...stage,
    step: (record, reads): StepResult => stage.step(seenAs(record), reads),
  };
}

function losesLastCommit(): Mutant {
  let before: (() => void) | undefined;
  return {
    beforeCommit: (disk) => {
      const { head } = disk;
      const restores = [
        restorer(disk.records),
        restorer(disk.keys),
        restorer(disk.actions),
        restorer(disk.timers),
        restorer(disk.snapshots),
      ];
      before = () => {
        disk.head = head;
        for (const restore of restores) restore();
        for (const [id, thread] of disk.threads) {
          disk.threads.set(
            id,
            thread.filter((record) => record.offset <= head),
          );
        }
      };
    },
    onCrash: () => {
      before?.();
      before = undefined;
    },
  };
}

function restorer<K, V>(map: Map<K, V>): () => void {
  const entries = [...map];
  return () => {
    map.clear();
    for (const [key, value] of entries) map.set(key, value);
  };
}
