import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bareCondition, mermaidOf } from "./graph-text.ts";
import { parsePlaybook } from "./parse.ts";
import type { Playbook, Step } from "./playbook.ts";

function drawn(workflow: string): string[] {
  const text = `apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: {name: p}\nworkflow:\n${workflow}`;
  const parsed = parsePlaybook(text, "p.yaml");
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return mermaidOf(parsed.value.playbook).split("\n");
}

describe("2. every step is a node, every arc an edge", () => {
  test("a branch: its conditions stand at the arcs, the way without one is else", () => {
    expect(
      drawn(`
- step: start
  tool: {kind: http, url: http://x}
  next: {arcs: [{step: good, when: "{{ output.data.n > 3 }}"}, {step: bad}]}
- {step: good, tool: {kind: noop}}
- {step: bad, tool: {kind: noop}}
`),
    ).toEqual([
      "flowchart TD",
      '  s0(["start<br/>http"])',
      '  s1["good<br/>noop"]',
      '  s2["bad<br/>noop"]',
      '  s0 -->|"output.data.n #62; 3"| s1',
      '  s0 -->|"else"| s2',
      "",
    ]);
  });

  test("a fan-out is thick, and what its ways meet in is a join", () => {
    expect(
      drawn(`
- {step: start, tool: {kind: noop}, next: [a, b]}
- {step: a, tool: {kind: noop}, next: both}
- {step: b, tool: {kind: playbook, path: x/y}, next: both}
- {step: both, tool: {kind: noop}}
`),
    ).toEqual([
      "flowchart TD",
      '  s0(["start<br/>noop"])',
      '  s1["a<br/>noop"]',
      '  s2["b<br/>playbook x/y"]',
      '  s3["both<br/>noop<br/>join"]',
      "  s0 ==> s1",
      "  s0 ==> s2",
      "  s1 --> s3",
      "  s2 --> s3",
      "  classDef join stroke-width:4px",
      "  class s3 join",
      "",
    ]);
  });

  test("an arc that leads back is dotted, and makes no join", () => {
    expect(
      drawn(`
- {step: start, tool: {kind: noop}, next: work}
- step: work
  tool: {kind: noop}
  next: {arcs: [{step: work, when: "ctx.n < 3"}, {step: start, when: "ctx.again"}, {step: end}]}
- {step: end, tool: {kind: noop}}
`).slice(4),
    ).toEqual([
      "  s0 --> s1",
      '  s1 -.->|"ctx.n #60; 3"| s1',
      '  s1 -.->|"ctx.again"| s0',
      '  s1 -->|"else"| s2',
      "",
    ]);
  });

  test("a loop has double sides and says what it runs over; a pipeline names its tasks", () => {
    const lines = drawn(`
- step: start
  loop: {in: "{{ customers }}", iterator: customer, spec: {mode: parallel, max_in_flight: 4}}
  when: "{{ ctx.go }}"
  tool:
    - {name: fetch, kind: http, url: http://x}
    - {name: keep, kind: postgres, query: select 1}
`);
    expect(lines[1]).toBe(
      '  s0[["start<br/>fetch#58; http<br/>keep#58; postgres<br/>each customer in #123;#123; customers #125;#125;, parallel, 4 at one time<br/>when ctx.go"]]',
    );
  });

  test("of many tasks the first six are named", () => {
    const tasks = Array.from({ length: 9 }, (_, at) => `{name: t${String(at)}, kind: noop}`);
    const [, node = ""] = drawn(`- {step: start, tool: [${tasks.join(", ")}]}`);
    expect(node).toContain("t5#58; noop<br/>and 3 more");
    expect(node).not.toContain("t6");
  });
});

describe("1. whatever a playbook says, the text is a flowchart", () => {
  test.each([
    ['"] --> evil["', "#34;#93; --#62; evil#91;#34;"],
    ["%%{init: {}}%%", "#37;#37;#123;init#58; #123;#125;#125;#37;#37;"],
    ["a\n  click s0 call x()", "a click s0 call x()"],
    ["<img src=x onerror=1>", "#60;img src=x onerror=1#62;"],
    ["`**b** _i_ $$x$$`", "#96;#42;#42;b#42;#42; #95;i#95; #36;#36;x#36;#36;#96;"],
    ["1. Load_all #35; & \\n", "1#46; Load_all #35;35#59; #38; #92;n"],
    ["- a", "#45; a"],
    ["Grüße 日本 😀", "Grüße 日本 #128512;"],
    ["a\u202eb\u0000c", "a b c"],
    [" ", " "],
    ["x".repeat(81), `${"x".repeat(79)}…`],
  ])("a step named %j", (name, label) => {
    const lines = mermaidOf(playbookOf([stepOf(name, [])])).split("\n");
    expect(lines).toEqual(["flowchart TD", `  s0(["${label}<br/>noop"])`, ""]);
  });

  test("of any names and conditions, each line has one of the forms that there are", () => {
    const node = /^ {2}s\d+(\(\["[^"]*"\]\)|\["[^"]*"\])$/;
    const edge = /^ {2}s\d+ (-->|==>|-\.->)(\|"[^"]*"\|)? s\d+$/;
    const label = /^(<br\/>|#\d+;|[^"#<>&%`{}[\]|;\n])*$/;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.string())),
        (names, arcs) => {
          const steps = names.map((name, at) =>
            stepOf(
              name,
              arcs.flatMap(([from, to, when]) =>
                from === at ? [{ to: names[to] ?? "nowhere", when, set: [] }] : [],
              ),
            ),
          );
          const playbook = playbookOf(steps);
          const text = mermaidOf(playbook);
          expect(mermaidOf(playbook)).toBe(text);
          const lines = text.split("\n").slice(1, -1);
          const nodes = lines.filter((line) => node.test(line));
          const edges = lines.filter((line) => edge.test(line));
          expect(nodes).toHaveLength(names.length);
          const there = arcs.filter(([from, to]) => from < names.length && to < names.length);
          expect(edges).toHaveLength(there.length);
          const rest = lines.length - nodes.length - edges.length;
          expect([0, 2]).toContain(rest);
          for (const line of lines) {
            for (const [, said = ""] of line.matchAll(/"([^"]*)"/g)) expect(said).toMatch(label);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

test.each([
  ["{{ a == 1 }}", "a == 1"],
  ["{{- a -}}", "a"],
  [" a and b ", "a and b"],
  ["{{ a }} and {{ b }}", "{{ a }} and {{ b }}"],
  ["", ""],
])("the condition %j is shown as %j", (when, bare) => {
  expect(bareCondition(when)).toBe(bare);
});

test("3. every example of this project can be drawn", () => {
  const folder = new URL("../../examples/playbooks/", import.meta.url);
  const files = readdirSync(folder).filter((name) => /^[^.]+\.yaml$/.test(name));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const parsed = parsePlaybook(readFileSync(new URL(file, folder), "utf8"), file);
    expect(parsed.ok && mermaidOf(parsed.value.playbook)).toMatch(/^flowchart TD\n {2}s0/);
  }
});

function stepOf(name: string, arcs: Step["next"]["arcs"]): Step {
  const task = { name, kind: "noop", config: {}, input: {}, set: [], rules: [] };
  return {
    ...{ name, admit: [], tasks: [task], pipeline: false, set: [] },
    next: { mode: "exclusive", onNoMatch: "end", arcs },
  };
}

function playbookOf(steps: readonly Step[]): Playbook {
  const [{ name } = { name: "" }] = steps;
  return {
    ...{ apiVersion: "noetl.io/v2", name: "p", path: "p" },
    ...{ workload: {}, entry: name, steps, keychain: [] },
  };
}
