import { describe, expect, it } from "vitest";
import { attrsOf, createHandExecutor, startNode, callOf, type Node } from "../../test/node.ts";
import { present } from "../base/assert.ts";
import { timestamp } from "../base/clock.ts";
import { activationEvent, deactivationEvent, parseDefinitions } from "../decider/activation.ts";
import type { NewEvent } from "../event/envelope.ts";
import { sha256Hex } from "../base/hash.ts";
import { registeredEvent } from "../decider/playbook.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { actionIdOf, executionIdOf } from "../event/ids.ts";

const minute = 60_000;

/** The clock of a node stands at 05:00 when it starts. */
const slot = (clock: string): string => `2026-11-24T${clock}:00.000Z`;

const change = (node: Node): { file: string; ts: string; replaces: undefined } => ({
  file: "s.yaml",
  ts: timestamp(node.clock.nowMs()),
  replaces: undefined,
});

function definition(more: string) {
  const text = `apiVersion: deed/v1
kind: Schedule
metadata: { name: sweep }
spec:
  cron: "*/15 * * * *"
  request: { command: hand.work, ttl: 1h }
${more}`;
  const parsed = parseDefinitions(text, "s.yaml");
  return { one: present(parsed.ok ? parsed.value[0] : undefined, "a schedule"), text };
}

function activation(node: Node, more = ""): NewEvent {
  const { one, text } = definition(more);
  return activationEvent(one, text, change(node));
}

const slots = (node: Node): readonly unknown[] =>
  attrsOf(node, "schedule.fired").map((attrs) => attrs["slot"]);

describe("schedules", () => {
  it("start an action at each slot, in the commit of the timer", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(activation(node));
    expect(node.kernel.stats()).toMatchObject({ rules: [], timers: 1 });
    expect(node.kernel.stats().schedules).toMatchObject([{ kind: "schedule", name: "sweep" }]);
    await node.clock.advance(15 * minute);
    await node.clock.settle();
    const commit = node.commits.find((records) =>
      records.some(({ event }) => event.event_type === "timer.fired"),
    );
    expect(commit?.map(({ event }) => event.event_type)).toEqual([
      "timer.fired",
      "schedule.fired",
      "action.requested",
      "action.accepted",
      "action.started",
    ]);
    callOf(executor, 0).resolve("swept");
    await node.clock.advance(15 * minute);
    expect(slots(node)).toEqual([slot("05:15"), slot("05:30")]);
    expect(executor.calls).toHaveLength(2);
  });

  it("fire each slot once over a crash, and catch up as they say", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(activation(node, "  catch_up: { policy: all }\n"));
    await node.clock.advance(15 * minute);
    await node.clock.settle();
    callOf(executor, 0).resolve("swept");
    await node.clock.settle();
    node.crash();
    await node.clock.advance(40 * minute);
    const again = createHandExecutor();
    const { clock, disk } = node;
    const next = await startNode({ clock, disk, executors: [again], name: "worker-2" });
    await clock.advance(1);
    await clock.settle();
    expect(slots(next)).toEqual([slot("05:15"), slot("05:30")]);
    callOf(again, 0).resolve("swept");
    await clock.advance(1);
    await clock.settle();
    expect(slots(next)).toEqual([slot("05:15"), slot("05:30"), slot("05:45")]);
    expect(attrsOf(next, "schedule.fired").map((attrs) => attrs["trigger"])).toEqual([
      "slot",
      "catch_up",
      "catch_up",
    ]);
    expect(attrsOf(next, "schedule.fired").at(1)).toMatchObject({ late_ms: 25 * minute });
  });

  it("fire a slot once where the commit of its timer fails at first", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(activation(node));
    node.disrupt(true);
    await node.clock.advance(15 * minute);
    expect(slots(node)).toEqual([]);
    node.disrupt(false);
    await node.clock.advance(2_000);
    expect(slots(node)).toEqual([slot("05:15")]);
    expect(attrsOf(node, "action.requested")).toHaveLength(1);
  });

  it("skip while the former run goes on, over a restart, too", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(activation(node));
    await node.clock.advance(15 * minute);
    await node.clock.settle();
    node.crash();
    const { clock, disk } = node;
    const again = createHandExecutor();
    const next = await startNode({ clock, disk, executors: [again], name: "worker-2" });
    await clock.advance(15 * minute);
    expect(attrsOf(next, "schedule.skipped")).toMatchObject([
      {
        slot: slot("05:30"),
        reason: "overlap",
        holder: actionIdOf("default", `schedule/sweep/${slot("05:15")}`),
      },
    ]);
    callOf(again, 0).resolve("swept");
    await clock.advance(15 * minute);
    expect(slots(next)).toEqual([slot("05:15"), slot("05:45")]);
  });

  it("cancel the former run and start behind its end where they say so", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor] });
    await node.put(activation(node, "  overlap: cancel_previous\n"));
    await node.clock.advance(30 * minute);
    await node.clock.settle();
    const { signal } = callOf(executor, 0).context;
    expect(signal.aborted).toBe(true);
    callOf(executor, 0).reject(signal.reason);
    await node.clock.settle();
    expect(attrsOf(node, "action.cancelled")).toHaveLength(1);
    expect(slots(node)).toEqual([slot("05:15"), slot("05:30")]);
  });

  it("run a playbook at each slot, whose end makes room for the next", async () => {
    const executor = createHandExecutor();
    const node = await startNode({ executors: [executor, createNoop()] });
    const playbook = `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: load, path: etl/load }
workflow:
  - step: start
    tool: { kind: noop, result: "{{ slot }}" }
    next: [{ step: work }]
  - step: work
    tool: { kind: action, command: hand.work }
`;
    const { one, text } = definition("");
    const source = text.replace(/request:.*/, "playbook: { path: etl/load }");
    const parsed = parseDefinitions(source, "s.yaml");
    const schedule = present(parsed.ok ? parsed.value[0] : undefined, one.name);
    const registered = { path: "etl/load", digest: sha256Hex(playbook), text: playbook };
    await node.put(
      registeredEvent(registered, { ts: slot("05:00"), replaces: undefined }),
      activationEvent(schedule, source, change(node)),
    );
    await node.clock.advance(30 * minute);
    await node.clock.settle();
    expect(attrsOf(node, "action.requested")[0]).toMatchObject({ args: { result: slot("05:15") } });
    const id = executionIdOf("default", `schedule/sweep/${slot("05:15")}`);
    expect(attrsOf(node, "schedule.skipped")).toMatchObject([{ slot: slot("05:30"), holder: id }]);
    callOf(executor, 0).resolve("done");
    await node.clock.settle();
    expect(attrsOf(node, "execution.completed")).toHaveLength(1);
    await node.clock.advance(15 * minute);
    expect(slots(node)).toEqual([slot("05:15"), slot("05:45")]);
  });

  it("wait for nothing once they were ended, and go on from their next activation", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(activation(node));
    await node.put(deactivationEvent(definition("").one, change(node)));
    expect(node.kernel.stats()).toMatchObject({ schedules: [], timers: 0 });
    await node.clock.advance(20 * minute);
    await node.put(activation(node));
    await node.clock.advance(10 * minute);
    expect(slots(node)).toEqual([slot("05:30")]);
  });

  it("take up a new version, and keep to it after a restart", async () => {
    const node = await startNode({ executors: [createHandExecutor()] });
    await node.put(activation(node));
    const text = definition("").text.replace("*/15", "*/10");
    const parsed = parseDefinitions(text, "s.yaml");
    const one = present(parsed.ok ? parsed.value[0] : undefined, "a schedule");
    await node.put(activationEvent(one, text, change(node)));
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ clock, disk, executors: [createHandExecutor()], name: "w2" });
    expect(next.warnings).toEqual([]);
    await clock.advance(16 * minute);
    expect(slots(next)).toEqual([slot("05:10")]);
  });
});
