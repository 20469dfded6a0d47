import { describe, expect, test } from "vitest";
import { present } from "../../base/assert.ts";
import { actionIdOf, executionIdOf } from "../../event/ids.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import { createScheduleLog, minute, t0, type ScheduleLog } from "./log-with-schedule.ts";

const slot = "2026-11-24T05:15:00.000Z";

function through(spec: string, lateMs = 0): ScheduleLog {
  const log = createScheduleLog();
  log.activate(`cron: "*/15 * * * *"\n${spec}`);
  log.down(t0 + 15 * minute + lateMs);
  return log;
}

function eventOf(log: ScheduleLog, type: string): DeedEvent {
  return present(
    log.records.findLast(({ event }) => event.event_type === type),
    type,
  ).event;
}

describe("what a slot is on the log", () => {
  test("a playbook is asked for with the slot in its payload", () => {
    const log = through("playbook: {path: etl/load, version: abc, input: {day: '{{ x }}'}}", 1_200);
    const key = `schedule/nightly/${slot}`;
    const execution = executionIdOf("default", key);
    const fired = eventOf(log, "schedule.fired");
    expect(fired).toMatchObject({
      ts: "2026-11-24T05:15:01.200Z",
      entity_id: "schedule:nightly",
      correlation_id: "slot:2026-11-24T05:15Z",
      causation_id: eventOf(log, "timer.fired").event_id,
      idempotency_key: `schedule.fired/nightly/${slot}`,
      attrs: {
        schedule: "nightly",
        slot,
        due: slot,
        late_ms: 1_200,
        correlation: "slot:2026-11-24T05:15Z",
        trigger: "slot",
        playbook: "etl/load",
        execution_id: execution,
      },
    });
    expect(eventOf(log, "execution.requested")).toMatchObject({
      ts: "2026-11-24T05:15:01.200Z",
      entity_id: "playbook:etl/load",
      execution_id: execution,
      correlation_id: "slot:2026-11-24T05:15Z",
      idempotency_key: key,
      tags: { schedule: "nightly", slot, tenant: "default" },
      attrs: {
        playbook: "etl/load",
        digest: "abc",
        payload: { slot, schedule: "nightly", day: "{{ x }}" },
      },
    });
  });

  test("what the input names itself stays as it is", () => {
    const log = through("playbook: {path: a, input: {slot: mine, schedule: 3}}");
    expect(eventOf(log, "execution.requested").attrs).toEqual({
      playbook: "a",
      payload: { slot: "mine", schedule: 3 },
    });
  });

  test("an action is asked for with what a request says", () => {
    const log = through(
      "request: {command: shell.run, args: {argv: [x]}, entity: 'job:etl', ttl: 5m, timeout: 30s, priority: high, retry: {attempts: 2, initial: 1s}, concurrency: {key: k, limit: 1}, rate: {key: r, limit: 2, per: 1m}, compensate: {command: noop}}",
    );
    const key = `schedule/nightly/${slot}`;
    expect(eventOf(log, "action.requested")).toMatchObject({
      entity_id: "job:etl",
      action_id: actionIdOf("default", key),
      idempotency_key: key,
      correlation_id: "slot:2026-11-24T05:15Z",
      source: { system: "deed", ns: { component: "schedules", schedule: "nightly" } },
      tags: { schedule: "nightly", slot, priority: "high", action: "shell.run" },
      attrs: {
        command: "shell.run",
        args: { argv: ["x"] },
        ttl_sec: 300,
        timeout_sec: 30,
        retry: { attempts: 2, initial_ms: 1_000 },
        concurrency: { key: "k", limit: 1 },
        rate: { key: "r", limit: 2, per_sec: 60 },
        compensate: { command: "noop", args: {} },
      },
    });
  });

  test("slots of one minute share their correlation, not their keys", () => {
    const log = createScheduleLog();
    log.activate('cron: "*/30 * * * * *"\noverlap: allow');
    log.run(t0 + minute - 1);
    log.run(t0 + minute + 30_000);
    const asked = log.records.filter(({ event }) => event.event_type === "action.requested");
    expect(asked.map(({ event }) => [event.correlation_id, event.idempotency_key])).toEqual([
      ["slot:2026-11-24T05:00Z", "schedule/nightly/2026-11-24T05:00:30.000Z"],
      ["slot:2026-11-24T05:01Z", "schedule/nightly/2026-11-24T05:01:00.000Z"],
      ["slot:2026-11-24T05:01Z", "schedule/nightly/2026-11-24T05:01:30.000Z"],
    ]);
  });

  test("a cancel is of the run that is in the way, as its own request named it", () => {
    for (const [start, type] of [
      ["playbook: {path: etl/load}", "execution"],
      ["request: {command: noop, entity: 'job:x'}", "action"],
    ] as const) {
      const log = through(`overlap: cancel_previous\n${start}`);
      const asked = eventOf(log, `${type}.requested`);
      log.run(t0 + 30 * minute);
      const cancel = eventOf(log, `${type}.cancel_requested`);
      for (const member of ["entity_id", "action_id", "execution_id", "correlation_id"] as const) {
        expect(cancel[member]).toBe(asked[member]);
      }
      expect(cancel).toMatchObject({
        ts: "2026-11-24T05:30:00.000Z",
        causation_id: eventOf(log, "timer.fired").event_id,
        tags: { schedule: "nightly", slot },
        attrs: { reason: "slot 2026-11-24T05:30:00.000Z is due", by: "schedule:nightly" },
      });
    }
  });
});
