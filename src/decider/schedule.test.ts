import { describe, expect, test } from "vitest";
import { present } from "../base/assert.ts";
import { formatProblem } from "../base/document.ts";
import { parseDefinitions } from "./activation.ts";
import { scheduleOf, textOf } from "./schedule/log-with-schedule.ts";
import { scheduleDecider } from "./schedule.ts";

describe("a schedule is read", () => {
  test("with what is left out in its default", () => {
    expect(scheduleOf('cron: "0 5 * * *"')).toMatchObject({
      kind: "schedule",
      name: "nightly",
      mode: "live",
      overlap: "skip",
      catchUp: { policy: "last", windowMs: 3_600_000 },
      backfill: undefined,
      slots: { timezone: "UTC" },
      start: { kind: "request", entity: "schedule:nightly" },
    });
  });

  test("beside rules, each kind with its own names", () => {
    const rule = `apiVersion: deed/v1\nkind: Rule\nmetadata: {name: nightly}\nspec: {on: a.b, request: {command: noop}}\n`;
    const schedule = textOf('cron: "0 5 * * *"');
    const parsed = parseDefinitions(`${rule}---\n${schedule}`, "a.yaml");
    expect(parsed.ok && parsed.value.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "rule nightly",
      "schedule nightly",
    ]);
    const twice = parseDefinitions(`${schedule}---\n${schedule}`, "a.yaml");
    expect(twice.ok ? [] : twice.error.map(formatProblem)).toEqual([
      'a.yaml:10:18: a second schedule "nightly": give each schedule of a file its own name',
    ]);
  });
});

describe("what is wrong is refused in its place", () => {
  const problems = (text: string): readonly string[] => {
    const parsed = parseDefinitions(text, "s.yaml");
    return parsed.ok ? [] : parsed.error.map(formatProblem);
  };

  test.each([
    [
      'cron: "61 * * * *"',
      's.yaml:5:10: "61 * * * *" is no cron expression: Invalid value for minute: 61',
    ],
    [
      'cron: "0 5 * * *"\ntimezone: Mars/Base',
      's.yaml:6:13: "Mars/Base" is no time zone: write a name of the IANA database, as in Europe/Berlin',
    ],
    [
      'cron: "0 5 * * *"\nplaybook: {path: a}\nrequest: {command: noop}',
      "s.yaml:4:1: a schedule starts one thing: give playbook or request",
    ],
    [
      'cron: "0 5 * * *"\nbackfill: {from: yesterday, to: "2026-01-01T00:00:00Z"}',
      's.yaml:6:20: "yesterday" is no time: write one with its zone, as in 2026-01-01T00:00:00Z',
    ],
    [
      'cron: "0 5 * * *"\nbackfill: {from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z"}',
      's.yaml:6:49: "to" lies before "from"',
    ],
    [
      'cron: "0 5 * * *"\noverlap: perhaps',
      's.yaml:6:12: "overlap" must be one of allow, skip, queue, cancel_previous: got "perhaps"',
    ],
    ['cron: "0 5 * * *"\njitter: 5m', 's.yaml:6:11: "jitter" must be none: got "5m"'],
    [
      'cron: "0 5 * * *"\nrequest: {command: noop, ttl: 500d}',
      's.yaml:6:33: "ttl" must be <= 31536000 seconds',
    ],
    [
      `cron: "0 5 * * *"\nplaybook: {path: a, input: {x: ${"y".repeat(66_000)}}}`,
      "s.yaml:6:23: 66008 characters are too many: at most 65536",
    ],
  ])("%#", (spec, problem) => {
    expect(problems(textOf(spec))).toEqual([problem]);
  });

  test.each([
    ["kind: Rool\n", '1:7: "kind" must be one of Rule, Schedule: got "Rool"'],
    ["name: x\n", "1:1: missing: kind"],
    ["- x\n", "1:1: missing: kind"],
    ["kind: toString\n", '1:7: "kind" must be one of Rule, Schedule: got "toString"'],
  ])("a document of no kind: %s", (text, problem) => {
    expect(problems(text)).toEqual([`s.yaml:${problem}`]);
  });
});

test("a snapshot that is none is refused, and one of its own comes back", () => {
  const decider = scheduleDecider(scheduleOf('cron: "0 5 * * *"'));
  expect(decider.decode({ active: true })).toEqual({
    ok: false,
    error: "not the state of a schedule",
  });
  const first = decider.initial("nightly");
  expect(decider.decode(present(decider.encode(first), "a snapshot"))).toEqual({
    ok: true,
    value: first,
  });
});
