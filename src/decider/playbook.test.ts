import { describe, expect, it } from "vitest";
import { attrsOf, createHandExecutor, callOf, startNode } from "../../test/node.ts";
import { executionRequestEvent } from "../action/execution-request.ts";
import { requestEvent } from "../action/request.ts";
import { sha256Hex } from "../base/hash.ts";
import { executionIdOf } from "../event/ids.ts";
import type { NewEvent } from "../event/envelope.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { playbookDecider, registeredEvent } from "./playbook.ts";

const ts = "2026-11-24T05:00:00.000Z";

const source = { system: "test", ns: {} };

function register(path: string, workflow: string): NewEvent {
  const text = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: { name: ${path}, path: ${path} }\nworkflow:${workflow}`;
  return registeredEvent({ path, digest: sha256Hex(text), text }, { ts, replaces: undefined });
}

function request(playbook: string): NewEvent {
  const attrs = { playbook, payload: {} };
  return executionRequestEvent({ attrs, idempotencyKey: "run", ts, source });
}

const id = executionIdOf("default", "run");

const two = `
  - step: start
    tool: { kind: noop }
    next: [{ step: left }, { step: right }]
  - step: left
    tool: { kind: python, code: x }
  - step: right
    tool: { kind: noop }
`;

describe("an execution whose next request has a key that somebody else took", () => {
  const taken = (step: string, rest = `-/${step}/1`): NewEvent =>
    requestEvent({
      attrs: { command: "noop", args: {} },
      idempotencyKey: `${id}/${step}/1/${rest}`,
      entityId: "job:1",
      ts,
      source,
    });

  it("fails that step with kind conflict when what runs beside it was cancelled and has ended", async () => {
    const hand = createHandExecutor({ command: "python" });
    const node = await startNode({ executors: [hand, createNoop()] });
    await node.put(register("two", two), taken("right"), request("two"));
    expect(attrsOf(node, "step.failed")).toMatchObject([{ error: { kind: "conflict" } }]);
    expect(attrsOf(node, "execution.failed")).toEqual([]);
    callOf(hand, 0).resolve(1);
    await node.clock.settle();
    expect(attrsOf(node, "execution.failed")).toMatchObject([
      { error: { kind: "conflict" }, failed: [{ step: "right", activation: 1 }] },
    ]);
    expect(attrsOf(node, "rule.failed")).toEqual([]);
  });

  it("fails also where that is a sub-playbook, and where it is a cursor's claim", async () => {
    const child = `\n  - step: start\n    tool: { kind: playbook, path: child }\n`;
    const cursor = `\n  - step: start\n    loop: { iterator: row, cursor: { kind: python, claim: x }, spec: { mode: cursor } }\n    tool: { kind: noop }\n`;
    for (const [workflow, other] of [
      [child, taken("start")],
      [cursor, taken("start", "claim-1/claim/1")],
    ] as const) {
      const node = await startNode({ executors: [createNoop()] });
      await node.put(other, register("one", workflow), request("one"));
      expect(attrsOf(node, "execution.failed")).toMatchObject([
        { error: { kind: "conflict" }, failed: [{ step: "start" }] },
      ]);
      expect(await node.log.getExecution(id)).toMatchObject({ status: "failed" });
    }
  });
});

it("hands on what a tool promises of itself, and only that", async () => {
  const promising = two.replace("code: x", "code: x, idempotent: true");
  const node = await startNode({
    executors: [createHandExecutor({ command: "python" }), createNoop()],
  });
  await node.put(register("two", promising), request("two"));
  expect(attrsOf(node, "action.requested").map(({ args }) => args)).toEqual([
    {},
    { code: "x", idempotent: true },
    {},
  ]);
});

describe("an execution that cannot be decided", () => {
  const of = request("one");
  const broken = playbookDecider({
    current: () => "d",
    program: () => {
      const program = {
        get workload(): never {
          throw new RangeError("no such thing");
        },
      };
      return program as never;
    },
    inline: (result) => result,
  });
  const record = {
    topic: "decisions",
    partition: 0,
    offset: 1,
    ingestedAtMs: 0,
    event: { ...of, event_id: "1" as never },
  } as const;

  it("fails at once, with the kind of a fault of the program", () => {
    const state = broken.evolve(broken.initial(id), record);
    expect(() => broken.advance?.(state, 0)).toThrow("no such thing");
    const error = { kind: "executor_error", message: "no such thing", retryable: false } as const;
    expect(broken.stuck?.(state, error, 0)).toMatchObject([
      { event_type: "execution.failed", execution_id: id, attrs: { error, failed: [] } },
    ]);
  });
});
