/** Faults planted into what drives playbooks; see `mutants.ts`. */
import { actionIdOf, type ExecutionId } from "../src/event/ids.ts";
import type { LogRecord, NewEvent } from "../src/event/envelope.ts";
import type { Stage, StageReads, StageWrites } from "../src/log/log.ts";
import type { Mutant, NamedMutant } from "./mutants.ts";

const decider = "playbook";

export const playbookMutants: readonly NamedMutant[] = [
  {
    name: "a snapshot of an execution claims records that it has not folded",
    breaks: ["I7"],
    make: () => ({
      stage: (stage) =>
        writing(stage, (writes) => ({
          ...writes,
          snapshots: writes.snapshots.map((one) =>
            one.decider === decider ? { ...one, offset: one.offset + 40 } : one,
          ),
        })),
    }),
  },
  {
    name: "whatever was to go on in the next commit is forgotten by a crash",
    breaks: ["I6"],
    make: () => ({
      onCrash: (disk) => {
        for (const [key, { decider: by }] of disk.snapshots) {
          if (by === "advancing") disk.snapshots.delete(key);
        }
      },
    }),
  },
  {
    name: "a thread is read without the events of the children",
    breaks: ["I7", "I6"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) => stage.step(record, childless(reads)),
        settle: (nowMs, reads) => stage.settle(nowMs, childless(reads)),
      }),
    }),
  },
  {
    name: "a request that was derived twice is taken twice",
    breaks: ["I3"],
    make: () => ({
      stage: (stage) =>
        settling(stage, (event) => {
          if (event.event_type !== "action.requested" || event.execution_id === undefined) {
            return [event];
          }
          const key = `${event.idempotency_key ?? ""}/again`;
          const again = { idempotency_key: key, action_id: actionIdOf("default", key) };
          return [event, { ...event, ...again }];
        }),
    }),
  },
  {
    name: "an execution that is paused decides",
    breaks: ["pause"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) => {
          const result = stage.step(record, reads);
          if (record.event.event_type !== "execution.paused") return result;
          if (result.anomaly === undefined) stage.step(as(record, "execution.resumed"), reads);
          return result;
        },
      }),
    }),
  },
  {
    name: "the timers of executions are not written",
    breaks: ["I6"],
    make: () => ({
      stage: (stage) =>
        writing(stage, (writes) => ({
          ...writes,
          timers: writes.timers.filter((one) => one.decider !== decider),
        })),
    }),
  },
  {
    name: "the limit of a loop is not read",
    breaks: ["I9"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) => {
          const { event } = record;
          if (event.event_type !== "loop.started") return stage.step(record, reads);
          const attrs = { ...event.attrs, max_in_flight: 1_000 };
          return stage.step({ ...record, event: { ...event, attrs } }, reads);
        },
      }),
    }),
  },
  {
    name: "an execution that ends twice counts twice",
    breaks: ["I2"],
    make: () => ({
      stage: (stage) => {
        const doubled = settling(stage, (event) =>
          ends.has(event.event_type) ? [event, event] : [event],
        );
        return {
          ...doubled,
          step: (record, reads) => {
            const result = doubled.step(record, reads);
            return ends.has(record.event.event_type) ? { events: result.events } : result;
          },
        };
      },
    }),
  },
  {
    name: "a parent does not hear of its child's end",
    breaks: ["I6"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) => {
          const { parent_execution_id: parent, ...event } = record.event;
          const deaf = parent !== undefined && ends.has(event.event_type);
          return stage.step(deaf ? { ...record, event } : record, reads);
        },
      }),
    }),
  },
  {
    name: "some rows of executions are not written",
    breaks: ["I10"],
    make: () => ({
      stage: (stage) =>
        writing(stage, (writes) => ({
          ...writes,
          executions: writes.executions.filter((row) => row.lastOffset % 7 !== 0),
        })),
    }),
  },
  {
    name: "the catalog forgets what it is held at",
    breaks: ["I10"],
    make: () => ({
      stage: (stage) => ({
        ...stage,
        step: (record, reads) =>
          record.event.event_type === "playbook.pinned"
            ? { events: [] }
            : stage.step(record, reads),
      }),
    }),
  },
  {
    name: "a set of an execution is not folded",
    breaks: ["I7"],
    make: setless,
  },
];

const ends: ReadonlySet<string> = new Set([
  "execution.completed",
  "execution.failed",
  "execution.cancelled",
]);

function writing(stage: Stage, change: (writes: StageWrites) => StageWrites): Stage {
  return { ...stage, writes: () => change(stage.writes()) };
}

function settling(stage: Stage, change: (event: NewEvent) => readonly NewEvent[]): Stage {
  return { ...stage, settle: (nowMs, reads) => stage.settle(nowMs, reads).flatMap(change) };
}

function as(record: LogRecord, type: string): LogRecord {
  return { ...record, event: { ...record.event, event_type: type } };
}

function childless(reads: StageReads): StageReads {
  return {
    ...reads,
    executionThread: (id: ExecutionId, range) =>
      reads.executionThread(id, range).filter(({ event }) => event.execution_id === id),
  };
}

function setless(): Mutant {
  return {
    stage: (stage) => ({
      ...stage,
      step: (record, reads) => {
        const { event } = record;
        if (event.event_type !== "step.completed") return stage.step(record, reads);
        return stage.step(
          { ...record, event: { ...event, attrs: { ...event.attrs, set: [] } } },
          reads,
        );
      },
    }),
  };
}
