import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Io } from "../io.ts";
import { run } from "../program.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-cli-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function playbook(words: readonly string[], world: Partial<Io> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const io: Io = {
    out: (text) => (out += text),
    err: (text) => (err += text),
    env: {},
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
    ...world,
  };
  const code = await run(["playbook", ...words], io);
  return { code, out, err };
}

function write(name: string, workflow: string, head = ""): string {
  const file = join(folder, name);
  const top = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: {name: night, path: ops/night}\n`;
  writeFileSync(file, `${top}${head}workflow:\n${workflow}`);
  return file;
}

const clean = "- {step: start, tool: {kind: noop}}\n";
const warned = "- {step: start, tool: {kind: noop}}\n- {step: lost, tool: {kind: noop}}\n";
const wrong = "- {step: start, tool: {kind: nop}, next: nowhere}\n";

const lost =
  '6:10: warning unreachable-step: no way leads from "start" to step "lost", so it is never entered';

describe("lint", () => {
  it("0: nothing is found", async () => {
    const file = write("a.yaml", clean);
    const ran = await playbook(["lint", file]);
    expect(ran).toEqual({ code: 0, out: "", err: "1 playbook: 0 errors, 0 warnings\n" });
  });

  it("0: warnings are told and do no harm, unless --strict", async () => {
    const file = write("a.yaml", warned);
    const ran = await playbook(["lint", file]);
    expect(ran.code).toBe(0);
    expect(ran.out.startsWith(`${file}:${lost} (lead an arc to it`), ran.out).toBe(true);
    expect(ran.out.endsWith(")\n")).toBe(true);
    expect(ran.err).toBe("1 playbook: 0 errors, 1 warning\n");
    const strict = await playbook(["lint", "--strict", file]);
    expect(strict).toEqual({ ...ran, code: 2 });
    expect((await playbook(["lint", "--strict", write("b.yaml", clean)])).code).toBe(0);
  });

  it("2: errors, each with its place, of all files of a folder", async () => {
    const files = [write("a.yaml", wrong), write("b.yaml", clean), write("c.yaml", wrong)];
    const ran = await playbook(["lint", folder]);
    expect(ran.code).toBe(2);
    expect(ran.out.split("\n").map((line) => line.split(": ", 2).join(": "))).toEqual([
      `${files[0] ?? ""}:5:30: error unknown-kind`,
      `${files[0] ?? ""}:5:42: error unknown-step`,
      `${files[2] ?? ""}:5:30: error unknown-kind`,
      `${files[2] ?? ""}:5:42: error unknown-step`,
      "",
    ]);
    expect(ran.err).toBe("3 playbooks: 4 errors, 0 warnings\n");
  });

  it("2: a path that is not there", async () => {
    const ran = await playbook(["lint", join(folder, "none")]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.err).toMatch(/^deed: .*none cannot be read: ENOENT/);
  });

  it("--json: one document, with every finding", async () => {
    const file = write("a.yaml", warned);
    const ran = await playbook(["lint", file, "--json"]);
    expect([ran.code, ran.err, ran.out.indexOf("\n")]).toEqual([0, "", ran.out.length - 1]);
    expect(JSON.parse(ran.out)).toEqual({
      files: [
        {
          file,
          findings: [
            {
              ...{ code: "unreachable-step", severity: "warning", file, line: 6, column: 10 },
              message: lost.slice(lost.indexOf("no way")),
              help: expect.stringMatching(/^lead an arc to it/) as string,
            },
          ],
        },
      ],
      errors: 0,
      warnings: 1,
    });
  });

  it("colour is for terminals, and NO_COLOR ends it", async () => {
    const file = write("a.yaml", wrong);
    const red = "\u001b[31merror\u001b[0m unknown-kind";
    const coloured = async (world: Partial<Io>): Promise<boolean> =>
      (await playbook(["lint", file], world)).out.includes(red);
    expect(await coloured({ isTerminal: true })).toBe(true);
    expect(await coloured({})).toBe(false);
    expect(await coloured({ isTerminal: true, env: { NO_COLOR: "1" } })).toBe(false);
  });

  it("a name cannot write to the terminal", async () => {
    const file = write("a.yaml", `${clean}- {step: "\\e[2J\\nx", tool: {kind: noop}}\n`);
    const ran = await playbook(["lint", file]);
    expect(ran.out).toContain('to step " [2J x", so it is never entered');
    expect(ran.out.trimEnd()).not.toContain("\n");
  });
});

const branched = `
- step: start
  loop: {in: "{{ hosts }}", iterator: host, spec: {mode: parallel, max_in_flight: 2}}
  tool: {kind: shell, command: "uptime"}
  next: {arcs: [{step: tell, when: "{{ event.name == 'loop.done' }}"}, {step: end}]}
- step: tell
  tool: [{name: a, kind: noop}, {name: b, kind: playbook, path: ops/tell}]
- {step: end, tool: {kind: noop}}
`;

const head = "workload: {hosts: [x, y], who: ops}\n";

describe("show", () => {
  it("what it takes, its steps with their tools, and where they go on", async () => {
    const file = write("a.yaml", branched, head);
    const ran = await playbook(["show", file], { isTerminal: true, env: { NO_COLOR: "1" } });
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out.split("\n")).toEqual([
      "night  ops/night  noetl.io/v2",
      "",
      "input  default",
      'hosts  ["x","y"]',
      "who    ops",
      "",
      "step   tools                    loop                                               goes on to",
      "start  shell                    each host in {{ hosts }}, parallel, 2 at one time  tell when event.name == 'loop.done', else end",
      "tell   noop, playbook ops/tell                                                     ends here",
      "end    noop                                                                        ends here",
      "",
    ]);
  });

  it("cells are separated by tabs where there is no terminal", async () => {
    const ran = await playbook(["show", write("a.yaml", clean)]);
    expect(ran.out).toBe("night  ops/night  noetl.io/v2\n\nstart\tnoop\t\tends here\n");
  });

  it("--json: all of it", async () => {
    const ran = await playbook(["show", write("a.yaml", branched, head), "--json"]);
    const next = { mode: "exclusive", on_no_match: "end", arcs: [] };
    expect(JSON.parse(ran.out)).toEqual({
      ...{ api_version: "noetl.io/v2", name: "night", path: "ops/night" },
      inputs: { hosts: ["x", "y"], who: "ops" },
      steps: [
        {
          ...{ step: "start", pipeline: false, tools: [{ name: "start", kind: "shell" }] },
          loop: { iterator: "host", maxInFlight: 2, mode: "parallel", in: "{{ hosts }}" },
          next: {
            ...next,
            arcs: [{ step: "tell", when: "{{ event.name == 'loop.done' }}" }, { step: "end" }],
          },
        },
        {
          ...{ step: "tell", pipeline: true, next },
          tools: [
            { name: "a", kind: "noop" },
            { name: "b", kind: "playbook" },
          ],
        },
        { step: "end", pipeline: false, tools: [{ name: "end", kind: "noop" }], next },
      ],
    });
  });

  it.each(["show", "graph"])(
    "2: %s tells every finding of a file that is refused",
    async (name) => {
      const file = write("a.yaml", wrong);
      const ran = await playbook([name, file]);
      expect([ran.code, ran.out]).toEqual([2, ""]);
      expect(ran.err).toContain(`deed: ${file} cannot be read as a playbook\n${file}:5:42: error`);
    },
  );

  it.each(["show", "graph"])("2: %s takes one playbook", async (name) => {
    write("a.yaml", clean);
    write("b.yaml", clean);
    expect((await playbook([name, folder])).err).toBe(
      `deed: ${folder} holds several playbooks: name one of its files\n`,
    );
  });
});

describe("graph", () => {
  it("a Mermaid flowchart", async () => {
    const file = write("a.yaml", branched, head);
    const ran = await playbook(["graph", file]);
    expect([ran.code, ran.err]).toEqual([0, ""]);
    expect(ran.out.split("\n").slice(0, 1)).toEqual(["flowchart TD"]);
    expect(ran.out).toContain('  s0 -->|"event.name == \'loop.done\'"| s1\n  s0 -->|"else"| s2\n');
    const json = await playbook(["graph", file, "--json"]);
    expect(JSON.parse(json.out)).toEqual({ mermaid: ran.out });
  });
});

it.each(["lint", "show", "graph"])("--help of %s has an example", async (name) => {
  expect((await playbook([name, "--help"])).out).toContain(`\nExample: deed playbook ${name} `);
});
