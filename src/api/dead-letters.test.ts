import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { startNode, type TestNode, word } from "../../test/api/node.ts";

let node: TestNode;

beforeEach(async () => {
  node = await startNode();
});

afterEach(async () => {
  await node.stop();
});

async function dead(entity: string): Promise<string> {
  const answer = await node.ask("POST", "/v1/actions", {
    body: {
      command: "test.fail",
      args: { message: `no ${entity}` },
      entity_id: entity,
      correlation_id: "slot",
      priority: "high",
      tags: { team: "red" },
    },
    headers: { prefer: "wait=5" },
  });
  expect(answer.body["status"]).toBe("failed");
  return word(answer.body["action_id"]);
}

async function pending(query = ""): Promise<JsonObject[]> {
  return (await node.ask("GET", `/v1/dlq${query}`)).body["dead_letters"] as JsonObject[];
}

describe("dead letters", () => {
  it("lists what needs a person: why, after how many attempts, with which last error", async () => {
    const id = await dead("job:a");
    expect(await pending()).toEqual([
      expect.objectContaining({
        action_id: id,
        status: "failed",
        dead_letter: "pending",
        reason: "failed",
        attempts: 1,
        last_error: { kind: "conflict", message: "no job:a", retryable: false },
      }),
    ]);
  });

  it("pages newest first", async () => {
    const ids = [await dead("a"), await dead("b"), await dead("c")].reverse();
    const first = await node.ask("GET", "/v1/dlq?limit=2");
    const second = await node.ask(
      "GET",
      `/v1/dlq?limit=2&cursor=${word(first.body["next_cursor"])}`,
    );
    const seen = [first, second].flatMap(({ body }) =>
      (body["dead_letters"] as JsonObject[]).map((letter) => letter["action_id"]),
    );
    expect(seen).toEqual(ids);
    expect(second.body["next_cursor"]).toBeUndefined();
  });

  it("re-drives as one new action that is linked, however many ask at once", async () => {
    const id = await dead("job:a");
    const answers = await Promise.all(
      ["eve", "bob"].map((by) => node.ask("POST", `/v1/dlq/${id}/redrive`, { body: { by } })),
    );
    const [again] = answers.map(({ body }) => word(body["action_id"]));
    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(new Set(answers.map(({ body }) => body["action_id"]))).toEqual(new Set([again]));
    expect(answers[0]?.headers["location"]).toBe(`/v1/actions/${String(again)}`);
    expect(again).not.toBe(id);
    const first = await node.ask("GET", `/v1/actions/${id}`);
    expect(first.body["dead_letter"]).toBe("redriven");
    const events = await node.ask("GET", `/v1/actions/${String(again)}/events`);
    const [request] = (events.body["records"] as { event: JsonObject }[]).map(({ event }) => event);
    expect(request).toMatchObject({
      event_type: "action.requested",
      correlation_id: "slot",
      tags: { team: "red", priority: "high" },
      attrs: { command: "test.fail", args: { message: "no job:a" }, redrive_of: id },
    });
  });

  it("discards, and records who and why", async () => {
    const id = await dead("job:a");
    const body = { by: "eve", reason: "host is gone" };
    const answer = await node.ask("POST", `/v1/dlq/${id}/discard`, { body });
    expect([answer.status, answer.body["dead_letter"]]).toEqual([202, "discarded"]);
    expect(await pending()).toEqual([]);
    const events = await node.ask("GET", `/v1/actions/${id}/events`);
    const last = (events.body["records"] as { event: JsonObject }[]).at(-1)?.event;
    expect([last?.["event_type"], last?.["attrs"]]).toEqual(["action.discarded", body]);
  });

  it("refuses to settle what is settled, and what never was a dead letter", async () => {
    const id = await dead("job:a");
    await node.ask("POST", `/v1/dlq/${id}/discard`, { body: { by: "e", reason: "r" } });
    const twice = await node.ask("POST", `/v1/dlq/${id}/redrive`);
    expect([twice.status, twice.body["detail"]]).toEqual([
      409,
      `Cannot settle ${id} as it is discarded`,
    ]);
    const asked = await node.ask("POST", "/v1/actions", {
      body: { command: "noop" },
      headers: { prefer: "wait=5" },
    });
    const fine = word(asked.body["action_id"]);
    const never = await node.ask("POST", `/v1/dlq/${fine}/redrive`);
    expect([never.status, never.body["detail"]]).toEqual([
      409,
      `Cannot settle ${fine} as it is no dead letter: it is succeeded`,
    ]);
  });
});
