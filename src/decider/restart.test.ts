import { describe, expect, it } from "vitest";
import { startNode, type Node } from "../../test/node.ts";
import { executionRequestEvent, type ExecutionRequestAttrs } from "../action/execution-request.ts";
import { sha256Hex } from "../base/hash.ts";
import { parsePlaybook } from "../core/parse.ts";
import { compileProgram, type Program } from "../core/program.ts";
import { executionIdOf } from "../event/ids.ts";
import type { LogRecord } from "../event/envelope.ts";
import { createNoop } from "../executor/noop/noop.ts";
import { registeredEvent } from "./playbook.ts";
import { createRestartFold } from "./restart.ts";

const ts = "2026-11-24T05:00:00.000Z";

const steps = `
  - step: start
    tool: { kind: noop, result: { n: "{{ n }}" } }
    next: [{ step: count, set: { ctx.arc: yes } }]
  - step: count
    tool: { kind: noop, result: { at: "{{ ctx.seen | default(0) + 1 }}" } }
    set: { ctx.seen: "{{ output.data.at }}" }
    next: [{ step: count, when: "{{ ctx.seen < 3 }}" }, { step: items }]
  - step: items
    loop: { in: [1, 2], iterator: x }
    tool: { kind: noop, result: "{{ x + start.n }}" }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "{{ items.results }}" }
`;

function textOf(workflow: string): string {
  return `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: { name: p, path: p }\nworkload: { n: 1 }\nworkflow:${workflow}`;
}

function programOf(workflow: string): Program {
  const parsed = parsePlaybook(textOf(workflow), "p.yaml");
  const program = parsed.ok ? compileProgram(parsed.value.playbook) : parsed;
  if (!program.ok) throw new Error(JSON.stringify(program.error));
  return program.value;
}

async function historyOf(
  node: Node,
  key: string,
  attrs: Partial<ExecutionRequestAttrs> = {},
): Promise<readonly LogRecord[]> {
  await node.put(
    executionRequestEvent({
      attrs: { playbook: "p", payload: { n: 7 }, ...attrs },
      idempotencyKey: key,
      ts,
      source: { system: "test", ns: {} },
    }),
  );
  await node.clock.settle();
  return node.log.readThread({ of: { execution: executionIdOf("default", key) }, limit: 1_000 });
}

async function ran(): Promise<{ node: Node; history: readonly LogRecord[] }> {
  const node = await startNode({ executors: [createNoop()] });
  const text = textOf(steps);
  await node.put(
    registeredEvent({ path: "p", digest: sha256Hex(text), text }, { ts, replaces: undefined }),
  );
  return { node, history: await historyOf(node, "first") };
}

function restartOf(
  history: readonly LogRecord[],
  step: string,
  { key = "first", runs = steps, page = 1_000 } = {},
): ReturnType<ReturnType<typeof createRestartFold>["restart"]> {
  const fold = createRestartFold({
    executionId: executionIdOf("default", key),
    ran: programOf(steps),
    runs: programOf(runs),
    step,
    inline: (result) => result,
  });
  for (let at = 0; at < history.length; at += page) fold.take(history.slice(at, at + page));
  return fold.restart();
}

describe("what an execution knew when it came to a step", () => {
  const known = { step: "count", workload: { n: 7 }, ctx: { arc: "yes", seen: 2 } };

  it("2. is what led there the last time, however often it came, and nothing of the step itself", async () => {
    const { history } = await ran();
    expect(restartOf(history, "start")).toEqual({
      ok: true,
      value: { step: "start", workload: { n: 7 }, ctx: {}, steps: {} },
    });
    expect(restartOf(history, "count")).toEqual({
      ok: true,
      value: { ...known, steps: { start: { data: { n: 7 } } } },
    });
    expect(restartOf(history, "end")).toEqual({
      ok: true,
      value: {
        ...known,
        step: "end",
        ctx: { arc: "yes", seen: 3 },
        steps: {
          start: { data: { n: 7 } },
          items: { data: { results: [8, 9], stats: { total: 2, success: 2, failed: 0 } } },
        },
      },
    });
  });

  it("1. is the same however the history is cut into pages", async () => {
    const { history } = await ran();
    for (const step of ["start", "count", "items", "end"]) {
      for (const page of [1, 2, 7])
        expect(restartOf(history, step, { page })).toEqual(restartOf(history, step));
    }
  });

  it("3. holds the data of the steps that the version to run reads", async () => {
    const { history } = await ran();
    const runs = `
  - step: start
    tool: { kind: noop }
    next: [{ step: count }]
  - step: count
    tool: { kind: noop }
    next: [{ step: end }]
  - step: end
    tool: { kind: noop, result: "{{ count.at }}" }
`;
    expect(restartOf(history, "end", { runs })).toMatchObject({
      value: { steps: { count: { data: { at: 3 } } } },
    });
    expect(restartOf(history, "end", { runs })).not.toMatchObject({
      value: { steps: { start: {} } },
    });
  });

  it("is known again of an execution that was itself run again from a step", async () => {
    const { node, history } = await ran();
    const former = restartOf(history, "items");
    if (!former.ok) throw new Error(former.error.message);
    const again = await historyOf(node, "second", { payload: {}, restart: former.value });
    expect(again.at(-1)?.event.event_type).toBe("execution.completed");
    expect(restartOf(again, "end", { key: "second" })).toEqual(restartOf(history, "end"));
  });

  it("is refused where it never came there", async () => {
    const { history } = await ran();
    const short = history.filter(({ event }) => event.event_type !== "step.completed");
    expect(restartOf(short, "end")).toEqual({
      ok: false,
      error: {
        kind: "conflict",
        message: `Cannot run execution ${executionIdOf("default", "first")} again from step "end" as it never came there`,
        retryable: false,
      },
    });
  });
});
