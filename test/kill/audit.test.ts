/** Each promise that the audit checks, broken once in the evidence of a sound storm. */
import { describe, expect, test } from "vitest";
import { actionIdOf, type EventId } from "../../src/event/ids.ts";
import type { LogRecord, NewEvent } from "../../src/event/envelope.ts";
import { topicOf } from "../../src/event/topic.ts";
import type { ActionRow } from "../../src/log/log.ts";
import { audit, type Evidence } from "./audit.ts";
import type { Kind, Submission } from "./plan.ts";

const startMs = Date.parse("2026-01-01T00:00:00.000Z");

function submission(key: string, kind: Kind): Submission {
  return { key, kind, entityId: "job:1", workSec: 0, cancel: false };
}

const keys: Readonly<Record<string, Kind>> = { once: "once", again: "again", seen: "observed" };

function event(type: string, key: string, more: Partial<NewEvent> = {}): NewEvent {
  return {
    ts: "2026-01-01T00:00:00.000Z",
    event_type: type,
    entity_id: "job:1",
    ...(key === "" || key === "seen" ? {} : { action_id: actionIdOf("default", key) }),
    source: { system: "test", ns: {} },
    tags: {},
    attrs: {},
    ...more,
  };
}

const worker = (id: string): Partial<NewEvent> => ({ attempt: 1, attrs: { worker_id: id } });

/** A storm of one kill: `once` ended as unknown, `again` was started twice, `seen` is an observation. */
const story: readonly NewEvent[] = [
  event("worker.started", "", { attrs: { worker_id: "a" } }),
  event("action.requested", "once", { idempotency_key: "once", attrs: { command: "shell.run" } }),
  event("action.accepted", "once", worker("a")),
  event("action.started", "once", worker("a")),
  event("action.requested", "again", { idempotency_key: "again", attrs: { command: "shell.run" } }),
  event("action.accepted", "again", worker("a")),
  event("action.started", "again", worker("a")),
  event("storm.seen", "seen", { idempotency_key: "seen" }),
  event("worker.lost", "", { attrs: { worker_id: "a" } }),
  event("action.failed", "once", { attempt: 1, attrs: { error: { kind: "outcome_unknown" } } }),
  event("action.retrying", "again", { attempt: 2 }),
  event("worker.started", "", { attrs: { worker_id: "b" } }),
  event("action.started", "again", { attempt: 2, attrs: { worker_id: "b" } }),
  event("action.succeeded", "again", { attempt: 2 }),
  event("action.dead_lettered", "once", { attempt: 1 }),
];

function recordsOf(events: readonly NewEvent[]): readonly LogRecord[] {
  return events.map((one, index) => ({
    topic: topicOf(one.event_type),
    partition: 0,
    offset: index + 1,
    ingestedAtMs: startMs + index,
    event: { ...one, event_id: String(1_000 + index) as EventId },
  }));
}

function row(
  key: string,
  more: Pick<ActionRow, "status" | "attempt" | "requestOffset" | "lastOffset"> & Partial<ActionRow>,
): ActionRow {
  return {
    actionId: actionIdOf("default", key),
    tenant: "default",
    command: "shell.run",
    entityId: "job:1",
    requestedAtMs: startMs,
    ...more,
  };
}

const answer = (id: string, offset: number, duplicate = false) => ({ id, offset, duplicate });

const once = actionIdOf("default", "once");

function sound(): Evidence {
  return {
    submissions: Object.entries(keys).map(([key, kind]) => submission(key, kind)),
    answers: new Map([
      ["once", [answer(once, 2), answer(once, 2, true)]],
      ["again", [answer(actionIdOf("default", "again"), 5)]],
      ["seen", [answer("1007", 8)]],
    ]),
    records: recordsOf(story),
    rows: [
      row("once", {
        status: "failed",
        attempt: 1,
        requestOffset: 2,
        lastOffset: 15,
        terminalOffset: 10,
        errorKind: "outcome_unknown",
        deadLetter: "pending",
      }),
      row("again", {
        status: "succeeded",
        attempt: 2,
        requestOffset: 5,
        lastOffset: 14,
        terminalOffset: 14,
      }),
    ],
    effects: ["once", "again", "again"],
  };
}

function without(index: number): readonly LogRecord[] {
  return recordsOf(story).filter((_, at) => at !== index);
}

describe("audit", () => {
  test("finds nothing in a sound storm", () => {
    expect(audit(sound())).toEqual([]);
  });

  const plants: readonly (readonly [string, string, Partial<Evidence>, string])[] = [
    ["an acknowledged request that is not on the log", "I1", { records: without(1) }, "not there"],
    ["an acknowledged observation that is gone", "I1", { records: without(7) }, "not there"],
    [
      "a request that was never acknowledged",
      "I1",
      { submissions: [...sound().submissions, submission("lost", "noop")] },
      "never acknowledged",
    ],
    [
      "a repeat that was answered with another id",
      "I3",
      { answers: new Map([...sound().answers, ["seen", [answer("1007", 8), answer("9", 9)]]]) },
      "was answered with 1007 and with 9",
    ],
    [
      "a repeat that was taken as new",
      "I3",
      { answers: new Map([...sound().answers, ["seen", [answer("1007", 8), answer("1007", 8)]]]) },
      "taken as new 2 times",
    ],
    ["an action that did not end", "I2", { records: without(13) }, "has 0 terminal events"],
    [
      "an action that ended twice",
      "I2",
      { records: recordsOf([...story, event("action.succeeded", "again", { attempt: 2 })]) },
      "has 2 terminal events",
    ],
    [
      "a second effect of what is not idempotent",
      "I3",
      { effects: ["once", "once", "again"] },
      "is not idempotent",
    ],
    [
      "more effects than the log has starts",
      "I3",
      { effects: ["once", "again", "again", "again"] },
      "was done 3 times, the log has 2 starts",
    ],
    ["a success without its effect", "I3", { effects: ["once"] }, "was done 0 times and succeeded"],
    [
      "an effect that nobody asked for",
      "I3",
      { effects: [...sound().effects, "other"] },
      '"other" had an effect',
    ],
    [
      "an attempt that a dead worker still holds",
      "I5",
      { records: without(10) },
      "is still held by a",
    ],
    [
      "a request that nobody sent",
      "I3",
      {
        records: recordsOf([
          ...story,
          event("action.requested", "x", { idempotency_key: "x", attrs: { ttl_sec: 1 } }),
          event("action.cancelled", "x", { attempt: 1 }),
        ]),
      },
      "nobody asked for it",
    ],
    [
      "a row that does not say what the events say",
      "I10",
      { rows: sound().rows.slice(0, 1) },
      "1 rows for 2 actions",
    ],
  ];

  test.each(plants)("finds %s (%s)", (...plant) => {
    const [, invariant, planted, words] = plant;
    const found = audit({ ...sound(), ...planted });
    const told = found.filter((one) => one.invariant === invariant).map((one) => one.message);
    expect(told.join("\n")).toContain(words);
  });
});
