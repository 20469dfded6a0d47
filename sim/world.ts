/**
 * One simulated world: the program, those who use it, what it touches, and what goes wrong.
 *
 * 1. The seed alone decides what happens: two runs of one seed leave the same records and rows.
 * 2. A crash comes between any two steps and leaves nothing but the disk.
 * 3. At the end faults stop and time passes: every action that somebody can execute must end.
 */
import { createHash } from "node:crypto";
import { seededRandom } from "../src/base/random.ts";
import type { LogRecord } from "../src/event/envelope.ts";
import type { Receipt } from "../src/log/log.ts";
import { approvalCommand } from "../src/decider/approval.ts";
import { createMemoryDisk, type MemoryDisk } from "../src/log/memory/memory-log.ts";
import { createDice, type Dice } from "./dice.ts";
import { capacityOf, createTargets, idempotentCommands, type Targets } from "./executors.ts";
import {
  judgeCatalog,
  judgeExecutions,
  judgeHistories,
  judgeLiveWork,
  judgeTimers,
} from "./executions.ts";
import { judge, type Violation } from "./invariants.ts";
import { noMutant, type Mutant } from "./mutants.ts";
import { createPeople, unservedCommand, type People } from "./people.ts";
import { open, unexcused } from "./playbook-people.ts";
import { createProcess, isLateResult, lateReport, type Process } from "./process.ts";
import { judgeRules } from "./rules.ts";
import { createScheduler, type Life, type Scheduler } from "./scheduler.ts";

export type Outcome = {
  readonly violations: readonly Violation[];
  /** SHA-256 over all records, rows and effects. */
  readonly hash: string;
  readonly records: number;
  readonly actions: number;
  readonly executions: number;
  readonly crashes: number;
};

const leaseMs = 2_000;

/** How long things go wrong, and how long the world may take to come to rest afterwards. */
const wildMs = { from: 8_000, to: 40_000 } as const;

const restMsMax = 4 * 3_600_000;

const stepsMax = 400_000;

/** Answers lead to further questions: this often at most. */
const tidyUpMax = 200;

type World = {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly disk: MemoryDisk;
  readonly targets: Targets;
  readonly mutant: Mutant;
  readonly acks: Receipt[];
  readonly violations: Violation[];
  process: Process | undefined;
  people: People | undefined;
  processes: number;
  crashes: number;
  refusing: boolean;
  wild: boolean;
};

const outside: Life = { alive: true };

export async function runWorld(seed: number, mutant: Mutant = noMutant): Promise<Outcome> {
  const random = seededRandom(`world ${String(seed)}`);
  const scheduler = createScheduler(random);
  const dice = createDice(random);
  const disk = createMemoryDisk();
  const lies = mutant.lies === true;
  const targets = createTargets({ scheduler, dice, leaseMs, lies });
  const world: World = {
    scheduler,
    dice,
    disk,
    targets,
    mutant,
    acks: [],
    violations: [],
    process: undefined,
    people: undefined,
    processes: 0,
    crashes: 0,
    refusing: false,
    wild: true,
  };
  const people = createPeople({ scheduler, dice, disk, process: () => world.process });
  world.people = people;
  boot(world);
  people.begin();
  goWrong(world);
  const wildUntilMs = dice.between(wildMs.from, wildMs.to);
  await liveFor(world, () => scheduler.elapsedMs() < wildUntilMs);
  world.wild = false;
  world.refusing = false;
  targets.calm();
  people.stop();
  if (world.process === undefined) boot(world);
  const deadlineMs = scheduler.elapsedMs() + restMsMax;
  await liveFor(world, () => scheduler.elapsedMs() < deadlineMs && !atRest(world, people));
  judgeRest(world, people);
  await judgeRestart(world, people);
  await tidyUp(world, people);
  judgeAll(world);
  world.violations.push(...judgeHistories(recordsOf(disk)));
  return outcomeOf(world);
}

/** Runs steps while `goOn`; between two steps everything that was promised by one has come about. */
async function liveFor(world: World, goOn: () => boolean): Promise<void> {
  for (let steps = 0; goOn(); steps += 1) {
    if (steps > stepsMax) {
      world.violations.push({ invariant: "liveness", message: "the world never comes to rest" });
      return;
    }
    if (!world.scheduler.step()) return;
    await new Promise(setImmediate);
    if (world.violations.length > 20) return;
  }
}

function boot(world: World): void {
  world.processes += 1;
  const process = createProcess(
    {
      ...world,
      leaseMs,
      refuses: () => world.refusing && world.dice.chance(0.5),
      acknowledged: (receipts) => world.acks.push(...receipts),
    },
    world.processes,
  );
  world.process = process;
  process.kernel.start().catch(() => {
    if (world.process === process) crash(world);
  });
}

/** Everything in memory is gone; a new life begins a little later. */
function crash(world: World): void {
  const { process, people, scheduler, dice, disk } = world;
  if (process === undefined) return;
  judgeAll(world);
  process.life.alive = false;
  world.process = undefined;
  world.crashes += 1;
  world.mutant.onCrash?.(disk);
  for (const assignment of process.assigned.values()) {
    if (!dice.chance(0.2)) continue;
    scheduler.after(outside, dice.between(0, 3_000), () => {
      const action = assignment.request.action_id;
      const fine = action !== undefined && world.targets.count(action) > 0;
      people?.send(lateReport(assignment, fine));
    });
  }
  people?.lostConnection();
  scheduler.after(outside, dice.between(1, 2_000), () => {
    if (world.process === undefined) boot(world);
    people?.lostConnection();
  });
}

async function stopGently(world: World): Promise<void> {
  const { process, dice } = world;
  if (process === undefined) return;
  await process.kernel.stop(dice.pick([0, 500, 10_000]));
  await process.log.close();
  if (world.process === process) crash(world);
}

/** What goes wrong, until it is over. */
function goWrong(world: World): void {
  const { scheduler, dice } = world;
  if (!world.wild) return;
  const kind = dice.between(1, 100);
  if (kind <= 25) crash(world);
  else if (kind <= 32) void stopGently(world);
  else if (kind <= 55) world.refusing = !world.refusing;
  else if (kind <= 80) scheduler.jump(dice.between(-20_000, 20_000));
  else if (kind <= 84) scheduler.jump(dice.between(-900_000, 900_000));
  else world.refusing = false;
  scheduler.after(outside, dice.between(1, dice.pick([50, 8_000])), () => {
    goWrong(world);
  });
}

/** Whatever is paused goes on and whatever asks is answered: then every execution must end. */
async function tidyUp(world: World, people: People): Promise<void> {
  const { scheduler, violations, disk } = world;
  for (let round = 0; round < tidyUpMax && violations.length === 0; round += 1) {
    if (!people.tidyUp()) break;
    const deadlineMs = scheduler.elapsedMs() + restMsMax;
    await liveFor(world, () => scheduler.elapsedMs() < deadlineMs && !atRest(world, people));
  }
  if (violations.length > 0) return;
  for (const { executionId, status } of open(disk)) {
    violations.push({ invariant: "liveness", message: `${executionId} (${status}) never ends` });
  }
}

/** Open actions that must end: by an executor or, where there is none, by their ttl. */
function openRows({ disk }: World): string[] {
  return [...disk.actions.values()]
    .filter((row) => row.terminalOffset === undefined)
    .filter((row) => {
      const ttlSec = disk.records.get(row.requestOffset)?.event.attrs["ttl_sec"];
      const waits = row.command === unservedCommand || row.command === approvalCommand;
      return !waits || ttlSec !== undefined;
    })
    .map((row) => `${row.actionId} (${row.command}, ${row.status})`);
}

function atRest(world: World, people: People): boolean {
  if (people.pending() > 0 || world.process === undefined) return false;
  if (world.process.worker.running() > 0) return false;
  return openRows(world).length === 0 && unexcused(world.disk).length === 0;
}

/** Liveness, and that nothing is kept of what has ended. */
function judgeRest(world: World, people: People): void {
  const { process, violations } = world;
  const open = openRows(world);
  if (open.length > 0 || people.pending() > 0) {
    const message = `${String(people.pending())} unheard, open: ${open.slice(0, 3).join(", ")}`;
    violations.push({ invariant: "liveness", message });
    return;
  }
  const stuck = unexcused(world.disk);
  if (stuck.length > 0) {
    const told = stuck.map(({ executionId, status }) => `${executionId} (${status})`).join(", ");
    violations.push({ invariant: "I6", message: `everything is at rest, and open are ${told}` });
    return;
  }
  const stats = process?.kernel.stats();
  const waiting = [...world.disk.actions.values()].filter(
    (row) => row.terminalOffset === undefined,
  ).length;
  if (
    stats?.openActions !== waiting ||
    stats.running !== 0 ||
    stats.timers > waiting + world.disk.timers.size + 1
  ) {
    const message = `${String(waiting)} open, the kernel holds ${JSON.stringify(stats)}`;
    violations.push({ invariant: "memory", message });
  }
}

/** A kernel that starts again knows what the former one knew, and executes nothing for it. */
async function judgeRestart(world: World, people: People): Promise<void> {
  const { process, targets, violations, scheduler } = world;
  if (violations.length > 0 || process === undefined) return;
  const before = process.kernel.stats();
  const calls = targets.calls();
  process.life.alive = false;
  boot(world);
  const untilMs = scheduler.elapsedMs() + 1_000;
  await liveFor(world, () => scheduler.elapsedMs() < untilMs && people.pending() === 0);
  const after = world.process?.kernel.stats();
  if (after?.openActions !== before.openActions || after.rules.length !== before.rules.length) {
    const message = `before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`;
    violations.push({ invariant: "restart", message });
  }
  if (targets.calls() !== calls) {
    violations.push({ invariant: "I8", message: "a restart at rest executed something" });
  }
}

function judgeAll(world: World): void {
  const { disk, targets, acks, violations, process } = world;
  const records = recordsOf(disk);
  violations.push(...judgeExecutions(records, [...disk.executions.values()]));
  violations.push(...judgeLiveWork(disk), ...judgeCatalog(records, disk));
  violations.push(...judgeTimers(records, disk));
  for (const id of process?.kernel.differing() ?? []) {
    violations.push({ invariant: "I7", message: `${id} is not what its thread gives` });
  }
  violations.push(
    ...judge(records, [...disk.actions.values()], { capacity: capacityOf }).violations,
  );
  violations.push(...judgeRules(records), ...targets.violations);
  for (const { offset, eventId } of acks) {
    if (disk.records.get(offset)?.event.event_id === eventId) continue;
    violations.push({ invariant: "I1", message: `${eventId} was acknowledged and is not there` });
    break;
  }
  judgeEffects(records, targets, violations);
}

/** I3, by the target systems' own count; and no success without an effect, nor with another's result. */
function judgeEffects(
  records: readonly LogRecord[],
  targets: Targets,
  violations: Violation[],
): void {
  const commands = new Map<string, unknown>();
  for (const { event } of records) {
    const { action_id: action, event_type: type, attempt = 1 } = event;
    if (action === undefined || event.tags["anomaly"] !== undefined) continue;
    const count = targets.count(action);
    if (type === "action.requested") {
      const { command } = event.attrs;
      commands.set(action, command);
      if (typeof command !== "string" || idempotentCommands.has(command) || count <= 1) continue;
      violations.push({ invariant: "I3", message: `${action} took effect ${String(count)} times` });
    }
    if (type !== "action.succeeded" || commands.get(action) === approvalCommand) continue;
    const { result } = event.attrs;
    if (count > 0 && (isLateResult(result) || targets.returned(action, attempt, result))) continue;
    const what = `${JSON.stringify(result)} in attempt ${String(attempt)}`;
    const message = `${action} succeeded by ${what}, effects: ${String(count)}`;
    violations.push({ invariant: "truth", message });
  }
}

function recordsOf(disk: MemoryDisk): readonly LogRecord[] {
  return [...disk.records.values()].sort((left, right) => left.offset - right.offset);
}

function outcomeOf(world: World): Outcome {
  const { disk, targets } = world;
  const rows = [...disk.actions.values()];
  const executions = [...disk.executions.values()];
  const hash = createHash("sha256");
  for (const record of recordsOf(disk)) hash.update(JSON.stringify(record));
  for (const row of executions) hash.update(JSON.stringify(row));
  for (const row of rows) hash.update(JSON.stringify([row, targets.count(row.actionId)]));
  return {
    violations: world.violations,
    hash: hash.digest("hex"),
    records: disk.records.size,
    actions: rows.length,
    executions: executions.length,
    crashes: world.crashes,
  };
}
