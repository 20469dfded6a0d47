import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import type { DeedEvent, NewEvent } from "../../event/envelope.ts";
import { parseObservation } from "../../event/schema.ts";
import type { RuleState } from "./decide.ts";
import { logWith, ruleOf, t0, type RuleLog } from "./log-with-rule.ts";

const keyOf = (event: DeedEvent): string =>
  JSON.stringify([event.tags["tenant"], event.attrs["key"]]);

describe("over any row of events", () => {
  const seen = fc.record({
    afterMs: fc.integer({ min: -20_000, max: 40_000 }),
    ageMs: fc.constantFrom(0, 0, 0, 1_000, 59_000, 61_000, 3_600_000),
    entity_id: fc.constantFrom("job:a", "job:b"),
    event_type: fc.constantFrom("job.failed", "job.done", "action.failed"),
    tags: fc.constantFrom<NewEvent["tags"]>(
      {},
      { tenant: "x" },
      { via: "restart" },
      { via: "other" },
    ),
    attrs: fc.constantFrom<JsonObject>({ n: 1 }, { n: 0 }, { n: "x" }, {}),
  });
  const rows = fc.array(seen, { maxLength: 40 });
  const coolDownMs = 30_000;
  const within = { ms: 120_000, count: 3 };
  const horizonMs = 60_000;
  const rule = ruleOf(
    `on: "*.failed"\nwhen: 2 / event.attrs.n > 0\ncool_down: ${String(coolDownMs)}ms\nhorizon: ${String(horizonMs)}ms\nthrottle: {count: ${String(within.count)}, within: ${String(within.ms)}ms}`,
  );
  type Row = typeof rows extends fc.Arbitrary<infer T> ? T : never;
  const run = (row: Row): RuleLog => {
    const log = logWith(rule);
    let atMs = t0;
    for (const { afterMs, ageMs, ...event } of row) {
      atMs += afterMs;
      log.see({ ...event, atMs, eventMs: atMs - ageMs });
    }
    return log;
  };
  const bytes = (value: unknown): string =>
    canonicalJson(JSON.parse(JSON.stringify(value)) as Json);

  test("the same records give the same bytes", () => {
    fc.assert(
      fc.property(rows, (row) => {
        expect(bytes(run(row).records)).toBe(bytes(run(row).records));
      }),
    );
  });

  test("folding on from any snapshot is folding from the start", () => {
    fc.assert(
      fc.property(rows, fc.nat(), (row, cut) => {
        const { records, states, decider } = run(row);
        const refold = (through: (state: RuleState) => RuleState): Map<string, RuleState> => {
          const folded = new Map<string, RuleState>();
          for (const [index, record] of records.entries()) {
            if (index === cut % (records.length + 1)) {
              for (const [key, state] of folded) folded.set(key, through(state));
            }
            for (const key of decider.keysOf(record)) {
              folded.set(key, decider.evolve(folded.get(key) ?? decider.initial(key), record));
            }
          }
          return folded;
        };
        const restored = refold((state) => {
          const read = decider.decode(JSON.parse(JSON.stringify(decider.encode(state))) as Json);
          return read.ok ? read.value : decider.initial("");
        });
        expect(bytes([...restored])).toBe(bytes([...states]));
        expect(bytes([...refold((state) => state)])).toBe(bytes([...states]));
      }),
    );
  });

  test("1, 2, 3. no fire breaks cool-down, throttle, horizon or chain, and every one has its request", () => {
    fc.assert(
      fc.property(rows, (row) => {
        const { records } = run(row);
        const byId = new Map(records.map((record) => [record.event.event_id, record]));
        const firesOf = new Map<string, number[]>();
        const fires = records.filter(({ event }) => event.event_type === "rule.fired");
        for (const { event, ingestedAtMs: nowMs } of fires) {
          const trigger = byId.get(event.causation_id!)!;
          expect(nowMs - Date.parse(trigger.event.ts)).toBeLessThanOrEqual(horizonMs);
          expect(trigger.event.tags["via"]).not.toBe("restart");
          const key = keyOf(event);
          const before = firesOf.get(key) ?? [];
          for (const lastMs of before) expect(nowMs - lastMs).toBeGreaterThanOrEqual(coolDownMs);
          const inWindow = before.filter((lastMs) => lastMs > nowMs - within.ms);
          expect(inWindow.length).toBeLessThan(within.count);
          firesOf.set(key, [...before, nowMs]);
        }
        const requests = records.filter(({ event }) => event.event_type === "action.requested");
        expect(requests.map(({ event }) => event.action_id)).toEqual(
          fires.map(({ event }) => event.attrs["action_id"]),
        );
      }),
    );
  });

  test("6. no two decisions share an idempotency key, and deciding again gives the same ones", () => {
    fc.assert(
      fc.property(rows, (row) => {
        const { records } = run(row);
        const keys = records.flatMap(({ event }) => event.idempotency_key ?? []);
        expect(new Set(keys).size).toBe(keys.length);
        expect(run(row).records.flatMap(({ event }) => event.idempotency_key ?? [])).toEqual(keys);
      }),
    );
  });

  test("4. a reason is never told twice in a row for a key", () => {
    fc.assert(
      fc.property(rows, (row) => {
        const told = new Map<string, string>();
        for (const { event } of run(row).records) {
          if (!event.event_type.startsWith("rule.")) continue;
          const key = keyOf(event);
          const what = `${event.event_type} ${JSON.stringify(event.attrs["reason"] ?? null)}`;
          if (event.event_type !== "rule.fired") expect(told.get(key)).not.toBe(what);
          told.set(key, what);
        }
      }),
    );
  });

  test("an event that any producer may send never breaks the rule", () => {
    const payload = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 });
    const any = ruleOf("on: job.failed\nwhen: event.attrs.a.b > event.tags.c\nper: event.attrs.k");
    fc.assert(
      fc.property(payload, payload, (attrs, more) => {
        const event = {
          ts: timestamp(t0),
          event_type: "job.failed",
          entity_id: "job:etl",
          idempotency_key: "k",
          source: { system: "cron", ns: {} },
          tags: {},
          attrs: { a: more, ...attrs },
        };
        const parsed = parseObservation(JSON.parse(JSON.stringify(event)));
        fc.pre(parsed.ok);
        const decided = logWith(any).see(parsed.value);
        expect(decided.length).toBeLessThanOrEqual(2);
      }),
    );
  });
});
