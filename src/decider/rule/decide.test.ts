import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../base/json.ts";
import { anomalyTag, type LogRecord, type NewEvent } from "../../event/envelope.ts";
import { actionIdOf, eventId } from "../../event/ids.ts";
import { parseRequestAttrs } from "../../action/request-schema.ts";
import { viaMax } from "./decide.ts";
import { logWith, ruleOf, t0 } from "./log-with-rule.ts";

const second = 1_000;

const types = (events: readonly NewEvent[]): readonly string[] =>
  events.map(({ event_type: type, attrs }) =>
    typeof attrs["reason"] === "string" ? `${type}: ${attrs["reason"]}` : type,
  );

const fired = ["rule.fired", "action.requested"];

describe("what it asks for", () => {
  const rule = ruleOf(
    [
      "on: job.*",
      "request:",
      "  command: shell.run",
      "  entity: event.attrs.host",
      "  args:",
      "    argv: [rerun, '{{ event.entity_id }}']",
      "    try: '{{ event.attrs.n }}'",
      "    slow: '{{ event.attrs.f > 1.0 }}'",
      "    note: 'n={{ event.attrs.n }}'",
      "  ttl: 10m",
      "  timeout: 1m30s",
      "  priority: high",
      "  retry: {attempts: 5, initial: 1s, max: 1m, multiplier: 3}",
      "  concurrency: {key: 'host/{{ event.attrs.host }}', limit: 2}",
      "  rate: {key: '{{ event.attrs.n }}', limit: 5, per: 1m}",
      "  compensate: {command: shell.undo, args: {job: '{{ event.entity_id }}'}}",
    ].join("\n"),
  );
  const seen = {
    attrs: { host: "host:a", n: 3, f: 1.5 },
    tags: { tenant: "acme" },
    correlation_id: "slot:2026-11-24T05:00Z",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  };

  test("is a request with everything evaluated, types kept, and durations in the wire's units", () => {
    const [, request] = logWith(rule).see(seen);
    expect(request).toEqual({
      ts: "2026-11-24T05:00:00.000Z",
      event_type: "action.requested",
      entity_id: "host:a",
      correlation_id: "slot:2026-11-24T05:00Z",
      causation_id: "1001",
      idempotency_key: "rule/restart/1001",
      action_id: actionIdOf("acme", "rule/restart/1001"),
      source: { system: "deed", ns: { component: "rules", rule: "restart" } },
      tags: {
        via: "restart",
        rule: "restart",
        tenant: "acme",
        priority: "high",
        action: "shell.run",
      },
      attrs: {
        command: "shell.run",
        args: { argv: ["rerun", "job:etl"], try: 3, slow: true, note: "n=3" },
        ttl_sec: 600,
        timeout_sec: 90,
        retry: { attempts: 5, initial_ms: 1_000, max_ms: 60_000, multiplier: 3 },
        concurrency: { key: "host/host:a", limit: 2 },
        rate: { key: "3", limit: 5, per_sec: 60 },
        compensate: { command: "shell.undo", args: { job: "job:etl" } },
      },
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    expect(parseRequestAttrs(request?.attrs).ok).toBe(true);
  });

  test("stands behind rule.fired, which says which rule, which version, why and what for", () => {
    const [fire, request] = logWith(rule).see(seen);
    expect(fire).toEqual({
      ts: "2026-11-24T05:00:00.000Z",
      event_type: "rule.fired",
      entity_id: "job:etl",
      correlation_id: "slot:2026-11-24T05:00Z",
      causation_id: "1001",
      idempotency_key: "rule.fired/restart/1001",
      source: { system: "deed", ns: { component: "rules", rule: "restart" } },
      tags: { tenant: "acme", via: "" },
      attrs: {
        rule: "restart",
        version: rule.version,
        mode: "live",
        key: "job:etl",
        trigger: "1001",
        trigger_type: "job.failed",
        action_id: request?.action_id,
      },
    });
  });

  test("without a correlation the event itself is what joins the effects", () => {
    const decided = logWith(ruleOf("on: job.failed")).see();
    expect(decided.map((one) => one.correlation_id)).toEqual(["1001", "1001"]);
  });

  test("6. its key is derived: the rule's name and the event's id, or what the rule says", () => {
    const [, byId] = logWith(ruleOf("on: job.failed")).see();
    expect(byId?.idempotency_key).toBe("rule/restart/1001");
    const own = ruleOf(
      "on: job.failed\nrequest: {command: shell.run, idempotency_key: 'event.entity_id + \"/\" + event.attrs.run'}",
    );
    const log = logWith(own);
    const [, first] = log.see({ attrs: { run: "7" } });
    const [, again] = log.see({ attrs: { run: "7" }, atMs: t0 + second });
    expect(first?.idempotency_key).toBe("rule/restart/job:etl/7");
    expect(again?.idempotency_key).toBe(first?.idempotency_key);
    expect(again?.action_id).toBe(first?.action_id);
  });
});

describe("which events concern it", () => {
  test("those whose type matches `on`, and no lifecycle event that changed nothing", () => {
    const log = logWith(ruleOf("on: action.failed"));
    expect(types(log.see())).toEqual([]);
    expect(types(log.see({ event_type: "action.failed" }))).toEqual(fired);
    expect(types(log.see({ event_type: "action.failed", tags: { [anomalyTag]: true } }))).toEqual(
      [],
    );
  });

  test("5. those for which `when` gives true; one that lacks what `when` needs does not match", () => {
    const log = logWith(ruleOf("on: job.failed\nwhen: event.attrs.exit_code == 2"));
    expect(types(log.see({ attrs: { exit_code: 2 } }))).toEqual(fired);
    expect(types(log.see({ attrs: { exit_code: 1 } }))).toEqual([]);
    expect(types(log.see({ attrs: {} }))).toEqual([]);
    expect(types(log.see({ attrs: { exit_code: "2" } }))).toEqual([]);
  });

  test("of mode live it requests, of shadow it says what it would have requested, of off nothing", () => {
    const [live] = logWith(ruleOf("on: job.failed\nmode: live")).see();
    const shadow = logWith(ruleOf("on: job.failed\nmode: shadow")).see();
    expect(live?.attrs["mode"]).toBe("live");
    expect(types(shadow)).toEqual(["rule.fired"]);
    expect(shadow[0]?.attrs).toMatchObject({
      mode: "shadow",
      would_request: { command: "shell.run", args: {} },
    });
    expect(shadow[0]?.attrs).not.toHaveProperty("action_id");
    const off = logWith(ruleOf("on: job.failed\nmode: off"));
    expect(off.see()).toEqual([]);
    expect(off.decider.keysOf(off.records[0]!)).toEqual([]);
  });
});

describe("1. how often it fires", () => {
  test("not within its cool-down; again when it is over, to the millisecond", () => {
    const log = logWith(ruleOf("on: job.failed\ncool_down: 10m"));
    expect(types(log.see())).toEqual(fired);
    expect(types(log.see({ atMs: t0 + 8 * 60 * second }))).toEqual(["rule.suppressed: cool_down"]);
    expect(types(log.see({ atMs: t0 + 600 * second - 1 }))).toEqual([]);
    expect(types(log.see({ atMs: t0 + 600 * second }))).toEqual(fired);
  });

  test("not more than `count` times within any window", () => {
    const log = logWith(ruleOf("on: job.failed\nthrottle: {count: 2, within: 10s}"));
    const seen = [0, 1, 2, 9, 10, 10.5, 11, 12].map((at) =>
      types(log.see({ atMs: t0 + at * second })).join(),
    );
    const fire = fired.join();
    const held = "rule.suppressed: throttle";
    expect(seen).toEqual([fire, fire, held, "", fire, held, fire, held]);
  });

  test("each key counts for itself", () => {
    const log = logWith(ruleOf("on: job.failed\nper: event.attrs.host\ncool_down: 10m"));
    expect(types(log.see({ attrs: { host: "a" } }))).toEqual(fired);
    expect(types(log.see({ attrs: { host: "b" } }))).toEqual(fired);
    expect(types(log.see({ attrs: { host: "a" }, entity_id: "job:other" }))).toEqual([
      "rule.suppressed: cool_down",
    ]);
    expect(types(log.see({ attrs: { host: 1 } }))).toEqual(fired);
    expect(types(log.see({ attrs: { host: { x: 1, y: 2 } } }))).toEqual(fired);
    expect(types(log.see({ attrs: { host: { y: 2, x: 1 } } }))).toEqual([
      "rule.suppressed: cool_down",
    ]);
  });

  test("one tenant never holds back another, however the names are cut", () => {
    const log = logWith(ruleOf("on: job.failed\ncool_down: 10m"));
    expect(types(log.see({ tags: { tenant: "a" }, entity_id: "b:c" }))).toEqual(fired);
    expect(types(log.see({ tags: { tenant: "a:b" }, entity_id: "c" }))).toEqual(fired);
    expect(types(log.see({ entity_id: "b:c" }))).toEqual(fired);
    expect(types(log.see({ entity_id: "1:a:b:c" }))).toEqual(fired);
    expect([...log.states.keys()]).toEqual(["1:a:b:c", "3:a:b:c", "b:c", "7:default:1:a:b:c"]);
    expect(types(log.see({ tags: { tenant: "a" }, entity_id: "b:c" }))).toEqual([
      "rule.suppressed: cool_down",
    ]);
  });

  test("a clock that steps back never shortens a cool-down", () => {
    const log = logWith(ruleOf("on: job.failed\ncool_down: 10m"));
    expect(types(log.see())).toEqual(fired);
    expect(types(log.see({ atMs: t0 - 3_600 * second }))).toEqual(["rule.suppressed: cool_down"]);
    expect(types(log.see({ atMs: t0 + 600 * second }))).toEqual(fired);
  });
});

describe("2. the horizon", () => {
  test("an event older than it never acts, one of that age does", () => {
    const log = logWith(ruleOf("on: job.failed\nhorizon: 5m"));
    expect(types(log.see({ eventMs: t0 - 300 * second }))).toEqual(fired);
    expect(types(log.see({ eventMs: t0 - 300 * second - 1 }))).toEqual([
      "rule.suppressed: horizon",
    ]);
  });

  test("a backfill of many events is answered once per key", () => {
    const log = logWith(ruleOf("on: job.failed"));
    const decided = Array.from({ length: 100 }, (_, index) =>
      log.see({ eventMs: t0 - 86_400 * second + index, entity_id: `job:${String(index % 2)}` }),
    ).flat();
    expect(types(decided)).toEqual(["rule.suppressed: horizon", "rule.suppressed: horizon"]);
  });

  test("a time that cannot be read is too old", () => {
    const log = logWith(ruleOf("on: job.failed"));
    const record: LogRecord = {
      topic: "events.normalized",
      partition: 0,
      offset: 1,
      ingestedAtMs: t0,
      event: {
        event_id: eventId("1"),
        ts: "yesterday",
        event_type: "job.failed",
        entity_id: "job:etl",
        source: { system: "cron", ns: {} },
        tags: {},
        attrs: {},
      },
    };
    expect(types(log.decider.decide(log.decider.initial(""), record))).toEqual([
      "rule.suppressed: horizon",
    ]);
  });
});

describe("3. loops", () => {
  test("an event that the rule itself led to never triggers it again", () => {
    const log = logWith(ruleOf("on: action.failed"));
    const [, request] = log.see({ event_type: "action.failed" });
    expect(request?.tags["via"]).toBe("restart");
    const own = log.see({ event_type: "action.failed", tags: request!.tags });
    expect(types(own)).toEqual(["rule.suppressed: loop"]);
    expect(own[0]?.tags["via"]).toBe("restart");
  });

  test("a chain of rules grows by one name a rule, and is bounded", () => {
    const log = logWith(ruleOf("on: action.failed"));
    const chain = (length: number): string =>
      Array.from({ length }, (_, index) => `r${String(index)}`).join(" ");
    const [, request] = log.see({ event_type: "action.failed", tags: { via: chain(viaMax - 1) } });
    expect(request?.tags["via"]).toBe(`${chain(viaMax - 1)} restart`);
    const deep = log.see({ event_type: "action.failed", tags: { via: chain(viaMax) } });
    expect(types(deep)).toEqual(["rule.suppressed: depth"]);
  });

  test("a rule whose name is part of another one is another rule", () => {
    const log = logWith(ruleOf("on: action.failed"));
    const decided = log.see({ event_type: "action.failed", tags: { via: "restart-web" } });
    expect(types(decided)).toEqual(fired);
  });
});

describe("4. why it held back", () => {
  test("is recorded with the trigger, once for a key until something changes", () => {
    const log = logWith(ruleOf("on: job.failed\ncool_down: 10m\nhorizon: 1h"));
    log.see();
    const [held] = log.see({ atMs: t0 + second });
    expect(held).toMatchObject({
      event_type: "rule.suppressed",
      causation_id: "1004",
      idempotency_key: "rule.suppressed/restart/1004",
      attrs: {
        rule: "restart",
        key: "job:etl",
        trigger: "1004",
        reason: "cool_down",
        mode: "live",
      },
    });
    for (let at = 2; at < 50; at += 1) expect(log.see({ atMs: t0 + at * second })).toEqual([]);
    expect(types(log.see({ atMs: t0 + 60 * second, eventMs: t0 - 3_600 * second }))).toEqual([
      "rule.suppressed: horizon",
    ]);
    expect(types(log.see({ atMs: t0 + 61 * second }))).toEqual(["rule.suppressed: cool_down"]);
    expect(types(log.see({ atMs: t0 + 600 * second }))).toEqual(fired);
    expect(types(log.see({ atMs: t0 + 601 * second }))).toEqual(["rule.suppressed: cool_down"]);
  });
});

describe("5. what cannot be evaluated is recorded as rule.failed", () => {
  test.each<[string, string, JsonObject, string]>([
    [
      "a `when` that fails",
      "when: event.attrs.n > 1",
      { n: "x" },
      "when: no such overload: dyn<string> > int",
    ],
    [
      "a `when` that is neither true nor false",
      "when: event.attrs.n",
      { n: 3 },
      "when: it must give true or false: got 3",
    ],
    ["a `per` that is missing", "per: event.attrs.host", {}, "per: No such key: host"],
    [
      "a `per` that is empty",
      "per: event.attrs.host",
      { host: "" },
      "per: it must give 1 to 512 characters: got 0",
    ],
    [
      "an argument that is missing",
      "request: {command: a, args: {x: '{{ event.attrs.x }}'}}",
      {},
      "request.args: No such key: x",
    ],
    [
      "an entity that is too long",
      "request: {command: a, entity: event.attrs.x}",
      { x: "x".repeat(513) },
      "request.entity: it must give 1 to 512 characters: got 513",
    ],
    [
      "a key that is too long",
      "request: {command: a, idempotency_key: event.attrs.x}",
      { x: "x".repeat(401) },
      "request.idempotency_key: it must give 1 to 400 characters: got 401",
    ],
    [
      "the key of a limit that is empty",
      "request: {command: a, concurrency: {key: '{{ event.attrs.x }}', limit: 1}}",
      { x: "" },
      "request.concurrency.key: it must give 1 to 512 characters: got 0",
    ],
    [
      "the key of a rate that is missing",
      "request: {command: a, rate: {key: '{{ event.attrs.x }}', limit: 1, per: 1m}}",
      {},
      "request.rate.key: No such key: x",
    ],
    [
      "a compensation that fails",
      "request: {command: a, compensate: {command: b, args: {x: '{{ 1 / 0 }}'}}}",
      {},
      "request.compensate: division by zero",
    ],
    [
      "arguments that copy a large event",
      "request: {command: a, args: {x: '{{ event.attrs.x }}'}}",
      { x: "x".repeat(65_536) },
      "request: 65567 characters are too many: at most 65536. Refer to the event instead of copying it",
    ],
  ])("%s", (_what, spec, attrs, reason) => {
    const log = logWith(ruleOf(`on: job.failed\n${spec}`));
    const decided = log.see({ attrs });
    expect(types(decided)).toEqual([`rule.failed: ${reason}`]);
    expect(decided[0]).toMatchObject({
      entity_id: "job:etl",
      causation_id: "1001",
      attrs: { rule: "restart", trigger: "1001" },
    });
  });

  test("once for a key, until it fires or fails in another part", () => {
    const spec =
      "when: 10 / event.attrs.n > 1\nrequest: {command: a, args: {x: '{{ event.attrs.x }}'}}";
    const log = logWith(ruleOf(`on: job.failed\n${spec}`));
    const division = ["rule.failed: when: division by zero"];
    expect(types(log.see({ attrs: { n: 0 } }))).toEqual(division);
    for (let index = 0; index < 10; index += 1) {
      expect(log.see({ attrs: { n: index % 2 === 0 ? 0 : `x${String(index)}` } })).toEqual([]);
    }
    expect(types(log.see({ attrs: { n: 2 } }))).toEqual([
      "rule.failed: request.args: No such key: x",
    ]);
    expect(types(log.see({ attrs: { n: 0 } }))).toEqual(division);
    expect(types(log.see({ attrs: { n: 2, x: 1 } }))).toEqual(fired);
    expect(types(log.see({ attrs: { n: 0 } }))).toEqual(division);
    expect(types(log.see({ attrs: { n: 0 }, entity_id: "job:b" }))).toEqual(division);
  });
});
