/**
 * No secret is written anywhere: a node that uses, echoes and fails with secrets of all three sources, and
 * every byte that it wrote and answered, searched for them.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Json, JsonObject } from "../../src/base/json.ts";
import { word } from "../api/node.ts";
import { startNode, type Node } from "../program.ts";
import { closeServers, serve, type TestServer } from "../servers.ts";
import { filesIn, leaks, tracesOf, type Written } from "./scan.ts";

/** The middle of each secret. */
const cores = {
  env: "Zq7Kx9Wm2Vt4Hb5Rd",
  file: "Jn3Pf8Lc6Gy1Ts0Qa",
  command: "Xe4Ub7Ko2Mi9Dw6Sz",
  leaky: "Vh5Ty8Ng3Bf1Cr7Ej",
  number: "918273645546372",
};

const secrets = {
  env: `t+/=~${cores.env}"&<x>%20`,
  file: `p"ss\\w'rd ${cores.file} <ü>&=+/`,
  command: `-----BEGIN KEY-----\n${cores.command}AAAAAAAA\nmore/of+it==${cores.command}\n-----END KEY-----`,
};

let folder: string;
let node: Node;
let url: string;
let target: TestServer;
let streaming: AbortController;
let streamed = "";
const answers: Written[] = [];

beforeAll(async () => {
  target = await serve((response, seen) => {
    const path = seen.url ?? "";
    const echo = { headers: seen.headers, raw: seen.rawHeaders, path, body: seen.body };
    response.statusCode = path.startsWith("/refuse") ? 403 : path.startsWith("/fail") ? 500 : 200;
    response.setHeader("x-echo", encodeURIComponent(seen.body).slice(0, 2_000));
    if (path.startsWith("/text")) response.end(`you sent ${JSON.stringify(echo)}`);
    else {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(echo));
    }
  });
  folder = mkdtempSync(join(tmpdir(), "deed-taint-"));
  mkdirSync(join(folder, "secrets"));
  const db = { user: "postgres", password: secrets.file, pin: Number(cores.number) };
  writeSecret("db.json", JSON.stringify(db));
  writeSecret("broken.json", `{"password": "${cores.leaky}`);
  writeSecret("key.txt", secrets.command);
  writeFileSync(
    join(folder, "deed.yaml"),
    `
listen: 127.0.0.1:0
executors:
  shell: { allow: [["node"]] }
  python: {}
credentials:
  api: { from: env, names: { token: TAINT_TOKEN } }
  db: { from: file, path: secrets/db.json, open: [user], fields: { host: db.internal } }
  key: { from: command, argv: [cat, secrets/key.txt] }
  private: { from: file, path: secrets/db.json, tenants: [ops] }
  broken: { from: file, path: secrets/broken.json }
  leaky: { from: command, argv: [node, -e, 'console.log("${cores.leaky}"); console.error("${cores.leaky}"); process.exit(3)'] }
`,
  );
  node = startNode({ folder, env: { TAINT_TOKEN: secrets.env } });
  ({ url } = await node.ready);
  streaming = new AbortController();
  listen().catch(() => undefined);
});

afterAll(async () => {
  streaming.abort();
  await node.kill();
  await closeServers();
  rmSync(folder, { recursive: true });
});

function writeSecret(name: string, text: string): void {
  const path = join(folder, "secrets", name);
  writeFileSync(path, text);
  chmodSync(path, 0o600);
}

async function listen(): Promise<void> {
  const stream = await fetch(`${url}/v1/events/stream`, { signal: streaming.signal });
  for await (const chunk of stream.body ?? [])
    streamed += Buffer.from(chunk as Uint8Array).toString();
}

async function get(path: string): Promise<string> {
  const answer = await fetch(url + path);
  const text = await answer.text();
  answers.push({ where: `GET ${path}`, bytes: Buffer.from(text) });
  return text;
}

/** Asks for an action whose strings at `secrets` name the keychain, and gives how it ended. */
async function act(command: string, args: JsonObject, secrets: Json): Promise<JsonObject> {
  const answer = await fetch(`${url}/v1/actions`, {
    method: "POST",
    headers: { "content-type": "application/json", prefer: "wait=25" },
    body: JSON.stringify({ command, args, secrets, retry: { attempts: 2, initial_ms: 1 } }),
  });
  const text = await answer.text();
  answers.push({ where: `POST ${command}`, bytes: Buffer.from(text) });
  const ended = JSON.parse(text) as JsonObject;
  const path = `/v1/actions/${word(ended["action_id"])}`;
  await get(path);
  await get(`${path}/events`);
  return ended;
}

const all = {
  token: "Bearer {{ keychain.api.token }}",
  basic: "Basic {{ (keychain.db.user ~ ':' ~ keychain.db.password) | b64encode }}",
  json: "{{ keychain.db | tojson }}",
  key: "{{ keychain.key.value }}",
  pin: "{{ keychain.db.pin }}",
};

const paths = Object.keys(all).map((name) => [name]);

function under(member: string): Json {
  return paths.map((path) => [member, ...path]);
}

test.each(["/echo", "/text", "/refuse", "/fail"])("http.request to %s uses them", async (path) => {
  const ended = await act(
    "http.request",
    {
      method: "POST",
      url: `${target.url}${path}?key={{ keychain.key.value | urlencode }}`,
      headers: { authorization: all.token, "x-basic": all.basic },
      json: all,
      idempotent: true,
    },
    [["url"], ["headers", "authorization"], ["headers", "x-basic"], ...(under("json") as Json[])],
  );
  expect(ended["status"]).toBe(path === "/refuse" || path === "/fail" ? "failed" : "succeeded");
  const seen = target.seen.at(-1);
  expect(seen?.headers.authorization).toBe(`Bearer ${secrets.env}`);
  expect(JSON.parse(seen?.body ?? "")).toMatchObject({
    key: secrets.command,
    pin: 918273645546372,
  });
  if (path === "/echo") expect(JSON.stringify(ended)).toContain("Bearer [secret api]");
});

const encodings = `
import base64, binascii, html, json, sys, urllib.parse
def main(**given):
    out = []
    for value in map(str, input_data.values()):
        raw = value.encode()
        out += [value, repr(value), json.dumps([value]), html.escape(value), raw.hex(), raw.hex().upper(),
                base64.b64encode(raw).decode(), base64.b64encode(b"u:" + raw).decode(),
                base64.urlsafe_b64encode(b"x" + raw).decode(), urllib.parse.quote(value),
                urllib.parse.quote_plus(value), urllib.parse.urlencode({"v": value})]
    for one in out:
        print(one)
        print(one, file=sys.stderr)
    return out
`;

test.each<[string, string, string]>([
  ["gives them back in every form", encodings, "succeeded"],
  ["gives so much back that it becomes a blob", `${encodings}\nresult = main() * 300`, "succeeded"],
  ["fails with them", `${encodings}\nraise ValueError(main())`, "failed"],
  ["ends in the middle of one", "print(str(input_data)[:200])\nresult = key[:40]", "succeeded"],
])("python %s", async (_, code, status) => {
  const ended = await act("python", { code, input: all }, under("input"));
  expect(ended["status"], JSON.stringify(ended)).toBe(status);
  expect(target.seen.length).toBeGreaterThan(0);
});

test.each([
  ["prints them", 0, "succeeded"],
  ["prints them and fails", 7, "failed"],
])("shell.run %s", async (_, code, status) => {
  const script = `const given = process.argv.slice(1); console.log(given, given.join(" ")); console.error(JSON.stringify(given)); process.exitCode = ${String(code)}`;
  const argv = ["node", "-e", script, all.token, all.basic, all.json, all.key];
  const ended = await act(
    "shell.run",
    { argv },
    [3, 4, 5, 6].map((index) => ["argv", index]),
  );
  expect(ended["status"]).toBe(status);
  expect(JSON.stringify(ended)).toContain("[secret key]");
});

test.each<[string, JsonObject, Json, string]>([
  ["an argument that the schema refuses", { a: 1, [all.token]: 1 }, [], "invalid_args"],
  [
    "a secret where a number must be",
    { url: "http://h", timeout_ms: all.token },
    [["timeout_ms"]],
    "invalid_args",
  ],
  [
    "a template that fails with it",
    { url: "{{ keychain.api.token | fromjson }}" },
    [["url"]],
    "unprocessable",
  ],
  [
    "a host that it names",
    {
      url: "http://{{ keychain.api.token | b64encode | replace('=', '') | replace('/', '') }}.invalid/",
    },
    [["url"]],
    "",
  ],
  [
    "a credential of another tenant",
    { url: "{{ keychain.private.password }}" },
    [["url"]],
    "permission",
  ],
  ["a file that is broken", { url: "{{ keychain.broken.password }}" }, [["url"]], "unprocessable"],
  ["a command that fails", { url: "{{ keychain.leaky.value }}" }, [["url"]], "unavailable"],
  ["an alias that nobody configured", { url: "{{ keychain.none.value }}" }, [["url"]], "not_found"],
])("%s fails without telling", async (_, args, at, kind) => {
  const ended = await act("http.request", args, at);
  if (kind !== "") expect(JSON.stringify(ended)).toContain(`"kind":"${kind}"`);
});

/** All that was written so far, by file and answer. */
function written(): readonly Written[] {
  return [
    ...filesIn(join(folder, "data")),
    ...answers,
    { where: "stream", bytes: Buffer.from(streamed) },
    { where: "stdout", bytes: Buffer.from(node.stdout()) },
    { where: "stderr", bytes: Buffer.from(node.stderr()) },
  ];
}

test("no byte that the node wrote or answered holds a secret, while it runs and when it has stopped", async () => {
  for (const path of [
    "/v1/events?limit=1000",
    "/v1/dlq",
    "/v1/actions",
    "/metrics",
    "/v1/commands",
  ])
    await get(path);
  expect(leaks(written(), cores)).toEqual([]);
  const names = written().map(({ where }) => where);
  expect(names).toContain("deed.db");
  expect(names).toContain("deed.db-wal");
  expect(names.some((name) => name.startsWith("blobs/"))).toBe(true);
  expect(streamed).toContain("[secret db]");
});

test("what is written openly is found, in the log and in every answer: the search itself works", async () => {
  const open = { code: `${encodings}\nresult = main()`, input: { key: secrets.command } };
  await act("python", open, []);
  await node.stop();
  const found = leaks(written(), cores);
  const places = found.map((leak) => leak.replace(/[0-9a-f]{8,}/g, "*"));
  expect(places).toContain("deed.db: command");
  expect(places).toContain("POST python: command");
  expect(places).toContain("stream: command");
  expect(places.filter((place) => !place.endsWith(": command"))).toEqual([]);
});

test("the search finds a secret at any place of a text in base64, in hexadecimal and as it is", () => {
  const core = cores.env;
  for (const before of ["", "a", "ab", "abc", "me:"]) {
    const text = `${before}${core}..`;
    const forms = [text, Buffer.from(text).toString("base64"), Buffer.from(text).toString("hex")];
    for (const form of forms)
      expect(tracesOf(core).some((trace) => Buffer.from(form).includes(trace))).toBe(true);
    expect(tracesOf(core).some((trace) => Buffer.from("another text").includes(trace))).toBe(false);
  }
});
