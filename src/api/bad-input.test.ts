import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type Sent, type TestNode } from "../../test/api/node.ts";
import { topics } from "../event/topic.ts";

let node: TestNode;

beforeAll(async () => {
  node = await startNode();
});

afterAll(async () => {
  await node.stop();
});

const noAction = `act_${"0".repeat(32)}`;

type Case = readonly [
  name: string,
  call: readonly [method: "GET" | "POST" | "PUT" | "DELETE", path: string, sent?: Sent],
  problem: {
    readonly status: number;
    readonly kind: string;
    readonly title: string;
    readonly detail: string;
  },
];

const invalid = { status: 400, kind: "invalid_args", title: "The request is not valid" };

const noop = { command: "noop" };

const cases: readonly Case[] = [
  [
    "malformed JSON",
    ["POST", "/v1/actions", { text: '{"command": "noop",\n "args": {]}' }],
    {
      ...invalid,
      detail:
        'Cannot read the body as JSON at line 2, column 11: expected a name in double quotes or }, found "]}"',
    },
  ],
  [
    "no body",
    ["POST", "/v1/actions"],
    { ...invalid, detail: "Cannot take the request's body as it must be object" },
  ],
  [
    "an unknown field",
    ["POST", "/v1/actions", { body: { command: "noop", comand: "x" } }],
    { ...invalid, detail: "Cannot take the request's body as /comand is not known" },
  ],
  [
    "a wrong type",
    ["POST", "/v1/actions", { body: { command: "noop", args: [] } }],
    { ...invalid, detail: "Cannot take the request's body as /args must be object" },
  ],
  [
    "a word that is not one of the known",
    ["POST", "/v1/actions", { body: { command: "noop", priority: "urgent" } }],
    {
      ...invalid,
      detail:
        "Cannot take the request's body as /priority must be equal to one of the allowed values",
    },
  ],
  [
    "a command that is no dotted lower-case name",
    ["POST", "/v1/actions", { body: { command: "Noop!" } }],
    {
      ...invalid,
      detail:
        'Cannot take the request\'s body as /command must match pattern "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)*$"',
    },
  ],
  [
    "args that the executor would refuse",
    ["POST", "/v1/actions", { body: { command: "test.fail", args: { message: 1 } } }],
    {
      status: 422,
      kind: "invalid_args",
      title: "The request cannot be processed",
      detail: "Cannot request test.fail with these args as /message must be string",
    },
  ],
  [
    "a tag of the system's own",
    ["POST", "/v1/actions", { body: { ...noop, tags: { anomaly: "x", team: "a" } } }],
    {
      ...invalid,
      detail: "Cannot take the request as these tags are set by the system: anomaly",
    },
  ],
  [
    "an empty Idempotency-Key",
    ["POST", "/v1/actions", { body: noop, headers: { "idempotency-key": "" } }],
    {
      ...invalid,
      detail:
        "Cannot take the request's headers as /idempotency-key must not have fewer than 1 characters",
    },
  ],
  [
    "a bad Prefer",
    ["POST", "/v1/actions", { body: noop, headers: { prefer: "wait=soon" } }],
    {
      ...invalid,
      detail:
        'Cannot wait as Prefer says "wait=soon": write wait=N with whole seconds; at most 300 are waited',
    },
  ],
  [
    "an unsupported media type",
    ["POST", "/v1/actions", { text: "<a/>", headers: { "content-type": "text/xml" } }],
    {
      status: 415,
      kind: "unprocessable",
      title: "Unsupported media type",
      detail:
        "Cannot take the body as its Content-Type is not one of this route's: send application/json; /v1/events takes application/x-ndjson and CloudEvents, too",
    },
  ],
  [
    "text, which a page of another site could send unasked",
    [
      "POST",
      "/v1/actions",
      { text: '{"command":"noop"}', headers: { "content-type": "text/plain" } },
    ],
    {
      status: 415,
      kind: "unprocessable",
      title: "Unsupported media type",
      detail:
        "Cannot take the body as its Content-Type is not one of this route's: send application/json; /v1/events takes application/x-ndjson and CloudEvents, too",
    },
  ],
  [
    "a media type of another route",
    ["POST", "/v1/actions", { text: "{}", headers: { "content-type": "application/x-ndjson" } }],
    {
      status: 415,
      kind: "unprocessable",
      title: "Unsupported media type",
      detail:
        "Cannot take the body as its Content-Type is not one of this route's: send application/json; /v1/events takes application/x-ndjson and CloudEvents, too",
    },
  ],
  [
    "a method that the path does not take",
    ["DELETE", `/v1/actions/${noAction}`],
    {
      status: 405,
      kind: "invalid_args",
      title: "Method not allowed",
      detail: `Cannot DELETE /v1/actions/${noAction}: it takes GET, HEAD`,
    },
  ],
  [
    "a path that there is not",
    ["GET", "/v2/actions?x=1"],
    {
      status: 404,
      kind: "not_found",
      title: "Not found",
      detail: "There is nothing at GET /v2/actions: /openapi.json lists what there is",
    },
  ],
  [
    "a path that cannot be decoded",
    ["GET", "/v1/actions/%E0%A4%A"],
    {
      ...invalid,
      detail: "Cannot read the request: '/v1/actions/%E0%A4%A' is not a valid url component",
    },
  ],
  [
    "an unknown topic",
    ["GET", "/v1/events?topic=decisions,decision"],
    { ...invalid, detail: `"decision" is not a topic: one of ${topics.join(", ")}` },
  ],
  [
    "an unknown topic of a stream",
    ["GET", "/v1/events/stream?topic=x"],
    { ...invalid, detail: `"x" is not a topic: one of ${topics.join(", ")}` },
  ],
  [
    "a cursor that is none",
    ["GET", "/v1/actions?cursor=abc"],
    { ...invalid, detail: '"abc" is not a cursor of this list: take one from next_cursor' },
  ],
  [
    "a cursor of another list",
    ["GET", `/v1/events?cursor=${Buffer.from("a12").toString("base64url")}`],
    { ...invalid, detail: '"YTEy" is not a cursor of this list: take one from next_cursor' },
  ],
  [
    "a limit out of range",
    ["GET", "/v1/actions?limit=501"],
    { ...invalid, detail: "limit must be 1 to 500: got 501" },
  ],
  [
    "an unknown parameter",
    ["GET", "/v1/actions?state=failed"],
    { ...invalid, detail: "Cannot take the request's querystring as /state is not known" },
  ],
  [
    "an unknown status",
    ["GET", "/v1/actions?status=done"],
    {
      ...invalid,
      detail:
        '"done" is not a status: one of requested, accepted, started, retrying, succeeded, failed, cancelled',
    },
  ],
  [
    "a Last-Event-ID that is no offset",
    ["GET", "/v1/events/stream", { headers: { "last-event-id": "x" } }],
    {
      ...invalid,
      detail:
        'Cannot take the request\'s headers as /last-event-id must match pattern "^\\d{1,15}$"',
    },
  ],
  [
    "a Last-Event-ID beyond the newest offset",
    ["GET", "/v1/events/stream", { headers: { "last-event-id": "900" } }],
    {
      ...invalid,
      detail:
        "Cannot resume behind Last-Event-ID 900 as the newest offset is 1: is it of another log?",
    },
  ],
  [
    "an action id that is none",
    ["GET", "/v1/actions/42"],
    { ...invalid, detail: '"42" is not an action id: it is act_ and 32 hex digits' },
  ],
  [
    "an action that there is not",
    ["GET", `/v1/actions/${noAction}`],
    {
      status: 404,
      kind: "not_found",
      title: "Not found",
      detail: `There is no action ${noAction}`,
    },
  ],
  [
    "an event id that is none",
    ["GET", "/v1/events/abc"],
    {
      ...invalid,
      detail: 'Cannot take the request\'s params as /id must match pattern "^\\d{1,20}$"',
    },
  ],
  [
    "a discard that does not say who and why",
    ["POST", `/v1/dlq/${noAction}/discard`, { body: { by: "eve" } }],
    {
      ...invalid,
      detail: "Cannot take the request's body as it must have required properties reason",
    },
  ],
  [
    "a name of another site as Host",
    ["GET", "/v1/actions", { headers: { host: "evil.example" } }],
    {
      status: 403,
      kind: "permission",
      title: "Not permitted",
      detail: 'Cannot serve Host "evil.example": without a token only loopback names are answered',
    },
  ],
  [
    "a page of another site",
    ["POST", `/v1/actions/${noAction}/cancel`, { headers: { origin: "https://evil.example" } }],
    {
      status: 403,
      kind: "permission",
      title: "Not permitted",
      detail:
        'Cannot serve a page of "https://evil.example": without a token only pages of this machine are answered',
    },
  ],
];

describe("4. every error is a problem that says what was wrong", () => {
  it.each(cases)("%s", async (_, [method, path, sent], problem) => {
    const answer = await node.ask(method, path, sent);
    expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
    expect(answer.status).toBe(problem.status);
    expect(answer.body).toMatchObject({
      ...problem,
      type: `urn:deed:problem:${problem.kind}`,
      instance: path.split("?")[0],
    });
  });

  it("nothing of it reached the log", () => {
    expect(node.log.head()).toBe(1);
  });

  it("405 says in Allow what the path takes", async () => {
    const answer = await node.ask("PUT", "/v1/events");
    expect([answer.status, answer.headers["allow"]]).toEqual([405, "GET, HEAD, POST"]);
  });

  it("answers loopback names, and pages of this machine", async () => {
    for (const headers of [
      { host: "localhost:7333" },
      { host: "[::1]:7333" },
      { host: "127.0.0.1", origin: "http://localhost:5173" },
    ]) {
      expect((await node.ask("GET", "/v1/actions", { headers })).status).toBe(200);
    }
  });

  it("points to every member that is wrong", async () => {
    const answer = await node.ask("POST", "/v1/actions", {
      body: { command: 5, ttl_sec: -1, retry: { attempts: 0, jitter: 1 } },
    });
    const pointers = (answer.body["problems"] as { pointer: string }[]).map((one) => one.pointer);
    expect(pointers.sort()).toEqual(["/command", "/retry/attempts", "/retry/jitter", "/ttl_sec"]);
  });
});

describe("over a real connection", () => {
  let url: string;

  beforeAll(async () => {
    url = await node.api.listen({ host: "127.0.0.1", port: 0 });
  });

  it("refuses 10 MB with 413, and says how much it takes", async () => {
    const answer = await fetch(`${url}/v1/actions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ command: "noop", args: { result: "x".repeat(10_000_000) } }),
    });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({
      kind: "unprocessable",
      title: "Too large",
      detail:
        "Cannot take the body as it may hold 4194304 bytes at most: send less in one call, or raise api.body_bytes_max",
    });
  });

  it("answers what is not HTTP with a problem, and closes", async () => {
    const { port } = new URL(url);
    const text = await new Promise<string>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: Number(port) });
      let received = "";
      socket.on("data", (chunk) => (received += chunk.toString()));
      socket.on("close", () => resolve(received));
      socket.write("HELLO\r\n\r\n");
    });
    expect(text).toMatch(/^HTTP\/1\.1 400 The request is not valid\r\n/);
    expect(text).toContain("application/problem+json");
    expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n")))).toMatchObject({
      status: 400,
      kind: "invalid_args",
    });
  });
});

describe("3. it listens on loopback, or it has a token", () => {
  it("refuses to listen beyond loopback without a token, with the way out", async () => {
    const bare = await startNode();
    expect(() => bare.api.listen({ host: "0.0.0.0", port: 0 })).toThrow(
      "Cannot listen on 0.0.0.0 as nothing but loopback is served without a token: set api.token_env or api.token_file",
    );
    await bare.stop();
  });

  it("listens beyond loopback with one, and then requires it of every call but health", async () => {
    const guarded = await startNode({ tokens: [{ token: "s3cret", tenant: "default" }] });
    const url = await guarded.api.listen({ host: "0.0.0.0", port: 0 });
    const get = (path: string, authorization?: string): Promise<Response> =>
      fetch(new URL(path, url.replace("0.0.0.0", "127.0.0.1")), {
        headers: authorization === undefined ? {} : { authorization },
      });
    const refused = await get("/v1/actions");
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({
      kind: "permission",
      title: "Not authenticated",
      detail:
        "Cannot serve the request as it carries no valid token: send Authorization: Bearer <token>",
    });
    for (const wrong of ["Bearer other", "Basic s3cret", "Bearer "])
      expect((await get("/v1/actions", wrong)).status).toBe(401);
    for (const path of ["/metrics", "/openapi.json", "/", "/nothing", "/v1/events/stream"])
      expect((await get(path)).status).toBe(401);
    expect((await get("/v1/actions", "Bearer s3cret")).status).toBe(200);
    for (const path of ["/healthz", "/readyz?verbose"]) expect((await get(path)).status).toBe(200);
    await guarded.stop();
  });
});
