import { describe, expect, test } from "vitest";
import { actionIdOf } from "../../event/ids.ts";
import { createScheduleLog, hour, minute, t0 } from "./log-with-schedule.ts";

const at = (clock: string): number => Date.parse(`2026-11-24T${clock}:00Z`);

describe("a slot falls due", () => {
  test("the first one is behind the activation, and each is started once at its time", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\noverlap: allow');
    log.run(t0 + 40 * minute);
    expect(log.told()).toEqual(["started 05:15", "started 05:30"]);
    expect(log.state().memory.nextMs).toBe(at("05:45"));
  });

  test("a schedule that is off, and one that was ended, start nothing", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\nmode: "off"');
    log.run(t0 + hour);
    expect(log.told()).toEqual([]);
    log.activate('cron: "*/15 * * * *"');
    log.run(t0 + hour + 20 * minute);
    expect(log.told()).toEqual(["started 06:15"]);
    log.deactivate();
    log.run(t0 + 3 * hour);
    expect(log.told()).toEqual([]);
  });

  test("what lay between its end and its next activation is not its own", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\ncatch_up: {policy: all}');
    log.run(t0 + 20 * minute);
    log.deactivate();
    log.run(t0 + hour);
    log.activate('cron: "*/15 * * * *"\ncatch_up: {policy: all}\noverlap: allow');
    log.run(t0 + hour + 15 * minute);
    expect(log.told()).toEqual(["started 05:15", "started 06:15"]);
  });
});

describe("1. a slot is started at most once", () => {
  test("also where it is activated again at that instant, and where the clock steps back", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\noverlap: allow');
    log.run(t0 + 15 * minute);
    log.activate('cron: "*/15 * * * *"\noverlap: queue');
    log.setClock(t0 + 5 * minute);
    log.activate('cron: "*/15 * * * *"\noverlap: allow');
    log.run(t0 + 30 * minute);
    expect(log.told()).toEqual(["started 05:15", "started 05:30"]);
  });

  test("also where its state is lost, as the log has its key; and nothing waits for it", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\ncatch_up: {policy: all}');
    log.run(at("05:15"));
    log.end(at("05:15"));
    log.lose();
    log.activate(
      'cron: "*/15 * * * *"\nbackfill: {from: "2026-11-24T05:10:00Z", to: "2026-11-24T05:15:00Z"}',
    );
    log.run(at("05:30"));
    expect(log.started()).toEqual([at("05:15"), at("05:30")]);
  });

  test("a new expression starts none of the slots that it would have had before", () => {
    const log = createScheduleLog();
    log.activate('cron: "0 5 * * *"\ncatch_up: {policy: all, window: 7d}');
    log.run(at("08:10"));
    log.activate('cron: "*/30 * * * *"\ncatch_up: {policy: all, window: 7d}');
    log.run(at("08:30"));
    expect(log.told()).toEqual(["started 08:30"]);
  });

  test("a version that comes while a slot is overdue decides on it, once", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"');
    log.setClock(at("05:20"));
    log.activate('cron: "*/15 * * * *"\noverlap: allow');
    log.run(at("05:20"));
    expect(log.told()).toEqual(["started 05:15"]);
  });
});

describe("catch_up: what a downtime missed", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["{policy: none}", ["skipped 05:15-08:00 (12) missed"]],
    ["{}", ["skipped 05:15-07:45 (11) missed", "started 08:00"]],
    ["{policy: last, window: 5m}", ["skipped 05:15-08:00 (12) missed"]],
    ["{policy: all}", ["skipped 05:15-07:00 (8) missed", "started 07:15"]],
    ["{policy: all, window: 1d}", ["started 05:15"]],
  ];
  test.each(cases)("%s, back at 08:10", (catchUp, told) => {
    const log = createScheduleLog();
    log.activate(`cron: "*/15 * * * *"\ncatch_up: ${catchUp}`);
    log.down(at("08:10"));
    expect(log.told()).toEqual(told);
  });

  test("the newest slot is on time for a minute, whatever the policy", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\ncatch_up: {policy: none}');
    log.down(at("05:16"));
    expect(log.told()).toEqual(["started 05:15"]);
    log.end(at("05:15"));
    log.down(at("05:31") + 1);
    expect(log.told()).toEqual(["skipped 05:30 missed"]);
  });

  test("all: one after the other, and what falls due meanwhile stands behind them", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\ncatch_up: {policy: all}');
    log.down(at("05:50"));
    log.run(at("06:00"));
    for (const clock of ["05:15", "05:30", "05:45", "06:00"]) {
      expect(log.told()).toEqual([`started ${clock}`]);
      log.end(at(clock));
    }
    expect(log.told()).toEqual([]);
    log.run(at("06:15"));
    expect(log.told()).toEqual(["started 06:15"]);
  });

  test("of more than a thousand that are passed over it is said that there are more", () => {
    const log = createScheduleLog();
    log.activate('cron: "* * * * *"');
    log.down(t0 + 24 * hour);
    const skipped = log.records.find(({ event }) => event.event_type === "schedule.skipped");
    expect(skipped?.event.attrs).toMatchObject({
      from: "2026-11-24T05:01:00.000Z",
      to: "2026-11-25T04:59:00.000Z",
      count: 1_000,
      more: true,
    });
  });
});

describe("overlap: a slot falls due while the former one runs", () => {
  const through = (policy: string): readonly string[] => {
    const log = createScheduleLog();
    log.activate(`cron: "*/15 * * * *"\noverlap: ${policy}`);
    log.run(at("05:45"));
    log.end(at("05:15"));
    return log.told();
  };

  test.each([
    ["allow", ["started 05:15", "started 05:30", "started 05:45"]],
    ["skip", ["started 05:15", "skipped 05:30 overlap", "skipped 05:45 overlap"]],
    ["queue", ["started 05:15", "skipped 05:45 overlap", "started 05:30"]],
    [
      "cancel_previous",
      ["started 05:15", "cancel 05:15", "skipped 05:30 overlap", "started 05:45"],
    ],
  ])("%s", (policy, told) => {
    expect(through(policy)).toEqual(told);
  });

  test("a skip names the run that holds it, and every end makes room", () => {
    for (const how of ["succeeded", "failed", "cancelled"] as const) {
      const log = createScheduleLog();
      log.activate('cron: "*/15 * * * *"\nplaybook: {path: a/b}');
      log.run(at("05:30"));
      const of = (type: string) =>
        log.records.find(({ event }) => event.event_type === type)?.event;
      expect(of("schedule.skipped")?.attrs).toMatchObject({
        slot: "2026-11-24T05:30:00.000Z",
        reason: "overlap",
        holder: of("execution.requested")?.execution_id,
      });
      log.end(at("05:15"), how);
      log.run(at("05:45"));
      expect(log.started()).toEqual([at("05:15"), at("05:45")]);
    }
  });

  test("an action that a person asks for again is no run of the schedule", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"');
    log.run(at("05:15"));
    log.end(at("05:15"));
    log.put({
      ts: "2026-11-24T05:16:00.000Z",
      event_type: "action.requested",
      entity_id: "schedule:nightly",
      idempotency_key: "redrive/1",
      action_id: actionIdOf("default", "redrive/1"),
      source: { system: "test", ns: {} },
      tags: { schedule: "nightly", slot: "2026-11-24T05:15:00.000Z" },
      attrs: {},
    });
    log.told();
    log.run(at("05:30"));
    expect(log.told()).toEqual(["started 05:30"]);
  });

  test("more than 256 runs do not run, whatever is allowed", () => {
    const log = createScheduleLog();
    log.activate('cron: "* * * * *"\noverlap: allow');
    log.run(t0 + 257 * minute);
    expect(log.started()).toHaveLength(256);
    expect(log.told().at(-1)).toBe("skipped 09:17 limit");
  });

  test("what waits when the schedule is ended is told, and not started", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/15 * * * *"\noverlap: queue');
    log.run(at("05:30"));
    log.deactivate();
    expect(log.told()).toEqual(["started 05:15", "skipped 05:30 inactive"]);
  });
});

describe("backfill", () => {
  const spec = (more: string): string =>
    `cron: "0 * * * *"\nbackfill: {from: "2026-11-24T01:00:00Z", to: "2026-11-24T04:00:00Z"}${more}`;

  test("each slot once, one after the other, from and to included", () => {
    const log = createScheduleLog();
    log.activate(spec(""));
    for (const clock of ["01:00", "02:00", "03:00", "04:00"]) {
      expect(log.told()).toEqual([`started ${clock}`]);
      log.end(at(clock));
    }
    expect(log.told()).toEqual([]);
    log.activate(spec("\noverlap: queue"));
    expect(log.told()).toEqual([]);
  });

  test("goes on after a restart, and with a new version", () => {
    const log = createScheduleLog();
    log.activate(spec(""));
    log.down(t0 + minute);
    log.end(at("01:00"));
    log.activate(spec("\noverlap: queue"));
    log.end(at("02:00"));
    log.deactivate();
    log.activate(spec(""));
    expect(log.started()).toEqual([at("01:00"), at("02:00"), at("03:00")]);
  });

  test("a slot that falls due meanwhile comes before the rest of it", () => {
    const log = createScheduleLog();
    log.activate(spec(""));
    log.run(at("06:00"));
    log.end(at("01:00"));
    log.end(at("06:00"));
    expect(log.told()).toEqual(["started 01:00", "started 06:00", "started 02:00"]);
  });

  test("where overlap is allowed, sixteen at a time", () => {
    const log = createScheduleLog();
    log.activate(
      'cron: "* * * * *"\noverlap: allow\nbackfill: {from: "2026-11-24T01:00:00Z", to: "2026-11-24T02:00:00Z"}',
    );
    expect(log.started()).toHaveLength(16);
    log.end(at("01:03"));
    expect(log.started()).toHaveLength(17);
    expect(log.started().at(-1)).toBe(at("01:16"));
  });

  test("passes over what was started before, also under another expression", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/30 * * * *"\noverlap: allow');
    log.run(at("06:10"));
    log.forgetKeys();
    log.activate(
      'cron: "*/15 * * * *"\noverlap: allow\nbackfill: {from: "2026-11-24T05:00:00Z", to: "2026-11-24T09:00:00Z"}',
    );
    expect(log.told()).toEqual([
      "started 05:30",
      "started 06:00",
      "started 05:00",
      "started 05:15",
      "started 05:45",
    ]);
  });

  test("5. goes on where the log already had what it asked for", () => {
    const log = createScheduleLog();
    log.activate('cron: "0 * * * *"');
    const [first] = [at("02:00")];
    log.put({
      ts: "2026-11-24T05:00:00.000Z",
      event_type: "action.requested",
      entity_id: "x",
      idempotency_key: `schedule/nightly/${new Date(first).toISOString()}`,
      source: { system: "test", ns: {} },
      tags: {},
      attrs: {},
    });
    log.activate(spec(""));
    log.end(at("01:00"));
    log.run(t0 + minute);
    expect(log.told()).toEqual(["started 01:00", "started 03:00"]);
  });
});
