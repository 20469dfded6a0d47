/**
 * One life of the program in a simulated world: the real log, kernel and worker, over a disk that
 * outlives them. Every call of the log takes time on its way there and back, so that a crash can come
 * between a commit and whoever waits to hear of it.
 */
import { isJsonObject, type Json } from "../src/base/json.ts";
import { timestamp } from "../src/base/clock.ts";
import { failedEvent, identityOf, succeededEvent } from "../src/action/lifecycle-event.ts";
import { deedError } from "../src/event/error.ts";
import type { NewEvent } from "../src/event/envelope.ts";
import { eventId, workerId } from "../src/event/ids.ts";
import { createMemoryBlobs } from "../src/executor/blob/memory.ts";
import { createWorker, type Assignment, type Worker } from "../src/executor/worker.ts";
import { createKernel, type Kernel } from "../src/kernel/kernel.ts";
import { LogError, type Log, type Receipt } from "../src/log/log.ts";
import { createMemoryLog, type MemoryDisk } from "../src/log/memory/memory-log.ts";
import type { Dice } from "./dice.ts";
import type { Targets } from "./executors.ts";
import type { Mutant } from "./mutants.ts";
import type { Life, Scheduler } from "./scheduler.ts";

export type Process = {
  readonly life: Life;
  readonly log: Log;
  readonly kernel: Kernel;
  readonly worker: Worker;
  /** What the worker was at, as far as it knew: some of it is heard of after its death. */
  readonly assigned: ReadonlyMap<string, Assignment>;
};

export type ProcessWorld = {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly targets: Targets;
  readonly disk: MemoryDisk;
  readonly leaseMs: number;
  readonly mutant: Mutant;
  /** True while the device refuses commits. */
  readonly refuses: () => boolean;
  /** Somebody was told that this is on the log. */
  readonly acknowledged: (receipts: readonly Receipt[]) => void;
};

/** Few, so that instances of rules are dropped from memory and read again all the time. */
const instancesMax = 3;

/** Few, so that what is decided goes on over many commits, and snapshots are written in the midst of it. */
const stepsMax = 3;

const unsavedMin = 4;

export function createProcess(world: ProcessWorld, number: number): Process {
  const { scheduler, dice, disk, leaseMs, mutant } = world;
  const life: Life = { alive: true };
  const clock = scheduler.clockOf(life);
  const embedded = createMemoryLog({
    clock: mutant.clock?.(clock) ?? clock,
    disk,
    beforeCommit: () => {
      if (world.refuses())
        throw new LogError("full", "Cannot commit as the simulated disk is full");
      mutant.beforeCommit?.(disk);
    },
  });
  const stored = mutant.log?.(embedded) ?? embedded;
  const append: Log["append"] = async (events) => {
    await scheduler.pause(life, dice.between(0, 3));
    const receipts = await stored.append(events);
    await scheduler.pause(life, dice.between(0, 3));
    world.acknowledged(receipts);
    return receipts;
  };
  const log: Log = {
    ...stored,
    append,
    attach: (stage) => {
      stored.attach(mutant.stage?.(stage) ?? stage);
    },
  };
  const assigned = new Map<string, Assignment>();
  const worker = createWorker({
    id: workerId(`worker-${String(number)}`),
    executors: world.targets.executorsOf(life, disk),
    report: append,
    clock,
    blobs: createMemoryBlobs(),
    leaseMs,
    warn: () => undefined,
  });
  const kernel = createKernel({
    log,
    worker: {
      ...worker,
      run: (assignment) => {
        assigned.set(String(assignment.request.action_id), assignment);
        worker.run(assignment);
      },
      cancel: mutant.cancel?.(worker) ?? worker.cancel,
    },
    clock: mutant.clock?.(clock) ?? clock,
    leaseMs,
    instancesMax,
    stepsMax,
    unsavedMin,
    warn: () => undefined,
  });
  return { life, log, kernel, worker, assigned };
}

/** What a worker that is gone still says of an attempt: whatever it is, it comes too late. */
export function lateReport(
  { request, attempt, startedEventId }: Assignment,
  fine: boolean,
): NewEvent[] {
  const action = request.action_id;
  if (action === undefined) return [];
  const identity = identityOf(request, action);
  const at = { ts: request.ts, causationId: startedEventId, attempt };
  const error = deedError("unavailable", "the worker was gone");
  return [fine ? succeededEvent(identity, at, { late: true }) : failedEvent(identity, at, error)];
}

export function isLateResult(result: Json | undefined): boolean {
  return isJsonObject(result) && result["late"] === true;
}

/** A report of an attempt that nobody was ever asked for. */
export function forgedReport(request: NewEvent, nowMs: number): NewEvent[] {
  const action = request.action_id;
  if (action === undefined) return [];
  const at = { ts: timestamp(nowMs), causationId: eventId("1"), attempt: 99 };
  return [succeededEvent(identityOf(request, action), at, { forged: true })];
}
