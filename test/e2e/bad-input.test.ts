/**
 * What a node says to input that is wrong, over the HTTP of the real process: a clear error, nothing
 * stored, and the next request is served.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/base/json.ts";
import type { NewEvent } from "../../src/event/envelope.ts";
import { deed, eventually, startNode, type Node } from "../program.ts";

type Answer = { readonly status: number; readonly type: string | null; readonly body: JsonObject };

const folder = mkdtempSync(join(tmpdir(), "deed-bad-"));

const goodRule = `apiVersion: deed/v1
kind: Rule
metadata:
  name: failed-job
spec:
  on: job.failed
  when: event.attrs.exit_code != 0
  request:
    command: noop
`;

const observation = {
  ts: "2026-01-01T00:00:00.000Z",
  event_type: "job.seen",
  entity_id: "job:1",
  idempotency_key: "seen-1",
  source: { system: "test", ns: {} },
  tags: {},
  attrs: {},
};

let node: Node;
let url = "";

beforeAll(async () => {
  mkdirSync(join(folder, "rules"));
  writeFileSync(join(folder, "deed.yaml"), "listen: 127.0.0.1:0\nrules: [./rules]\n");
  writeFileSync(join(folder, "rules", "failed-job.yaml"), goodRule);
  node = startNode({ folder });
  ({ url } = await node.ready);
});

afterAll(async () => {
  await node.kill();
  rmSync(folder, { recursive: true });
});

async function get(path: string): Promise<Answer> {
  return answerOf(await fetch(`${url}${path}`));
}

async function post(
  path: string,
  body: string | JsonObject,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return answerOf(response);
}

async function answerOf(response: Response): Promise<Answer> {
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    body: (await response.json()) as JsonObject,
  };
}

async function eventsOf(action: string): Promise<readonly NewEvent[]> {
  const { body } = await get(`/v1/actions/${action}/events`);
  return (body["records"] as unknown as { event: NewEvent }[]).map(({ event }) => event);
}

describe("a request that is wrong is refused with a problem that names the place", () => {
  type Case = {
    readonly name: string;
    readonly ask: () => Promise<Answer>;
    readonly status: number;
    readonly kind: string;
    /** Part of `detail`. */
    readonly says: string | RegExp;
    readonly problems?: readonly JsonObject[];
  };

  const cases: readonly Case[] = [
    {
      name: "an action in malformed JSON",
      ask: () => post("/v1/actions", '{"command": "noop", '),
      status: 400,
      kind: "invalid_args",
      says: /JSON/,
    },
    {
      name: "an event in malformed JSON",
      ask: () => post("/v1/events", "{]"),
      status: 400,
      kind: "invalid_args",
      says: /JSON/,
    },
    {
      name: "an action with an unknown field",
      ask: () => post("/v1/actions", { command: "noop", colour: "red" }),
      status: 400,
      kind: "invalid_args",
      says: "/colour is not known",
      problems: [{ pointer: "/colour", message: "is not known" }],
    },
    {
      name: "an event with an unknown field",
      ask: () => post("/v1/events", { ...observation, colour: "red" }),
      status: 400,
      kind: "invalid_args",
      says: "Cannot accept the event as /colour is not known",
      problems: [{ pointer: "/colour", message: "is not known" }],
    },
    {
      name: "a batch with one bad event: nothing of it is stored",
      ask: () => post("/v1/events", { events: [observation, { ...observation, ts: "now" }] }),
      status: 400,
      kind: "invalid_args",
      says: "(event 1 of the batch; nothing was stored)",
    },
    {
      name: "a ttl that is no number",
      ask: () => post("/v1/actions", { command: "noop", ttl_sec: "soon" }),
      status: 400,
      kind: "invalid_args",
      says: "/ttl_sec must be number",
    },
    {
      name: "args that the executor does not take",
      ask: () => post("/v1/actions", { command: "noop", args: { speed: 1 } }),
      status: 422,
      kind: "invalid_args",
      says: "Cannot request noop with these args as /speed is not known",
      problems: [{ pointer: "/speed", message: "is not known" }],
    },
    {
      name: "a command that is no name",
      ask: () => post("/v1/actions", { command: "rm -rf /" }),
      status: 400,
      kind: "invalid_args",
      says: "/command must match pattern",
    },
    {
      name: "an event type that only this system writes",
      ask: () => post("/v1/events", { ...observation, event_type: "action.succeeded" }),
      status: 400,
      kind: "invalid_args",
      says: 'event_type "action.succeeded" is reserved',
    },
    {
      name: "an unknown topic",
      ask: () => get("/v1/events?topic=events.nowhere"),
      status: 400,
      kind: "invalid_args",
      says: '"events.nowhere" is not a topic',
    },
    {
      name: "a bad cursor of actions",
      ask: () => get("/v1/actions?cursor=zzz"),
      status: 400,
      kind: "invalid_args",
      says: '"zzz" is not a cursor of this list: take one from next_cursor',
    },
    {
      name: "a bad cursor of events",
      ask: () => get("/v1/events?cursor=zzz"),
      status: 400,
      kind: "invalid_args",
      says: '"zzz" is not a cursor of this list: take one from next_cursor',
    },
    {
      name: "a place where nothing is",
      ask: () => get("/v1/nowhere"),
      status: 404,
      kind: "not_found",
      says: "/v1/nowhere",
    },
  ];

  test.each(cases)("$name", async ({ ask, status, kind, says, problems }) => {
    const { type, body, ...answer } = await ask();
    expect(answer.status).toBe(status);
    expect(type).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ status, kind, type: `urn:deed:problem:${kind}` });
    if (typeof says === "string") expect(body["detail"]).toContain(says);
    else expect(body["detail"]).toMatch(says);
    if (problems !== undefined) expect(body["problems"]).toEqual(problems);
  });

  test("a body of 10 MB is refused with 413, its length told before or not; the next is served", async () => {
    const text = "x".repeat(10 * 1024 * 1024);
    const body = JSON.stringify({ ...observation, attrs: { text } });
    const told = await post("/v1/events", body);
    expect([told.status, told.body["kind"]]).toEqual([413, "unprocessable"]);
    const chunked = await fetch(`${url}/v1/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Blob([body]).stream(),
      duplex: "half",
    });
    const untold = await answerOf(chunked);
    expect([untold.status, untold.body["kind"]]).toEqual([413, "unprocessable"]);
    const typed = await deed(["--url", url, "request", "noop", "--args", "-"], {
      folder,
      input: JSON.stringify({ payload: text }),
    });
    expect([typed.code, typed.stdout]).toEqual([2, ""]);
    expect((await get("/healthz")).body).toEqual({ status: "ok" });
  });

  test("an event over the log's own limit is refused with both sizes", async () => {
    const big = await post("/v1/events", { ...observation, attrs: { text: "x".repeat(300_000) } });
    expect(big.status).toBe(413);
    expect(big.body["detail"]).toMatch(/one event may be 262144 bytes: this one is 300\d\d\d/);
  });

  test("nothing of all that is on the log", async () => {
    const { body } = await get("/v1/events?topic=events.normalized,actions.requested");
    expect(body).toEqual({ records: [] });
  });
});

describe("a command that nobody executes", () => {
  test("waits, is deferred with its reason, and expires by its ttl; it is never started", async () => {
    const asked = await post("/v1/actions", { command: "nobody.home", ttl_sec: 1 });
    expect(asked.status).toBe(202);
    expect(asked.body).toMatchObject({
      status: "requested",
      deferred: { reason: "no_executor", limit_key: "executor:nobody.home", holders: [] },
    });
    expect(asked.body["note"]).toContain("nobody.home");
    const id = asked.body["action_id"] as string;
    const ended = await eventually(async () => {
      const { body } = await get(`/v1/actions/${id}`);
      return body["status"] === "requested" ? undefined : body;
    });
    expect(ended).toMatchObject({
      status: "failed",
      error: {
        kind: "ttl_expired",
        message: "nobody.home was not started within 1 s of its request",
        retryable: false,
      },
    });
    const events = await eventsOf(id);
    expect(events.map(({ event_type: type }) => type)).toEqual([
      "action.requested",
      "action.deferred",
      "timer.fired",
      "action.failed",
    ]);
    expect((await get("/v1/dlq")).body["dead_letters"]).toEqual([]);
  });

  test("4. a ttl that passes while the node is away ends the action at its next start", async () => {
    const { body } = await post("/v1/actions", { command: "nobody.home", ttl_sec: 0.2 });
    const id = body["action_id"] as string;
    await node.kill();
    await new Promise((resolve) => setTimeout(resolve, 250));
    node = startNode({ folder });
    ({ url } = await node.ready);
    const ended = await eventually(async () => {
      const { body: now } = await get(`/v1/actions/${id}`);
      return now["status"] === "requested" ? undefined : now;
    });
    expect([ended["status"], ended["error_kind"], ended["started_at"]]).toEqual([
      "failed",
      "ttl_expired",
      undefined,
    ]);
  });
});

describe("files that are wrong", () => {
  test("a rule file with bad CEL is refused with file:line:column, and the rule before it stays", async () => {
    const before = (await get("/v1/rules")).body["rules"];
    expect(before).toMatchObject([{ name: "failed-job" }]);
    const path = join(folder, "rules", "failed-job.yaml");
    writeFileSync(path, goodRule.replace("!= 0", "=="));
    const told = await eventually(() => {
      const lines = node.stderr().split("\n");
      return lines.find((line) => line.includes(`${path}:7:`));
    });
    expect(told).toContain("not a valid CEL expression");
    expect((await get("/v1/rules")).body["rules"]).toEqual(before);
    writeFileSync(path, goodRule.replace("!= 0", "== 1"));
    const after = await eventually(async () => {
      const { rules } = (await get("/v1/rules")).body as { rules: JsonObject[] };
      return rules[0]?.["version"] === (before as JsonObject[])[0]?.["version"] ? undefined : rules;
    });
    expect(after).toMatchObject([{ name: "failed-job", mode: "live" }]);
  });

  test("start refuses a configuration with every problem in its place, and exit code 2", async () => {
    const path = join(folder, "bad.yaml");
    writeFileSync(path, "listen: 3\nexecutor: {}\n");
    const { code, stdout, stderr } = await deed(["--config", path, "start"], { folder });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`${path}:1:9: "listen" must be string: got 3`);
    expect(stderr).toContain(`${path}:2:1: unknown key "executor": did you mean "executors"?`);
  });
});
