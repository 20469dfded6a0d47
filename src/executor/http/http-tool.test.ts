import { afterEach, describe, expect, test } from "vitest";
import { closeServers, deadPort, serve, serveTcp } from "../../../test/servers.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { envelopeOf, errorWords } from "../../core/state/outcome.ts";
import { fault } from "../../event/error.ts";
import { createMemoryBlobs } from "../blob/memory.ts";
import { readThrough, storeValue } from "../blob.ts";
import { createSecret, type AttemptCredentials } from "../credential.ts";
import { contextOf, errorOf, executorContract } from "../executor-contract.ts";
import type { Executor } from "../executor.ts";
import type { HttpOptions } from "./exchange.ts";
import { createHttpTool } from "./http-tool.ts";

afterEach(closeServers);

const held: Readonly<Record<string, JsonObject>> = {
  bearer: { token: "s3cret" },
  basic: { username: "me", password: "s3cret" },
  key: { header: "X-Api-Key", value: "s3cret" },
  several: { headers: { "X-A": "s3cret", "X-B": 2 } },
  none: { dsn: "s3cret" },
};

const credentials: AttemptCredentials = {
  resolve: (alias) => {
    const values = held[alias];
    if (values === undefined) return Promise.reject(fault("not_found", `no ${alias}`));
    return Promise.resolve(createSecret(alias, values));
  },
};

/** The executor with these credentials in every context. */
function httpTool(options: HttpOptions = {}): Executor {
  const executor = createHttpTool(options);
  return {
    ...executor,
    execute: (args, context) => executor.execute(args, { ...context, credentials }),
  };
}

executorContract("the http tool", async () => {
  const server = await serve((response, { url }) => {
    const status = /^\/status\/(\d+)/.exec(url ?? "")?.[1];
    if (url === "/hang") return;
    response.writeHead(Number(status ?? 200), { "content-type": "application/json", date: "now" });
    response.end('{"well":true}');
  });
  const { url: reset } = await serveTcp((socket) => socket.resetAndDestroy());
  const dead = `http://127.0.0.1:${String(await deadPort())}`;
  const at = (status: number, more: JsonObject = {}): JsonObject => ({
    url: `${server.url}/status/${String(status)}`,
    ...more,
  });
  const post = { method: "POST" };
  return {
    executor: httpTool({ allowHosts: ["127.0.0.1"] }),
    works: {
      args: { method: "get", url: server.url, headers: null, params: null, auth: null, input: {} },
      result: {
        status_code: 200,
        headers: {
          "content-type": "application/json",
          date: "now",
          connection: "keep-alive",
          "keep-alive": "timeout=5",
          "transfer-encoding": "chunked",
        },
        data: { well: true },
        body: { well: true },
      },
    },
    hangs: {
      args: { url: `${server.url}/hang` },
      started: async () => {
        while (server.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      },
      held: server.connections,
    },
    fails: [
      { name: "nobody listens", args: { url: dead }, kind: "unavailable", retryable: true },
      { name: "reset", args: { url: reset }, kind: "unavailable", retryable: true },
      {
        name: "reset, not idempotent",
        args: { url: reset, ...post },
        kind: "outcome_unknown",
        retryable: false,
      },
      {
        name: "host not allowed",
        args: { url: "http://localhost/" },
        kind: "permission",
        retryable: false,
      },
      { name: "no URL", args: { url: "http://" }, kind: "invalid_args", retryable: false },
      {
        name: "a list as a form",
        args: {
          url: server.url,
          ...post,
          headers: { "content-type": "application/x-www-form-urlencoded" },
          body: [1],
        },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "no such credential",
        args: { url: server.url, auth: "absent" },
        kind: "not_found",
        retryable: false,
      },
      {
        name: "a credential of something else",
        args: { url: server.url, auth: "none" },
        kind: "invalid_args",
        retryable: false,
      },
      { name: "404", args: at(404), kind: "not_found", retryable: false },
      { name: "401", args: at(401), kind: "permission", retryable: false },
      { name: "408", args: at(408, post), kind: "timeout", retryable: true },
      { name: "429", args: at(429, post), kind: "rate_limited", retryable: true },
      { name: "500", args: at(500), kind: "unavailable", retryable: true },
      { name: "500, not idempotent", args: at(500, post), kind: "unavailable", retryable: true },
    ],
    promises: [
      { args: { url: "http://a/" }, idempotent: true },
      { args: { url: "http://a/", method: "put" }, idempotent: true },
      { args: { url: "http://a/", method: "post" }, idempotent: false },
      { args: { url: "http://a/", method: "PATCH" }, idempotent: false },
      {
        args: { url: "http://a/", method: "POST", headers: { "idempotency-key": "k" } },
        idempotent: true,
      },
    ],
    close: server.close,
  };
});

/** What the server saw of one call. */
async function sent(args: JsonObject, path = "/") {
  const server = await serve((response) => response.end());
  await httpTool().execute({ ...args, url: server.url + path }, contextOf());
  expect(server.seen).toHaveLength(1);
  return server.seen[0]!;
}

describe("what is sent", () => {
  test("params join the query: lists in a row, null left out, all else as text or JSON", async () => {
    const params = { n: 1, yes: true, none: null, many: ["a", 2], map: { a: 1 }, text: "ü&" };
    const { url } = await sent({ params }, "/a?x=1");
    expect(url).toBe("/a?x=1&n=1&yes=true&many=a&many=2&map=%7B%22a%22%3A1%7D&text=%C3%BC%26");
  });

  test.each<[string, Json, JsonObject, string, string | undefined]>([
    ["an object is JSON", { a: "ü" }, {}, '{"a":"ü"}', "application/json"],
    ["a list is JSON", [1, null], {}, "[1,null]", "application/json"],
    ["a number is JSON", 7, {}, "7", "application/json"],
    ["JSON made by a template stays JSON", '{"a":1}', {}, '{"a":1}', "application/json"],
    ["a text is a text", "7", {}, "7", "text/plain; charset=utf-8"],
    ["what only looks like JSON is a text", "{a", {}, "{a", "text/plain; charset=utf-8"],
    [
      "an object is a form where the content type says so",
      { a: "1 2", b: [3, 4], c: null },
      { "Content-Type": "application/x-www-form-urlencoded" },
      "a=1+2&b=3&b=4",
      "application/x-www-form-urlencoded",
    ],
    [
      "a type of its own is kept",
      { a: 1 },
      { "content-type": "application/vnd.a+json" },
      '{"a":1}',
      "application/vnd.a+json",
    ],
    ["null is no body", null, {}, "", undefined],
  ])("%s", async (_, body, headers, wantedBody, wantedType) => {
    const seen = await sent({ method: "POST", body, headers });
    expect([seen.body, seen.headers["content-type"]]).toEqual([wantedBody, wantedType]);
  });

  test("the action's id is the key to tell repeats by; a header of the tool's replaces ours", async () => {
    const plain = await sent({});
    expect(plain.headers["idempotency-key"]).toBe(contextOf().actionId);
    const { headers } = await sent({
      headers: { "Idempotency-Key": "mine", "X-N": 5, "X-No": null },
    });
    expect(headers).toMatchObject({ "idempotency-key": "mine", "x-n": "5", "user-agent": "deed" });
    expect(headers["x-no"]).toBeUndefined();
  });

  test.each([
    ["bearer", { authorization: "Bearer s3cret" }],
    ["basic", { authorization: `Basic ${Buffer.from("me:s3cret").toString("base64")}` }],
    ["key", { "x-api-key": "s3cret" }],
    ["several", { "x-a": "s3cret", "x-b": "2" }],
  ])("the credential %s becomes its headers", async (auth, headers) => {
    expect((await sent({ auth })).headers).toMatchObject(headers);
  });
});

describe("where it is sent", () => {
  test("to what the longest beginning is remapped to, which the allow list need not hold", async () => {
    const server = await serve((response, { url }) => response.end(url));
    const remap = {
      "https://httpbin.org": `${server.url}/httpbin.org`,
      "https://httpbin.org/special/": `${server.url}/longer/`,
      "http://pages.invalid:5555": server.url,
    };
    const http = createHttpTool({ remap, allowHosts: ["httpbin.org", "pages.invalid"] });
    const at = async (url: string, params: JsonObject = {}): Promise<unknown> =>
      ((await http.execute({ url, params }, contextOf())) as JsonObject)["data"];
    expect([
      await at("https://httpbin.org/get?a=1", { b: 2 }),
      await at("https://HTTPBIN.org:443"),
      await at("https://httpbin.org/special/x"),
      await at("https://httpbin.org/specials"),
      await at("http://pages.invalid:5555/api/v1"),
    ]).toEqual([
      "/httpbin.org/get?a=1&b=2",
      "/httpbin.org/",
      "/longer/x",
      "/httpbin.org/specials",
      "/api/v1",
    ]);
    expect(await errorOf(http, { url: "https://httpbin.org.invalid/" })).toMatchObject({
      kind: "permission",
    });
    expect(await errorOf(http, { url: server.url })).toMatchObject({ kind: "permission" });
  });

  test("an error names both origins", async () => {
    const to = `http://127.0.0.1:${String(await deadPort())}`;
    const http = createHttpTool({ remap: { "https://a.invalid": `${to}/secret` } });
    expect(await errorOf(http, { url: "https://a.invalid/x" })).toMatchObject({
      message: `Cannot reach https://a.invalid (remapped to ${to}): ECONNREFUSED`,
    });
  });
});

describe("what comes back", () => {
  test("a redirect is a result: nobody follows it", async () => {
    const server = await serve((response) =>
      response.writeHead(302, { location: "http://elsewhere.invalid/" }).end(),
    );
    expect(await createHttpTool().execute({ url: server.url }, contextOf())).toMatchObject({
      status_code: 302,
      headers: { location: "http://elsewhere.invalid/" },
      data: "",
      body: "",
    });
    expect(server.seen).toHaveLength(1);
  });

  test("a large body is kept aside once, and reading through its reference gives it back", async () => {
    const value = { rows: Array.from({ length: 2_000 }, (_, row) => ({ row, name: "ä" })) };
    const server = await serve((response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    });
    const blobs = createMemoryBlobs();
    let kept = 0;
    const keep = (one: Json) => {
      kept += 1;
      return storeValue(blobs, one);
    };
    const result = await createHttpTool().execute({ url: server.url }, { ...contextOf(), keep });
    const ref = { $ref: expect.stringMatching(/^blob:/) as string };
    expect(result).toMatchObject({ status_code: 200, data: ref, body: ref });
    expect(kept).toBe(1);
    expect(await readThrough(blobs, result)).toMatchObject({ data: value, body: value });
  });

  test("what the core reads of a failure: status, headers and the parsed body", async () => {
    const server = await serve((response) => {
      response.writeHead(429, { "content-type": "application/json", "retry-after": "7" });
      response.end('{"error":"slow down"}');
    });
    const error = await errorOf(createHttpTool(), { url: server.url });
    const outcome = { ok: false, kind: "http", error, attempt: 1, durationMs: 5 } as const;
    expect(envelopeOf(outcome, false)).toMatchObject({
      status: "error",
      data: { error: "slow down" },
      error: {
        kind: "rate_limit",
        status: 429,
        retryable: true,
        detail: { retry_after_ms: 7_000 },
      },
      http: { status: 429, headers: { "retry-after": "7" } },
    });
    expect(errorWords(error, true)).toMatchObject({ kind: "rate_limited" });
  });

  test("what the core reads of a success: the body's members beside the status", async () => {
    const server = await serve((response) => {
      response.writeHead(201, { "content-type": "application/json" }).end('{"id":7}');
    });
    const data = await createHttpTool().execute({ url: server.url }, contextOf());
    const outcome = { ok: true, kind: "http", data, attempt: 1, durationMs: 5 } as const;
    expect(envelopeOf(outcome, false)).toMatchObject({
      status: "ok",
      data: { id: 7, status_code: 201, data: { id: 7 }, body: { id: 7 } },
      http: { status: 201, headers: { "content-type": "application/json" } },
    });
  });

  test("a large body of an error is shown to a limit", async () => {
    const server = await serve((response) => {
      response.writeHead(500, { "content-type": "application/json" });
      response.end(JSON.stringify("x".repeat(100_000)));
    });
    const { detail } = await errorOf(createHttpTool(), { url: server.url });
    expect(detail?.["data"]).toBe(`"${"x".repeat(1_999)}`);
  });

  test("an answer over the limit is refused", async () => {
    const server = await serve((response) => response.end("x".repeat(101)));
    const http = createHttpTool({ responseBytesMax: 100 });
    expect(await errorOf(http, { url: server.url })).toMatchObject({
      kind: "unprocessable",
      detail: { status: 200 },
    });
  });

  test("no error shows what was sent", async () => {
    const server = await serve((response) => response.writeHead(500).end("no"));
    const { url: reset } = await serveTcp((socket) => socket.resetAndDestroy());
    for (const url of [`${server.url}/s3cret`, `${reset}/s3cret`, "http://s3cret:s3cret@a/"]) {
      const error = await errorOf(httpTool(), {
        method: "POST",
        url,
        auth: "bearer",
        params: { token: "s3cret" },
        body: { password: "s3cret" },
      });
      expect(JSON.stringify(error)).not.toContain("s3cret");
    }
  });
});
