/**
 * Those who use the program in a simulated world: they ask for actions, cancel them, observe, change
 * rules and settle dead letters. They repeat what was not acknowledged, and now and then what was.
 */
import { timestamp, type Clock } from "../src/base/clock.ts";
import {
  cancelRequestedEvent,
  discardedEvent,
  identityOf,
  redrivenEvent,
} from "../src/action/lifecycle-event.ts";
import { priorities, requestEvent, type RequestAttrs } from "../src/action/request.ts";
import type { NewEvent } from "../src/event/envelope.ts";
import type { ActionId } from "../src/event/ids.ts";
import type { MemoryDisk } from "../src/log/memory/memory-log.ts";
import type { Dice } from "./dice.ts";
import { createPlaybookPeople } from "./playbook-people.ts";
import { forgedReport, type Process } from "./process.ts";
import { ruleChange, ruleEnd, ruleNames } from "./rules.ts";
import type { Life, Scheduler } from "./scheduler.ts";

export type People = {
  /** Goes on doing things until it is told to stop. */
  readonly begin: () => void;
  readonly stop: () => void;
  /** Puts these on the log, however often it takes. */
  readonly send: (events: readonly NewEvent[]) => void;
  /** The process is gone: what it did not acknowledge is asked for again. */
  readonly lostConnection: () => void;
  /** Resumes what is paused and answers what asks. False where there is nothing of that. */
  readonly tidyUp: () => boolean;
  /** What is not acknowledged yet. */
  readonly pending: () => number;
};

type Letter = { readonly events: readonly NewEvent[]; sent: boolean };

/** A command that no executor serves: with a ttl it expires, without it waits for ever. */
export const unservedCommand = "sim.gone";

const commands = ["sim.safe", "sim.once", "sim.safe", "sim.once", "sim.slow", unservedCommand];

export function createPeople(world: {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly disk: MemoryDisk;
  /** The process that answers now; none while it is down. */
  readonly process: () => Process | undefined;
}): People {
  const { scheduler, dice, disk } = world;
  const life: Life = { alive: true };
  const clock: Clock = scheduler.clockOf(life);
  const pending = new Set<Letter>();
  const sent: (readonly NewEvent[])[] = [];
  const playbooks = createPlaybookPeople({ dice, disk, nowMs: clock.nowMs });
  let busy = true;
  let asked = 0;
  let versions = 0;

  const post = (letter: Letter): void => {
    if (letter.sent || !pending.has(letter)) return;
    const process = world.process();
    if (process === undefined) {
      again(letter);
      return;
    }
    letter.sent = true;
    process.log.append(letter.events).then(
      () => pending.delete(letter),
      () => {
        letter.sent = false;
        again(letter);
      },
    );
  };

  const again = (letter: Letter): void => {
    scheduler.after(life, dice.between(20, 1_000), () => {
      post(letter);
    });
  };

  const send = (events: readonly NewEvent[]): void => {
    if (events.length === 0) return;
    const letter: Letter = { events, sent: false };
    pending.add(letter);
    sent.push(events);
    post(letter);
  };

  const attrsOf = (): RequestAttrs => {
    const command = dice.pick(commands);
    const limited = dice.between(1, 2);
    const rate = { key: "r", limit: 2, per_sec: dice.pick([1, 5]) };
    return {
      command,
      args: dice.chance(0.04) ? { n: "not a number" } : { n: asked },
      ...(dice.chance(0.5) ? { ttl_sec: dice.pick([0, 0.5, 3, 20, 90]) } : {}),
      ...(dice.chance(0.3) ? { timeout_sec: dice.between(1, 12) } : {}),
      ...(dice.chance(0.5) ? { retry: { attempts: dice.between(1, 4), initial_ms: 400 } } : {}),
      ...(dice.chance(0.35) ? { concurrency: { key: `c${String(limited)}`, limit: limited } } : {}),
      ...(dice.chance(0.15) ? { rate } : {}),
      ...(dice.chance(0.1) ? { compensate: { command: "sim.safe", args: { n: -1 } } } : {}),
    };
  };

  const request = (): NewEvent => {
    asked += 1;
    const attrs = attrsOf();
    const event = requestEvent({
      attrs,
      idempotencyKey: `ask-${String(asked)}`,
      entityId: `job:${String(dice.between(1, 5))}`,
      ts: timestamp(clock.nowMs() - dice.pick([0, 0, 0, 40, 5_000])),
      source: { system: "sim", ns: {} },
      priority: dice.pick(priorities),
    });
    if (!dice.chance(0.03)) return event;
    return { ...event, attrs: { ...attrs, command: "Not A Command" } };
  };

  const observation = (): NewEvent => {
    asked += 1;
    const failed = dice.chance(0.5);
    return {
      ts: timestamp(clock.nowMs() - dice.pick([0, 0, 1_000, 300_000])),
      event_type: failed ? "job.failed" : dice.pick(["disk.full", "disk.slow"]),
      entity_id: `job:${String(dice.between(1, 4))}`,
      idempotency_key: `seen-${String(asked)}`,
      source: { system: "sim", ns: {} },
      tags: {},
      attrs: failed ? { bad: dice.chance(0.7) } : { host: `h${String(dice.between(1, 3))}` },
    };
  };

  /** Any request that is on the log. */
  const someRequest = (): { event: NewEvent; action: ActionId; cause: NewEvent } | undefined => {
    const rows = [...disk.actions.values()];
    if (rows.length === 0) return undefined;
    const row = dice.pick(rows);
    const event = disk.records.get(row.requestOffset)?.event;
    return event === undefined ? undefined : { event, action: row.actionId, cause: event };
  };

  const cancel = (): readonly NewEvent[] => {
    const found = someRequest();
    const cause = found === undefined ? undefined : disk.threads.get(found.action)?.[0]?.event;
    if (found === undefined || cause === undefined) return [];
    const at = { ts: timestamp(clock.nowMs()), causationId: cause.event_id, attempt: 1 };
    return [cancelRequestedEvent(identityOf(cause, found.action), at, { reason: "not needed" })];
  };

  const settleDeadLetter = (): readonly NewEvent[] => {
    const rows = [...disk.actions.values()].filter((row) => row.deadLetter === "pending");
    if (rows.length === 0) return [];
    const row = dice.pick(rows);
    const event = disk.records.get(row.requestOffset)?.event;
    if (event === undefined) return [];
    const identity = identityOf(event, row.actionId);
    const at = {
      ts: timestamp(clock.nowMs()),
      causationId: event.event_id,
      attempt: row.attempt,
    };
    if (dice.chance(0.3)) return [discardedEvent(identity, at, { by: "sim", reason: "no use" })];
    const next = requestEvent({
      attrs: { ...(event.attrs as RequestAttrs), redrive_of: row.actionId },
      idempotencyKey: `redrive/${row.actionId}`,
      entityId: event.entity_id,
      ts: at.ts,
      source: { system: "sim", ns: {} },
      causationId: event.event_id,
    });
    if (next.action_id === undefined) return [];
    return [redrivenEvent(identity, at, { new_action_id: next.action_id }), next];
  };

  const changeRule = (): readonly NewEvent[] => {
    const nowMs = clock.nowMs();
    const name = dice.pick(ruleNames);
    const active = world
      .process()
      ?.kernel.stats()
      .rules.find((rule) => rule.name === name);
    if (active !== undefined && dice.chance(0.2)) return [ruleEnd(name, active.version, nowMs)];
    versions += 1;
    return [ruleChange(name, versions % 3, { nowMs, replaces: active?.version })];
  };

  const forge = (): readonly NewEvent[] => {
    const found = someRequest();
    return found === undefined ? [] : forgedReport(found.event, clock.nowMs());
  };

  const doSomething = (): void => {
    if (dice.chance(0.3)) {
      send(playbooks.act());
      return;
    }
    const kind = dice.between(1, 100);
    if (kind <= 45) send(Array.from({ length: dice.pick([1, 1, 2, 6]) }, request));
    else if (kind <= 70) send(Array.from({ length: dice.pick([1, 1, 3]) }, observation));
    else if (kind <= 80) send(cancel());
    else if (kind <= 86) send(settleDeadLetter());
    else if (kind <= 90) send(changeRule());
    else if (kind <= 93) send(forge());
    else if (sent.length > 0) send(dice.pick(sent));
  };

  const goOn = (): void => {
    if (!busy) return;
    doSomething();
    scheduler.after(life, dice.chance(0.3) ? 0 : dice.between(1, 1_500), goOn);
  };

  return {
    begin: () => {
      for (const name of ruleNames) {
        send([ruleChange(name, 0, { nowMs: clock.nowMs(), replaces: undefined })]);
      }
      send(playbooks.begin());
      goOn();
    },
    tidyUp: () => {
      const events = playbooks.tidyUp();
      send(events);
      return events.length > 0;
    },
    stop: () => {
      busy = false;
    },
    send,
    lostConnection: () => {
      for (const letter of pending) {
        letter.sent = false;
        again(letter);
      }
    },
    pending: () => pending.size,
  };
}
