import { describe, expect, test } from "vitest";
import { canonicalJson } from "../base/canonical-json.ts";
import { sha256Hex } from "../base/hash.ts";
import type { Json } from "../base/json.ts";
import {
  envelopeSchemaDigest,
  eventSchema,
  observationSchema,
  parseEvent,
  parseObservation,
} from "./schema.ts";

test("the envelope is the one that was pinned: a change is a decision", () => {
  const schemas = [observationSchema, eventSchema] as unknown as Json;
  expect(sha256Hex(canonicalJson(schemas))).toBe(envelopeSchemaDigest);
});

const minimal = {
  ts: "2026-11-24T05:00:00Z",
  event_type: "job.failed",
  entity_id: "job:etl",
  idempotency_key: "k",
  source: { system: "cron", ns: {} },
  tags: {},
  attrs: {},
};

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });

describe("parseObservation", () => {
  test("brings the time to UTC milliseconds and changes nothing else", () => {
    const given = {
      ...minimal,
      ts: "2026-11-24T06:00:00.5+01:00",
      correlation_id: "slot:2026-11-24T05:00Z",
      causation_id: "12",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tags: { tenant: "a", n: 1.5, yes: true, none: null },
      attrs: { "": [null, { a: "\u0000" }] },
    };
    expect(parseObservation(given)).toEqual({
      ok: true,
      value: { ...given, ts: "2026-11-24T05:00:00.500Z" },
    });
  });

  test.each<[string, object, readonly [pointer: string, problem: string]]>([
    ["an unknown member", { foo: 1 }, ["/foo", "is not known"]],
    ["an id of its own", { event_id: "1" }, ["/event_id", "is not known"]],
    ["a member with a slash", { "a/b~": 1 }, ["/a~1b~0", "is not known"]],
    ["a number for the entity", { entity_id: 3 }, ["/entity_id", "must be string"]],
    ["an empty type", { event_type: "" }, ["/event_type", "must not have fewer than 1 characters"]],
    ["a list for attrs", { attrs: [] }, ["/attrs", "must be object"]],
    [
      "an object for a tag",
      { tags: { a: {} } },
      ["/tags/a", "must be string or number or boolean or null"],
    ],
    [
      "a tag without a name",
      { tags: { "": 1 } },
      ["/tags/", "has no name of 1 to 128 characters, none of them a control character"],
    ],
    [
      "a tag with a line end in its name, whatever it holds",
      { tags: { "a\nb": {} } },
      ["/tags/a\nb", "has no name of 1 to 128 characters, none of them a control character"],
    ],
    [
      "a time without a zone",
      { ts: "2026-11-24T05:00:00" },
      ["/ts", "must be an RFC 3339 time with its zone, as in 2026-11-24T05:00:00.000Z"],
    ],
    [
      "a leap second",
      { ts: "2016-12-31T23:59:60Z" },
      ["/ts", "must be an RFC 3339 time with its zone, as in 2026-11-24T05:00:00.000Z"],
    ],
    [
      "a trace of another form",
      { traceparent: "x" },
      ["/traceparent", 'must match pattern "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"'],
    ],
  ])("refuses %s, and points at it", (_what, change, [pointer, problem]) => {
    expect(parseObservation({ ...minimal, ...change })).toEqual({
      ok: false,
      error: {
        kind: "invalid_args",
        message: `Cannot accept the event as ${pointer} ${problem}`,
        retryable: false,
        detail: { problems: [{ pointer, message: problem }] },
      },
    });
  });

  test("refuses a day that the calendar does not have", () => {
    expect(parseObservation({ ...minimal, ts: "2026-02-30T00:00:00Z" })).toMatchObject({
      error: {
        message: 'Cannot accept the event as ts "2026-02-30T00:00:00Z" is no date of the calendar',
        detail: { problems: [{ pointer: "/ts", message: "is no date" }] },
      },
    });
  });

  test.each(["action.succeeded", "action.anything", "rule.fired", "timer.fired", "step.done"])(
    "refuses %s: such events are decided by this system",
    (type) => {
      expect(parseObservation({ ...minimal, event_type: type })).toMatchObject({
        error: {
          message: `Cannot accept the event as event_type "${type}" is reserved for events that this system decides: give the observation another name`,
          detail: { problems: [{ pointer: "/event_type", message: "is reserved" }] },
        },
      });
    },
  );

  test("refuses attrs that nest too deep, however deep they are", () => {
    expect(parseObservation({ ...minimal, attrs: nested(64) })).toMatchObject({ ok: true });
    expect(parseObservation({ ...minimal, attrs: nested(65) })).toMatchObject({
      error: { message: "Cannot accept the event as /attrs nests deeper than 64 levels" },
    });
    expect(parseObservation({ ...minimal, attrs: nested(5_000) }).ok).toBe(false);
  });

  test("tells the first of many problems by their names", () => {
    const many = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`x${String(index)}`, 1]),
    );
    expect(parseObservation({ ...minimal, ...many })).toMatchObject({
      error: {
        message: "Cannot accept the event as /x0 is not known",
        detail: {
          problems: Array.from({ length: 8 }, (_, index) => ({
            pointer: `/x${String(index)}`,
            message: "is not known",
          })),
        },
      },
    });
  });

  test.each([[null], ["text"], [[]], [undefined]])("refuses %j for an event", (value) => {
    expect(parseObservation(value)).toMatchObject({
      error: { kind: "invalid_args", message: "Cannot accept the event as it must be object" },
    });
  });

  test("says what is missing", () => {
    expect(parseObservation({ ...minimal, idempotency_key: undefined, ts: undefined }).ok).toBe(
      false,
    );
    expect(parseObservation({})).toMatchObject({
      error: {
        message:
          "Cannot accept the event as it must have required properties ts, event_type, entity_id, idempotency_key, source, tags, attrs",
      },
    });
  });
});

describe("parseEvent", () => {
  const stored = { ...minimal, event_id: "7130000000000000001", event_type: "action.started" };

  test("reads an event of our own, with all that only those have", () => {
    const event = {
      ...stored,
      ts: "2026-11-24T05:00:00.000Z",
      action_id: `act_${"0".repeat(32)}`,
      execution_id: "exe_1",
      parent_execution_id: "exe_0",
      attempt: 1,
    };
    expect(parseEvent(event)).toEqual({ ok: true, value: event });
  });

  test.each<[string, object, string]>([
    ["an id that is no number", { event_id: "x" }, "/event_id"],
    ["an action id of another form", { action_id: "act_1" }, "/action_id"],
    ["an attempt 0", { attempt: 0 }, "/attempt"],
    ["a position", { offset: 1 }, "/offset"],
  ])("refuses %s", (_what, change, pointer) => {
    expect(parseEvent({ ...stored, ...change })).toMatchObject({
      error: { kind: "invalid_args", detail: { problems: [{ pointer }] } },
    });
  });
});
