/**
 * The kernel: drives deciders over a log.
 *
 *     record ─► lifecycle · rules ─► what follows ─► one commit ─► worker, timers
 *
 * It owns routing, the instances in memory, the alarms and the dispatch to the worker. It does not own
 * how things are stored (log), what is decided (deciders) or what is done (executors).
 *
 * Invariants
 * 1. What a record leads to is committed with it; nothing is started before that commit is durable.
 * 2. Level-triggered: after each commit, what can start is started and what is due is armed. Nothing polls.
 * 3. All state is a fold of the log: a kernel that starts again knows what the former one knew.
 * 4. An attempt of a worker that is gone is taken from it by an event (`worker.lost`), once.
 * 5. A commit that fails changes nothing in memory, and what it would have set off is looked at again.
 * 6. Replay and rebuild never reach the worker.
 */
import { timestamp, type Clock } from "../base/clock.ts";
import { deciderFromActivation, definitionKinds } from "../decider/activation.ts";
import type { Json } from "../base/json.ts";
import type { NewEvent } from "../event/envelope.ts";
import { executionId, type ActionId, type WorkerId } from "../event/ids.ts";
import type { Log, Stage, TimerRow, TimerWrite } from "../log/log.ts";
import type { Worker } from "../executor/worker.ts";
import { createActions, ratesRegistry, type ActionDue } from "./drive/actions.ts";
import { createAlarms, type Alarm } from "./drive/alarms.ts";
import { approvalDecider } from "../decider/approval.ts";
import { untyped, type TimerFiredAttrs } from "../decider/decider.ts";
import { playbookDecider, playbookDeciderName } from "../decider/playbook.ts";
import { advancingRegistry } from "./drive/advancing.ts";
import { catalogRegistry, createCatalog, type CatalogEntry } from "./drive/catalog.ts";
import { createDeciders, registryOf, type ActiveDecider } from "./drive/deciders.ts";
import { createExecutions } from "./drive/executions.ts";

export type { CatalogEntry, PlaybookVersion } from "./drive/catalog.ts";
export type { ActiveDecider } from "./drive/deciders.ts";

export type KernelStats = {
  readonly openActions: number;
  /** Attempts that hold a lease. */
  readonly running: number;
  /** Open actions that hold none: they wait for a slot, a time or a worker. */
  readonly queued: number;
  readonly instances: number;
  readonly timers: number;
  /** Those that are active. */
  readonly rules: readonly ActiveDecider[];
  readonly schedules: readonly ActiveDecider[];
};

/** The playbooks that are registered. */
export type Playbooks = {
  /** By path. */
  readonly entries: () => readonly CatalogEntry[];
  readonly text: (digest: string) => string | undefined;
  /** The digest of the version that stands at a path now. */
  readonly current: (path: string) => string | undefined;
};

export type KernelOptions = {
  readonly log: Log;
  readonly worker: Worker;
  readonly clock: Clock;
  readonly warn: (message: string, detail?: Readonly<Record<string, unknown>>) => void;
  /** How long an attempt may go without a heartbeat, milliseconds. */
  readonly leaseMs?: number;
  /** Instances of rules kept in memory; more are read from snapshots when an event needs them. */
  readonly instancesMax?: number;
  /** Records that an execution folds, at least, between two of its snapshots. */
  readonly unsavedMin?: number;
  /** Steps of instances that one commit takes; what is left goes on in the next one. */
  readonly stepsMax?: number;
  /** Reads through references to large results; without it they stay references. Must answer at once. */
  readonly inline?: (result: Json) => Json;
};

export type Kernel = {
  /** Attaches to the log, takes up what is open, takes attempts from workers that are gone, arms timers. */
  readonly start: () => Promise<void>;
  /** Admits nothing more, lets what runs end for `graceMs`, then aborts it; the next start decides on that. */
  readonly stop: (graceMs: number) => Promise<void>;
  readonly stats: () => KernelStats;
  /** Executions in memory that are not what their threads give when they are folded again: none, ever. */
  readonly differing: () => readonly string[];
  readonly playbooks: Playbooks;
};

type Wake =
  | {
      readonly kind: "action";
      readonly action: ActionId;
      readonly name: string;
      readonly dueMs: number;
    }
  | { readonly kind: "decider"; readonly timer: TimerRow }
  | { readonly kind: "nudge" };

const leaseMsDefault = 30_000;

const instancesMaxDefault = 100_000;

/** What is waited after a commit that failed, before what it would have set off is looked at again. */
const commitRetryMs = 1_000;

export function createKernel(options: KernelOptions): Kernel {
  const { log, worker, clock, warn } = options;
  const catalog = createCatalog(log.reads.snapshot);
  const executions = createExecutions();
  const { current, program } = catalog;
  const inline = options.inline ?? ((result: Json) => result);
  const { unsavedMin, stepsMax } = options;
  const deciders = createDeciders({
    instancesMax: options.instancesMax ?? instancesMaxDefault,
    ...(unsavedMin === undefined ? {} : { unsavedMin }),
    ...(stepsMax === undefined ? {} : { stepsMax }),
    build: deciderFromActivation,
    fixed: [untyped(playbookDecider({ current, program, inline })), untyped(approvalDecider())],
  });
  const actions = createActions({ worker, leaseMs: options.leaseMs ?? leaseMsDefault });
  const alarms = createAlarms<Wake>(clock, ring);
  let draining = true;
  let stopped = false;
  let armedWrites: readonly TimerWrite[] = [];

  const stage: Stage = {
    step: (record, reads) => {
      const lifecycle = actions.step(record, reads);
      const anomaly = lifecycle.anomaly ?? executions.step(record, reads) ?? catalog.step(record);
      if (anomaly !== undefined) return { events: [], anomaly };
      const decided = deciders.step(record, reads);
      if (decided.length === 0) return lifecycle;
      return { events: [...lifecycle.events, ...decided] };
    },
    settle: (nowMs, reads) => {
      const decided = deciders.advance(nowMs, reads);
      return decided.length > 0 ? decided : actions.settle(nowMs, draining);
    },
    writes: () => {
      const { snapshots, timers } = deciders.writes();
      armedWrites = timers;
      return {
        actions: actions.rows(),
        executions: executions.rows(),
        timers,
        snapshots: [...snapshots, ...actions.rateSnapshots(), ...catalog.writes()],
      };
    },
    committed: () => {
      deciders.committed();
      executions.committed();
      catalog.committed();
      for (const write of armedWrites) armDecider(write);
      armedWrites = [];
      takeEffect();
      if (deciders.owes()) log.nudge();
    },
    rolledBack: () => {
      deciders.rolledBack();
      executions.rolledBack();
      catalog.rolledBack();
      actions.rolledBack();
      for (const window of log.snapshots(ratesRegistry)) actions.restoreRate(window);
      armedWrites = [];
      if (!stopped) armNudge(clock.nowMs() + commitRetryMs);
    },
  };

  function takeEffect(): void {
    const effects = actions.committed();
    if (stopped) return;
    for (const due of effects.due) armAction(due);
    if (effects.wakeAtMs !== undefined) armNudge(effects.wakeAtMs);
    for (const action of effects.fence) worker.cancel(action, "fenced");
    for (const assignment of effects.start) worker.run(assignment);
    for (const action of effects.cancel) worker.cancel(action, "cancelled");
  }

  function armNudge(dueMs: number): void {
    alarms.set({ key: "nudge", dueMs, payload: { kind: "nudge" } });
  }

  function armAction({ action, due }: ActionDue): void {
    if (due === undefined) alarms.clear(action);
    else {
      const payload: Wake = { kind: "action", action, name: due.name, dueMs: due.dueMs };
      alarms.set({ key: action, dueMs: due.dueMs, payload });
    }
  }

  function armDecider(write: TimerWrite): void {
    const key = `${write.decider}\0${write.instance}\0${write.name}`;
    if (write.dueMs === undefined) alarms.clear(key);
    else {
      const timer = { ...write, dueMs: write.dueMs };
      alarms.set({ key, dueMs: write.dueMs, payload: { kind: "decider", timer } });
    }
  }

  function ring(due: readonly Alarm<Wake>[]): void {
    const events: NewEvent[] = [];
    let nudge = false;
    for (const alarm of due) {
      if (alarm.payload.kind === "nudge") nudge = true;
      else {
        const event = wakeEvent(alarm.payload);
        if (event !== undefined) events.push(event);
      }
    }
    if (nudge) log.nudge();
    if (events.length === 0) {
      alarms.taken(due);
      return;
    }
    log.append(events).then(
      () => {
        alarms.taken(due);
      },
      (thrown: unknown) => {
        if (stopped) return;
        warn("Timers that are due could not be recorded and will be tried again", { thrown });
        alarms.postpone(due, clock.nowMs() + commitRetryMs);
      },
    );
  }

  function wakeEvent(wake: Exclude<Wake, { kind: "nudge" }>): NewEvent | undefined {
    if (wake.kind === "action") return actions.timerFired(wake);
    const { decider, instance, name, dueMs } = wake.timer;
    const attrs: TimerFiredAttrs = { decider, instance, name, due_ms: dueMs };
    return {
      ts: timestamp(dueMs),
      event_type: "timer.fired",
      entity_id: `timer:${decider}/${instance}`,
      idempotency_key: `timer/${decider}/${instance}/${name}/${String(dueMs)}`,
      ...(decider === playbookDeciderName ? { execution_id: executionId(instance) } : {}),
      source: { system: "deed", ns: { component: "kernel" } },
      tags: {},
      attrs,
    };
  }

  const restore = (): void => {
    for (const kind of definitionKinds) {
      for (const { instance, state } of log.snapshots(registryOf(kind))) {
        const refused = deciders.restore(kind, state);
        if (refused === undefined) continue;
        warn(`The ${kind} "${instance}" on the log could not be built and is not active`, {
          refused,
        });
      }
    }
    for (const snapshot of log.snapshots(catalogRegistry)) catalog.restore(snapshot);
    for (const { instance, state } of log.snapshots(advancingRegistry)) {
      deciders.restoreAdvancing(instance, state);
    }
    for (const rate of log.snapshots(ratesRegistry)) actions.restoreRate(rate);
    for (const row of log.openActions()) {
      actions.restore(log.reads.actionThread(row.actionId, row.lastOffset));
    }
    for (const timer of log.timers()) armDecider(timer);
    for (const due of actions.dues()) armAction(due);
  };

  return {
    start: async () => {
      log.attach(stage);
      restore();
      draining = false;
      const nowMs = clock.nowMs();
      const lost = [...actions.workers()].filter((id) => id !== worker.id);
      await log.append([
        ...lost.map((id) => workerEvent("worker.lost", id, nowMs)),
        workerEvent("worker.started", worker.id, nowMs),
      ]);
    },
    stop: async (graceMs) => {
      draining = true;
      await worker.stop(graceMs);
      stopped = true;
      alarms.stop();
    },
    stats: () => ({
      openActions: actions.open(),
      running: actions.running(),
      queued: actions.open() - actions.running(),
      instances: deciders.instances(),
      timers: alarms.size(),
      rules: deciders.active().filter(({ kind }) => kind === "rule"),
      schedules: deciders.active().filter(({ kind }) => kind === "schedule"),
    }),
    differing: () => deciders.differing(log.reads),
    playbooks: { entries: catalog.entries, text: catalog.text, current: catalog.current },
  };
}

function workerEvent(
  type: "worker.lost" | "worker.started",
  id: WorkerId,
  nowMs: number,
): NewEvent {
  return {
    ts: timestamp(nowMs),
    event_type: type,
    entity_id: `worker:${id}`,
    idempotency_key: `${type}/${id}`,
    source: { system: "deed", ns: { component: "kernel" } },
    tags: {},
    attrs: { worker_id: id },
  };
}
