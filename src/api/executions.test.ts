import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startNode, word, type Answer, type TestNode } from "../../test/api/node.ts";
import { sha256Hex } from "../base/hash.ts";
import type { JsonObject } from "../base/json.ts";
import { executionIdOf } from "../event/ids.ts";

let node: TestNode;

beforeEach(async () => {
  node = await startNode();
});

afterEach(async () => {
  node.release();
  await node.stop();
});

const steps = `
  - step: start
    tool: { kind: action, command: noop, args: { result: { n: "{{ n }}", where: "{{ env.REGION }}", home: "{{ env.HOME is defined }}" } } }
    next: [{ step: middle }]
  - step: middle
    tool: { kind: action, command: noop, args: { result: { twice: "{{ start.n * 2 }}" } } }
    set: { ctx.seen: "{{ output.data.twice }}" }
    next: [{ step: end }]
  - step: end
    tool: { kind: action, command: noop, args: { result: "{{ ctx.seen }} of {{ start.n }} in {{ start.where }} {{ start.home }}" } }
`;

const holding = `
  - step: start
    tool: { kind: action, command: test.hold }
    next: [{ step: after }]
  - step: after
    tool: { kind: action, command: noop, args: { result: done } }
`;

async function register(path: string, workflow: string): Promise<string> {
  const text = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: { name: ${path}, path: ${path} }\nworkload: { n: 1 }\nworkflow:${workflow}`;
  expect((await node.ask("POST", "/v1/playbooks", { body: { text } })).status).toBe(201);
  return sha256Hex(text);
}

function run(
  body: JsonObject,
  headers: Record<string, string> = { prefer: "wait=5" },
): Promise<Answer> {
  return node.ask("POST", "/v1/executions", { body, headers });
}

function to(id: string, rest = "", body?: JsonObject): Promise<Answer> {
  const url = `/v1/executions/${id}${rest}`;
  return body === undefined ? node.ask("GET", url) : node.ask("POST", url, { body });
}

async function running(path: string, key: string): Promise<string> {
  const answer = await run({ playbook: path }, { "idempotency-key": key });
  expect(answer.status).toBe(202);
  return word(answer.body["execution_id"]);
}

describe("POST /v1/executions", () => {
  it("runs a playbook, waits for its result, and is asked for once by its key", async () => {
    const digest = await register("a/b", steps);
    const body = { playbook: "a/b", input: { n: 7 }, correlation_id: "c", tags: { team: "ops" } };
    const headers = { prefer: "wait=5", "idempotency-key": "k" };
    const ended = await run(body, headers);
    const id = executionIdOf("default", "k");
    expect(ended.status).toBe(200);
    expect(ended.headers).toMatchObject({
      location: `/v1/executions/${id}`,
      "preference-applied": "wait=5",
    });
    expect(ended.body).toMatchObject({
      execution_id: id,
      status: "completed",
      playbook: "a/b",
      digest,
      result: "14 of 7 in north False",
      correlation_id: "c",
      tags: { team: "ops", tenant: "default" },
      request: { playbook: "a/b", payload: { n: 7 }, env: { REGION: "north" } },
      duplicate: false,
      open_actions: [],
      children: [],
    });
    const again = await run(body, headers);
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ execution_id: id, duplicate: true });
    const other = await run({ ...body, input: { n: 8 } }, headers);
    expect(other.body).toMatchObject({ status: 422, kind: "conflict" });
  });

  it("answers 202 where it does not end in time, with what it waits for", async () => {
    await register("hold", holding);
    const answer = await run({ playbook: "hold" }, { prefer: "wait=0" });
    expect(answer.status).toBe(202);
    const shown = (await to(word(answer.body["execution_id"]))).body;
    expect(shown).toMatchObject({
      status: "running",
      open_actions: [{ command: "test.hold", step: "start", activation: 1, item: "-" }],
    });
  });

  it("return_step names the step whose data is the result", async () => {
    await register("a", steps);
    const answer = await run({ playbook: "a", return_step: "middle" });
    expect(answer.body["result"]).toEqual({ twice: 2 });
  });

  it.each([
    [
      "an unknown path",
      { playbook: "none" },
      404,
      'There is no playbook "none": deed playbook register brings one',
    ],
    ["an unknown version", { playbook: "a", digest: "0".repeat(64) }, 404, "There is no version"],
    [
      "an unknown step",
      { playbook: "a", return_step: "x" },
      422,
      'Cannot run the playbook as "x" is no step',
    ],
    [
      "a tag of the system's",
      { playbook: "a", tags: { step: "x" } },
      400,
      "Cannot take the request as these tags",
    ],
  ])("%s is refused, and nothing begins", async (_, body, status, detail) => {
    await register("a", steps);
    const answer = await run(body);
    expect(answer.status).toBe(status);
    expect(answer.body["detail"]).toContain(detail);
    expect(await node.log.listExecutions({ limit: 9 })).toEqual([]);
  });
});

describe("GET /v1/executions", () => {
  it("lists newest first, filtered, page by page", async () => {
    await register("a", steps);
    await register("hold", holding);
    await register("parent", "\n  - step: start\n    tool: { kind: playbook, path: hold }\n");
    for (const key of ["1", "2", "3"])
      await run({ playbook: "a" }, { prefer: "wait=5", "idempotency-key": key });
    const parent = await running("parent", "p");
    const ids = async (query: string): Promise<unknown> => {
      const { body } = await node.ask("GET", `/v1/executions?${query}`);
      return (body["executions"] as JsonObject[]).map((one) => one["execution_id"]);
    };
    const [e1, e2, e3] = ["1", "2", "3"].map((key) => executionIdOf("default", key));
    expect(await ids("playbook=a")).toEqual([e3, e2, e1]);
    expect(await ids("roots=true&status=running")).toEqual([parent]);
    expect(await ids(`parent=${parent}`)).toHaveLength(1);
    const first = await node.ask("GET", "/v1/executions?playbook=a&limit=2");
    const cursor = word(first.body["next_cursor"]);
    expect(await ids(`playbook=a&limit=2&cursor=${cursor}`)).toEqual([e1]);
    expect((await node.ask("GET", "/v1/executions?status=odd")).status).toBe(400);
    const shown = (await to(parent)).body;
    expect(shown["children"]).toMatchObject([{ playbook: "hold", status: "running" }]);
  });

  it("tells what is no id, and what is not there", async () => {
    expect((await to("x")).body).toMatchObject({ status: 400, kind: "invalid_args" });
    expect((await to("9223372036854775808")).status).toBe(400);
    expect((await to("5")).body).toMatchObject({ status: 404, detail: "There is no execution 5" });
  });
});

describe("the thread of an execution", () => {
  it("pages through each record once, and gives the last ones", async () => {
    await register("a", steps);
    const { body } = await run({ playbook: "a" });
    const id = word(body["execution_id"]);
    const types: unknown[] = [];
    let cursor = "";
    do {
      const page = (await to(id, `/events?limit=7${cursor}`)).body;
      for (const record of page["records"] as JsonObject[])
        types.push((record["event"] as JsonObject)["event_type"]);
      cursor = page["next_cursor"] === undefined ? "" : `&cursor=${word(page["next_cursor"])}`;
    } while (cursor !== "");
    expect(types.filter((type) => !String(type).startsWith("action."))).toEqual([
      "execution.requested",
      "execution.started",
      ...["step.completed", "step.completed", "step.completed"],
      "execution.completed",
    ]);
    expect(types).toHaveLength(6 + 3 * 4);
    const newest = (await to(id, "/events?order=newest&limit=1")).body["records"];
    expect(newest).toMatchObject([{ event: { event_type: "execution.completed" } }]);
  });
});

it("a stream of an execution holds its events and where its children begin and end, and no other", async () => {
  await register("child", "\n  - step: start\n    tool: { kind: noop }\n");
  await register("parent", "\n  - step: start\n    tool: { kind: playbook, path: child }\n");
  const url = await node.api.listen({ host: "127.0.0.1", port: 0 });
  await run({ playbook: "child" });
  const parent = await running("parent", "k");
  await run({ playbook: "child" });
  const answer = await fetch(`${url}/v1/events/stream?from=1&execution_id=${parent}`);
  let text = "";
  for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += part;
    if (text.split("event: execution.completed").length > 2) break;
  }
  expect([...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1])).toEqual([
    ...["execution.requested", "execution.started", "execution.requested", "execution.started"],
    ...["execution.completed", "step.completed", "execution.completed"],
  ]);
});

it("metrics count executions from what is committed", async () => {
  await register("hold", holding);
  await running("hold", "k");
  await run({ playbook: "hold", input: {} }, {});
  await to(executionIdOf("default", "k"), "/cancel", {});
  await expect
    .poll(async () => (await to(executionIdOf("default", "k"))).body["status"])
    .toBe("cancelled");
  const { text } = await node.ask("GET", "/metrics");
  expect(text).toContain("deed_executions_requested_total 2\n");
  expect(text).toContain("deed_executions_started_total 2\n");
  expect(text).toContain('deed_executions_ended_total{outcome="cancelled"} 1\n');
  expect(text).toContain("deed_executions_open 1\n");
});

describe("cancel, pause and resume", () => {
  it("a paused execution begins nothing until it is resumed", async () => {
    await register("hold", holding);
    const id = await running("hold", "k");
    expect((await to(id, "/pause", { by: "ada" })).body).toMatchObject({ status: "paused" });
    expect((await to(id, "/pause", {})).body).toMatchObject({
      status: 409,
      detail: `Cannot pause execution ${id} as it is paused already`,
    });
    node.release();
    await expect.poll(async () => (await to(id)).body["open_actions"]).toEqual([]);
    expect((await to(id)).body["status"]).toBe("paused");
    expect((await to(id, "/resume", {})).status).toBe(202);
    await expect.poll(async () => (await to(id)).body["status"]).toBe("completed");
    expect((await to(id, "/resume", {})).body["detail"]).toBe(
      `Cannot resume execution ${id} as it has ended: completed`,
    );
  });

  it("a cancel reaches what runs and says why", async () => {
    await register("hold", holding);
    const id = await running("hold", "k");
    expect((await to(id, "/cancel", { reason: "enough" })).status).toBe(202);
    await expect
      .poll(async () => (await to(id)).body)
      .toMatchObject({ status: "cancelled", reason: "enough" });
    expect((await to(id, "/cancel", {})).status).toBe(409);
  });
});

describe("rerun", () => {
  it("asks for the same again with other inputs, as a new execution that is linked", async () => {
    const digest = await register("a", steps);
    const former = word(
      (await run({ playbook: "a", input: { n: 3 }, tags: { t: 1 } })).body["execution_id"],
    );
    await register("a", steps.replace(" of ", " from "));
    const again = await node.ask("POST", `/v1/executions/${former}/rerun`, {
      body: { input: { n: 4 } },
      headers: { prefer: "wait=5" },
    });
    expect(again.body).toMatchObject({
      status: "completed",
      digest,
      rerun_of: former,
      result: "8 of 4 in north False",
      tags: { t: 1 },
    });
    expect(again.body["execution_id"]).not.toBe(former);
  });

  it("from_step goes on with what was known there, also in another version", async () => {
    await register("a", steps);
    const former = word((await run({ playbook: "a", input: { n: 3 } })).body["execution_id"]);
    const fixed = await register("a", steps.replace(" of ", " from "));
    const again = await node.ask("POST", `/v1/executions/${former}/rerun`, {
      body: { from_step: "end", digest: fixed, input: { n: 9 } },
      headers: { prefer: "wait=5" },
    });
    expect(again.body).toMatchObject({
      status: "completed",
      result: "6 from 3 in north False",
      request: {
        restart: { step: "end", workload: { n: 3 }, ctx: { seen: 6 } },
        payload: { n: 9 },
      },
    });
  });

  it("keeps large values beside the log, and reads through them", async () => {
    const workflow = `
  - step: start
    tool: { kind: action, command: noop, args: { result: { big: "{{ 'x' * 100000 }}", more: "{{ 'y' * 100000 }}", again: "{{ 'z' * 40000 }}" } } }
    next: [{ step: end }]
  - step: end
    tool: { kind: action, command: noop, args: { result: "{{ start.big | length }}" } }
`;
    await register("big", workflow);
    const former = await run({ playbook: "big" });
    const again = await node.ask(
      "POST",
      `/v1/executions/${word(former.body["execution_id"])}/rerun`,
      {
        body: { from_step: "end" },
        headers: { prefer: "wait=5" },
      },
    );
    expect(again.body).toMatchObject({ status: "completed", result: 100_000 });
    expect(again.body["request"]).toMatchObject({
      restart: { steps: { start: { data: { size: 240_031 } } } },
    });
  });

  it("is refused while the former has not ended, and from where it never came", async () => {
    await register("hold", holding);
    const id = await running("hold", "k");
    expect((await to(id, "/rerun", {})).body).toMatchObject({
      status: 409,
      detail: `Cannot run execution ${id} again as it has not ended: it is running`,
    });
    await to(id, "/cancel", {});
    await expect.poll(async () => (await to(id)).body["status"]).toBe("cancelled");
    expect((await to(id, "/rerun", { from_step: "after" })).body).toMatchObject({
      status: 409,
      detail: `Cannot run execution ${id} again from step "after" as it never came there`,
    });
    expect((await to(id, "/rerun", { from_step: "gone" })).status).toBe(422);
  });
});

describe("approvals", () => {
  const asking = `
  - step: start
    tool: { kind: approval, message: "go?" }
    next: [{ step: end }]
  - step: end
    tool: { kind: action, command: noop, args: { result: "{{ start.by }}: {{ start.reason }}" } }
`;

  const open = async (): Promise<JsonObject[]> =>
    (await node.ask("GET", "/v1/approvals")).body["approvals"] as JsonObject[];

  const answer = (action: unknown, body: JsonObject): Promise<Answer> =>
    node.ask("POST", `/v1/approvals/${word(action)}`, { body });

  it("lists what waits with its message and execution; the first answer counts", async () => {
    await register("ask", asking);
    const id = await running("ask", "k");
    const [one, ...others] = await open();
    expect(others).toEqual([]);
    expect(one).toMatchObject({ message: "go?", execution_id: id, step: "start" });
    const said = await answer(one?.["action_id"], { approved: true, by: "ada", reason: "fine" });
    expect(said.body).toMatchObject({
      status: "succeeded",
      result: { approved: true, by: "ada", reason: "fine" },
    });
    expect((await answer(one?.["action_id"], { approved: false })).status).toBe(409);
    expect(await open()).toEqual([]);
    await expect.poll(async () => (await to(id)).body["result"]).toBe("ada: fine");
  });

  it("of two answers at one time one is refused", async () => {
    await register("ask", asking);
    await running("ask", "k");
    const [one] = await open();
    const said = await Promise.all(
      [true, false].map((approved) => answer(one?.["action_id"], { approved })),
    );
    expect(said.map(({ status }) => status)).toEqual([200, 409]);
  });

  it("a refusal fails its step; what is no approval takes no answer", async () => {
    await register("ask", asking);
    const id = await running("ask", "k");
    const [one] = await open();
    await answer(one?.["action_id"], { approved: false, reason: "not now" });
    expect((await to(id)).body).toMatchObject({
      status: "failed",
      error: { kind: "rejected", message: 'step "start": Refused by default: not now' },
      failed_steps: ["start"],
    });
    const noop = await node.ask("POST", "/v1/actions", { body: { command: "noop" } });
    expect((await answer(noop.body["action_id"], { approved: true })).body["detail"]).toContain(
      "as it is no approval: noop",
    );
  });
});
