import { describe, expect, it } from "vitest";
import { ask, attrsOf, createHandExecutor, startNode, callOf } from "../../../test/node.ts";
import { cancelRequestedEvent, identityOf } from "../../action/lifecycle-event.ts";
import { sha256Hex } from "../../base/hash.ts";
import { registeredEvent } from "../../decider/playbook.ts";
import type { NewEvent } from "../../event/envelope.ts";
import { eventId } from "../../event/ids.ts";
import { fault } from "../../event/error.ts";
import { createOutcomes, type Outcomes } from "../../log/outcomes.ts";
import type { Log } from "../../log/log.ts";
import type { HandExecutor, Node } from "../../../test/node.ts";
import { createPlaybook } from "./playbook.ts";

const ts = "2026-11-24T05:00:00.000Z";

const text = `apiVersion: deed/v1
kind: Playbook
metadata: { name: repair, path: repair }
workload: { host: none }
workflow:
  - step: start
    tool: { kind: python, code: "x = '{{ host }}'" }
`;

const registered = registeredEvent(
  { path: "repair", digest: sha256Hex(text), text },
  { ts, replaces: undefined },
);

/** A node whose `playbook` executor works on its own log. */
async function start(
  given: Partial<Pick<Node, "clock" | "disk">> & { readonly name?: string } = {},
): Promise<Node & { readonly hand: HandExecutor }> {
  const hand = createHandExecutor({ command: "python" });
  const on: { log?: Log; outcomes?: Outcomes } = {};
  const executor = createPlaybook({
    append: async (events) => on.log?.append(events),
    ended: async (id, signal) => on.outcomes?.waitExecution(id, { signal }),
    nowMs: () => Date.parse(ts),
  });
  const node = await startNode({ executors: [hand, executor], ...given });
  on.log = node.log;
  on.outcomes = createOutcomes(node.log);
  await node.clock.settle();
  return { ...node, hand };
}

function repair(path = "repair"): NewEvent & ReturnType<typeof ask> {
  return ask("a", { command: "playbook", args: { path, input: { host: "web-1" } } });
}

describe("an action that runs a playbook", () => {
  it("gives the result of its execution, which carries what the action came from", async () => {
    const node = await start();
    await node.put(registered, { ...repair(), correlation_id: "c1", tags: { via: "again" } });
    expect(node.hand.calls.map(({ args }) => args["code"])).toEqual(["x = 'web-1'"]);
    const [execution] = await node.log.listExecutions({ limit: 1 });
    expect(execution).toMatchObject({ playbook: "repair", correlationId: "c1" });
    callOf(node.hand, 0).resolve({ repaired: true });
    await node.clock.settle();
    expect(node.story(repair().action_id).at(-1)).toBe("succeeded/1");
    expect(attrsOf(node, "action.succeeded").at(-1)).toEqual({ result: { repaired: true } });
    const requested = [...node.disk.records.values()].find(
      ({ event }) => event.event_type === "execution.requested",
    );
    expect(requested?.event.tags["via"]).toBe("again");
  });

  it("fails as its execution does, also where nobody registered the playbook", async () => {
    const node = await start();
    await node.put(registered, repair());
    callOf(node.hand, 0).reject(fault("permission", "no entry"));
    await node.clock.settle();
    expect(attrsOf(node, "action.failed").at(-1)).toMatchObject({ error: { kind: "permission" } });
    await node.put({ ...ask("b", { command: "playbook", args: { path: "nowhere" } }) });
    expect(attrsOf(node, "action.failed").at(-1)).toMatchObject({ error: { kind: "not_found" } });
  });

  it("goes on after a crash with the execution that it asked for", async () => {
    const node = await start();
    await node.put(registered, repair());
    node.crash();
    const next = await start({ clock: node.clock, disk: node.disk, name: "w2" });
    await node.clock.advance(60_000);
    expect(await next.log.listExecutions({ limit: 9 })).toHaveLength(1);
    callOf(next.hand, 0).resolve("done");
    await node.clock.settle();
    expect(node.story(repair().action_id).at(-1)).toBe("succeeded/2");
  });

  it("cancels its execution where it is cancelled", async () => {
    const node = await start();
    const request = repair();
    await node.put(registered, request);
    const at = { ts, causationId: eventId("1"), attempt: 1 };
    await node.put(cancelRequestedEvent(identityOf(request, request.action_id), at, {}));
    expect(callOf(node.hand, 0).context.signal.aborted).toBe(true);
    callOf(node.hand, 0).reject(new Error("aborted"));
    await node.clock.settle();
    expect(node.story(request.action_id).at(-1)).toBe("cancelled/1");
    expect(await node.log.listExecutions({ limit: 1 })).toMatchObject([{ status: "cancelled" }]);
  });
});
