import { describe, expect, test } from "vitest";
import { formatProblem } from "../base/document.ts";
import type { LogRecord } from "../event/envelope.ts";
import { eventId } from "../event/ids.ts";
import { activationEvent, deactivationEvent, deciderFromActivation } from "./activation.ts";
import { parseRules } from "./rule.ts";

/** A rule file of these lines under `spec`; the request is added where they bring none. */
function file(spec: readonly string[], name = "restart"): string {
  const request = spec.some((line) => line.startsWith("request:"))
    ? []
    : ["request:", "  command: shell.run"];
  return [
    "apiVersion: deed/v1",
    "kind: Rule",
    `metadata: {name: ${name}}`,
    "spec:",
    ...[...spec, ...request].map((line) => `  ${line}`),
    "",
  ].join("\n");
}

function problems(text: string): readonly string[] {
  const parsed = parseRules(text, "rules/a.yaml");
  return parsed.ok ? [] : parsed.error.map(formatProblem);
}

describe("a rule file is refused with file:line:column and a way out", () => {
  test.each<[string, readonly string[], string]>([
    [
      "bad CEL",
      ["on: job.failed", "when: event.attrs.n =="],
      "6:25: not a valid CEL expression: Unexpected token: EOF",
    ],
    [
      "bad CEL in a block, at its line",
      ["on: job.failed", "when: |", "  event.attrs.n == 1 &&", "  foo == 2"],
      "8:5: not a valid CEL expression: Unknown variable: foo",
    ],
    [
      "a condition that is none",
      ["on: job.failed", "when: \"'a'\""],
      "6:10: not a valid CEL expression: it gives a value of type string: it must give true or false",
    ],
    [
      "bad CEL in per",
      ["on: job.failed", "per: entity_id"],
      "6:8: not a valid CEL expression: Unknown variable: entity_id",
    ],
    [
      "an unknown key",
      ["on: job.failed", "wen: x"],
      '6:3: unknown key "wen": did you mean "when"?',
    ],
    [
      "an unknown key of the request",
      ["on: job.failed", "request:", "  command: shell.run", "  arguments: {}"],
      '8:5: unknown key "arguments": known here: command, args, ttl, timeout, priority, retry, concurrency, rate, compensate, entity, idempotency_key',
    ],
    [
      "a bad duration",
      ["on: job.failed", "cool_down: 10 minutes"],
      '6:14: "cool_down" must be a number and a unit, as in 250ms, 30s, 10m, 1h30m, 7d: got "10 minutes"',
    ],
    [
      "a duration of a thousand years",
      ["on: job.failed", "horizon: 365000d"],
      '6:12: "365000d" is too long for a duration: at most 36500d',
    ],
    [
      "an unknown root in a template",
      [
        "on: job.failed",
        "request:",
        "  command: shell.run",
        "  args:",
        '    job: "id {{ job.id }}"',
      ],
      "9:19: not a valid template: Unknown variable: job",
    ],
    [
      "a template that is never closed",
      ["on: job.failed", "request:", "  command: shell.run", "  args: {list: [1, '{{ event.x }']}"],
      "8:23: not a valid template: {{ is never closed: write }} behind the expression",
    ],
    [
      "a bad template in the key of a limit",
      [
        "on: job.failed",
        "request:",
        "  command: shell.run",
        "  concurrency: {key: 'x {{ y }}', limit: 1}",
      ],
      "8:30: not a valid template: Unknown variable: y",
    ],
    [
      "a wrong mode",
      ["on: job.failed", "mode: livve"],
      '6:9: "mode" must be one of live, shadow, off: got "livve"',
    ],
    [
      "a wrong priority",
      ["on: job.failed", "request:", "  command: shell.run", "  priority: urgent"],
      '8:15: "priority" must be one of critical, high, normal, low: got "urgent"',
    ],
    [
      "a command that is no name",
      ["on: job.failed", "request:", "  command: Shell Run"],
      '7:14: "command" must be a dotted lower-case name, as in shell.run: got "Shell Run"',
    ],
    ["no command", ["on: job.failed", "request: {}"], "6:3: missing: command"],
    ["no event type", ["mode: live"], "4:1: missing: on"],
    [
      "a type that cannot be",
      ["on: action.succeded"],
      '5:7: "action.succeded" is no event of this system, and reserved so that no observation can be one: did you mean "action.succeeded"?',
    ],
    [
      "a pattern that can never match",
      ["on: job.fail*"],
      '5:7: "fail*" is no segment of a pattern: * stands for one whole segment, ** at the end for one or more',
    ],
    [
      "a throttle of none",
      ["on: job.failed", "throttle: {count: 0, within: 1h}"],
      '6:21: "count" must be >= 1: got 0',
    ],
    [
      "a ttl that no request may have",
      ["on: job.failed", "request:", "  command: shell.run", "  ttl: 400d"],
      '8:10: "ttl" must be <= 31536000 seconds',
    ],
    [
      "a timeout of nothing",
      ["on: job.failed", "request:", "  command: shell.run", "  timeout: 0s"],
      '8:14: "timeout" must be > 0 seconds',
    ],
    [
      "a rate over two weeks",
      [
        "on: job.failed",
        "request:",
        "  command: shell.run",
        "  rate: {key: a, limit: 1, per: 14d}",
      ],
      '8:35: "per" must be <= 604800 seconds',
    ],
    [
      "a compensation that is no command",
      ["on: job.failed", "request:", "  command: shell.run", "  compensate: {command: 'Undo!'}"],
      '8:28: "command" must be a dotted lower-case name, as in shell.run: got "Undo!"',
    ],
  ])("%s", (_what, spec, problem) => {
    expect(problems(file(spec))).toEqual([`rules/a.yaml:${problem}`]);
  });

  test("a second rule of one name", () => {
    expect(problems(`${file(["on: a.b"])}---\n${file(["on: c.d"])}`)).toEqual([
      'rules/a.yaml:11:18: a second rule "restart": give each rule of a file its own name',
    ]);
  });

  test("a name that is none", () => {
    expect(problems(file(["on: a.b"], "Restart_It"))).toEqual([
      'rules/a.yaml:3:18: "name" must be lower-case letters, digits and hyphens, as in restart-web: got "Restart_It"',
    ]);
  });

  test("every problem of a file is told, not only the first", () => {
    const text = file([
      "on: x*",
      "when: a",
      "per: b",
      "request:",
      "  command: x",
      "  entity: c",
      "  ttl: 400d",
    ]);
    expect(problems(text).map((one) => one.split(" ")[0])).toEqual([
      "rules/a.yaml:5:7:",
      "rules/a.yaml:6:9:",
      "rules/a.yaml:7:8:",
      "rules/a.yaml:10:13:",
      "rules/a.yaml:11:10:",
    ]);
  });

  test("a file that is no rule", () => {
    expect(problems("kind: Playbook\n")).toEqual([
      "rules/a.yaml:1:1: missing: apiVersion, metadata, spec",
      'rules/a.yaml:1:7: "kind" must be Rule: got "Playbook"',
    ]);
    expect(problems("")).toEqual(["rules/a.yaml:1:1: the file is empty"]);
  });
});

describe("a rule that is read", () => {
  const rulesOf = (text: string) => {
    const parsed = parseRules(text, "a.yaml");
    if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
    return parsed.value;
  };

  test("has its durations in milliseconds, and defaults where it says nothing", () => {
    const [rule] = rulesOf(file(["on: job.failed"]));
    expect(rule).toMatchObject({
      name: "restart",
      mode: "live",
      coolDownMs: 0,
      horizonMs: 600_000,
    });
    const [other] = rulesOf(
      file([
        "on: a.*",
        "mode: shadow",
        "cool_down: 1h30m",
        "horizon: 1d",
        "throttle: {count: 2, within: 10s}",
      ]),
    );
    expect(other).toMatchObject({
      mode: "shadow",
      coolDownMs: 5_400_000,
      horizonMs: 86_400_000,
      throttle: { count: 2, withinMs: 10_000 },
    });
  });

  test("has a version of its meaning, not of its spelling", () => {
    const version = (text: string) => rulesOf(text)[0]?.version;
    const one = version(file(["on: a.b", "mode: live"]));
    expect(one).toMatch(/^[0-9a-f]{16}$/);
    expect(version(file(["mode: live", "# a remark", 'on: "a.b"']))).toBe(one);
    expect(version(file(["on: a.b", "mode: off"]))).not.toBe(one);
  });

  test("several rules of a file stand in its order", () => {
    const text = `${file(["on: a.b"], "one")}---\n${file(["on: c.d"], "two")}`;
    expect(rulesOf(text).map(({ name }) => name)).toEqual(["one", "two"]);
  });
});

describe("a rule becomes active by an event that carries its text", () => {
  const text = `${file(["on: a.b"], "one")}---\n${file(["on: c.d"], "two")}`;
  const parsed = parseRules(text, "a.yaml");
  const rule = parsed.ok ? parsed.value[1] : undefined;
  const change = { file: "a.yaml", ts: "2026-11-24T05:00:00.000Z", replaces: undefined };

  const recordOf = (attrs: LogRecord["event"]["attrs"]): LogRecord => ({
    topic: "decisions",
    partition: 0,
    offset: 1,
    ingestedAtMs: 0,
    event: {
      event_id: eventId("1"),
      ts: change.ts,
      event_type: "rule.activated",
      entity_id: "rule:two",
      source: { system: "deed", ns: {} },
      tags: {},
      attrs,
    },
  });

  test("the decider that it stands for is built from the event alone", () => {
    expect(rule).toBeDefined();
    const event = activationEvent(rule!, text, change);
    expect(event).toEqual({
      ts: change.ts,
      event_type: "rule.activated",
      entity_id: "rule:two",
      idempotency_key: `rule.activated/two/${rule!.version}/after/none/${change.ts}`,
      source: { system: "deed", ns: { component: "rules" } },
      tags: {},
      attrs: {
        name: "two",
        version: rule!.version,
        mode: "live",
        file: "a.yaml",
        text,
        replaces: "none",
      },
    });
    const decider = deciderFromActivation(recordOf(event.attrs));
    expect(decider).toMatchObject({
      ok: true,
      value: { name: "rule/two", version: rule!.version },
    });
  });

  test("going back to an old version is a change, too", () => {
    const first = activationEvent(rule!, text, change);
    const back = activationEvent(rule!, text, { ...change, replaces: "0123456789abcdef" });
    expect(back.idempotency_key).not.toBe(first.idempotency_key);
    expect(deactivationEvent(rule!, change)).toMatchObject({
      event_type: "rule.deactivated",
      entity_id: "rule:two",
      idempotency_key: `rule.deactivated/two/${rule!.version}/${change.ts}`,
      attrs: { name: "two", version: rule!.version, file: "a.yaml" },
    });
  });

  test.each([
    [{}, "rule.activated must carry the rule's name and text"],
    [{ name: "two", text: "kind: Rule" }, "two:1:1: missing: apiVersion, metadata, spec"],
    [{ name: "three", text, file: "a.yaml" }, 'its text holds no rule "three"'],
  ])("an activation with %j builds nothing", (attrs, error) => {
    expect(deciderFromActivation(recordOf(attrs))).toEqual({ ok: false, error });
  });
});
