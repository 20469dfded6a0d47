import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { observation, startNode, type TestNode, word } from "../../test/api/node.ts";

const [a, b] = ["token-of-a", "token-of-b"];

let node: TestNode;
let actionOfB: string;
let deadOfB: string;
let eventOfB: string;
let executionOfB: string;
let approvalOfB: string;

const playbook = `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: ask, path: ask }
workflow:
  - step: start
    tool: { kind: approval, message: "go?" }
`;

beforeAll(async () => {
  node = await startNode({
    tokens: [
      { token: a, tenant: "a" },
      { token: b, tenant: "b" },
    ],
  });
  const ask = (body: JsonObject): Promise<{ body: JsonObject }> =>
    node.ask("POST", "/v1/actions", { body, token: b, headers: { prefer: "wait=5" } });
  const ended = await ask({ command: "noop", entity_id: "shared", correlation_id: "shared" });
  actionOfB = word(ended.body["action_id"]);
  const dead = await ask({ command: "test.fail", args: { message: "x" }, entity_id: "shared" });
  deadOfB = word(dead.body["action_id"]);
  const published = await node.ask("POST", "/v1/events", {
    body: observation({ entity_id: "shared", idempotency_key: "k" }),
    token: b,
  });
  eventOfB = word((published.body["receipts"] as JsonObject[])[0]?.["event_id"]);
  await node.ask("POST", "/v1/playbooks", { body: { text: playbook }, token: a });
  const run = await node.ask("POST", "/v1/executions", { body: { playbook: "ask" }, token: b });
  executionOfB = word(run.body["execution_id"]);
  const { approvals } = (await node.ask("GET", "/v1/approvals", { token: b })).body;
  approvalOfB = word((approvals as JsonObject[])[0]?.["action_id"]);
});

afterAll(async () => {
  await node.stop();
});

describe("5. a token names its tenant: what it asks for and sees is that tenant's alone", () => {
  it.each([
    ["actions", "/v1/actions", "actions"],
    ["actions of an entity", "/v1/actions?entity_id=shared", "actions"],
    ["actions of a correlation", "/v1/actions?correlation_id=shared", "actions"],
    [
      "actions by a cursor",
      `/v1/actions?cursor=${Buffer.from("a999999").toString("base64url")}`,
      "actions",
    ],
    ["dead letters", "/v1/dlq", "dead_letters"],
    ["executions", "/v1/executions", "executions"],
    ["executions of a playbook", "/v1/executions?playbook=ask", "executions"],
    [
      "executions by a cursor",
      `/v1/executions?cursor=${Buffer.from("e999999").toString("base64url")}`,
      "executions",
    ],
    ["approvals", "/v1/approvals", "approvals"],
    ["events", "/v1/events", "records"],
    ["events of an entity", "/v1/events?entity_id=shared", "records"],
    [
      "events by a cursor",
      `/v1/events?cursor=${Buffer.from("r1").toString("base64url")}`,
      "records",
    ],
  ])("a list of %s", async (_, path, list) => {
    expect((await node.ask("GET", path, { token: a })).body[list]).toEqual([]);
    const own = (await node.ask("GET", path, { token: b })).body[list];
    expect((own as unknown[]).length).toBeGreaterThan(0);
  });

  it("an action, an execution and an approval by its id, and what can be asked of it", async () => {
    for (const [method, path, body] of [
      ["GET", `/v1/actions/${actionOfB}`],
      ["GET", `/v1/actions/${actionOfB}/events`],
      ["POST", `/v1/actions/${actionOfB}/cancel`],
      ["POST", `/v1/dlq/${deadOfB}/redrive`],
      ["POST", `/v1/dlq/${deadOfB}/discard`, { by: "a", reason: "a" }],
      ["POST", `/v1/approvals/${approvalOfB}`, { approved: true }],
      ["GET", `/v1/executions/${executionOfB}`],
      ["GET", `/v1/executions/${executionOfB}/events`],
      ["POST", `/v1/executions/${executionOfB}/cancel`],
      ["POST", `/v1/executions/${executionOfB}/pause`],
      ["POST", `/v1/executions/${executionOfB}/rerun`],
    ] as const) {
      const answer = await node.ask(method, path, {
        token: a,
        ...(body === undefined ? {} : { body }),
      });
      expect([path, answer.status, answer.body["kind"]]).toEqual([path, 404, "not_found"]);
    }
    const still = await node.ask("GET", `/v1/actions/${deadOfB}`, { token: b });
    expect(still.body["dead_letter"]).toBe("pending");
    const waits = await node.ask("GET", `/v1/executions/${executionOfB}`, { token: b });
    expect(waits.body).toMatchObject({ status: "running", tenant: "b", playbook: "ask" });
  });

  it("an event by its id", async () => {
    expect((await node.ask("GET", `/v1/events/${eventOfB}`, { token: a })).status).toBe(404);
    expect((await node.ask("GET", `/v1/events/${eventOfB}`, { token: b })).status).toBe(200);
  });

  it("the stream", async () => {
    const url = await node.api.listen({ host: "127.0.0.1", port: 0 });
    const answer = await fetch(`${url}/v1/events/stream?from=1`, {
      headers: { authorization: `Bearer ${a}` },
    });
    await node.ask("POST", "/v1/events", { body: observation({ entity_id: "of-b" }), token: b });
    await node.ask("POST", "/v1/events", { body: observation({ entity_id: "of-a" }), token: a });
    let text = "";
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part;
      if (text.includes("of-a")) break;
    }
    expect([...text.matchAll(/"tenant":"(\w+)"/g)].map((match) => match[1])).toEqual(["a"]);
    expect(text).not.toContain("of-b");
    expect(text).not.toContain("shared");
  });

  it("the answer to an approval is by the token's tenant where it does not say by whom", async () => {
    const answer = await node.ask("POST", `/v1/approvals/${approvalOfB}`, {
      body: { approved: true },
      token: b,
    });
    expect(answer.body["result"]).toEqual({ approved: true, by: "b", reason: "" });
  });

  it("one key of two tenants is two actions", async () => {
    const asked = await Promise.all(
      [a, b].map((token) =>
        node.ask("POST", "/v1/actions", {
          body: { command: "noop", entity_id: "two" },
          token,
          headers: { "idempotency-key": "same" },
        }),
      ),
    );
    expect(asked.map(({ body }) => [body["tenant"], body["duplicate"]])).toEqual([
      ["a", false],
      ["b", false],
    ]);
  });

  it.each([
    ["POST", "/v1/actions", { command: "noop", tenant: "b" }],
    ["POST", "/v1/events", observation({ tags: { tenant: "b" } })],
    ["GET", "/v1/actions?tenant=b", undefined],
    ["GET", "/v1/events?tenant=b", undefined],
    ["GET", "/v1/events/stream?tenant=b", undefined],
    ["GET", "/v1/dlq?tenant=b", undefined],
    ["POST", "/v1/executions", { playbook: "ask", tenant: "b" }],
    ["GET", "/v1/executions?tenant=b", undefined],
    ["GET", "/v1/approvals?tenant=b", undefined],
  ] as const)("naming another tenant is refused: %s %s", async (method, path, body) => {
    const answer = await node.ask(method, path, {
      token: a,
      ...(body === undefined ? {} : { body }),
    });
    expect([answer.status, answer.body["detail"]]).toEqual([
      403,
      'Cannot act for tenant "b": the token is for "a"',
    ]);
  });
});
