import Type from "typebox";
import { describe, expect, it } from "vitest";
import { attrsOf, callOf, createHandExecutor, startNode, type Node } from "../../test/node.ts";
import { approvalAnsweredEvent, identityOf } from "../action/lifecycle-event.ts";
import { executionRequestEvent } from "../action/execution-request.ts";
import { present } from "../base/assert.ts";
import { sha256Hex } from "../base/hash.ts";
import type { JsonObject } from "../base/json.ts";
import { registeredEvent } from "../decider/playbook.ts";
import { executionIdOf } from "../event/ids.ts";
import type { NewEvent } from "../event/envelope.ts";
import { fault } from "../event/error.ts";
import { createNoop } from "../executor/noop/noop.ts";

const ts = "2026-11-24T05:00:00.000Z";

const steps = `
  - step: start
    tool: { kind: noop, result: { n: "{{ n }}" } }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "got {{ start.n }}" }
`;

function register(path: string, workflow: string, workload: JsonObject = {}): NewEvent {
  const head = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: { name: ${path}, path: ${path} }\n`;
  const text = `${head}workload: ${JSON.stringify(workload)}\nworkflow:${workflow}`;
  return registeredEvent({ path, digest: sha256Hex(text), text }, { ts, replaces: undefined });
}

function request(playbook: string, key = "run", payload: JsonObject = {}): NewEvent {
  const source = { system: "test", ns: {} };
  return executionRequestEvent({ attrs: { playbook, payload }, idempotencyKey: key, ts, source });
}

const idOf = (key = "run") => executionIdOf("default", key);

function told(node: Node): readonly string[] {
  return node.commits
    .flat()
    .filter(({ event }) => /^(execution|step|loop|task)\./.test(event.event_type))
    .map(({ event }) => `${event.event_type} ${String(event.tags["step"] ?? "")}`.trim());
}

describe("an execution", () => {
  it("runs its steps one after the other and ends with the last one's data", async () => {
    const node = await startNode({ executors: [createNoop()] });
    await node.put(register("two", steps, { n: 1 }), request("two", "run", { n: 7 }));
    await node.clock.settle();
    expect(told(node)).toEqual([
      "execution.requested",
      "execution.started",
      "step.completed start",
      "step.completed end",
      "execution.completed",
    ]);
    expect(await node.log.getExecution(idOf())).toMatchObject({
      status: "completed",
      playbook: "two",
      tenant: "default",
    });
    expect(attrsOf(node, "action.requested")).toMatchObject([
      { command: "noop", args: { result: { n: 7 } }, retry: { attempts: 1 } },
      { command: "noop", args: { result: "got 7" } },
    ]);
  });

  it("of a playbook that nobody registered fails at once and says so", async () => {
    const node = await startNode();
    await node.put(request("nowhere"));
    expect(attrsOf(node, "execution.failed")).toMatchObject([{ error: { kind: "not_found" } }]);
    expect(await node.log.getExecution(idOf())).toMatchObject({ status: "failed" });
  });

  it("fails where a step's tool is served by nobody", async () => {
    const node = await startNode({ executors: [createNoop()] });
    await node.put(
      register("odd", "\n  - step: start\n    tool: { kind: snowflake }\n"),
      request("odd"),
    );
    expect(attrsOf(node, "execution.failed")).toMatchObject([
      { error: { kind: "unprocessable" }, failed: [{ step: "start" }] },
    ]);
  });

  it("goes on after a crash where its log ends, with the version that it began with", async () => {
    const hand = createHandExecutor({ command: "python" });
    const workflow = steps.replace("kind: noop, result: { n", "kind: python, code: x, result: { n");
    const node = await startNode({ executors: [hand, createNoop()] });
    await node.put(register("two", workflow, { n: 1 }), request("two"));
    await node.put(register("two", steps.replace("got", "changed")));
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ executors: [hand, createNoop()], clock, disk, name: "w2" });
    await clock.advance(60_000);
    expect(hand.calls.map(({ context }) => context.attempt)).toEqual([1, 2]);
    callOf(hand, 1).resolve({ n: 3 });
    await clock.settle();
    expect(attrsOf(next, "action.requested")).toMatchObject([
      { command: "python" },
      { command: "noop", args: { result: "got 3" } },
    ]);
    expect(attrsOf(next, "execution.completed")).toEqual([{ result: { n: 3 } }]);
  });

  it("runs a loop with no more in flight than it says", async () => {
    const hand = createHandExecutor({ command: "python", concurrency: 100 });
    const node = await startNode({ executors: [hand] });
    const loop = "{ in: [1, 2, 3, 4, 5], iterator: x, spec: { mode: parallel, max_in_flight: 2 } }";
    const workflow = `\n  - step: start\n    loop: ${loop}\n    tool: { kind: python, code: "{{ iter.x }}" }\n`;
    await node.put(register("loop", workflow), request("loop"));
    expect(hand.calls).toHaveLength(2);
    for (let index = 0; index < 5; index += 1) {
      callOf(hand, index).resolve({ at: index });
      await node.clock.settle();
      expect(hand.calls.length).toBe(Math.min(5, index + 3));
    }
    expect(attrsOf(node, "execution.completed")).toMatchObject([
      { result: { stats: { total: 5, success: 5, failed: 0 } } },
    ]);
  });

  it("begins ten thousand iterations in commits that are bounded, also over a crash between them", async () => {
    const workflow = `\n  - step: start\n    loop: { in: "{{ range(10000) | list }}", iterator: x, spec: { mode: parallel, max_in_flight: 1000 } }\n    tool: { kind: python, code: x }\n`;
    const quick = { ...createNoop(), command: "python", argsSchema: Type.Unknown() };
    const node = await startNode({ executors: [quick] });
    await node.put(register("many", workflow), request("many"));
    await node.clock.settle();
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ executors: [quick], clock, disk, name: "w2" });
    await clock.advance(120_000);
    expect(attrsOf(next, "execution.completed")).toMatchObject([
      { result: { stats: { total: 10_000, success: 10_000, failed: 0 } } },
    ]);
    const largest = Math.max(...[...node.commits, ...next.commits].map((commit) => commit.length));
    expect(largest).toBeLessThan(20_000);
  });
});

describe("timers, cancel and pause", () => {
  const failing = `
  - step: start
    tool:
      kind: python
      code: x
      spec: { policy: { rules: [{ when: "{{ output.status == 'error' }}", then: { do: retry, attempts: 3, delay: 10 } }] } }
`;

  it("a retry waits for its delay on a timer that survives a crash", async () => {
    const hand = createHandExecutor({ command: "python" });
    const node = await startNode({ executors: [hand] });
    await node.put(register("retry", failing), request("retry"));
    callOf(hand, 0).reject(fault("unavailable", "no"));
    await node.clock.settle();
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ executors: [hand], clock, disk, name: "w2" });
    await clock.advance(9_000);
    expect(hand.calls).toHaveLength(1);
    await clock.advance(1_500);
    expect(hand.calls).toHaveLength(2);
    callOf(hand, 1).resolve({ done: true });
    await clock.settle();
    expect(attrsOf(next, "execution.completed")).toEqual([{ result: { done: true } }]);
  });

  it("cancel reaches what runs, then the execution ends as cancelled", async () => {
    const hand = createHandExecutor({ command: "python" });
    const node = await startNode({ executors: [hand] });
    await node.put(register("retry", failing), request("retry"));
    await node.put(asked("execution.cancel_requested", { reason: "enough" }));
    expect(callOf(hand, 0).context.signal.aborted).toBe(true);
    expect(attrsOf(node, "execution.cancelled")).toEqual([]);
    callOf(hand, 0).reject(new Error("aborted"));
    await node.clock.settle();
    expect(attrsOf(node, "execution.cancelled")).toEqual([{ reason: "enough" }]);
    await node.put(asked("execution.cancel_requested", { reason: "again" }));
    expect(node.commits.at(-1)?.map(({ event }) => event.tags["anomaly"])).toEqual(["terminal"]);
  });

  it("while it is paused what runs ends, and nothing new begins until it is resumed", async () => {
    const hand = createHandExecutor({ command: "python" });
    const workflow = steps.replace("kind: noop, result: { n", "kind: python, code: x, result: { n");
    const node = await startNode({ executors: [hand, createNoop()] });
    await node.put(register("two", workflow), request("two"));
    await node.put(asked("execution.paused"));
    callOf(hand, 0).resolve({ n: 1 });
    await node.clock.settle();
    expect(told(node)).toEqual(["execution.requested", "execution.started", "execution.paused"]);
    expect(await node.log.getExecution(idOf())).toMatchObject({ status: "paused" });
    await node.put(asked("execution.resumed"));
    await node.clock.settle();
    expect(attrsOf(node, "execution.completed")).toEqual([{ result: { n: 1 } }]);
    expect(told(node).slice(-2)).toEqual(["step.completed end", "execution.completed"]);
  });

  function asked(type: string, attrs: JsonObject = {}): NewEvent {
    const source = { system: "test", ns: {} };
    const execution_id = idOf();
    return { ts, event_type: type, entity_id: "x", execution_id, source, tags: {}, attrs };
  }
});

describe("sub-playbooks", () => {
  const parent = `
  - step: start
    tool: { kind: playbook, path: child, input: { n: 5 } }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "child said {{ start }}" }
`;

  it("park their parent and wake it, also over a crash", async () => {
    const hand = createHandExecutor({ command: "python" });
    const child = `\n  - step: start\n    tool: { kind: python, code: "x = {{ n }}" }\n`;
    const node = await startNode({ executors: [hand, createNoop()] });
    await node.put(register("child", child), register("parent", parent), request("parent"));
    expect(hand.calls.map(({ args }) => args["code"])).toEqual(["x = 5"]);
    expect(await node.log.listExecutions({ limit: 9, parent: idOf() })).toMatchObject([
      { playbook: "child", status: "running", parentExecutionId: idOf() },
    ]);
    node.crash();
    const { clock, disk } = node;
    const next = await startNode({ executors: [hand, createNoop()], clock, disk, name: "w2" });
    await clock.advance(60_000);
    callOf(hand, 1).resolve("hello");
    await clock.settle();
    expect(attrsOf(next, "execution.completed")).toEqual([
      { result: "hello" },
      { result: "hello" },
    ]);
  });

  it("leave their parent its own version: a loop of them goes on as the parent says", async () => {
    const loop = "{ in: [1, 2, 3], iterator: x, spec: { mode: parallel, max_in_flight: 1 } }";
    const looping = `\n  - step: start\n    loop: ${loop}\n    tool: { kind: playbook, path: child, input: { n: "{{ iter.x }}" } }\n`;
    const child = `\n  - step: start\n    tool: { kind: noop, result: "got {{ n }}" }\n`;
    const node = await startNode({ executors: [createNoop()] });
    await node.put(register("child", child), register("all", looping), request("all"));
    await node.clock.settle();
    expect(attrsOf(node, "execution.requested").slice(1)).toMatchObject([
      { playbook: "child", payload: { n: 1 } },
      { playbook: "child", payload: { n: 2 } },
      { playbook: "child", payload: { n: 3 } },
    ]);
    expect(attrsOf(node, "execution.completed").at(-1)).toMatchObject({
      result: { stats: { total: 3, success: 3, failed: 0 } },
    });
  });

  it("that run themselves without end are stopped, and all fail", async () => {
    const again = `\n  - step: start\n    tool: { kind: playbook, path: again }\n`;
    const node = await startNode();
    await node.put(register("again", again), request("again"));
    expect(attrsOf(node, "execution.requested")).toHaveLength(34);
    expect(attrsOf(node, "execution.failed")).toHaveLength(34);
    expect(attrsOf(node, "execution.failed")[0]).toMatchObject({
      error: { kind: "unprocessable" },
    });
    expect(node.log.openExecutions()).toEqual([]);
  });

  it("that nobody registered fail the step that asked", async () => {
    const node = await startNode({ executors: [createNoop()] });
    await node.put(register("parent", parent), request("parent"));
    expect(attrsOf(node, "execution.failed")).toMatchObject([
      { error: { kind: "not_found" } },
      { error: { kind: "not_found" }, failed: [{ step: "start" }] },
    ]);
  });
});

describe("approval", () => {
  const workflow = `
  - step: start
    tool: { kind: approval, message: "go?", timeout: 60 }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "{{ start.by }}" }
`;

  const answer = (node: Node, approved: boolean): Promise<void> => {
    const { event } = present(
      node.commits.flat().find((record) => record.event.event_type === "action.requested"),
      "the request",
    );
    const identity = identityOf(event, present(event.action_id, "its id"));
    const at = { ts, causationId: event.event_id, attempt: 1 };
    return node.put(approvalAnsweredEvent(identity, at, { approved, by: "ada" }));
  };

  it("waits for a person, whose answer is its result; a second answer changes nothing", async () => {
    const node = await startNode({ executors: [createNoop()] });
    await node.put(register("ask", workflow), request("ask"));
    expect(attrsOf(node, "action.deferred")).toEqual([{ reason: "approval" }]);
    await answer(node, true);
    await node.clock.settle();
    expect(attrsOf(node, "action.requested")).toMatchObject([{}, { args: { result: "ada" } }]);
    const result = { approved: true, by: "ada", reason: "" };
    expect(attrsOf(node, "execution.completed")).toEqual([{ result }]);
    await answer(node, false);
    expect(node.commits.at(-1)?.map(({ event }) => event.event_type)).toEqual([
      "approval.answered",
    ]);
  });

  it("that is refused fails its step; one that nobody answers expires", async () => {
    const node = await startNode({ executors: [createNoop()] });
    await node.put(register("ask", workflow), request("ask"));
    await answer(node, false);
    expect(attrsOf(node, "execution.failed")).toMatchObject([{ error: { kind: "rejected" } }]);
    const other = await startNode({ executors: [createNoop()] });
    await other.put(register("ask", workflow), request("ask"));
    await other.clock.advance(61_000);
    expect(attrsOf(other, "execution.failed")).toMatchObject([{ error: { kind: "ttl_expired" } }]);
  });
});
