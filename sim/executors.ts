/**
 * The target systems of a simulated world, and the executors that touch them.
 *
 * Every effect is counted here, outside the program: what the log says of it is judged against this
 * count (I3). What an executor is about to do is judged at the moment of its call against what is
 * durable then (I4, I8, and invariant 1 of the kernel).
 */
import Type from "typebox";
import { isJsonObject, type Json, type JsonObject } from "../src/base/json.ts";
import { fault, type Fault } from "../src/event/error.ts";
import type { ActionId } from "../src/event/ids.ts";
import type { ExecutionContext, Executor } from "../src/executor/executor.ts";
import type { MemoryDisk } from "../src/log/memory/memory-log.ts";
import type { Dice } from "./dice.ts";
import type { Violation } from "./invariants.ts";
import type { Life, Scheduler } from "./scheduler.ts";

/** What happened in the target systems, as they know it. */
export type Effects = {
  readonly count: (action: ActionId) => number;
  /** True where this attempt gave back this very result. */
  readonly returned: (action: ActionId, attempt: number, result: Json | undefined) => boolean;
  /** Attempts that a process is at. */
  readonly calls: () => number;
  readonly violations: readonly Violation[];
};

export type Targets = Effects & {
  /** The executors of one process; `disk` is what they find durable when they are called. */
  readonly executorsOf: (life: Life, disk: MemoryDisk) => readonly Executor[];
  /** From now on nothing hangs any more. */
  readonly calm: () => void;
};

/** What the target system does with a call. */
type Fate = "works" | "slow" | "refuses" | "fails" | "breaks" | "hangs" | "deaf";

export const capacityOf: ReadonlyMap<string, number> = new Map([
  ["sim.safe", 4],
  ["sim.once", 3],
  ["sim.slow", 2],
  ["python", 4],
  ["http", 3],
  ["postgres", 2],
  ["noop", 8],
]);

/** Commands that steps of playbooks ask for. */
const tools: ReadonlySet<string> = new Set(["python", "http", "postgres", "noop"]);

export const idempotentCommands: ReadonlySet<string> = new Set([
  "sim.safe",
  "sim.slow",
  "http",
  "noop",
]);

export function createTargets(world: {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly leaseMs: number;
  /** Where an executor promises what it does not keep. */
  readonly lies: boolean;
}): Targets {
  const { scheduler, dice, leaseMs } = world;
  /** The target systems outlive every process. */
  const outside: Life = { alive: true };
  const effects = new Map<ActionId, number>();
  const called = new Set<string>();
  const results = new Set<string>();
  const violations: Violation[] = [];
  let calmed = false;

  const take = (action: ActionId): void => {
    effects.set(action, (effects.get(action) ?? 0) + 1);
  };

  const judgeCall = (context: ExecutionContext, disk: MemoryDisk): void => {
    const { actionId, attempt } = context;
    const id = `${actionId}/${String(attempt)}`;
    const row = disk.actions.get(actionId);
    const broken = (invariant: string, message: string): void => {
      violations.push({ invariant, message: `attempt ${id} ${message}` });
    };
    if (called.has(id)) broken("I8", "was executed twice");
    if (row?.status !== "started" || row.attempt !== attempt) {
      const found = `${String(row?.status)}/${String(row?.attempt)}`;
      broken("I4", `was executed while the log says ${found}`);
    }
    called.add(id);
  };

  const fateOf = (command: string): Fate => {
    const fates: readonly Fate[] = ["works", "works", "works", "works", "refuses", "fails"];
    const bad: readonly Fate[] = [...fates, "breaks", "slow", "hangs", "deaf"];
    if (tools.has(command) && dice.chance(0.8)) return "works";
    if (command === "sim.slow") return calmed ? "slow" : dice.pick(["slow", "slow", "deaf"]);
    return dice.pick(calmed ? fates : bad);
  };

  const spanMs = (fate: Fate): number => {
    if (fate === "slow") return dice.between(leaseMs / 2, leaseMs * 3);
    if (fate === "deaf") return dice.between(leaseMs * 2, leaseMs * 6);
    return dice.chance(0.2) ? 0 : dice.between(1, 800);
  };

  /** One call: when its effect happens, when and how it ends, what an abort changes. */
  const call = (life: Life, command: string, context: ExecutionContext): Promise<Json> => {
    const { actionId, attempt } = context;
    const fate = fateOf(command);
    const endMs = spanMs(fate);
    const without =
      fate === "refuses" || fate === "breaks" || (fate === "hangs" && dice.chance(0.5));
    const survives = dice.chance(0.5);
    let cut = false;
    const effectLife = survives ? outside : life;
    const stopEffect = without
      ? undefined
      : scheduler.after(effectLife, dice.between(0, endMs), () => {
          take(actionId);
        });
    if (fate === "slow") tellProgress(context, life, endMs);
    return new Promise((resolve, reject) => {
      if (fate !== "hangs") {
        scheduler.after(life, endMs, () => {
          if (cut) return;
          if (fate === "refuses") reject(refusal(dice));
          else if (fate === "breaks") reject(new Error("the target broke"));
          else if (fate === "fails") reject(fault("conflict", "the target has it already"));
          else {
            results.add(`${actionId}/${String(attempt)}`);
            resolve({ attempt, ...valueOf(command, dice) });
          }
        });
      }
      if (fate === "deaf") return;
      context.signal.addEventListener("abort", () => {
        if (!survives) {
          cut = true;
          stopEffect?.();
        }
        scheduler.after(life, dice.between(0, 50), () => {
          reject(fault("cancelled", "the call was ended"));
        });
      });
    });
  };

  const tellProgress = (context: ExecutionContext, life: Life, endMs: number): void => {
    scheduler.after(life, endMs / 2, () => {
      context.progress(50, "half of it");
    });
  };

  return {
    count: (action) => effects.get(action) ?? 0,
    returned: (action, attempt, result) =>
      results.has(`${action}/${String(attempt)}`) &&
      isJsonObject(result) &&
      result["attempt"] === attempt,
    calls: () => called.size,
    violations,
    calm: () => {
      calmed = true;
    },
    executorsOf: (life, disk) =>
      [...capacityOf].map(([command, concurrency]) => ({
        command,
        description: "A target system of the simulation",
        argsSchema: tools.has(command)
          ? Type.Unknown()
          : Type.Object({ n: Type.Number() }, { additionalProperties: false }),
        idempotent: () => world.lies || idempotentCommands.has(command),
        concurrency,
        timeoutMs: leaseMs * 4,
        execute: (_args, context) => {
          judgeCall(context, disk);
          return call(life, command, context);
        },
      })),
  };
}

/** What playbooks read of a result. A claim gives rows now and then. */
function valueOf(command: string, dice: Dice): JsonObject {
  if (command !== "postgres") return { n: dice.between(0, 9) };
  const rows = Array.from({ length: dice.pick([0, 0, 1, 2]) }, (_, n) => ({ n }));
  return { rows, row_count: rows.length };
}

function refusal(dice: Dice): Fault {
  const detail = dice.chance(0.3) ? { retry_after_ms: dice.between(0, 3_000) } : {};
  return fault(dice.pick(["unavailable", "rate_limited"]), "the target is not there", detail);
}
