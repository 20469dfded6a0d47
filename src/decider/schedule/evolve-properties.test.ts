import fc from "fast-check";
import { expect, test } from "vitest";
import { timestamp } from "../../base/clock.ts";
import { bruteSlots, crons, timezones } from "../../../test/brute-slots.ts";
import { onTimeMs } from "./evolve.ts";
import { createScheduleLog, minute, type ScheduleLog } from "./log-with-schedule.ts";

type Policy = { readonly policy: "none" | "last" | "all"; readonly windowMin: number };

type Version = { readonly cron: string; readonly timezone: string; readonly catchUp: Policy };

const versions: fc.Arbitrary<Version> = fc.record({
  cron: crons,
  timezone: timezones,
  catchUp: fc.record({
    policy: fc.constantFrom("none" as const, "last" as const, "all" as const),
    windowMin: fc.constantFrom(0, 1, 60, 600),
  }),
});

/** Fewer minutes than runs are allowed. */
const span = fc.integer({ min: 1, max: 250 });

const specOf = ({ cron, timezone, catchUp }: Version, overlap: string): string =>
  `cron: "${cron}"\ntimezone: ${timezone}\noverlap: ${overlap}\ncatch_up: {policy: ${catchUp.policy}, window: ${String(catchUp.windowMin)}m}`;

/** What is started and has not ended, in the order of the log. */
function open(log: ScheduleLog): readonly number[] {
  const slots = new Set<number>();
  for (const { event } of log.records) {
    const slotMs = Date.parse(String(event.tags["slot"]));
    if (event.event_type === "action.requested") slots.add(slotMs);
    if (/^action\.(succeeded|failed|cancelled)$/.test(event.event_type)) slots.delete(slotMs);
  }
  return [...slots];
}

function endAll(log: ScheduleLog): void {
  for (let slots = open(log); slots.length > 0; slots = open(log)) {
    for (const slotMs of slots) log.end(slotMs);
  }
}

test("1, 2. over downtimes, new versions and clocks that step back, exactly the slots of the policy are started", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("run" as const), minutes: span }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("down" as const),
        minutes: span,
        seconds: fc.constantFrom(0, 1, 59),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("back" as const), minutes: span }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), minutes: span }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("change" as const), version: versions }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("again" as const) }) },
  );
  fc.assert(
    fc.property(versions, fc.array(step, { maxLength: 8 }), (first, steps) => {
      const log = createScheduleLog();
      log.setClock(Date.UTC(2026, 9, 24, 22));
      const model = createModel();
      let version = first;
      const activate = (): void => {
        log.activate(specOf(version, "allow"));
        model.activate(version, log.now());
      };
      activate();
      for (const one of steps) {
        const now = log.now();
        if (one.do === "change") version = one.version;
        if (one.do === "change" || one.do === "again") activate();
        else if (one.do === "run") {
          const untilMs = now + one.minutes * minute;
          log.run(untilMs);
          model.run(untilMs);
        } else if (one.do === "down") {
          const untilMs = now + one.minutes * minute + one.seconds * 1_000;
          log.down(untilMs);
          model.down(untilMs);
        } else if (one.do === "back") log.setClock(now - one.minutes * minute);
        else {
          log.deactivate();
          log.setClock(now + one.minutes * minute);
          activate();
        }
        endAll(log);
      }
      const skipped = log.records.flatMap(({ event }) =>
        event.event_type === "schedule.skipped" ? [event.attrs] : [],
      );
      expect(log.started().map(timestamp)).toEqual(model.started.map(timestamp));
      expect(
        skipped.map(({ slot, from, to, count }) => [slot ?? from, slot ?? to, count ?? 1]),
      ).toEqual(model.skipped);
    }),
    { numRuns: 60 },
  );
});

/** What is expected, by looking at each minute. */
function createModel(): {
  readonly started: number[];
  readonly skipped: (readonly [string, string, number])[];
  readonly activate: (version: Version, nowMs: number) => void;
  readonly run: (untilMs: number) => void;
  readonly down: (untilMs: number) => void;
} {
  let version: Version | undefined;
  let doneMs = 0;
  const started: number[] = [];
  const skipped: (readonly [string, string, number])[] = [];
  const due = (untilMs: number): readonly number[] =>
    version === undefined
      ? []
      : bruteSlots(version.cron, version.timezone, { fromMs: doneMs, toMs: untilMs });
  return {
    started,
    skipped,
    activate: (next, nowMs) => {
      version = next;
      doneMs = Math.max(doneMs, nowMs);
    },
    run: (untilMs) => {
      const slots = due(untilMs);
      started.push(...slots);
      doneMs = slots.at(-1) ?? doneMs;
    },
    down: (untilMs) => {
      const slots = due(untilMs);
      const newest = slots.at(-1);
      if (newest === undefined) return;
      doneMs = newest;
      const { policy = "none", windowMin = 0 } = version?.catchUp ?? {};
      const isWanted = (slotMs: number): boolean => {
        if (slotMs === newest && untilMs - slotMs <= onTimeMs) return true;
        if (policy === "none" || (policy === "last" && slotMs !== newest)) return false;
        return untilMs - slotMs <= windowMin * minute;
      };
      const dropped = slots.filter((slotMs) => !isWanted(slotMs));
      started.push(...slots.filter(isWanted));
      const [from] = dropped;
      const to = dropped.at(-1);
      if (from === undefined || to === undefined) return;
      skipped.push([timestamp(from), timestamp(to), dropped.length]);
    },
  };
}

test("2, 4. whatever overlaps, every slot is started, told to be skipped, or waits; and one runs at a time", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("run" as const), minutes: span }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("down" as const), minutes: span }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("done" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("again" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const) }) },
  );
  const overlaps = fc.constantFrom("skip", "queue", "cancel_previous", "allow");
  fc.assert(
    fc.property(
      versions,
      overlaps,
      fc.boolean(),
      fc.array(step, { maxLength: 14 }),
      (version, overlap, backfills, steps) => {
        const log = createScheduleLog();
        const startMs = Date.UTC(2026, 2, 28, 20);
        const fromMs = startMs - 200 * minute;
        log.setClock(startMs);
        const range = `{from: "${timestamp(fromMs)}", to: "${timestamp(startMs)}"}`;
        const spec = `${specOf(version, overlap)}${backfills ? `\nbackfill: ${range}` : ""}`;
        log.activate(spec);
        for (const one of steps) {
          if (one.do === "run") log.run(log.now() + one.minutes * minute);
          else if (one.do === "down") log.down(log.now() + one.minutes * minute);
          else if (one.do === "again") log.activate(spec);
          else if (one.do === "end") {
            log.deactivate();
            log.activate(spec);
          } else for (const slotMs of open(log).slice(0, 1)) log.end(slotMs);
          if (overlap !== "allow") expect(open(log).length).toBeLessThanOrEqual(1);
        }
        const { cron, timezone } = version;
        const all = bruteSlots(cron, timezone, {
          fromMs: backfills ? fromMs - 1 : startMs,
          toMs: log.now(),
        });
        const told = log.records.flatMap(({ event: { event_type: type, attrs } }) => {
          if (type !== "schedule.skipped") return [];
          const of = (value: unknown): number => Date.parse(String(value));
          const [from, to] = [of(attrs["slot"] ?? attrs["from"]), of(attrs["slot"] ?? attrs["to"])];
          return all.filter((slotMs) => slotMs >= from && slotMs <= to);
        });
        const { queuedMs, ranges } = log.state().memory;
        const waiting = ranges.flatMap(({ nextMs, toMs }) =>
          all.filter((slotMs) => slotMs >= nextMs && slotMs <= toMs),
        );
        const seen = [
          ...log.started(),
          ...told,
          ...waiting,
          ...(queuedMs === undefined ? [] : [queuedMs]),
        ].sort((left, right) => left - right);
        expect(seen.map(timestamp)).toEqual(all.map(timestamp));
      },
    ),
    { numRuns: 100 },
  );
});

test("folding on from a snapshot is folding on, and what is no snapshot is refused", () => {
  const log = createScheduleLog();
  log.activate('cron: "*/5 * * * *"\noverlap: queue\ncatch_up: {policy: all}');
  log.run(log.now() + 20 * minute);
  const before = log.state().memory;
  log.down(log.now());
  expect(log.state().memory).toEqual(before);
});
