import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../base/json.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import { compileExpression, type Evaluated } from "./cel.ts";

const eventWith = (attrs: JsonObject): DeedEvent => ({
  event_id: eventId("7130000000000000001"),
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "job.failed",
  entity_id: "job:etl",
  source: { system: "cron", ns: {} },
  tags: { tenant: "default" },
  attrs,
});

const event = eventWith({
  n: 3,
  f: 1.5,
  big: 9_007_199_254_740_993,
  s: "x",
  l: [1, 2, 3],
  o: { a: 1 },
  nil: null,
});

function evaluate(source: string, on: DeedEvent = event): Evaluated {
  const compiled = compileExpression(source);
  if (!compiled.ok) throw new Error(compiled.error.message);
  return compiled.value.evaluate(on);
}

const value = (json: Json): Evaluated => ({ kind: "value", value: json });

describe("1. one root, and its own members only", () => {
  test.each(["job.failed", "attrs.n", "Date", "process", "globalThis", "now"])(
    "%s is unknown before any event is seen",
    (source) => {
      const [root = ""] = source.split(".");
      expect(compileExpression(source)).toEqual({
        ok: false,
        error: { message: `Unknown variable: ${root}`, at: 0 },
      });
    },
  );

  test.each([
    "event.constructor",
    "event.__proto__",
    "event.attrs.toString",
    "event.attrs.l.length",
    "event.attrs.l['constructor']",
    "event.attrs.s.length",
    "event['hasOwnProperty']",
  ])("%s is missing: a prototype is not looked at", (source) => {
    expect(evaluate(source).kind).toBe("missing");
  });

  test("a member that is named __proto__ is a member like any other", () => {
    const attrs = JSON.parse('{"__proto__":{"admin":true},"a":1}') as JsonObject;
    expect(evaluate("event.attrs.admin", eventWith(attrs)).kind).toBe("missing");
    expect(evaluate("event.attrs.a", eventWith(attrs))).toEqual(value(1));
    expect(JSON.stringify(evaluate("event.attrs", eventWith(attrs)))).toBe(
      '{"kind":"value","value":{"__proto__":{"admin":true},"a":1}}',
    );
  });

  test("an expression cannot reach what another one built", () => {
    expect(evaluate("{'__proto__': {'polluted': true}}").kind).toBe("value");
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("2. numbers", () => {
  test.each<[string, Json]>([
    ["event.attrs.n == 3", true],
    ["event.attrs.n == 3.0", true],
    ["event.attrs.n > 2.5", true],
    ["event.attrs.f > 1", true],
    ["event.attrs.n + 0.5", 3.5],
    ["0.5 + event.attrs.n", 3.5],
    ["event.attrs.f * 2", 3],
    ["2 * event.attrs.f", 3],
    ["event.attrs.n - 0.5", 2.5],
    ["event.attrs.n / 2.0", 1.5],
    ["event.attrs.n / 2", 1],
    ["double(event.attrs.n) / 2", 1.5],
    ["event.attrs.n % 2", 1],
    ["type(event.attrs.n) == int", true],
    ["type(event.attrs.f) == double", true],
    ["type(event.attrs.big) == double", true],
    ["int('42') + 1", 43],
    ["-event.attrs.n", -3],
    ["2u", 2],
  ])("%s is %j", (source, result) => {
    expect(evaluate(source)).toEqual(value(result));
  });

  test.each([
    ["1 / 0", "division by zero"],
    ["event.attrs.n / (event.attrs.n - 3)", "division by zero"],
    ["1.0 / 0.0", "JSON has no number for Infinity"],
    ["9223372036854775807", "JSON has no exact number for 9223372036854775807: use string()"],
    ["9223372036854775807 + 1", "integer overflow: 9223372036854775808"],
    ["event.attrs.s > 1", "no such overload: dyn<string> > int"],
    ["int(event.attrs.s)", "int() type error: cannot convert to int"],
    ["event.attrs.n ? 1 : 2", "Ternary condition must be bool, got 'int'"],
  ])("%s fails and says why", (source, message) => {
    expect(evaluate(source)).toEqual({ kind: "failed", message });
  });

  test("every JSON value of an event comes back as it was", () => {
    const payload = fc.dictionary(fc.string(), fc.jsonValue(), {
      maxKeys: 5,
    });
    fc.assert(
      fc.property(payload, (attrs) => {
        const json = JSON.parse(JSON.stringify(attrs)) as JsonObject;
        expect(evaluate("event.attrs", eventWith(json))).toEqual(value(json));
      }),
    );
  });
});

describe("3. missing members", () => {
  test.each([
    "event.attrs.none",
    "event.attrs.none == 1",
    "event.attrs.none != 1",
    "event.attrs.none.deeper",
    "event.attrs.s.x",
    "event.attrs.nil.x",
    "event.attrs['none']",
    "event.attrs.l[7]",
    "event.action_id",
    "event.attrs.none == 1 && true",
    "!has(event.attrs.none.deeper)",
  ])("%s is missing", (source) => {
    expect(evaluate(source).kind).toBe("missing");
  });

  test.each<[string, Json]>([
    ["has(event.attrs.none)", false],
    ["has(event.attrs.nil)", true],
    ["has(event.attrs.o.a) && event.attrs.o.a == 1", true],
    ["has(event.attrs.none) && event.attrs.none == 1", false],
    ["event.attrs.none == 1 || event.attrs.n == 3", true],
    ["event.attrs.none == 1 && false", false],
    ["'none' in event.attrs", false],
    ["event.attrs.nil == null", true],
  ])("%s is settled without it: %j", (source, result) => {
    expect(evaluate(source)).toEqual(value(result));
  });

  test("a message that speaks of keys is no missing member", () => {
    expect(evaluate("event.attrs.s.matches('no such key' + '(')")).toEqual({
      kind: "failed",
      message: "not a valid pattern: a ( without its )",
    });
  });
});

describe("4. time", () => {
  test.each<[string, Json]>([
    ["timestamp(event.ts)", "2026-11-24T05:00:00.000Z"],
    ["timestamp('2026-11-24T06:00:00+01:00') == timestamp(event.ts)", true],
    ["timestamp(event.ts) - duration('10m')", "2026-11-24T04:50:00.000Z"],
    ["timestamp(event.ts) + duration('1h30m') > timestamp(event.ts)", true],
    ["timestamp(event.ts) - timestamp('2026-11-24T04:00:00Z')", "3600s"],
    ["duration('90m')", "5400s"],
    ["duration('250ms')", "0.25s"],
    ["timestamp(event.ts).getHours() < 6", true],
    ["timestamp(event.ts).getDayOfWeek()", 2],
    ["timestamp(event.attrs.n)", "1970-01-01T00:00:03.000Z"],
  ])("%s is %j", (source, result) => {
    expect(evaluate(source)).toEqual(value(result));
  });

  test.each(["2026-11-24T05:00:00.000", "Tue Nov 24 2026 05:00:00", "2026-02-30T00:00:00Z"])(
    "timestamp('%s') fails: it has no zone, or is no date",
    (text) => {
      expect(evaluate(`timestamp('${text}')`)).toEqual({
        kind: "failed",
        message: `timestamp("${text}") is no RFC 3339 time with its zone`,
      });
    },
  );

  test.each([
    ["timestamp(event.ts).getHours('Europe/Berlin')", "getHours"],
    ["timestamp(event.ts).getDayOfYear()", "getDayOfYear"],
    ["[timestamp(event.ts)].map(t, t.getDate('UTC'))", "getDate"],
  ])("%s is refused before any event is seen", (source, name) => {
    expect(compileExpression(source)).toMatchObject({
      ok: false,
      error: {
        message: `${name} would ask the machine for a time zone: only getHours() and its like, in UTC`,
      },
    });
  });
});

describe("5. cost", () => {
  const crowd = (length: number): DeedEvent =>
    eventWith({
      many: Array.from({ length }, (_, index) => index),
      long: "x".repeat(200_000),
      l: [1],
    });

  test("patterns that would backtrack for ever are one pass", () => {
    const long = eventWith({ s: `${"a".repeat(50_000)}!` });
    expect(evaluate("event.attrs.s.matches('^(a+)+$')", long)).toEqual(value(false));
    expect(evaluate("['a', 'b'].exists(x, x.matches('^b$'))")).toEqual(value(true));
  });

  test("a loop over a large event is run, loops in loops over it are not", () => {
    expect(evaluate("event.attrs.many.exists(x, x == 59999)", crowd(60_000))).toEqual(value(true));
    const failed = {
      kind: "failed",
      message: "its loops come to too many steps for an event of this size",
    };
    const square = "event.attrs.many.exists(x, event.attrs.many.exists(y, x + y == -1))";
    expect(evaluate(square, crowd(60_000))).toEqual(failed);
    expect(evaluate("event.attrs.many.all(x, x in event.attrs.many)", crowd(60_000))).toEqual(
      failed,
    );
    expect(evaluate(square, crowd(200))).toEqual(value(false));
    expect(
      evaluate(
        "event.attrs.l.exists(x, event.attrs.l.exists(y, x + y == 2))",
        eventWith({ l: [1], long: "x".repeat(200_000) }),
      ),
    ).toEqual(value(true));
  });

  test.each([
    ["[1].map(x, [1].map(y, [1].map(z, z)))", "loops may stand 2 deep in one another", 22],
    ["cel.bind(x, [1], x + x)", "cel.bind is not known here: write the expression out", 0],
    ["event.attrs.s.matches('(')", "not a valid pattern: a ( without its )", 23],
    ["optional.of(1)", "Unknown variable: optional", 0],
  ])("%s is refused before any event is seen", (source, message, at) => {
    expect(compileExpression(source)).toEqual({ ok: false, error: { message, at } });
  });

  test("an expression of too many parts, or too deep, is refused", () => {
    expect(compileExpression(Array.from({ length: 2_001 }, () => "1").join("+")).ok).toBe(false);
    expect(compileExpression(`${"(".repeat(100)}1${")".repeat(100)}`).ok).toBe(false);
  });
});

describe("6. a value is JSON", () => {
  test.each(["b'abc'", "type(1)", "[b'abc']", "{'a': type(1)}"])("%s fails", (source) => {
    expect(evaluate(source)).toEqual({
      kind: "failed",
      message: "JSON has no value for bytes or a type",
    });
  });

  test("lists, maps and nested times come out as JSON", () => {
    expect(evaluate("{'at': [timestamp(event.ts)], 'n': event.attrs.n, 2: null}")).toEqual(
      value({ at: ["2026-11-24T05:00:00.000Z"], n: 3, "2": null }),
    );
  });
});

describe("what is no expression is refused with its place", () => {
  test.each([
    ["1 +", "Unexpected token: EOF", 3],
    ["event.attrs.n == ", "Unexpected token: EOF", 17],
    ["  foo == 1", "Unknown variable: foo", 2],
    ["event.attrs.n == 1 and true", "Unexpected character: ", 19],
    ["unknown(1)", "found no matching overload for 'unknown(int)'", 0],
    ["'a' + 1", "no such overload: string + int", 0],
  ])("%s", (source, message, at) => {
    const compiled = compileExpression(source);
    expect(compiled).toMatchObject({ ok: false, error: { at } });
    if (message !== "Unexpected character: ") {
      expect(compiled).toMatchObject({ error: { message } });
    }
  });

  test("a condition whose type is known must be a condition", () => {
    expect(compileExpression("'a' + 'b'", "bool")).toEqual({
      ok: false,
      error: { message: "it gives a value of type string: it must give true or false", at: 0 },
    });
    expect(compileExpression("event.attrs.n", "bool").ok).toBe(true);
    expect(compileExpression("event.attrs.n == 1", "bool").ok).toBe(true);
  });
});
