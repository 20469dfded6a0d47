import { afterEach, describe, expect, test } from "vitest";
import { closeServers, deadPort, serve, serveTcp } from "../../../test/servers.ts";
import type { JsonObject } from "../../base/json.ts";
import { createMemoryBlobs } from "../blob/memory.ts";
import { readThrough, storeValue } from "../blob.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import { createHttp } from "./http.ts";

afterEach(closeServers);

executorContract("http", async () => {
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
    executor: createHttp({ allowHosts: ["127.0.0.1", "deed.invalid"] }),
    works: {
      args: { url: server.url },
      result: {
        status: 200,
        headers: {
          "content-type": "application/json",
          date: "now",
          connection: "keep-alive",
          "keep-alive": "timeout=5",
          "transfer-encoding": "chunked",
        },
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
      {
        name: "nobody listens",
        args: { url: dead, ...post },
        kind: "unavailable",
        retryable: true,
      },
      {
        name: "no such host",
        args: { url: "http://deed.invalid" },
        kind: "unavailable",
        retryable: true,
      },
      { name: "reset, idempotent", args: { url: reset }, kind: "unavailable", retryable: true },
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
        name: "password in URL",
        args: { url: "http://me:pw@127.0.0.1/" },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "two bodies",
        args: { url: dead, body: "a", json: 1 },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "no header",
        args: { url: server.url, headers: { a: "b\nc" } },
        kind: "invalid_args",
        retryable: false,
      },
      { name: "404", args: at(404), kind: "not_found", retryable: false },
      { name: "500, idempotent", args: at(500), kind: "unavailable", retryable: true },
      { name: "500, not idempotent", args: at(500, post), kind: "unavailable", retryable: false },
      { name: "503, not idempotent", args: at(503, post), kind: "unavailable", retryable: true },
      {
        name: "another success",
        args: at(200, { expect: [204] }),
        kind: "executor_error",
        retryable: false,
      },
    ],
    promises: [
      ...["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].map((method) => ({
        args: { url: "http://a/", method },
        idempotent: true,
      })),
      { args: { url: "http://a/" }, idempotent: true },
      { args: { url: "http://a/", method: "POST" }, idempotent: false },
      { args: { url: "http://a/", method: "PATCH" }, idempotent: false },
      { args: { url: "http://a/", method: "POST", idempotent: true }, idempotent: true },
      {
        args: { url: "http://a/", method: "POST", headers: { "Idempotency-Key": "k" } },
        idempotent: true,
      },
      { args: { url: "http://a/", method: "POST", headers: { accept: "k" } }, idempotent: false },
    ],
    close: server.close,
  };
});

describe("what is sent", () => {
  test("method, query, JSON body, and the action's id as the key to tell repeats by", async () => {
    const server = await serve((response) => response.end());
    await createHttp().execute(
      { method: "PUT", url: `${server.url}/a?x=1`, query: { y: true, z: "ü&" }, json: { n: [1] } },
      contextOf(),
    );
    const [seen] = server.seen;
    expect(seen).toMatchObject({
      method: "PUT",
      url: "/a?x=1&y=true&z=%C3%BC%26",
      body: '{"n":[1]}',
    });
    expect(seen?.headers).toMatchObject({
      "content-type": "application/json",
      "idempotency-key": contextOf().actionId,
      "user-agent": "deed",
    });
  });

  test("a form and a text travel as they are", async () => {
    const server = await serve((response) => response.end());
    const http = createHttp();
    await http.execute({ method: "POST", url: server.url, form: { a: "1 2", b: 3 } }, contextOf());
    await http.execute({ method: "POST", url: server.url, body: "plain ü" }, contextOf());
    expect(server.seen.map(({ body, headers }) => [body, headers["content-type"]])).toEqual([
      ["a=1+2&b=3", "application/x-www-form-urlencoded"],
      ["plain ü", undefined],
    ]);
  });

  test("a header of the caller replaces ours, whatever its letters", async () => {
    const server = await serve((response) => response.end());
    const headers = { "Idempotency-KEY": "mine", "Content-Type": "application/vnd.a+json" };
    await createHttp().execute({ method: "POST", url: server.url, json: 1, headers }, contextOf());
    const names = server.seen[0]?.rawHeaders.filter((_, index) => index % 2 === 0);
    expect(names?.filter((name) => /^(idempotency-key|content-type)$/i.test(name))).toHaveLength(2);
    expect(server.seen[0]?.headers).toMatchObject({
      "idempotency-key": "mine",
      "content-type": "application/vnd.a+json",
    });
  });
});

describe("what comes back", () => {
  test("a body is JSON where the server says so and it is, and text otherwise", async () => {
    const types: Record<string, [string, string]> = {
      "/json": ["application/problem+json; charset=utf-8", '{"a":1}'],
      "/broken": ["application/json", "{"],
      "/text": ["text/plain", '{"a":1}'],
    };
    const server = await serve((response, { url }) => {
      const [type, body] = types[url ?? ""] ?? ["", ""];
      response.writeHead(200, { "content-type": type }).end(body);
    });
    const bodies = await Promise.all(
      Object.keys(types).map(async (path) => {
        const result = await createHttp().execute({ url: server.url + path }, contextOf());
        return (result as JsonObject)["body"];
      }),
    );
    expect(bodies).toEqual([{ a: 1 }, "{", '{"a":1}']);
  });

  test("a large body is kept aside, and reading through its reference gives what inline would", async () => {
    const value = { rows: Array.from({ length: 5_000 }, (_, row) => ({ row, name: "ä" })) };
    const server = await serve((response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    });
    const blobs = createMemoryBlobs();
    const context = {
      ...contextOf(),
      keep: (kept: Parameters<typeof storeValue>[1]) => storeValue(blobs, kept),
    };
    const result = await createHttp().execute({ url: server.url }, context);
    expect(result).toMatchObject({
      status: 200,
      body: { $ref: expect.stringMatching(/^blob:/) as string },
    });
    expect(await readThrough(blobs, result)).toMatchObject({ body: value });
  });

  test("an answer over the limit is refused, one at the limit is taken", async () => {
    const server = await serve((response, { url }) =>
      response.end("x".repeat(Number(url?.slice(1)))),
    );
    const http = createHttp({ responseBytesMax: 100 });
    expect(await http.execute({ url: `${server.url}/100` }, contextOf())).toMatchObject({
      status: 200,
    });
    expect(await errorOf(http, { url: `${server.url}/101` })).toEqual({
      kind: "unprocessable",
      message: `Cannot take the answer of ${server.url} as it is larger than 100 bytes`,
      retryable: false,
      detail: { status: 200 },
    });
  });

  test("an endless answer is let go of at the limit", async () => {
    const server = await serve((response) => {
      const write = (): void => {
        if (!response.destroyed && response.write("x".repeat(10_000))) setImmediate(write);
      };
      response.on("drain", write);
      write();
    });
    const error = await errorOf(createHttp({ responseBytesMax: 50_000 }), { url: server.url });
    expect(error.kind).toBe("unprocessable");
  });

  test("an answer that breaks off half-way: tried again only where the call is idempotent", async () => {
    const { url } = await serveTcp((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
      setTimeout(() => socket.destroy(), 20);
    });
    expect(await errorOf(createHttp(), { url })).toMatchObject({
      kind: "unavailable",
      retryable: true,
    });
    expect(await errorOf(createHttp(), { url, method: "POST" })).toMatchObject({
      kind: "outcome_unknown",
      retryable: false,
    });
  });

  test("a slow body is ended by an abort", async () => {
    const server = await serve((response) => response.write("a"));
    const controller = new AbortController();
    const call = createHttp().execute({ url: server.url }, contextOf(controller.signal));
    setTimeout(() => {
      controller.abort();
    }, 50);
    expect((await faultOf(call)).kind).toBe("cancelled");
  });

  test("what is no HTTP is unprocessable", async () => {
    const { url } = await serveTcp((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
    expect(await errorOf(createHttp(), { url })).toMatchObject({
      kind: "unprocessable",
      retryable: false,
    });
  });

  test("a redirect is not followed", async () => {
    const server = await serve((response) =>
      response.writeHead(302, { location: "http://elsewhere.invalid/?token=1" }).end(),
    );
    expect(await errorOf(createHttp(), { url: server.url })).toEqual({
      kind: "executor_error",
      message: `${server.url} answered 302: redirects are not followed`,
      retryable: false,
      detail: { status: 302, body: "" },
    });
    expect(server.seen).toHaveLength(1);
  });
});

describe("errors", () => {
  test("nothing of the request but its origin appears in an error", async () => {
    const server = await serve((response) => response.writeHead(500).end("no"));
    const { url: reset } = await serveTcp((socket) => socket.resetAndDestroy());
    const secrets = {
      method: "POST",
      headers: { authorization: "Bearer s3cret" },
      json: { password: "s3cret" },
      query: { token: "s3cret" },
    };
    const urls = [
      `${server.url}/s3cret`,
      `${reset}/s3cret`,
      "http://s3cret:s3cret@a/",
      "http://a:s3cret/",
    ];
    for (const url of urls) {
      const error = await errorOf(createHttp(), { ...secrets, url });
      expect(JSON.stringify(error)).not.toContain("s3cret");
    }
    const invalid = { url: server.url, headers: { authorization: "s3cret\n" } };
    expect(JSON.stringify(await errorOf(createHttp(), invalid))).not.toContain("s3cret");
  });

  test("the first of the refusing body is shown, to a limit", async () => {
    const server = await serve((response) => response.writeHead(422).end("x".repeat(100_000)));
    const error = await errorOf(createHttp(), { url: server.url });
    expect(error).toEqual({
      kind: "unprocessable",
      message: `${server.url} answered 422`,
      retryable: false,
      detail: { status: 422, body: "x".repeat(2_000) },
    });
  });

  test("Retry-After is handed on in milliseconds", async () => {
    const server = await serve((response) => response.writeHead(429, { "retry-after": "7" }).end());
    expect(await errorOf(createHttp(), { url: server.url })).toMatchObject({
      kind: "rate_limited",
      retryable: true,
      detail: { retry_after_ms: 7_000 },
    });
  });
});

describe("what counts as success", () => {
  test.each([
    [200, undefined, true],
    [204, undefined, true],
    [404, [404], true],
    [200, [404], false],
    [404, ["4xx", 200], true],
    [304, ["2xx", "3xx"], true],
  ] as const)("status %i with expect %j: %s", async (status, expected, good) => {
    const server = await serve((response) => response.writeHead(status).end());
    const args = { url: server.url, ...(expected === undefined ? {} : { expect: expected }) };
    const call = createHttp().execute(args, contextOf());
    if (good) expect(await call).toMatchObject({ status });
    else expect((await faultOf(call)).kind).toBe("executor_error");
  });
});
