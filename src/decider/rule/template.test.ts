import { describe, expect, test } from "vitest";
import type { Json } from "../../base/json.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import type { Evaluated } from "./cel.ts";
import { compileTemplate } from "./template.ts";

const event: DeedEvent = {
  event_id: eventId("1"),
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "job.failed",
  entity_id: "job:etl",
  source: { system: "cron", ns: {} },
  tags: {},
  attrs: { n: 3, yes: true, nil: null, l: [1, { b: 2, a: 1 }], code: "007" },
};

function render(template: Json): Evaluated {
  const compiled = compileTemplate(template);
  if (!compiled.ok) throw new Error(compiled.error.message);
  return compiled.value(event);
}

describe("a value keeps its type where it stands alone", () => {
  test.each<[Json, Json]>([
    ["{{ event.attrs.n }}", 3],
    ["{{event.attrs.yes}}", true],
    ["{{ event.attrs.nil }}", null],
    ["{{ event.attrs.l }}", [1, { b: 2, a: 1 }]],
    ["{{ event.attrs.code }}", "007"],
    ["{{ {'a': {'b': event.attrs.n}} }}", { a: { b: 3 } }],
    ["{{ '}}' }}", "}}"],
    ['{{ "it\\"s }}" }}', 'it"s }}'],
  ])("%j gives %j", (template, value) => {
    expect(render(template)).toEqual({ kind: "value", value });
  });
});

describe("anything around it makes it text", () => {
  test.each<[string, string]>([
    [" {{ event.attrs.n }}", " 3"],
    ["{{ event.attrs.n }}{{ event.attrs.n }}", "33"],
    ["n is {{ event.attrs.n }}!", "n is 3!"],
    ["{{ event.attrs.l }}?", '[1,{"a":1,"b":2}]?'],
    ["{{ event.attrs.nil }} and {{ event.attrs.yes }}", "null and true"],
    ['{{ "{{" }} stays', "{{ stays"],
    ["no braces } } { {", "no braces } } { {"],
    ["", ""],
  ])("%j gives %j", (template, value) => {
    expect(render(template)).toEqual({ kind: "value", value });
  });
});

test("lists, maps and other values are kept as they stand", () => {
  expect(
    render({ a: [1, "{{ event.attrs.n }}", { b: "x{{ event.entity_id }}" }], c: null, d: 1.5 }),
  ).toEqual({ kind: "value", value: { a: [1, 3, { b: "xjob:etl" }], c: null, d: 1.5 } });
});

test("one part that is missing or fails makes the whole so", () => {
  expect(render({ a: "{{ event.attrs.none }}", b: 1 })).toEqual({
    kind: "missing",
    message: "No such key: none",
  });
  expect(render(["x {{ 1 / 0 }}"])).toEqual({ kind: "failed", message: "division by zero" });
});

describe("a template that cannot be read is refused with its place", () => {
  test.each<[Json, string, readonly (string | number)[], number]>([
    ["a {{ event.attrs.n", "{{ is never closed: write }} behind the expression", [], 2],
    ["{{ event.attrs.n }", "{{ is never closed: write }} behind the expression", [], 0],
    ["{{ 'a }}", "{{ is never closed: write }} behind the expression", [], 0],
    ["{{ foo.bar }}", "Unknown variable: foo", [], 3],
    ["ab {{  foo }}", "Unknown variable: foo", [], 7],
    [{ a: [1, { b: "{{ foo }}" }] }, "Unknown variable: foo", ["a", 1, "b"], 3],
  ])("%j", (template, message, path, at) => {
    expect(compileTemplate(template)).toEqual({ ok: false, error: { message, path, at } });
  });

  test("an expression that is empty is refused", () => {
    expect(compileTemplate("{{ }}").ok).toBe(false);
  });
});
