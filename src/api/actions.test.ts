import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { actionIdOf } from "../event/ids.ts";
import { observation, startNode, type Answer, type TestNode, word } from "../../test/api/node.ts";

let node: TestNode;

beforeEach(async () => {
  node = await startNode();
});

afterEach(async () => {
  await node.stop();
});

function request(body: JsonObject, headers: Record<string, string> = {}): Promise<Answer> {
  return node.ask("POST", "/v1/actions", { body, headers });
}

function idsOf(answer: Answer): unknown[] {
  return (answer.body["actions"] as JsonObject[]).map((action) => action["action_id"]);
}

describe("POST /v1/actions", () => {
  it("1. answers 202 with where the action is, and it is on the log by then", async () => {
    const answer = await request({ command: "test.hold", entity_id: "service:web" });
    const id = word(answer.body["action_id"]);
    expect(answer.status).toBe(202);
    expect(answer.headers["location"]).toBe(`/v1/actions/${id}`);
    expect(answer.body).toMatchObject({
      command: "test.hold",
      entity_id: "service:web",
      tenant: "default",
      attempt: 1,
      duplicate: false,
      request: { command: "test.hold", args: {} },
    });
    const events = await node.ask("GET", `/v1/actions/${id}/events`);
    const types = (events.body["records"] as JsonObject[]).map(
      ({ event }) => (event as JsonObject)["event_type"],
    );
    expect(types).toEqual(["action.requested", "action.accepted", "action.started"]);
  });

  it("is about its command where no entity is named", async () => {
    expect((await request({ command: "noop" })).body["entity_id"]).toBe("command:noop");
  });

  it("asks for one action with one Idempotency-Key, however often it is sent", async () => {
    const headers = { "idempotency-key": "deploy-7" };
    const [first, second] = await Promise.all([
      request({ command: "noop" }, headers),
      request({ command: "noop" }, headers),
    ]);
    const third = await request({ command: "noop", idempotency_key: "deploy-7" });
    const id = actionIdOf("default", "deploy-7");
    expect([first, second, third].map((one) => one.body["action_id"])).toEqual([id, id, id]);
    expect([first, second, third].map((one) => one.body["duplicate"])).toEqual([false, true, true]);
    expect((await node.ask("GET", "/v1/actions")).body["actions"]).toHaveLength(1);
  });

  it("refuses the key of another request", async () => {
    await request({ command: "noop", args: { result: 1 } }, { "idempotency-key": "k" });
    const other = await request(
      { command: "noop", args: { result: 2 } },
      { "idempotency-key": "k" },
    );
    expect(other.status).toBe(422);
    expect(other.body).toMatchObject({ kind: "conflict", status: 422 });
    expect(other.body["detail"]).toContain('the idempotency key "k" was used for another request');
  });

  it("refuses the key of an observation", async () => {
    await node.ask("POST", "/v1/events", { body: observation({ idempotency_key: "shared" }) });
    const answer = await request({ command: "noop" }, { "idempotency-key": "shared" });
    expect([answer.status, answer.body["kind"]]).toEqual([422, "conflict"]);
  });

  it("refuses two keys that differ", async () => {
    const answer = await request(
      { command: "noop", idempotency_key: "a" },
      { "idempotency-key": "b" },
    );
    expect([answer.status, answer.body["detail"]]).toEqual([
      400,
      'Cannot take the request as Idempotency-Key says "b" and idempotency_key "a": give one of them',
    ]);
  });

  it("Prefer: wait=N answers 200 with the result", async () => {
    const answer = await request(
      { command: "noop", args: { result: { n: 7 } } },
      { prefer: "respond-async, wait=10" },
    );
    expect(answer.status).toBe(200);
    expect(answer.headers["preference-applied"]).toBe("wait=10");
    expect(answer.body).toMatchObject({ status: "succeeded", result: { n: 7 } });
  });

  it("Prefer: wait=N answers a null result as null", async () => {
    const answer = await request({ command: "noop" }, { prefer: "wait=10" });
    expect(answer.body["result"]).toBeNull();
  });

  it("Prefer: wait=N answers 200 with the error of an action that failed", async () => {
    const answer = await request(
      { command: "test.fail", args: { message: "no" } },
      { prefer: "wait=10" },
    );
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      status: "failed",
      error_kind: "conflict",
      error: { kind: "conflict", message: "no", retryable: false },
    });
  });

  it("Prefer: wait=N answers 202 where the time is over before the action is", async () => {
    const answer = await request({ command: "test.hold" }, { prefer: "wait=0" });
    expect([answer.status, answer.headers["preference-applied"]]).toEqual([202, "wait=0"]);
  });

  it("Prefer: wait=N with a key of an action that has ended answers at once", async () => {
    const headers = { prefer: "wait=10", "idempotency-key": "again" };
    const first = await request({ command: "noop", args: { result: 1 } }, headers);
    const second = await request({ command: "noop", args: { result: 1 } }, headers);
    expect(second.status).toBe(200);
    expect(second.body).toEqual({ ...first.body, duplicate: true });
  });

  it("waits no longer than 300 s, and says so", async () => {
    const answer = await request({ command: "noop" }, { prefer: "wait=900" });
    expect(answer.headers["preference-applied"]).toBe("wait=300");
  });

  it("an unknown command waits with the reason, and says that nobody serves it", async () => {
    const answer = await request({ command: "robot.dance" });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      status: "requested",
      note: "no executor on this node serves robot.dance: it waits for one",
      deferred: { reason: "no_executor", limit_key: "executor:robot.dance" },
    });
  });

  it("an unknown command expires by its ttl", async () => {
    const answer = await request({ command: "robot.dance", ttl_sec: 0.05 }, { prefer: "wait=10" });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ status: "failed", error_kind: "ttl_expired" });
    expect(answer.body["note"]).toBeUndefined();
  });

  it("keeps a traceparent that is one, and leaves out any other", async () => {
    const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (const [traceparent, kept] of [
      [good, good],
      ["nonsense", undefined],
    ] as const) {
      const { body } = await request({ command: "noop" }, { traceparent });
      const events = await node.ask("GET", `/v1/actions/${word(body["action_id"])}/events`);
      const [first] = events.body["records"] as JsonObject[];
      expect((first?.["event"] as JsonObject)["traceparent"]).toBe(kept);
    }
  });
});

describe("256 requests at one time", () => {
  it("are one append each, share their commits, and read back their row and no request", async () => {
    const append = vi.spyOn(node.log, "append");
    const read = vi.spyOn(node.log, "read");
    const getAction = vi.spyOn(node.log, "getAction");
    const head = node.log.head();
    const commits: number[] = [];
    node.log.onCommit((records) => {
      commits.push(records.filter(({ event }) => event.event_type === "action.requested").length);
    });
    const answers = await Promise.all(
      Array.from({ length: 256 }, (_, n) =>
        request({ command: "noop", args: { payload: n } }, n % 2 === 0 ? { prefer: "wait=5" } : {}),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(
      answers.map((_, n) => (n % 2 === 0 ? 200 : 202)),
    );
    expect(append).toHaveBeenCalledTimes(256);
    expect(getAction).toHaveBeenCalledTimes(256);
    expect(commits.filter((count) => count > 0).length).toBeLessThanOrEqual(64);
    expect(node.log.head()).toBe(head + 256 * 4);
    expect(read.mock.calls.length).toBeLessThanOrEqual(128);
  });
});

describe("GET /v1/actions", () => {
  it("filters by status, command, entity and correlation", async () => {
    const a = await request(
      { command: "noop", entity_id: "job:a", correlation_id: "c1" },
      { prefer: "wait=5" },
    );
    const b = await request({ command: "test.hold", entity_id: "job:b" });
    const listed = async (query: string): Promise<unknown[]> =>
      idsOf(await node.ask("GET", `/v1/actions?${query}`));
    const [idA, idB] = [a.body["action_id"], b.body["action_id"]];
    expect(await listed("")).toEqual([idB, idA]);
    expect(await listed("status=succeeded,failed")).toEqual([idA]);
    expect(await listed("status=started")).toEqual([idB]);
    expect(await listed("command=test.hold")).toEqual([idB]);
    expect(await listed("entity_id=job:a")).toEqual([idA]);
    expect(await listed("correlation_id=c1")).toEqual([idA]);
    expect(await listed("correlation_id=c2")).toEqual([]);
  });

  it("pages through all of them once, newest first, while new ones arrive", async () => {
    const asked: unknown[] = [];
    for (let n = 0; n < 7; n += 1) {
      asked.unshift(
        (await request({ command: "noop", entity_id: `n:${String(n)}` })).body["action_id"],
      );
    }
    const seen: unknown[] = [];
    for (let cursor = ""; ;) {
      const page = await node.ask("GET", `/v1/actions?limit=3${cursor}`);
      seen.push(...idsOf(page));
      await request({ command: "noop", entity_id: "n:new" });
      if (page.body["next_cursor"] === undefined) break;
      cursor = `&cursor=${word(page.body["next_cursor"])}`;
    }
    expect(seen).toEqual(asked);
  });

  it("gives no cursor where the last page is full", async () => {
    for (let n = 0; n < 2; n += 1) await request({ command: "noop" });
    const page = await node.ask("GET", "/v1/actions?limit=2");
    expect(page.body["actions"]).toHaveLength(2);
    expect(page.body["next_cursor"]).toBeUndefined();
  });
});

describe("GET /v1/actions/{id}", () => {
  it("shows what was asked, by which cause, and what came of it", async () => {
    const asked = await request(
      { command: "noop", args: { result: 5 } },
      { prefer: "wait=5", "idempotency-key": "k5" },
    );
    const answer = await node.ask("GET", `/v1/actions/${word(asked.body["action_id"])}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      status: "succeeded",
      request: { command: "noop", args: { result: 5 } },
      idempotency_key: "k5",
      result: 5,
    });
  });
});

describe("POST /v1/actions/{id}/cancel", () => {
  it("cancels queued work at once and for good", async () => {
    const asked = await request({ command: "robot.dance" });
    const path = `/v1/actions/${word(asked.body["action_id"])}`;
    const answer = await node.ask("POST", `${path}/cancel`, { body: { reason: "no", by: "eve" } });
    expect([answer.status, answer.body["status"]]).toEqual([202, "cancelled"]);
    const again = await node.ask("POST", `${path}/cancel`);
    expect([again.status, again.body["kind"]]).toEqual([409, "conflict"]);
    expect(again.body["detail"]).toBe(
      `Cannot cancel ${word(asked.body["action_id"])} as it has ended: cancelled`,
    );
  });

  it("asks a running action to end, and records who and why", async () => {
    const asked = await request({ command: "test.hold" });
    const id = word(asked.body["action_id"]);
    const answer = await node.ask("POST", `/v1/actions/${id}/cancel`, {
      body: { reason: "no", by: "eve" },
    });
    expect(answer.status).toBe(202);
    const ended = await request({ command: "noop" }, { prefer: "wait=5" });
    expect(ended.status).toBe(200);
    const events = await node.ask("GET", `/v1/actions/${id}/events`);
    const told = (events.body["records"] as JsonObject[]).map(({ event }) => event as JsonObject);
    expect(told.map((event) => event["event_type"]).slice(3)).toEqual([
      "action.cancel_requested",
      "action.cancelled",
    ]);
    expect(told[3]?.["attrs"]).toEqual({ reason: "no", by: "eve" });
  });
});
