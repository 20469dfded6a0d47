import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isJsonObject, type Json } from "../../base/json.ts";
import { err, ok } from "../../base/result.ts";
import { untyped, type Decider } from "../../decider/decider.ts";
import type { LogRecord, NewEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import type { StageReads, TimerWrite } from "../../log/log.ts";
import { createDeciders, registryOf, type Deciders } from "./deciders.ts";

/** Counts ticks of a key, tells each third one, and waits for `dueMs` where a tick asks for it. */
type Count = { readonly ticks: number; readonly dueMs: number | undefined; readonly fired: number };

const counter: Decider<Count> = {
  name: "counter",
  version: "1",
  keysOf: ({ event }) => {
    if (event.attrs["explode"] === "keysOf") throw new Error("no key");
    return event.event_type === "tick" ? [event.entity_id] : [];
  },
  initial: () => ({ ticks: 0, dueMs: undefined, fired: 0 }),
  evolve: (state, { event }) => {
    if (event.attrs["explode"] === "evolve") throw new Error("no state");
    if (event.event_type === "timer.fired") return { ...state, fired: state.fired + 1 };
    const dueMs = event.attrs["due_ms"];
    return {
      ...state,
      ticks: state.ticks + 1,
      dueMs: typeof dueMs === "number" ? dueMs : state.dueMs,
    };
  },
  decide: (state, { event }) => {
    if (event.attrs["explode"] === "decide") throw new Error("no decision");
    const said = { ticks: state.ticks, fired: state.fired };
    return state.ticks % 3 === 0 || event.event_type === "timer.fired" ? [told(said)] : [];
  },
  due: ({ dueMs }) => (dueMs === undefined ? [] : [{ name: "wake", dueMs }]),
  encode: ({ ticks, dueMs, fired }) => ({ ticks, fired, dueMs: dueMs ?? null }),
  decode: (snapshot) => {
    if (!isJsonObject(snapshot)) return err("not a count");
    const { ticks, dueMs, fired } = snapshot;
    if (typeof ticks !== "number" || typeof fired !== "number") return err("not a count");
    return ok({ ticks, fired, dueMs: typeof dueMs === "number" ? dueMs : undefined });
  },
};

function told(attrs: NewEvent["attrs"]): NewEvent {
  return {
    ts: "2026-01-01T00:00:00.000Z",
    event_type: "told",
    entity_id: "e",
    source: { system: "test", ns: {} },
    tags: {},
    attrs,
  };
}

type Store = StageReads & {
  readonly timers: Map<string, TimerWrite>;
  readonly rows: Map<string, Json>;
};

/** What is committed: snapshots and timers, as a log keeps them. */
function createStore(): Store {
  const rows = new Map<string, Json>();
  return {
    rows,
    timers: new Map(),
    actionThread: () => [],
    execution: () => undefined,
    executionThread: () => [],
    snapshot: (decider, instance) => {
      const state = rows.get(`${decider}/${instance}`);
      return state === undefined ? undefined : { offset: 1, state };
    },
  };
}

function commit(deciders: Deciders, store: Store): void {
  const { snapshots, timers } = deciders.writes();
  for (const { decider, instance, state } of snapshots) {
    if (state === undefined) store.rows.delete(`${decider}/${instance}`);
    else store.rows.set(`${decider}/${instance}`, JSON.parse(JSON.stringify(state)) as Json);
  }
  for (const timer of timers) {
    if (timer.dueMs === undefined) store.timers.delete(`${timer.instance}/${timer.name}`);
    else store.timers.set(`${timer.instance}/${timer.name}`, timer);
  }
  deciders.committed();
}

let offset = 0;

function record(type: string, entity: string, attrs: NewEvent["attrs"] = {}): LogRecord {
  offset += 1;
  return {
    topic: "decisions",
    partition: 0,
    offset,
    ingestedAtMs: 1_000,
    event: {
      ...told(attrs),
      event_id: eventId(String(offset)),
      event_type: type,
      entity_id: entity,
    },
  };
}

const activation = (name = "counter"): LogRecord =>
  record("rule.activated", `rule:${name}`, { name, version: "1", mode: "live", file: "f" });

const wake = (entity: string, dueMs: number): LogRecord =>
  record("timer.fired", "t", { decider: "counter", instance: entity, name: "wake", due_ms: dueMs });

function start(instancesMax: number, store: Store): Deciders {
  const deciders = createDeciders({ instancesMax, build: () => ok(untyped(counter)) });
  offset = 0;
  deciders.step(activation(), store);
  commit(deciders, store);
  return deciders;
}

describe("deciders", () => {
  it("1. what few instances in memory decide is what all of them would", () => {
    const tick = fc.record({
      entity: fc.constantFrom("a", "b", "c", "d"),
      dueMs: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      fires: fc.boolean(),
      fails: fc.boolean(),
      ends: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(tick, { maxLength: 40 }), (ticks) => {
        const told = [1, 1_000_000].map((instancesMax) => {
          const store = createStore();
          const deciders = start(instancesMax, store);
          const all: NewEvent[] = [];
          for (const { entity, dueMs, fires, fails, ends } of ticks) {
            const attrs = dueMs === undefined ? {} : { due_ms: dueMs };
            const events = [...deciders.step(record("tick", entity, attrs), store)];
            if (fires) events.push(...deciders.step(wake(entity, dueMs ?? 1), store));
            if (fails) deciders.rolledBack();
            else all.push(...events);
            if (ends && !fails) commit(deciders, store);
            if (ends) expect(deciders.instances()).toBeLessThanOrEqual(Math.max(4, instancesMax));
          }
          commit(deciders, store);
          expect(deciders.instances()).toBeLessThanOrEqual(instancesMax);
          return { all, rows: [...store.rows].sort(), timers: [...store.timers].sort() };
        });
        expect(told[0]).toEqual(told[1]);
      }),
      { numRuns: 200 },
    );
  });

  it("1. a roll-back leaves state, rules and timers as they were committed", () => {
    const store = createStore();
    const deciders = start(10, store);
    deciders.step(record("tick", "a"), store);
    commit(deciders, store);
    deciders.step(record("tick", "a", { due_ms: 5 }), store);
    deciders.step(record("rule.deactivated", "rule:counter", { name: "counter" }), store);
    deciders.rolledBack();
    expect(deciders.active().map(({ name }) => name)).toEqual(["counter"]);
    deciders.step(record("tick", "a"), store);
    expect(deciders.step(record("tick", "a"), store)).toMatchObject([{ attrs: { ticks: 3 } }]);
    commit(deciders, store);
    expect([...store.timers]).toEqual([]);
  });

  it.each(["keysOf", "evolve", "decide"])(
    "2. a decider that throws in %s is recorded, and the others go on",
    (where) => {
      const store = createStore();
      const deciders = createDeciders({
        instancesMax: 10,
        build: ({ event }) => {
          const name = event.entity_id;
          const one = untyped({ ...counter, name });
          return ok(
            name === "rule:broken"
              ? one
              : {
                  ...one,
                  keysOf: () => ["k"],
                  evolve: (state) => state,
                  decide: () => [told({ name })],
                },
          );
        },
      });
      for (const name of ["after", "broken", "zeta"]) deciders.step(activation(name), store);
      commit(deciders, store);
      const events = deciders.step(record("tick", "a", { explode: where }), store);
      expect(events.map(({ event_type: type, entity_id: entity }) => [type, entity])).toEqual([
        ["told", "e"],
        ["rule.failed", "rule:broken"],
        ["told", "e"],
      ]);
    },
  );

  it("2. a failure is not answered by another one for ever", () => {
    const store = createStore();
    const deciders = start(10, store);
    expect(deciders.step(record("rule.failed", "a", { explode: "keysOf" }), store)).toEqual([]);
  });

  it("2. a store that cannot be read is nobody's failure: it fails the commit", () => {
    const store = createStore();
    const deciders = start(10, store);
    const broken: StageReads = {
      ...store,
      snapshot: () => {
        throw new Error("disk I/O error");
      },
    };
    expect(() => deciders.step(record("tick", "a"), broken)).toThrow("disk I/O error");
  });

  it("3. a timer fires once for one due time, and its row goes with it", () => {
    const store = createStore();
    const deciders = start(10, store);
    deciders.step(record("tick", "a", { due_ms: 5 }), store);
    commit(deciders, store);
    expect([...store.timers.values()]).toMatchObject([{ instance: "a", name: "wake", dueMs: 5 }]);
    expect(deciders.step(wake("a", 5), store)).toMatchObject([{ attrs: { fired: 1 } }]);
    commit(deciders, store);
    expect([...store.timers.values()]).toEqual([]);
  });

  it("3. a timer that was moved meanwhile wakes nobody, and the one in its place stays", () => {
    const store = createStore();
    const deciders = start(10, store);
    deciders.step(record("tick", "a", { due_ms: 5 }), store);
    commit(deciders, store);
    deciders.step(record("tick", "a", { due_ms: 9 }), store);
    expect(deciders.step(wake("a", 5), store)).toEqual([]);
    commit(deciders, store);
    expect([...store.timers.values()]).toMatchObject([{ dueMs: 9 }]);
  });

  it("3. the row of a timer goes also where its decider is not active any more", () => {
    const store = createStore();
    const deciders = start(10, store);
    deciders.step(record("tick", "a", { due_ms: 5 }), store);
    deciders.step(record("rule.deactivated", "rule:counter", { name: "counter" }), store);
    commit(deciders, store);
    expect(deciders.step(wake("a", 5), store)).toEqual([]);
    commit(deciders, store);
    expect([...store.timers.values()]).toEqual([]);
  });

  it("4. what is active is kept under its name, and comes back from there", () => {
    const store = createStore();
    const deciders = start(10, store);
    const kept = store.rows.get(`${registryOf("rule")}/counter`);
    const again = createDeciders({ instancesMax: 10, build: () => ok(untyped(counter)) });
    expect(again.restore("rule", kept ?? null)).toBeUndefined();
    expect(again.active()).toEqual(deciders.active());
    expect(again.restore("rule", "nonsense")).toBe("the stored rule is not an object");
  });

  it("4. an activation that cannot be built is recorded, and the version before it stays", () => {
    const store = createStore();
    const builds = [ok(untyped(counter)), err("no such thing")];
    const deciders = createDeciders({
      instancesMax: 10,
      build: () => builds.shift() ?? err("too many builds"),
    });
    deciders.step(activation(), store);
    commit(deciders, store);
    const [before] = deciders.active();
    expect(deciders.step(activation(), store)).toMatchObject([
      { event_type: "rule.failed", attrs: { reason: "no such thing" } },
    ]);
    expect(deciders.active()).toEqual([before]);
  });
});
