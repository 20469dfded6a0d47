import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../../../test/api/node.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Io } from "../io.ts";
import { run } from "../program.ts";
import { text } from "../terminal.ts";

let folder: string;
let node: TestNode;
let url: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deed-executions-"));
  node = await startNode();
  url = await node.api.listen({ host: "127.0.0.1", port: 0 });
});

afterAll(async () => {
  await node.stop();
  rmSync(folder, { recursive: true });
});

async function deed(...words: readonly string[]) {
  let out = "";
  let err = "";
  const io: Io = {
    out: (told) => void (out += told),
    err: (told) => void (err += told),
    env: { DEED_URL: url },
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
  };
  const code = await run(words, io);
  return { code, out, err };
}

const json = ({ out }: { readonly out: string }): JsonObject => JSON.parse(out) as JsonObject;

function write(workflow: string, output = '"done"'): string {
  const file = join(folder, "ask.yaml");
  const head = "apiVersion: deed/v1\nkind: Playbook\nmetadata: { name: ask, path: ops/ask }\n";
  writeFileSync(file, `${head}output: ${output}\nworkflow:\n${workflow}`);
  return file;
}

const ask = '  - step: start\n    tool: { kind: approval, message: "go on?" }\n';

describe("the catalog of a node", () => {
  it("takes files, lists versions, says what changed, and pins", async () => {
    const first = await deed("playbook", "register", write(ask));
    expect(first.out).toMatch(/^ops\/ask [0-9a-f]{12} registered\n$/);
    expect((await deed("playbook", "register", write(ask))).out).toContain("as it was");
    await deed("playbook", "register", write(ask, '"changed"'));
    expect((await deed("playbook", "list")).out).toMatch(/^ops\/ask\t[0-9a-f]{12}\t\t2\t/);
    const rows = (await deed("playbook", "versions", "ops/ask")).out.trimEnd().split("\n");
    expect(rows.map((row) => row.split("\t")[1])).toEqual(["runs", ""]);
    const old = rows[1]?.split("\t")[0] ?? "";
    const diff = json(await deed("playbook", "diff", "ops/ask", "--json"));
    expect(diff["diff"]).toEqual([
      " apiVersion: deed/v1",
      " kind: Playbook",
      " metadata: { name: ask, path: ops/ask }",
      '-output: "done"',
      '+output: "changed"',
      " workflow:",
      "   - step: start",
      '     tool: { kind: approval, message: "go on?" }',
      "…",
    ]);
    expect((await deed("playbook", "pin", "ops/ask", old)).out).toBe(
      `ops/ask is pinned to ${old}\n`,
    );
    expect((await deed("playbook", "unpin", "ops/ask")).out).toContain("its newest");
    expect(await deed("playbook", "pin", "ops/ask", "zz")).toMatchObject({
      code: 2,
      err: "deed: ops/ask has no version zz…: deed playbook versions ops/ask\n",
    });
  });
});

describe("executions of a node", () => {
  it("run the version whose digest begins as is said, and again with another", async () => {
    const noop = "  - { step: start, tool: { kind: noop } }\n";
    const first = await deed("playbook", "register", write(noop, '"old"'));
    const old = first.out.split(" ")[1] ?? "";
    await deed("playbook", "register", write(noop, '"new"'));
    const start = ["executions", "start", "ops/ask", "--watch", "--digest"];
    expect(await deed(...start, old)).toMatchObject({ code: 0, out: '"old"\n' });
    expect(await deed(...start, "zz")).toMatchObject({
      code: 2,
      err: "deed: ops/ask has no version zz…: deed playbook versions ops/ask\n",
    });
    const young = (await deed("playbook", "versions", "ops/ask")).out.slice(0, 12);
    const row = (await deed("executions", "--limit", "1")).out.split("\t");
    const again = await deed("rerun", row[1] ?? "", "--watch", "--digest", young);
    expect(again).toMatchObject({ code: 0, out: '"new"\n' });
  });

  it("wait for a person, who is told what for, and answers by the execution's id", async () => {
    await deed("playbook", "register", write(ask));
    const id = text(json(await deed("executions", "start", "ops/ask", "--json"))["execution_id"]);
    expect((await deed("approvals")).out).toContain(`\t${id}\tstart\tgo on?\n`);
    const watched = deed("execution", id, "--watch");
    expect((await deed("approve", id, "--by", "ada")).out).toMatch(/^act_[0-9a-f]{32} approved\n$/);
    expect(await watched).toMatchObject({ code: 0, out: '"done"\n' });
    expect((await deed("executions", "--playbook", "ops/ask")).out).toContain(
      `\t${id}\tcompleted\t`,
    );
    const shown = (await deed("execution", id)).out;
    expect(shown).toMatch(new RegExp(`^✓ ops/ask  execution ${id} .*\n└ ✓ start  approval`));
    expect(shown).toMatch(/\n +\d+ [\d:.]+ +\+\d+ ms {2}step.completed +start/);
    expect(await deed("approve", id)).toMatchObject({ code: 2 });
    const again = json(await deed("rerun", id, "--json"));
    expect(again).toMatchObject({ rerun_of: id });
    await deed("cancel", text(again["execution_id"]));
  });

  it("end with 130 where they are cancelled while a person watches, and hold while they are paused", async () => {
    await deed("playbook", "register", write(ask));
    const id = text(json(await deed("executions", "start", "ops/ask", "--json"))["execution_id"]);
    expect((await deed("pause", id)).out).toContain(" paused");
    expect((await deed("resume", id)).out).toContain(" running");
    const watched = deed("execution", id, "--watch");
    expect((await deed("cancel", id, "--reason", "enough")).code).toBe(0);
    const ended = await watched;
    expect(ended).toMatchObject({ code: 130, out: "" });
    expect(ended.err).toContain(`execution ${id} of ops/ask cancelled: enough`);
  });
});
