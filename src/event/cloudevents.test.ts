import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../base/json.ts";
import {
  eventFromBinaryCloudEvent,
  eventFromCloudEvent,
  fromBinaryCloudEvent,
  fromCloudEvent,
  fromCloudEventBatch,
  toBinaryCloudEvent,
  toCloudEvent,
  toCloudEventBatch,
} from "./cloudevents.ts";
import type { DeedEvent } from "./envelope.ts";
import { actionIdOf, eventId, executionId } from "./ids.ts";
import { parseEvent } from "./schema.ts";
import { topicOfType, type OwnEventType } from "./topic.ts";

const full: DeedEvent = {
  event_id: eventId("7130000000000000001"),
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "action.succeeded",
  entity_id: "job:nächtlich 100%",
  correlation_id: "slot:2026-11-24T05:00Z",
  causation_id: eventId("7130000000000000000"),
  idempotency_key: "k 1",
  action_id: actionIdOf("default", "k 1"),
  execution_id: executionId("exe_1"),
  parent_execution_id: executionId("exe_0"),
  attempt: 2,
  source: { system: "deed", ns: { component: "life/cycle", "a&b": "c=d" } },
  tags: { tenant: "default", urgent: true, load: 0.5, nothing: null },
  attrs: { result: { rows: [1, 2, 3] } },
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

const foreign = {
  specversion: "1.0",
  id: "A234-1234-1234",
  source: "https://github.com/cloudevents/spec/pull",
  type: "com.github.pull_request.opened",
  time: "2018-04-05T17:31:00Z",
  subject: "123",
  datacontenttype: "application/json",
  data: { open: true },
};

const message = (read: ReturnType<typeof fromCloudEvent>): string =>
  read.ok ? "accepted" : read.error.message;

describe("out", () => {
  test("structured mode names every field", () => {
    expect(toCloudEvent(full)).toEqual({
      specversion: "1.0",
      id: "7130000000000000001",
      source: "/deed?component=life%2Fcycle&a%26b=c%3Dd",
      type: "action.succeeded",
      time: "2026-11-24T05:00:00.000Z",
      subject: "job:nächtlich 100%",
      datacontenttype: "application/json",
      data: { result: { rows: [1, 2, 3] } },
      tags: '{"tenant":"default","urgent":true,"load":0.5,"nothing":null}',
      correlationid: "slot:2026-11-24T05:00Z",
      causationid: "7130000000000000000",
      idempotencykey: "k 1",
      actionid: full.action_id,
      executionid: "exe_1",
      parentexecutionid: "exe_0",
      attempt: 2,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
  });

  test("attribute names are what CloudEvents allows", () => {
    for (const name of Object.keys(toCloudEvent(full))) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
  });

  test("binary mode percent-encodes what a header may not hold", () => {
    const { headers, body } = toBinaryCloudEvent(full);
    expect(headers["ce-subject"]).toBe("job:n%C3%A4chtlich%20100%25");
    expect(headers["ce-tags"]).toBe(
      "{%22tenant%22:%22default%22,%22urgent%22:true,%22load%22:0.5,%22nothing%22:null}",
    );
    expect(headers["ce-attempt"]).toBe("2");
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["ce-data"]).toBeUndefined();
    expect(body).toBe('{"result":{"rows":[1,2,3]}}');
  });
});

describe("1. every event of the log comes back as it was", () => {
  const text = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" });
  const label = text.filter((one) => !/\p{Cc}/u.test(one));
  const scalar = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => (one === 0 ? 0 : one)),
    fc.boolean(),
    fc.constant(null),
  );
  const id = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((one) => eventId(one.toString()));
  const hex = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${String(length)}}$`));
  const own = fc.constantFrom(...(Object.keys(topicOfType) as OwnEventType[]));
  const events = fc.record(
    {
      event_id: id,
      ts: fc
        .date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") })
        .map((date) => date.toISOString()),
      event_type: fc.oneof(own, text),
      entity_id: text,
      correlation_id: text,
      causation_id: id,
      idempotency_key: text,
      action_id: text.map((key) => actionIdOf("default", key)),
      execution_id: text.map(executionId),
      parent_execution_id: text.map(executionId),
      attempt: fc.integer({ min: 1, max: 999_999 }),
      source: fc.record({
        system: text,
        ns: fc.dictionary(label, fc.string({ unit: "grapheme" }), { maxKeys: 4 }),
      }),
      tags: fc.dictionary(label, scalar, { maxKeys: 6 }),
      attrs: fc
        .dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { maxKeys: 5 })
        .map((attrs) => JSON.parse(JSON.stringify(attrs)) as JsonObject),
      traceparent: fc.tuple(hex(32), hex(16)).map(([trace, span]) => `00-${trace}-${span}-01`),
    },
    { requiredKeys: ["event_id", "ts", "event_type", "entity_id", "source", "tags", "attrs"] },
  );

  test("structured", () => {
    fc.assert(
      fc.property(events, (event) => {
        expect(parseEvent(event)).toEqual({ ok: true, value: event });
        const wire: unknown = JSON.parse(JSON.stringify(toCloudEvent(event)));
        expect(eventFromCloudEvent(wire)).toEqual({ ok: true, value: event });
      }),
    );
  });

  test("binary, with headers that any HTTP library takes", () => {
    fc.assert(
      fc.property(events, (event) => {
        const { headers, body } = toBinaryCloudEvent(event);
        for (const value of Object.values(headers)) expect(value).toMatch(/^[\x21-\x7e]*$/);
        const read = eventFromBinaryCloudEvent(headers, JSON.parse(body) as Json);
        expect(read).toEqual({ ok: true, value: event });
      }),
    );
  });

  test("a lone surrogate becomes U+FFFD in a header and stops nothing", () => {
    const event = { ...full, entity_id: "job:\ud800" };
    const { headers, body } = toBinaryCloudEvent(event);
    expect(eventFromBinaryCloudEvent(headers, JSON.parse(body) as Json)).toMatchObject({
      value: { entity_id: "job:\ufffd" },
    });
  });

  test("an event whose id or attempt is none of ours is refused in CloudEvents' words", () => {
    const cloud = toCloudEvent(full);
    expect(eventFromCloudEvent({ ...cloud, id: "abc" })).toMatchObject({
      error: { detail: { problems: [{ pointer: "/id" }] } },
    });
    expect(eventFromCloudEvent({ ...cloud, attempt: 0 })).toMatchObject({
      error: { message: "Cannot accept the CloudEvent as /attempt must be >= 1" },
    });
  });
});

describe("2. an observation from outside", () => {
  test("takes its fields from the attributes", () => {
    expect(fromCloudEvent(foreign)).toEqual({
      ok: true,
      value: {
        ts: "2018-04-05T17:31:00.000Z",
        event_type: "com.github.pull_request.opened",
        entity_id: "123",
        idempotency_key: "https://github.com/cloudevents/spec/pull#A234-1234-1234",
        source: { system: "https://github.com/cloudevents/spec/pull", ns: {} },
        tags: {},
        attrs: { open: true },
      },
    });
  });

  test("without a subject it is about its source", () => {
    expect(fromCloudEvent({ ...foreign, subject: undefined })).toMatchObject({
      value: { entity_id: foreign.source },
    });
  });

  test("its own idempotency key, correlation, cause and trace are taken", () => {
    const given = {
      idempotencykey: "k",
      correlationid: "c",
      causationid: "12",
      traceparent: full.traceparent ?? "",
    };
    expect(fromCloudEvent({ ...foreign, ...given })).toMatchObject({
      value: {
        idempotency_key: "k",
        correlation_id: "c",
        causation_id: "12",
        traceparent: full.traceparent,
      },
    });
  });

  test("a long source and id still give one key of their own", () => {
    const long = { ...foreign, id: "x".repeat(600) };
    const first = fromCloudEvent(long);
    expect(first).toMatchObject({
      value: { idempotency_key: expect.stringMatching(/^cloudevent:[0-9a-f]{64}$/) as string },
    });
    expect(fromCloudEvent({ ...long })).toEqual(first);
    expect(fromCloudEvent({ ...long, id: "y".repeat(600) })).not.toEqual(first);
  });

  test("binary mode reads the same event", () => {
    const { data, datacontenttype, ...attributes } = foreign;
    const headers = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]),
    );
    expect(fromBinaryCloudEvent({ ...headers, "content-type": datacontenttype }, data)).toEqual(
      fromCloudEvent(foreign),
    );
  });

  test("a type that this system decides is refused", () => {
    expect(message(fromCloudEvent({ ...foreign, type: "action.succeeded" }))).toBe(
      'Cannot accept the CloudEvent as event_type "action.succeeded" is reserved for events that this system decides: give the observation another name',
    );
  });

  test("a batch is read whole, or its first problem is told with its place", () => {
    const second = { ...foreign, id: "2" };
    expect(fromCloudEventBatch([foreign, second])).toEqual({
      ok: true,
      value: [foreign, second].map((one) => {
        const read = fromCloudEvent(one);
        return read.ok ? read.value : undefined;
      }),
    });
    expect(fromCloudEventBatch([])).toEqual({ ok: true, value: [] });
    expect(fromCloudEventBatch([foreign, { ...second, time: undefined }])).toMatchObject({
      error: {
        message:
          "Cannot accept the CloudEvent as time is required: event time is given by the producer (event 1 of the batch)",
      },
    });
    expect(fromCloudEventBatch(foreign)).toMatchObject({
      error: { message: "Cannot accept the CloudEvent as a batch is a JSON array" },
    });
  });
});

test("a batch that is written reads back event by event, in its order", () => {
  const other: DeedEvent = { ...full, event_id: eventId("7130000000000000002"), attempt: 3 };
  const wire: unknown = JSON.parse(JSON.stringify(toCloudEventBatch([full, other])));
  expect(Array.isArray(wire) && wire.map(eventFromCloudEvent)).toEqual([
    { ok: true, value: full },
    { ok: true, value: other },
  ]);
  expect(toCloudEventBatch([])).toEqual([]);
});

describe("3. nothing is dropped without a word", () => {
  test("an extension without a field becomes a tag", () => {
    const more = { region: "eu", replica: 3, primary: true, attempt: 4, dataschema: "urn:x" };
    expect(fromCloudEvent({ ...foreign, ...more })).toMatchObject({ value: { tags: more } });
  });

  test("a content type that is not JSON becomes a tag, and its text the value", () => {
    const xml = { ...foreign, datacontenttype: "application/xml", data: "<a/>" };
    expect(fromCloudEvent(xml)).toMatchObject({
      value: { tags: { datacontenttype: "application/xml" }, attrs: { value: "<a/>" } },
    });
    const json = { ...foreign, datacontenttype: "application/vnd.x+json; charset=utf-8" };
    expect(fromCloudEvent(json)).toMatchObject({ value: { tags: {} } });
  });

  test.each<[Json, JsonObject]>([
    [[1, 2], { value: [1, 2] }],
    ["text", { value: "text" }],
    [7, { value: 7 }],
    [null, {}],
    [{ a: 1 }, { a: 1 }],
  ])("data %j becomes %j", (data, attrs) => {
    expect(fromCloudEvent({ ...foreign, data })).toMatchObject({ value: { attrs } });
  });

  test.each([
    ["/probe?target=web&zone=a%26b", { system: "probe", ns: { target: "web", zone: "a&b" } }],
    ["/probe", { system: "probe", ns: {} }],
    ["/probe?a=1&a=2", { system: "/probe?a=1&a=2", ns: {} }],
    ["/probe?flag", { system: "/probe?flag", ns: {} }],
    ["/probe?a=1#x", { system: "/probe?a=1#x", ns: {} }],
    ["/a/b", { system: "/a/b", ns: {} }],
    ["urn:x", { system: "urn:x", ns: {} }],
  ])("the source %s is read as %j", (source, read) => {
    expect(fromCloudEvent({ ...foreign, source })).toMatchObject({ value: { source: read } });
  });

  test.each<[string, JsonObject, string]>([
    ["another version", { specversion: "0.3" }, 'specversion must be "1.0": got "0.3"'],
    ["no version", { specversion: undefined }, 'specversion must be "1.0": got none'],
    ["no id", { id: undefined }, "id must be a text that is not empty"],
    ["an empty id", { id: "" }, "id must be a text that is not empty"],
    ["a number for the source", { source: 1 }, "source must be a text that is not empty"],
    ["no type", { type: undefined }, "type must be a text that is not empty"],
    ["no time", { time: undefined }, "time is required: event time is given by the producer"],
    [
      "a time that is none",
      { time: "yesterday" },
      "/time must be an RFC 3339 time with its zone, as in 2026-11-24T05:00:00.000Z",
    ],
    [
      "a day that the calendar lacks",
      { time: "2026-02-30T00:00:00Z" },
      'ts "2026-02-30T00:00:00Z" is no date of the calendar',
    ],
    ["an empty subject", { subject: "" }, "subject must be a text that is not empty"],
    [
      "bytes",
      { data: undefined, data_base64: "AAEC" },
      "data_base64 holds bytes: send JSON as data, or a reference to the bytes",
    ],
    ["a name with capitals", { traceId: "x" }, '"traceId" is not an attribute name'],
    [
      "an object for an extension",
      { region: { a: 1 } },
      "attribute region must be a text, a number or true or false",
    ],
    ["tags that are no JSON", { tags: "{" }, "tags must hold a JSON object as text"],
    ["tags that are a list", { tags: "[]" }, "tags must hold a JSON object as text"],
    [
      "a tag that is an object",
      { tags: '{"a":{}}' },
      "/tags/a must be string or number or boolean or null",
    ],
    [
      "a subject that is too long",
      { subject: "x".repeat(513) },
      "/subject must not have more than 512 characters",
    ],
  ])("%s is refused with a clear word", (_what, change, why) => {
    const sent: unknown = JSON.parse(JSON.stringify({ ...foreign, ...change }));
    expect(message(fromCloudEvent(sent))).toBe(`Cannot accept the CloudEvent as ${why}`);
  });

  test("a header that came twice, and data in a header, are refused", () => {
    const headers = { "ce-specversion": "1.0", "ce-id": ["1", "2"] };
    expect(message(fromBinaryCloudEvent(headers, {}))).toBe(
      "Cannot accept the CloudEvent as header ce-id is given more than once",
    );
    expect(message(fromBinaryCloudEvent({ "ce-data": "{}" }, {}))).toBe(
      "Cannot accept the CloudEvent as ce-data is no header of binary mode: the body is the data",
    );
  });

  test("what is no object is refused", () => {
    expect(message(fromCloudEvent("x"))).toBe(
      "Cannot accept the CloudEvent as it is not a JSON object",
    );
  });
});
