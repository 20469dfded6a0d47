import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startNode, type Answer, type TestNode, word } from "../../test/api/node.ts";
import { sha256Hex } from "../base/hash.ts";
import type { JsonObject } from "../base/json.ts";

let node: TestNode;

beforeEach(async () => {
  node = await startNode();
});

afterEach(async () => {
  await node.stop();
});

function textOf(path: string, result = "one"): string {
  return `apiVersion: noetl.io/v2
kind: Playbook
metadata: { name: x, path: ${path} }
workflow:
  - step: start
    tool: { kind: noop, result: ${result} }
`;
}

function register(text: string, more: JsonObject = {}): Promise<Answer> {
  return node.ask("POST", "/v1/playbooks", { body: { text, ...more } });
}

const at = (path: string, rest = ""): string => `/v1/playbooks/${encodeURIComponent(path)}${rest}`;

const [one, two] = [textOf("a/b", "one"), textOf("a/b", "two")];

describe("registering", () => {
  it("brings a version to its path, once: the text that is the newest already is no new event", async () => {
    const first = await register(one, { file: "b.yaml" });
    expect(first.status).toBe(201);
    expect(first.headers["location"]).toBe("/v1/playbooks/a%2Fb");
    expect(first.body).toEqual({
      path: "a/b",
      digest: sha256Hex(one),
      registered: true,
      findings: [],
    });
    const head = node.log.head();
    const again = await register(one);
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ registered: false, digest: sha256Hex(one) });
    expect(node.log.head()).toBe(head);
  });

  it("an old text becomes the newest again", async () => {
    for (const text of [one, two, one]) expect((await register(text)).status).toBe(201);
    const { versions } = (await node.ask("GET", at("a/b"))).body as { versions: JsonObject[] };
    expect(versions.map(({ digest }) => digest)).toEqual([sha256Hex(one), sha256Hex(two)]);
  });

  it("a path of one's own comes before the one in the text", async () => {
    expect((await register(one, { path: "other" })).body["path"]).toBe("other");
    expect((await node.ask("GET", at("a/b"))).status).toBe(404);
  });

  it("what cannot be run is refused with every finding in its place, and nothing is stored", async () => {
    const head = node.log.head();
    const broken = `${one}    next: [{ step: nowhere }]\n  - step: start\n    tool: { kind: noop }\n`;
    const answer = await register(broken, { file: "bad.yaml" });
    expect(answer.status).toBe(422);
    expect(answer.body["detail"]).toBe(
      'Cannot register the playbook: bad.yaml:7:20: the arc leads to "nowhere", which is no step, and 1 more',
    );
    expect(answer.body["problems"]).toMatchObject([
      { pointer: "bad.yaml:7:20", code: "unknown-step", severity: "error", line: 7, column: 20 },
      { pointer: "bad.yaml:8:11", code: "duplicate-step" },
      { pointer: "bad.yaml:8:11", code: "unreachable-step", severity: "warning" },
    ]);
    expect(node.log.head()).toBe(head);
  });

  it("a finding that keeps nothing from running comes with the answer", async () => {
    const answer = await register(`${one}    colour: red\n`);
    expect(answer.body).toMatchObject({
      registered: true,
      findings: [{ code: "unknown-key", severity: "warning", line: 7, column: 5 }],
    });
  });
});

describe("reading", () => {
  it("lists paths by name, page by page, each once", async () => {
    for (const path of ["c", "a", "b"]) await register(textOf(path));
    const first = await node.ask("GET", "/v1/playbooks?limit=2");
    expect(first.body["playbooks"]).toMatchObject([
      { path: "a", digest: sha256Hex(textOf("a")), pinned: false, versions: 1 },
      { path: "b" },
    ]);
    const cursor = word(first.body["next_cursor"]);
    const second = await node.ask("GET", `/v1/playbooks?limit=2&cursor=${cursor}`);
    expect(second.body["playbooks"]).toMatchObject([{ path: "c" }]);
    expect(second.body["next_cursor"]).toBeUndefined();
    expect((await node.ask("GET", "/v1/playbooks?cursor=zzz")).status).toBe(400);
  });

  it("gives the text of a version, and tells what there is not", async () => {
    await register(one);
    await register(two);
    const old = await node.ask("GET", at("a/b", `?digest=${sha256Hex(one)}`));
    expect(old.body).toMatchObject({ path: "a/b", text: one, current: false });
    expect((await node.ask("GET", at("a/c"))).body["detail"]).toContain('no playbook "a/c"');
    const none = await node.ask("GET", at("a/b", `?digest=${"0".repeat(64)}`));
    expect(none.body).toMatchObject({ status: 404, kind: "not_found" });
    expect((await node.ask("GET", at("a/b", "?digest=abc"))).status).toBe(400);
  });
});

describe("a pin", () => {
  it("holds a path at a version until it is let go, and is no event where it changes nothing", async () => {
    await register(one);
    await register(two);
    const pin = (): Promise<Answer> =>
      node.ask("PUT", at("a/b", "/pin"), { body: { digest: sha256Hex(one) } });
    expect((await pin()).body).toMatchObject({ digest: sha256Hex(one), pinned: true });
    const head = node.log.head();
    await pin();
    expect(node.log.head()).toBe(head);
    await register(textOf("a/b", "three"));
    expect((await node.ask("GET", at("a/b"))).body["digest"]).toBe(sha256Hex(one));
    const freed = await node.ask("DELETE", at("a/b", "/pin"));
    expect(freed.body).toMatchObject({
      digest: sha256Hex(textOf("a/b", "three")),
      pinned: false,
    });
  });

  it("of a version or a path that is not there is refused", async () => {
    await register(one);
    const body = { digest: "0".repeat(64) };
    expect((await node.ask("PUT", at("a/b", "/pin"), { body })).status).toBe(404);
    expect((await node.ask("PUT", at("none", "/pin"), { body })).status).toBe(404);
  });
});
