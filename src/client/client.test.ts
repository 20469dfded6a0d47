import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { observation, startNode, word, type TestNode } from "../../test/api/node.ts";
import { createMemoryDisk, type MemoryDisk } from "../log/memory/memory-log.ts";
import { ClientError, createClient, type Client, type RecordView } from "./client.ts";

let disk: MemoryDisk;
let node: TestNode;
let url: string;
let client: Client;

beforeEach(async () => {
  disk = createMemoryDisk();
  node = await startNode({ disk });
  url = await node.api.listen({ host: "127.0.0.1", port: 0 });
  client = createClient({ url: `${url}/` });
});

afterEach(async () => {
  await node.stop();
});

async function restart(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  await node.stop();
  await meanwhile();
  node = await startNode({ disk });
  await node.api.listen({ host: "127.0.0.1", port: Number(new URL(url).port) });
}

async function refusalOf(call: Promise<unknown>): Promise<ClientError> {
  const thrown: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof ClientError) return thrown;
  throw new Error(`was not refused: ${String(thrown)}`);
}

describe("calls", () => {
  it("requests, waits for the outcome, and reads it back", async () => {
    const ended = await client.request(
      { command: "noop", args: { result: [1] }, entity_id: "job:a" },
      { waitSec: 5, idempotencyKey: "k" },
    );
    expect(ended).toMatchObject({ status: "succeeded", result: [1], duplicate: false });
    expect(
      await client.request(
        { command: "noop", args: { result: [1] }, entity_id: "job:a" },
        { idempotencyKey: "k" },
      ),
    ).toMatchObject({
      action_id: ended.action_id,
      duplicate: true,
    });
    expect(await client.action(ended.action_id)).toMatchObject({ result: [1] });
    const events = await client.actionEvents(ended.action_id);
    expect(events.map(({ event }) => event.event_type)).toEqual([
      "action.requested",
      "action.accepted",
      "action.started",
      "action.succeeded",
    ]);
    const listed = await client.actions({ entity_id: "job:a", limit: 5 });
    expect(listed.actions.map((one) => one.action_id)).toEqual([ended.action_id]);
    expect((await client.event(events[0]?.event.event_id ?? "")).offset).toBe(events[0]?.offset);
  });

  it("publishes, cancels, re-drives and discards", async () => {
    const { receipts } = await client.publish([observation(), observation()]);
    expect(receipts).toHaveLength(2);
    const waits = await client.request({ command: "robot.dance" });
    expect((await client.cancel(waits.action_id, { by: "eve" })).status).toBe("cancelled");
    const fail = { command: "test.fail", args: { message: "x" } };
    const dead = await client.request(fail, { waitSec: 5 });
    expect((await client.deadLetters()).dead_letters.map((one) => one.action_id)).toEqual([
      dead.action_id,
    ]);
    const again = await client.redrive(dead.action_id, { by: "eve" });
    expect((await client.action(again.action_id))["request"]).toMatchObject({
      redrive_of: dead.action_id,
    });
    const other = await client.request(fail, { waitSec: 5 });
    expect(await client.discard(other.action_id, { by: "eve", reason: "no" })).toMatchObject({
      dead_letter: "discarded",
    });
  });

  it("registers and runs playbooks, asks of executions, and answers approvals", async () => {
    const head =
      'apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: { name: ask, path: a/ask }\nworkload: { why: "" }\n';
    const text = `${head}workflow:\n  - step: start\n    tool: { kind: approval, message: "{{ why }}" }\n`;
    const registered = await client.registerPlaybook({ text, file: "ask.yaml" });
    expect(registered).toMatchObject({ path: "a/ask", registered: true, findings: [] });
    const { digest } = registered;
    expect((await client.playbooks({ limit: 5 })).playbooks).toMatchObject([{ path: "a/ask" }]);
    expect((await client.playbookVersion("a/ask", digest)).text).toBe(text);
    expect(await client.pinPlaybook("a/ask", digest)).toMatchObject({ pinned: true });
    expect(await client.unpinPlaybook("a/ask")).toMatchObject({ pinned: false });
    expect(await client.playbook("a/ask")).toMatchObject({ versions: [{ digest }] });

    const run = { playbook: "a/ask", input: { why: "go?" } };
    const { execution_id: id } = await client.runPlaybook(run, { idempotencyKey: "k" });
    expect(await client.pauseExecution(id)).toMatchObject({ status: "paused" });
    expect(await client.resumeExecution(id, { by: "eve" })).toMatchObject({ status: "running" });
    const [waits] = (await client.approvals()).approvals;
    expect(waits).toMatchObject({ execution_id: id, message: "go?" });
    await client.answerApproval(word(waits?.action_id), { approved: true, by: "eve" });
    const ended = await client.runPlaybook(run, { idempotencyKey: "k", waitSec: 5 });
    expect(ended).toMatchObject({ status: "completed", result: { by: "eve" }, duplicate: true });
    const { records } = await client.executionEvents(id, { order: "newest", limit: 1 });
    expect(records.map(({ event }) => event.event_type)).toEqual(["execution.completed"]);

    const again = await client.rerunExecution(id, { input: { why: "again?" } });
    expect((await client.cancelExecution(again.execution_id, { reason: "no" })).execution_id).toBe(
      again.execution_id,
    );
    await expect
      .poll(async () => (await client.execution(again.execution_id)).status)
      .toBe("cancelled");
    expect((await client.executions({ playbook: "a/ask" })).executions).toMatchObject([
      { rerun_of: id },
      { execution_id: id },
    ]);
  });

  it("carries its token", async () => {
    const guarded = await startNode({ tokens: [{ token: "t", tenant: "a" }] });
    const at = await guarded.api.listen({ host: "127.0.0.1", port: 0 });
    expect(
      (await createClient({ url: at, token: "t" }).request({ command: "noop" }))["tenant"],
    ).toBe("a");
    expect(await refusalOf(createClient({ url: at }).actions())).toMatchObject({
      status: 401,
      kind: "permission",
    });
    await guarded.stop();
  });
});

describe("1. every error is a ClientError with the problem's words", () => {
  it("a refusal", async () => {
    const error = await refusalOf(client.request({ command: "noop", args: [] as never, x: 1 }));
    expect(error).toMatchObject({
      status: 400,
      kind: "invalid_args",
      message: "Cannot take the request's body as /x is not known",
      problems: [
        { pointer: "/x", message: "is not known" },
        { pointer: "/args", message: "must be object" },
      ],
    });
  });

  it("a playbook that cannot be run, with every finding in its place", async () => {
    const error = await refusalOf(client.registerPlaybook({ text: "kind: Playbook", file: "x" }));
    expect(error).toMatchObject({ status: 422, kind: "unprocessable" });
    expect(error.problems).toContainEqual(expect.objectContaining({ pointer: "x:1:1" }));
  });

  it("a connection that is refused says what to do", async () => {
    const error = await refusalOf(createClient({ url: "http://127.0.0.1:1" }).actions());
    expect(error).toMatchObject({ status: 0, kind: "unavailable" });
    expect(error.message).toBe(
      "Cannot reach http://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1. Start it with `deed start`, or name another with --url or DEED_URL",
    );
  });

  it("a stream that cannot begin", async () => {
    const signal = new AbortController().signal;
    const read = async (from: Client): Promise<void> => {
      for await (const record of from.stream({ topic: "x" }, { signal }))
        expect(record).toBeUndefined();
    };
    expect(await refusalOf(read(client))).toMatchObject({ status: 400, kind: "invalid_args" });
    expect(await refusalOf(read(createClient({ url: "http://127.0.0.1:1" })))).toMatchObject({
      status: 0,
    });
  });
});

describe("against a server that is no node", () => {
  let server: Server;

  const serve = async (answer: Parameters<typeof createServer>[1]): Promise<string> => {
    server = createServer(answer as () => void);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  };

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it("3. no call waits for ever, and the error says what may still happen", async () => {
    const at = await serve(() => undefined);
    const error = await refusalOf(createClient({ url: at, timeoutMs: 100 }).actions());
    expect(error).toMatchObject({ status: 0, kind: "timeout" });
    expect(error.message).toBe(
      `Cannot wait any longer for ${at}: no answer came in time. What was asked for may still happen: ask again with the same idempotency key`,
    );
  });

  it("1. a page is not taken for an answer", async () => {
    const at = await serve((_, response) => void response.end("<html>"));
    const error = await refusalOf(createClient({ url: at }).actions());
    expect(error.message).toBe(
      `Cannot read the answer of ${at} to GET /v1/actions as it is no JSON object: is it a node of deed?`,
    );
  });

  it("1. a failure without a problem tells its status", async () => {
    const at = await serve((_, response) => void response.writeHead(502).end("<html>"));
    expect(await refusalOf(createClient({ url: at }).actions())).toMatchObject({
      status: 502,
      kind: "executor_error",
      message: "HTTP 502",
    });
  });
});

describe("2. a stream that breaks is taken up again: no gap, no repeat", () => {
  const collect = (
    from: number | undefined,
    filter: Parameters<Client["stream"]>[0] = { topic: "events.normalized" },
  ): { seen: string[]; stop: () => Promise<void> } => {
    const controller = new AbortController();
    const seen: string[] = [];
    const ended = (async () => {
      const options = { signal: controller.signal, ...(from === undefined ? {} : { from }) };
      for await (const record of client.stream(filter, options)) seen.push(entityOf(record));
    })();
    return {
      seen,
      stop: async () => {
        controller.abort();
        await ended;
      },
    };
  };

  const entityOf = ({ event }: RecordView): string => word(event["entity_id"]);

  const connections = (): Promise<number> =>
    new Promise((resolve) => {
      node.api.app.server.getConnections((_, count) => {
        resolve(count);
      });
    });

  const publish = async (...names: readonly string[]): Promise<void> => {
    await node.log.append(names.map((name) => ({ ...observation({ entity_id: name }) }) as never));
  };

  it("over restarts of the node, with records that come in between", async () => {
    const stream = collect(1);
    await publish("a", "b");
    await expect.poll(() => stream.seen).toEqual(["a", "b"]);
    await restart();
    await publish("c");
    await expect.poll(() => stream.seen, { timeout: 10_000 }).toEqual(["a", "b", "c"]);
    await restart();
    await publish("d", "e");
    await expect.poll(() => stream.seen, { timeout: 10_000 }).toEqual(["a", "b", "c", "d", "e"]);
    await stream.stop();
  });

  it("also where it broke before a record was seen", async () => {
    await publish("before");
    const stream = collect(undefined, { entity_id: "wanted" });
    await expect.poll(connections).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await restart();
    await publish("wanted");
    await expect.poll(() => stream.seen, { timeout: 10_000 }).toEqual(["wanted"]);
    await stream.stop();
  });

  it("ends by its signal, and leaves no connection behind", async () => {
    const stream = collect(1);
    await publish("a");
    await expect.poll(() => stream.seen).toEqual(["a"]);
    await stream.stop();
    await node.api.close();
  });

  it("a consumer that leaves closes the connection", async () => {
    await publish("a");
    for await (const record of client.stream(
      {},
      { from: 1, signal: new AbortController().signal },
    )) {
      expect(record.offset).toBe(1);
      break;
    }
    await expect.poll(connections).toBe(0);
  });
});
