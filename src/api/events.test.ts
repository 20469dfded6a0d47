import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { observation, startNode, type Answer, type TestNode, word } from "../../test/api/node.ts";

let node: TestNode;

beforeEach(async () => {
  node = await startNode();
});

afterEach(async () => {
  await node.stop();
});

type Shown = { readonly topic: string; readonly offset: number; readonly event: JsonObject };

function publish(body: JsonObject | readonly JsonObject[]): Promise<Answer> {
  return node.ask("POST", "/v1/events", { body });
}

function receiptsOf(answer: Answer): readonly JsonObject[] {
  return answer.body["receipts"] as JsonObject[];
}

async function observed(): Promise<readonly JsonObject[]> {
  const answer = await node.ask("GET", "/v1/events?topic=events.normalized");
  return (answer.body["records"] as Shown[]).map(({ event }) => event);
}

const cloud = {
  specversion: "1.0",
  id: "c-1",
  source: "/cron?host=a",
  type: "job.failed",
  time: "2026-11-24T05:00:00Z",
  subject: "job:export",
  data: { exit_code: 2 },
};

const asEvent = {
  ts: "2026-11-24T05:00:00.000Z",
  event_type: "job.failed",
  entity_id: "job:export",
  idempotency_key: "/cron?host=a#c-1",
  source: { system: "cron", ns: { host: "a" } },
  tags: { tenant: "default" },
  attrs: { exit_code: 2 },
};

describe("POST /v1/events", () => {
  it("1. takes one, and its receipt says where it is", async () => {
    const sent = observation();
    const answer = await publish(sent);
    const [receipt] = receiptsOf(answer);
    expect(answer.status).toBe(202);
    expect(receipt).toEqual({
      event_id: expect.stringMatching(/^\d+$/) as string,
      offset: node.log.head(),
      duplicate: false,
    });
    const shown = await node.ask("GET", `/v1/events/${word(receipt?.["event_id"])}`);
    expect(shown.body).toMatchObject({
      topic: "events.normalized",
      offset: receipt?.["offset"],
      event: { ...sent, event_id: receipt?.["event_id"], tags: { tenant: "default" } },
    });
  });

  it.each([
    ["an array", (events: readonly JsonObject[]) => ({ body: events })],
    ["{events}", (events: readonly JsonObject[]) => ({ body: { events } })],
    [
      "NDJSON",
      (events: readonly JsonObject[]) => ({
        text: `${events.map((event) => JSON.stringify(event)).join("\n")}\n\n`,
        headers: { "content-type": "application/x-ndjson; charset=utf-8" },
      }),
    ],
  ])("takes many as %s, in their order", async (_, sent) => {
    const events = ["a", "b", "c"].map((name) => observation({ entity_id: name }));
    const answer = await node.ask("POST", "/v1/events", sent(events));
    expect(answer.status).toBe(202);
    expect((await observed()).map((event) => event["entity_id"])).toEqual(["a", "b", "c"]);
    const offsets = receiptsOf(answer).map((receipt) => Number(receipt["offset"]));
    expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
  });

  it.each([
    ["structured", { body: cloud, headers: { "content-type": "application/cloudevents+json" } }],
    ["batch", { body: [cloud], headers: { "content-type": "application/cloudevents-batch+json" } }],
    [
      "binary",
      {
        body: cloud.data,
        headers: {
          "ce-specversion": "1.0",
          "ce-id": cloud.id,
          "ce-source": cloud.source,
          "ce-type": cloud.type,
          "ce-time": cloud.time,
          "ce-subject": cloud.subject,
        },
      },
    ],
  ])("takes CloudEvents in %s mode", async (_, sent) => {
    const answer = await node.ask("POST", "/v1/events", sent);
    expect(answer.status).toBe(202);
    expect(await observed()).toEqual([
      { ...asEvent, event_id: receiptsOf(answer)[0]?.["event_id"] },
    ]);
  });

  it("answers a repeated key with the first receipt", async () => {
    const sent = observation({ idempotency_key: "once" });
    const first = receiptsOf(await publish(sent))[0];
    const second = receiptsOf(await publish([sent, sent]));
    expect(second).toEqual([
      { ...first, duplicate: true },
      { ...first, duplicate: true },
    ]);
    expect(await observed()).toHaveLength(1);
  });

  it("2. stores nothing of a batch with one bad event, and says which it is", async () => {
    const answer = await publish([observation(), { ...observation(), ts: "yesterday" }]);
    expect(answer.status).toBe(400);
    expect(answer.body["detail"]).toMatch(
      /^Cannot accept the event as \/ts must be an RFC 3339 time/,
    );
    expect(answer.body["detail"]).toMatch(/\(event 1 of the batch; nothing was stored\)$/);
    expect((answer.body["problems"] as JsonObject[])[0]?.["pointer"]).toBe("/1/ts");
    expect(await observed()).toEqual([]);
  });

  it("says the line of NDJSON that is not JSON", async () => {
    const answer = await node.ask("POST", "/v1/events", {
      text: `${JSON.stringify(observation())}\n\n{"ts": }\n`,
      headers: { "content-type": "application/x-ndjson" },
    });
    expect(answer.body["detail"]).toBe(
      'Cannot read the body as JSON at line 3, column 8: expected a value, found "}"',
    );
  });

  it.each([
    [[], 0],
    [Array.from({ length: 1_001 }, () => ({})), 1_001],
  ])("refuses a batch of a size that it does not take (case %#)", async (body, size) => {
    const answer = await publish(body);
    expect([answer.status, answer.body["detail"]]).toEqual([
      400,
      `A batch holds 1 to 1000 events: this one ${String(size)}`,
    ]);
  });

  it("refuses an event type that only the system writes", async () => {
    const answer = await publish(observation({ event_type: "action.succeeded" }));
    expect(answer.status).toBe(400);
    expect(answer.body["problems"]).toEqual([{ pointer: "/event_type", message: "is reserved" }]);
  });

  it("refuses an event that is larger than the log takes", async () => {
    const answer = await publish(observation({ attrs: { text: "x".repeat(300_000) } }));
    expect([answer.status, answer.body["kind"]]).toEqual([413, "unprocessable"]);
    expect(answer.body["detail"]).toContain("one event may be 262144 bytes");
  });

  it("answers 507 with Retry-After where the log is full, and nothing is stored", async () => {
    const { LogError } = await import("../log/log.ts");
    let full = false;
    const failing = await startNode({
      beforeCommit: () => {
        if (full) throw new LogError("full", "Cannot append as no space is left");
      },
    });
    full = true;
    const answer = await failing.ask("POST", "/v1/events", { body: observation() });
    full = false;
    expect(answer.status).toBe(507);
    expect(answer.headers["retry-after"]).toBe("5");
    expect(answer.body).toMatchObject({
      kind: "unavailable",
      title: "No space left",
      detail: "Cannot append as no space is left",
    });
    const again = await failing.ask("POST", "/v1/events", { body: observation() });
    expect(again.status).toBe(202);
    await failing.stop();
  });
});

describe("GET /v1/events", () => {
  const shown = async (query: string): Promise<readonly unknown[]> => {
    const answer = await node.ask("GET", `/v1/events?${query}`);
    return (answer.body["records"] as Shown[]).map(({ event }) => event["entity_id"]);
  };

  beforeEach(async () => {
    await publish([
      observation({ entity_id: "a" }),
      observation({ entity_id: "b" }),
      observation({ entity_id: "a" }),
    ]);
    await node.ask("POST", "/v1/actions", { body: { command: "robot.dance", entity_id: "a" } });
  });

  it("reads by topic, by entity, and by both", async () => {
    expect(await shown("topic=events.normalized")).toEqual(["a", "b", "a"]);
    expect(await shown("entity_id=a&topic=events.normalized")).toEqual(["a", "a"]);
    expect(await shown("entity_id=a&topic=actions.requested,actions.progress")).toEqual(["a", "a"]);
    expect(await shown("entity_id=b")).toEqual(["b"]);
    expect(await shown("execution_id=none")).toEqual([]);
  });

  it("pages in offset order, each record once, with what came in between at the end", async () => {
    const seen: unknown[] = [];
    for (let cursor = ""; ;) {
      const page = await node.ask("GET", `/v1/events?limit=2&topic=events.normalized${cursor}`);
      seen.push(...(page.body["records"] as Shown[]).map(({ event }) => event["entity_id"]));
      if (seen.length === 2) await publish(observation({ entity_id: "late" }));
      if (page.body["next_cursor"] === undefined) break;
      cursor = `&cursor=${word(page.body["next_cursor"])}`;
    }
    expect(seen).toEqual(["a", "b", "a", "late"]);
  });

  it("gives no cursor where the last page is full", async () => {
    const page = await node.ask("GET", "/v1/events?limit=3&topic=events.normalized");
    expect(page.body["records"]).toHaveLength(3);
    expect(page.body["next_cursor"]).toBe(undefined);
  });

  it("begins at from", async () => {
    const head = node.log.head();
    const answer = await node.ask("GET", `/v1/events?from=${String(head)}`);
    expect((answer.body["records"] as Shown[]).map(({ offset }) => offset)).toEqual([head]);
  });

  it("says that there is no such event", async () => {
    const answer = await node.ask("GET", "/v1/events/1");
    expect([answer.status, answer.body["detail"]]).toEqual([404, "There is no event 1"]);
  });
});
