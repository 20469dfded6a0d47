/**
 * The time of a simulated world: one queue of steps, and a clock for each process that lives in it.
 *
 * 1. Whatever waits is a step in the queue; steps that are due together run in an order that the seed
 *    chooses.
 * 2. The world's time only goes forward. What a process reads from its clock may jump, back as well.
 * 3. Steps of a process that is dead never run: what it was waiting for is gone.
 */
import TinyQueue from "tinyqueue";
import type { Clock } from "../src/base/clock.ts";
import type { Random } from "../src/base/random.ts";

/** One life of a process; it ends at a crash. */
export type Life = { alive: boolean };

type Step = {
  readonly dueMs: number;
  readonly rank: number;
  readonly life: Life;
  task: (() => void) | undefined;
};

export type Scheduler = {
  /** Milliseconds since the world began. */
  readonly elapsedMs: () => number;
  readonly after: (life: Life, delayMs: number, task: () => void) => () => void;
  /** Waits for a moment; never resolves where the life ends before. */
  readonly pause: (life: Life, delayMs: number) => Promise<void>;
  /** Runs the next step. False where there is none. */
  readonly step: () => boolean;
  readonly clockOf: (life: Life) => Clock;
  /** Moves the wall clock of all processes against the world's time. */
  readonly jump: (byMs: number) => void;
};

/** 2026-01-01T00:00:00Z: where every world begins. */
const beginMs = 1_767_225_600_000;

export function createScheduler(random: Random): Scheduler {
  const steps = new TinyQueue<Step>([], (left, right) =>
    left.dueMs === right.dueMs ? left.rank - right.rank : left.dueMs - right.dueMs,
  );
  let elapsedMs = 0;
  let skewMs = 0;

  const after: Scheduler["after"] = (life, delayMs, task) => {
    const step: Step = { dueMs: elapsedMs + delayMs, rank: random(), life, task };
    steps.push(step);
    return () => {
      step.task = undefined;
    };
  };

  return {
    elapsedMs: () => elapsedMs,
    after,
    pause: (life, delayMs) =>
      new Promise((resolve) => {
        after(life, delayMs, resolve);
      }),
    step: () => {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
        if (step.task === undefined || !step.life.alive) continue;
        elapsedMs = Math.max(elapsedMs, step.dueMs);
        step.task();
        return true;
      }
      return false;
    },
    clockOf: (life) => ({
      nowMs: () => Math.floor(beginMs + elapsedMs + skewMs),
      after: (delayMs, task) => after(life, delayMs, task),
      soon: (task) => {
        after(life, Math.floor(random() * 3), task);
      },
    }),
    jump: (byMs) => {
      skewMs += byMs;
    },
  };
}
