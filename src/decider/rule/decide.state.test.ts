import { describe, expect, test } from "vitest";
import type { Json } from "../../base/json.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { RuleState } from "./decide.ts";
import { logWith, ruleOf, t0 } from "./log-with-rule.ts";

const reasons = (events: readonly NewEvent[]): readonly unknown[] =>
  events.map(({ attrs }) => attrs["reason"]);

test("what it fired in shadow does not hold it back once it is live", () => {
  const shadow = ruleOf("on: job.failed\ncool_down: 10m\nmode: shadow");
  const log = logWith(shadow);
  const [firing] = log.see();
  expect(reasons(log.see({ atMs: t0 + 1_000 }))).toEqual(["cool_down"]);
  const live = logWith(ruleOf("on: job.failed\ncool_down: 10m"));
  expect(live.decider.name).not.toBe(log.decider.name);
  const before = live.decider.initial("job:etl");
  const record = { ...log.records[0]!, event: { ...log.records[0]!.event, ...firing } };
  expect(live.decider.evolve(before, record)).toBe(before);
});

describe("its state", () => {
  const { decider } = logWith(ruleOf("on: job.failed"));

  test("comes back from a snapshot as it was", () => {
    const states: readonly RuleState[] = [
      { firedMs: [], heldBack: undefined },
      { firedMs: [t0, t0 + 1], heldBack: "cool_down" },
    ];
    for (const state of states) {
      const snapshot = JSON.parse(JSON.stringify(decider.encode(state))) as Json;
      expect(decider.decode(snapshot)).toEqual({ ok: true, value: state });
    }
  });

  test.each<[Json]>([
    [null],
    [[]],
    [{}],
    [{ firedMs: 1 }],
    [{ firedMs: ["x"] }],
    [{ firedMs: [], heldBack: 1 }],
  ])("%j is refused", (snapshot) => {
    expect(decider.decode(snapshot)).toEqual({ ok: false, error: "not the state of a rule" });
  });

  test("stays as small as throttle and cool-down need it", () => {
    const log = logWith(ruleOf("on: job.failed\nthrottle: {count: 3, within: 10s}"));
    for (let at = 0; at < 1_000; at += 1) log.see({ atMs: t0 + at * 100 });
    for (const { firedMs } of log.states.values()) expect(firedMs.length).toBeLessThanOrEqual(3);
  });

  test("waits for no timer", () => {
    expect(decider.due({ firedMs: [t0], heldBack: undefined })).toEqual([]);
  });
});
