import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../base/json.ts";
import { observation, startNode, type TestNode, word } from "../../test/api/node.ts";

let node: TestNode;
let url: string;

beforeEach(async () => {
  node = await startNode();
  url = await node.api.listen({ host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  await node.stop();
});

type Stream = {
  readonly status: number;
  readonly headers: Headers;
  /** Reads on until `count` messages came, and gives them. */
  readonly next: (count: number) => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
};

/** Opens a stream; its first message, which tells its place, is taken off. */
async function open(query = "", headers: Record<string, string> = {}): Promise<Stream> {
  const answer = await fetch(`${url}/v1/events/stream${query}`, { headers });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const next = async (count: number): Promise<readonly string[]> => {
    while (text.split("\n\n").length <= count) {
      const part = await reader?.read();
      if (part?.value === undefined) throw new Error(`the stream ended with: ${text}`);
      text += part.value;
    }
    const parts = text.split("\n\n");
    text = parts.slice(count).join("\n\n");
    return parts.slice(0, count);
  };
  expect((await next(1))[0]).toMatch(/^: deed\nid: \d+$/);
  return {
    status: answer.status,
    headers: answer.headers,
    next,
    close: async () => reader?.cancel(),
  };
}

function idOf(message: string | undefined): number {
  return Number(/^id: (\d+)$/m.exec(message ?? "")?.[1]);
}

function entityOf(message: string): unknown {
  const data = /^data: (.*)$/m.exec(message)?.[1] ?? "{}";
  return (JSON.parse(data) as { event: JsonObject }).event["entity_id"];
}

async function publish(...entities: readonly string[]): Promise<void> {
  const body = { events: entities.map((name) => observation({ entity_id: name })) };
  expect((await node.ask("POST", "/v1/events", { body })).status).toBe(202);
}

describe("GET /v1/events/stream", () => {
  it("tells each record with its offset, its type and all of it", async () => {
    const stream = await open();
    await publish("a");
    const [message] = await stream.next(1);
    const head = node.log.head();
    expect([stream.status, stream.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
    ]);
    const [id, event, data] = message?.split("\n") ?? [];
    expect([id, event]).toEqual([`id: ${String(head)}`, "event: job.failed"]);
    const listed = await node.ask("GET", `/v1/events?from=${String(head)}`);
    expect(JSON.parse(data?.slice("data: ".length) ?? "")).toEqual(
      (listed.body["records"] as unknown[])[0],
    );
    await stream.close();
  });

  it("begins with what comes next, or at from", async () => {
    await publish("old");
    const live = await open();
    const whole = await open(`?from=${String(node.log.head())}`);
    await publish("new");
    expect((await live.next(1)).map(entityOf)).toEqual(["new"]);
    expect((await whole.next(2)).map(entityOf)).toEqual(["old", "new"]);
    await live.close();
    await whole.close();
  });

  it("filters by topic, type, entity and action", async () => {
    const asked = await node.ask("POST", "/v1/actions", {
      body: { command: "robot.dance", entity_id: "r" },
    });
    await publish("a", "b");
    const id = word(asked.body["action_id"]);
    const typesOf = async (query: string, count: number): Promise<unknown[]> => {
      const stream = await open(`?from=1&${query}`);
      const messages = await stream.next(count);
      await stream.close();
      return messages.map((message) => /^event: (.*)$/m.exec(message)?.[1]);
    };
    expect(await typesOf("topic=actions.requested,actions.progress", 2)).toEqual([
      "action.requested",
      "action.deferred",
    ]);
    expect(await typesOf(`action_id=${id}`, 2)).toEqual(["action.requested", "action.deferred"]);
    expect(await typesOf("type=action.d*", 1)).toEqual(["action.deferred"]);
    expect(await typesOf("type=job.failed&entity_id=b", 1)).toEqual(["job.failed"]);
  });

  it("resumes behind Last-Event-ID without a gap or a repeat, wherever it was cut", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `n${String(index)}`);
    const first = node.log.head() + 1;
    const seen: unknown[] = [];
    let last = first - 1;
    for (let cut = 1; seen.length < names.length; cut += 3) {
      const stream = await open("?topic=events.normalized", { "last-event-id": String(last) });
      if (cut === 1) await publish(...names.slice(0, 20));
      if (cut === 4) await publish(...names.slice(20));
      const messages = await stream.next(Math.min(cut, names.length - seen.length));
      seen.push(...messages.map(entityOf));
      last = idOf(messages.at(-1));
      await stream.close();
    }
    expect(seen).toEqual(names);
  });

  it("tells its place with each heartbeat, also past what its filter left out", async () => {
    const stream = await open("?type=never.*");
    await publish("a", "b", "c");
    let place = 0;
    for (let beats = 0; place < node.log.head() && beats < 1_000; beats += 1) {
      node.beat();
      const [told] = await stream.next(1);
      expect(told).toMatch(/^: still here\nid: \d+$/);
      place = idOf(told);
    }
    expect(place).toBe(node.log.head());
    await stream.close();
  });

  it("a slow client holds up nobody, costs little, and gets every record", async () => {
    const { port } = new URL(url);
    const socket = connect({ host: "127.0.0.1", port: Number(port) });
    socket.write(
      "GET /v1/events/stream?from=1&topic=events.normalized HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    );
    socket.pause();
    const big = "x".repeat(100_000);
    for (let n = 0; n < 200; n += 1) {
      const body = observation({ entity_id: `n${String(n)}`, attrs: { big } });
      expect((await node.ask("POST", "/v1/events", { body })).status).toBe(202);
    }
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.resume();
    await expect.poll(() => text.includes('"entity_id":"n199"'), { timeout: 10_000 }).toBe(true);
    const seen = [...text.matchAll(/"entity_id":"(n\d+)"/g)].map((match) => match[1]);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => `n${String(n)}`));
    socket.destroy();
  });

  it("refuses one stream more than it serves, and serves again when one has ended", async () => {
    const streams = await Promise.all(Array.from({ length: 256 }, () => open()));
    const refused = await fetch(`${url}/v1/events/stream`);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      kind: "rate_limited",
      detail: "Cannot open another stream: 256 are open",
    });
    await streams[0]?.close();
    await expect
      .poll(async () => {
        const again = await fetch(`${url}/v1/events/stream`);
        await again.body?.cancel();
        return again.status;
      })
      .toBe(200);
    await Promise.all(streams.map((stream) => stream.close()));
  });

  it("ends all streams when the API closes", async () => {
    const stream = await open();
    await node.api.close();
    await expect(stream.next(1)).rejects.toThrow();
  });
});
