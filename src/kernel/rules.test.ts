import { describe, expect, it } from "vitest";
import { ask, attrsOf, createHandExecutor, startNode, typesOf } from "../../test/node.ts";
import { activationEvent, deactivationEvent } from "../decider/activation.ts";
import { parseRules } from "../decider/rule.ts";
import type { NewEvent } from "../event/envelope.ts";
import { present } from "../base/assert.ts";

describe("rules", () => {
  const text = (name: string, coolDown: string): string => `
apiVersion: deed/v1
kind: Rule
metadata: { name: ${name} }
spec:
  on: disk.full
  cool_down: ${coolDown}
  request: { command: hand.work }
`;

  const activation = (name: string, coolDown = "1m"): NewEvent => {
    const source = text(name, coolDown);
    const rules = parseRules(source, "rules.yaml");
    const [rule] = rules.ok ? rules.value : [];
    const change = { file: "rules.yaml", ts: "2026-11-24T05:00:00.000Z", replaces: undefined };
    return activationEvent(present(rule, "a rule"), source, change);
  };

  const alert = (key: string): NewEvent => ({
    ts: "2026-11-24T05:00:00.000Z",
    event_type: "disk.full",
    entity_id: "host:1",
    idempotency_key: key,
    source: { system: "test", ns: {} },
    tags: {},
    attrs: {},
  });

  it("decide from the offset of their activation on, in the commit of what they decide on", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(alert("before"));
    await node.put(activation("clean"));
    const { offset } = present(node.commits.at(-1)?.[0], "the activation");
    expect(node.kernel.stats().rules).toMatchObject([{ name: "clean", mode: "live", offset }]);
    await node.put(alert("after"));
    expect(typesOf(node, -1)).toEqual([
      "disk.full",
      "rule.fired",
      "action.requested",
      "action.accepted",
      "action.started",
    ]);
    expect(attrsOf(node, "rule.fired")).toHaveLength(1);
  });

  it("are there again after a restart, with what they remember", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(activation("clean"), alert("first"));
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ clock, disk, name: "worker-2" });
    expect(next.kernel.stats().rules.map(({ name }) => name)).toEqual(["clean"]);
    await next.put(alert("second"));
    expect(attrsOf(next, "rule.suppressed")).toMatchObject([{ reason: "cool_down" }]);
    await clock.advance(60_000);
    await next.put(alert("third"));
    expect(attrsOf(next, "rule.fired")).toHaveLength(2);
  });

  it("decide nothing after their deactivation, nor after a restart", async () => {
    const node = await startNode();
    await node.put(activation("clean"));
    const version = present(node.kernel.stats().rules[0], "a rule").version;
    const change = { file: "rules.yaml", ts: "2026-11-24T05:00:01.000Z", replaces: undefined };
    await node.put(
      deactivationEvent({ kind: "rule", name: "clean", version }, change),
      alert("first"),
    );
    expect(node.kernel.stats().rules).toEqual([]);
    node.crash();
    const next = await startNode({ clock: node.clock, disk: node.disk, name: "worker-2" });
    expect(next.kernel.stats().rules).toEqual([]);
    await next.put(alert("second"));
    expect(attrsOf(next, "rule.fired")).toEqual([]);
  });

  it("act once within their cool-down on what one worker's end leads to", async () => {
    const executor = createHandExecutor({ idempotent: false });
    const node = await startNode({ executors: [executor] });
    const source = text("again", "1m").replace("on: disk.full", "on: action.failed");
    const rules = parseRules(source, "rules.yaml");
    const [rule] = rules.ok ? rules.value : [];
    const change = { file: "rules.yaml", ts: "2026-11-24T05:00:00.000Z", replaces: undefined };
    await node.put(activationEvent(present(rule, "a rule"), source, change));
    await node.put(ask("a"), ask("b"), ask("c"));
    node.crash();
    const next = await startNode({ clock: node.clock, disk: node.disk, name: "worker-2" });
    expect(attrsOf(next, "action.failed")).toHaveLength(3);
    expect(attrsOf(next, "rule.fired")).toHaveLength(1);
  });
});
