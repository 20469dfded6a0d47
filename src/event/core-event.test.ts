import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../base/canonical-json.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { coreEventOf, parseCoreEvent, statusOfType } from "./core-event.ts";
import type { DeedEvent, LogRecord } from "./envelope.ts";
import { actionIdOf, eventId, executionId } from "./ids.ts";

const actionId = actionIdOf("default", "exe_1/load/1/0/query/1");

const succeeded: DeedEvent = {
  event_id: eventId("7130000000000000001"),
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "action.succeeded",
  entity_id: "execution:exe_1",
  correlation_id: "slot:2026-11-24T05:00Z",
  causation_id: eventId("7130000000000000000"),
  idempotency_key: "exe_1/load/1/0/query/1",
  action_id: actionId,
  execution_id: executionId("exe_1"),
  parent_execution_id: executionId("exe_0"),
  attempt: 2,
  source: { system: "deed", ns: { component: "lifecycle" } },
  tags: { tenant: "default", priority: "normal", action: "postgres", step: "load", activation: 1 },
  attrs: { result: { row_count: 3 } },
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

const record = (event: DeedEvent): LogRecord => ({
  topic: "actions.result",
  partition: 0,
  offset: 42,
  ingestedAtMs: 1_795_496_400_123,
  event,
});

const without = (event: DeedEvent, ...names: readonly (keyof DeedEvent)[]): DeedEvent =>
  Object.fromEntries(
    Object.entries(event).filter(([name]) => !names.some((one) => one === name)),
  ) as DeedEvent;

describe("coreEventOf", () => {
  test("1. takes what the core reads, and nothing of the storage", () => {
    expect(coreEventOf(record(succeeded))).toEqual({
      ok: true,
      value: {
        event_id: "7130000000000000001",
        execution_id: "exe_1",
        event_type: "action.succeeded",
        node_name: "load",
        status: "SUCCEEDED",
        result: { row_count: 3 },
        meta: {
          action_id: actionId,
          tags: { tenant: "default", priority: "normal", action: "postgres", activation: 1 },
        },
        timestamp: "2026-11-24T05:00:00.000Z",
        parent_execution_id: "exe_0",
        attempt: 2,
      },
    });
  });

  test("a failure keeps its error, a request its command and arguments", () => {
    const error = { kind: "timeout", message: "Cannot query: 30 s", retryable: true };
    const failed = coreEventOf(
      record({ ...succeeded, event_type: "action.failed", attrs: { error } }),
    );
    expect(failed).toMatchObject({ value: { status: "FAILED", context: { error } } });
    const attrs = { command: "postgres", args: { query: "select 1" }, ttl_sec: 30 };
    const requested = coreEventOf(record({ ...succeeded, event_type: "action.requested", attrs }));
    expect(requested).toMatchObject({ value: { status: "REQUESTED", context: attrs } });
    expect(requested.ok && "result" in requested.value).toBe(false);
  });

  test("a null result is a result, a missing one is left out", () => {
    const none = coreEventOf(record({ ...succeeded, attrs: { result: null } }));
    expect(none).toMatchObject({ value: { result: null } });
    const missing = coreEventOf(record({ ...succeeded, attrs: {} }));
    expect(missing.ok && Object.keys(missing.value)).not.toContain("result");
    expect(missing.ok && Object.keys(missing.value)).not.toContain("context");
  });

  test("the event's own status and meta win over what the type says", () => {
    const attrs = { status: "skipped", meta: { activation: 3 }, context: { a: 1 } };
    const event = { ...succeeded, event_type: "step.completed", attrs };
    expect(coreEventOf(record(event))).toMatchObject({
      value: {
        status: "SKIPPED",
        meta: { activation: 3, action_id: actionId },
        context: { context: { a: 1 } },
      },
    });
  });

  test("a status or meta of another form is payload and stays in the context", () => {
    const attrs = { status: 200, meta: "none" };
    expect(coreEventOf(record({ ...succeeded, attrs }))).toMatchObject({
      value: { status: "SUCCEEDED", context: { status: 200, meta: "none" } },
    });
  });

  test("2. a time with a zone is brought to UTC", () => {
    expect(coreEventOf(record({ ...succeeded, ts: "2026-11-24T06:00:00+01:00" }))).toMatchObject({
      value: { timestamp: "2026-11-24T05:00:00.000Z" },
    });
  });

  test.each(["yesterday", "", "2026-02-30T00:00:00Z", "2026-11-24T05:00:00"])(
    "2. the unreadable time %j is an error",
    (ts) => {
      expect(coreEventOf(record({ ...succeeded, ts }))).toEqual({
        ok: false,
        error: {
          kind: "unprocessable",
          message: `Cannot read event 7130000000000000001 as a core event as its time cannot be read: ts is ${JSON.stringify(ts)}`,
          retryable: false,
        },
      });
    },
  );

  test("an event of no execution is an error", () => {
    expect(coreEventOf(record(without(succeeded, "execution_id")))).toMatchObject({
      ok: false,
      error: {
        kind: "unprocessable",
        message:
          "Cannot read event 7130000000000000001 as a core event as it belongs to no execution: execution_id is missing",
      },
    });
  });

  test("3. gives the same bytes wherever it stands and whenever it was stored", () => {
    const here = coreEventOf(record(succeeded));
    const there = coreEventOf({
      ...record(succeeded),
      topic: "decisions",
      partition: 7,
      offset: 1,
      ingestedAtMs: 0,
    });
    expect(canonicalJson(there as unknown as Json)).toBe(canonicalJson(here as unknown as Json));
  });
});

describe("statusOfType", () => {
  // Source: contract, "Action lifecycle".
  test.each([
    ["action.requested", "REQUESTED"],
    ["action.accepted", "ACCEPTED"],
    ["action.deferred", "REQUESTED"],
    ["action.started", "STARTED"],
    ["action.progress", "STARTED"],
    ["action.retrying", "RETRYING"],
    ["action.succeeded", "SUCCEEDED"],
    ["action.failed", "FAILED"],
    ["action.cancelled", "CANCELLED"],
    ["step.entered", "ENTERED"],
    ["execution.completed", "COMPLETED"],
    ["heartbeat", "HEARTBEAT"],
  ])("of %s is %s", (type, status) => {
    expect(statusOfType(type)).toBe(status);
  });
});

describe("parseCoreEvent", () => {
  const minimal = {
    event_id: "1",
    execution_id: "exe_1",
    event_type: "step.completed",
    status: "COMPLETED",
    timestamp: "2026-11-24T05:00:00Z",
  };

  test("reads `timestamp`, and `created_at` for it", () => {
    const read = { ...minimal, timestamp: "2026-11-24T05:00:00.000Z" };
    expect(parseCoreEvent(minimal)).toEqual({ ok: true, value: read });
    const { timestamp: at, ...rest } = minimal;
    expect(parseCoreEvent({ ...rest, created_at: at })).toEqual({ ok: true, value: read });
    expect(parseCoreEvent({ ...minimal, created_at: "2026-11-24T06:00:00+01:00" })).toEqual({
      ok: true,
      value: read,
    });
  });

  test.each<[string, JsonObject, string]>([
    ["a missing time", { timestamp: undefined }, "timestamp is missing"],
    [
      "an unreadable time",
      { timestamp: "now" },
      'timestamp cannot be read as an RFC 3339 time: got "now"',
    ],
    [
      "a time that is no text",
      { timestamp: 1_795_496_400 },
      "timestamp cannot be read as an RFC 3339 time: got 1795496400",
    ],
    [
      "an unreadable alias beside a good time",
      { created_at: "now" },
      'created_at cannot be read as an RFC 3339 time: got "now"',
    ],
    [
      "two times",
      { created_at: "2026-11-24T05:00:01Z" },
      "timestamp and created_at say different times",
    ],
    ["no event_id", { event_id: undefined }, "event_id is missing"],
    ["a number for an id", { event_id: 7 }, "event_id must be a text that is not empty: got 7"],
    ["no execution", { execution_id: undefined }, "execution_id is missing"],
    ["an empty status", { status: "" }, 'status must be a text that is not empty: got ""'],
    ["a list for the context", { context: [] }, "context must be an object"],
    ["a text for meta", { meta: "x" }, "meta must be an object"],
    ["an attempt 0", { attempt: 0 }, "attempt must be a whole number >= 1: got 0"],
    ["half an attempt", { attempt: 1.5 }, "attempt must be a whole number >= 1: got 1.5"],
    ["a storage field", { offset: 4 }, '"offset" is not a member of a core event'],
  ])("refuses %s", (_what, change, why) => {
    const parsed = parseCoreEvent(JSON.parse(JSON.stringify({ ...minimal, ...change })));
    expect(parsed).toEqual({
      ok: false,
      error: {
        kind: "invalid_args",
        message: `Cannot read the core event as ${why}`,
        retryable: false,
      },
    });
  });

  test("refuses what is no object", () => {
    expect(parseCoreEvent([])).toMatchObject({
      error: { message: "Cannot read the core event as it is not a JSON object" },
    });
  });

  test("3. reads back every core event, byte for byte", () => {
    const payloads = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 5 });
    const events = fc.record(
      {
        status: fc.constantFrom<Json>("done", 4, null),
        result: fc.jsonValue({ maxDepth: 3 }),
        meta: payloads,
        context: payloads,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(events, payloads, (some, more) => {
        const attrs = { ...more, ...some } as JsonObject;
        const core = coreEventOf(record({ ...succeeded, attrs }));
        const written = canonicalJson(core.ok ? core.value : core.error);
        const read = parseCoreEvent(JSON.parse(written));
        expect(canonicalJson((read.ok ? read.value : read.error) as unknown as Json)).toBe(written);
      }),
    );
  });
});
