import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../../test/api/node.ts";
import type { JsonObject } from "../base/json.ts";
import { watchPlaybookFiles, type RegisteredFiles } from "./registered-files.ts";
import { createSystemClock } from "./system-clock.ts";

let folder: string;
let node: TestNode;
let files: RegisteredFiles | undefined;
let warnings: string[];
let told: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "deed-registered-"));
  warnings = [];
  told = [];
  node = await startNode();
});

afterEach(async () => {
  await files?.stop();
  files = undefined;
  await node.stop();
  rmSync(folder, { recursive: true });
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

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function start(): Promise<RegisteredFiles> {
  files = await watchPlaybookFiles({
    paths: [folder],
    log: node.log,
    entries: node.playbooks,
    clock: createSystemClock(),
    warn: (message) => warnings.push(message),
    info: (message) => told.push(message),
  });
  return files;
}

async function catalog(): Promise<unknown> {
  const { body } = await node.ask("GET", "/v1/playbooks");
  return (body["playbooks"] as JsonObject[]).map(({ path, versions, file }) => [
    path,
    versions,
    typeof file === "string" ? file.slice(folder.length + 1) : file,
  ]);
}

describe("playbook files", () => {
  it("are registered at the start, those of folders in folders too, and once", async () => {
    write("b.yaml", textOf("b"));
    write("deep/a.yaml", textOf("a"));
    write("other.yaml", "kind: Rule\n");
    await start();
    expect(await catalog()).toEqual([
      ["a", 1, "deep/a.yaml"],
      ["b", 1, "b.yaml"],
    ]);
    expect(told).toHaveLength(2);
    const head = node.log.head();
    await files?.refresh();
    await files?.stop();
    await start();
    expect(node.log.head()).toBe(head);
    expect(warnings).toEqual([]);
  });

  it("2. are registered again when they change, and at a start whatever stands there", async () => {
    write("a.yaml", textOf("a", "one"));
    const first = await start();
    write("a.yaml", textOf("a", "two"));
    await first.refresh();
    expect(await catalog()).toEqual([["a", 2, "a.yaml"]]);
    await node.ask("POST", "/v1/playbooks", { body: { text: textOf("a", "three") } });
    await first.refresh();
    expect(await catalog()).toEqual([["a", 3, undefined]]);
    await first.stop();
    await start();
    expect(await catalog()).toEqual([["a", 3, "a.yaml"]]);
  });

  it("1. that cannot be run change nothing and are told once", async () => {
    const file = write("a.yaml", textOf("a"));
    const watching = await start();
    write("a.yaml", textOf("a").replace("kind: noop, result: one", "result: one"));
    await watching.refresh();
    await watching.refresh();
    expect(await catalog()).toEqual([["a", 1, "a.yaml"]]);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(new RegExp(`^${file}:6:\\d+: error `));
    expect(warnings[1]).toBe(`${file} is not registered: what was registered from it before stays`);
  });

  it("3. of one path: the first counts, the other is told once", async () => {
    const [one, two] = [write("1.yaml", textOf("a", "one")), write("2.yaml", textOf("a", "two"))];
    const watching = await start();
    await watching.refresh();
    expect(await catalog()).toEqual([["a", 1, "1.yaml"]]);
    expect(warnings).toEqual([`${two}: playbook "a" stands in ${one}, too: this one is not used`]);
    rmSync(one);
    await watching.refresh();
    expect(await catalog()).toEqual([["a", 2, "2.yaml"]]);
  });

  it("4. that are gone leave their versions", async () => {
    const file = write("a.yaml", textOf("a"));
    write("b.yaml", textOf("b"));
    const watching = await start();
    rmSync(file);
    await watching.refresh();
    expect(await catalog()).toEqual([
      ["a", 1, "a.yaml"],
      ["b", 1, "b.yaml"],
    ]);
  });
});
