import { describe, expect, test } from "vitest";
import { head, parsed, refusal } from "../../test/core/playbooks.ts";
import { formatFinding, parsePlaybook } from "./parse.ts";

describe("1. the whole of a playbook", () => {
  test("becomes the one model", () => {
    expect(
      parsed(`
apiVersion: deed/v1
kind: Playbook
metadata: {name: night, path: ops/night, description: Checks, labels: {team: ops}}
workload: {url: http://x, pages: 3}
keychain:
  - {name: pg, kind: postgres}
timeout: 2h
output: "{{ end }}"
workflow:
  - step: start
    desc: Begin
    tool: {kind: noop}
    timeout: 90
    next: end
  - step: end
    tool: {kind: noop}
`),
    ).toEqual({
      apiVersion: "deed/v1",
      name: "night",
      path: "ops/night",
      description: "Checks",
      workload: { url: "http://x", pages: 3 },
      entry: "start",
      steps: [
        {
          name: "start",
          desc: "Begin",
          admit: [],
          tasks: [{ name: "start", kind: "noop", config: {}, input: {}, set: [], rules: [] }],
          pipeline: false,
          set: [],
          next: { mode: "exclusive", onNoMatch: "end", arcs: [{ to: "end", set: [] }] },
          timeoutMs: 90_000,
        },
        {
          name: "end",
          admit: [],
          tasks: [{ name: "end", kind: "noop", config: {}, input: {}, set: [], rules: [] }],
          pipeline: false,
          set: [],
          next: { mode: "exclusive", onNoMatch: "end", arcs: [] },
        },
      ],
      keychain: [{ name: "pg", kind: "postgres" }],
      output: "{{ end }}",
      timeoutMs: 7_200_000,
    });
  });

  test("its path is its name where it has none, and a keychain may be a mapping", () => {
    const { path, keychain } = parsed(
      `${head}keychain: {pg: {kind: postgres}}\nworkflow: [{step: start, tool: {kind: noop}}]`,
    );
    expect({ path, keychain }).toEqual({
      path: "p",
      keychain: [{ name: "pg", kind: "postgres" }],
    });
  });
});

describe("2. what cannot be run is refused, with all that is wrong, its place and the way out", () => {
  const playbook = (workflow: string) => `${head}workflow:\n${workflow}`;

  test.each([
    [
      "an empty file",
      "",
      [
        'p.yaml:1:1: error not-a-playbook: the file is empty; begin with "apiVersion: noetl.io/v2" (or deed/v1) and "kind: Playbook"',
      ],
    ],
    ["broken YAML", "a: [", [/^p\.yaml:1:5: error not-yaml: not valid YAML: /]],
    [
      "two documents",
      `${head}---\n${head}`,
      [/^p\.yaml:5:1: error several-documents: the file holds 2 documents; /],
    ],
    ["a list", "- a", [/^p\.yaml:1:1: error not-a-playbook: the document is no mapping; /]],
    [
      "no version",
      "kind: Playbook",
      [/^p\.yaml:1:1: error not-a-playbook: "apiVersion" is missing; /],
    ],
    [
      "another version",
      "apiVersion: noetl.io/v1\nkind: Playbook",
      [
        'p.yaml:1:13: error wrong-value: "apiVersion" must be one of noetl.io/v2, deed/v1: it is "noetl.io/v1"; did you mean "noetl.io/v2"?',
      ],
    ],
    [
      "no metadata and no workflow",
      "apiVersion: deed/v1\nkind: Playbook",
      [
        'p.yaml:1:1: error missing-key: "metadata" is missing; add "metadata: {name: …}"',
        'p.yaml:1:1: error missing-key: "workflow" is missing; add "workflow: [{step: start, …}]"',
        'p.yaml:1:1: error missing-start: no step is named "start", so nothing says where to begin; name the first step "start"',
      ],
    ],
    [
      "no start",
      playbook("  - {step: strat, tool: noop}"),
      [
        'p.yaml:4:1: error missing-start: no step is named "start", so nothing says where to begin; rename "strat" to "start"',
      ],
    ],
    [
      "two steps of one name",
      playbook("  - {step: start, tool: noop}\n  - {step: start, tool: noop}"),
      [
        'p.yaml:6:12: error duplicate-step: two steps have the name "start"; rename one of them, and the arcs that lead to it',
      ],
    ],
    [
      "an arc to nowhere",
      playbook(
        "  - {step: start, tool: noop, next: {arcs: [{step: ende}]}}\n  - {step: end, tool: noop}",
      ),
      [
        'p.yaml:5:52: error unknown-step: the arc leads to "ende", which is no step; did you mean "end"?',
      ],
    ],
    [
      "a step without a tool",
      playbook("  - step: start\n    next: start"),
      [
        'p.yaml:5:5: error step-without-tool: step "start" has no tool; give it one; "tool: {kind: noop}" does nothing and only leads on',
      ],
    ],
    [
      "a tool without a kind",
      playbook("  - step: start\n    tool: {code: x}"),
      ['p.yaml:6:5: error missing-key: "kind" is missing; name the tool, as in "kind: python"'],
    ],
    [
      "two tasks of one name, and a jump to none",
      playbook(
        "  - step: start\n    tool:\n      - {name: a, kind: noop}\n      - {name: a, kind: noop, spec: {policy: {rules: [{else: {then: {do: jump, to: b}}}]}}}",
      ),
      [
        'p.yaml:8:9: error duplicate-task: two tasks of one step have the name "a"; rename one of them',
        'p.yaml:8:84: error unknown-task: the jump leads to "b", which is no task of this step; did you mean "a"?',
      ],
    ],
    [
      "a reference to no workbook entry",
      `${playbook("  - {step: start, tool: {kind: workbook, name: g}}")}\nworkbook: [{name: f, tool: {kind: noop}}]`,
      [
        'p.yaml:5:48: error unknown-workbook: the workbook has no entry "g"; it has: f',
        'p.yaml:6:22: warning unused-workbook: no step uses the workbook entry "f"; use it with "kind: workbook" and "name: f", or drop it',
      ],
    ],
    [
      "words that are none",
      playbook(
        "  - step: start\n    loop: {in: a, spec: {mode: paralel}}\n    tool: {kind: noop, spec: {policy: {rules: [{when: a, then: {do: retri}}]}}}\n    next: {spec: {mode: both}, arcs: []}",
      ),
      [
        'p.yaml:6:32: error wrong-value: "mode" must be one of sequential, parallel, cursor, async: it is "paralel"; did you mean "parallel"?',
        'p.yaml:7:69: error wrong-value: "do" must be one of continue, retry, fail, break, jump: it is "retri"; did you mean "retry"?',
        'p.yaml:8:25: error wrong-value: "mode" must be one of exclusive, inclusive: it is "both"; write one of exclusive, inclusive',
      ],
    ],
    [
      "numbers that are none",
      playbook(
        "  - step: start\n    timeout: soon\n    loop: {in: a, spec: {mode: parallel, max_in_flight: 0}}\n    tool: {kind: noop, timeout: -1, retry: 1.5}",
      ),
      [
        'p.yaml:6:14: error wrong-value: "timeout" must be more than 0 seconds, a duration as 10m, or a template: it is "soon"; write more than 0 seconds, a duration as 10m, or a template',
        'p.yaml:7:57: error wrong-value: "max_in_flight" must be a whole number of 1 or more, or a template: it is 0; write a whole number of 1 or more, or a template',
        'p.yaml:8:33: error wrong-value: "timeout" must be more than 0 seconds, a duration as 10m, or a template: it is -1; write more than 0 seconds, a duration as 10m, or a template',
        'p.yaml:8:44: error wrong-value: "retry" must be a whole number of 1 or more, or a template: it is 1.5; write a whole number of 1 or more, or a template',
      ],
    ],
    [
      "a loop over nothing, and a cursor without a claim",
      playbook(
        "  - {step: start, tool: noop, loop: {iterator: x}}\n  - {step: b, tool: noop, loop: {cursor: {kind: postgres}}}",
      ),
      [
        'p.yaml:5:31: error missing-key: the loop has no "in"; name what it runs over, as in "in: {{ items }}"',
        'p.yaml:6:34: error missing-key: "claim" is missing; write the query that claims rows',
      ],
    ],
    [
      "one thing said twice",
      playbook("  - {step: start, tool: {kind: postgres, query: a, command: b}}"),
      [
        'p.yaml:5:52: error wrong-value: "command" says the same as "query", which is also here; keep one of them',
      ],
    ],
    [
      "what cannot be set",
      playbook("  - {step: start, tool: noop, set: {workload.a: 1, ctx.: 2}}"),
      [
        'p.yaml:5:37: error wrong-value: "workload.a" cannot be set as the workload never changes; set "ctx.a" and read it there',
        'p.yaml:5:52: error wrong-value: "ctx." names no value to set; write ctx.<name>, iter.<name> or step.<name>',
      ],
    ],
  ])("%s", (_what, text, expected) => {
    const found = refusal(text);
    expect(found).toHaveLength(expected.length);
    for (const [index, one] of expected.entries()) {
      if (typeof one === "string") expect(found[index]).toBe(one);
      else expect(found[index]).toMatch(one);
    }
  });

  test("in deed/v1 an unknown key refuses the file, in noetl.io/v2 it warns", () => {
    const text = playbook("  - {step: start, tool: {kind: noop}, nxt: end}");
    const found =
      'p.yaml:5:39: warning unknown-key: nobody reads the key "nxt" of a step; did you mean "next"?';
    const result = parsePlaybook(text, "p.yaml");
    expect(result.ok && result.value.findings.map(formatFinding)).toEqual([found]);
    expect(refusal(text.replace("noetl.io/v2", "deed/v1"))).toEqual([
      found.replace("warning", "error"),
    ]);
  });
});

describe("a place leads from the model to the file", () => {
  const text = `${head}workbook:
  - name: f
    tool:
      kind: python
      code: |
        x = 1
        y = {{ oops }}
workflow:
  - step: start
    input: {a: one}
    tool: {kind: workbook, name: f, input: {b: two}}
    next:
      arcs:
        - {step: end, when: "{{ a }}", set: {ctx.n: 5}}
  - step: end
    tool:
      - kind: postgres
        command: select 1
        spec: {policy: {rules: [{when: b, then: {do: fail}}]}}
`;
  const result = parsePlaybook(text, "p.yaml");

  test.each([
    ["a step", ["steps", 1], "step: end\n"],
    ["a name", ["steps", 1, "name"], "end\n    tool"],
    ["an older spelling", ["steps", 1, "tasks", 0, "config", "query"], "select 1"],
    ["input of the step", ["steps", 0, "tasks", 0, "input", "a"], "one"],
    ["input of the tool", ["steps", 0, "tasks", 0, "input", "b"], "two"],
    ["an arc", ["steps", 0, "next", "arcs", 0, "when"], "{{ a }}"],
    ["a value that is set", ["steps", 0, "next", "arcs", 0, "set", 0, "value"], "5}}"],
    ["a rule", ["steps", 1, "tasks", 0, "rules", 0, "when"], "b, then"],
    ["what comes from the workbook", ["steps", 0, "tasks", 0, "config", "code"], "|\n"],
  ])("%s", (_what, path, at) => {
    const before = text.slice(0, text.indexOf(at)).split("\n");
    expect(result.ok && result.value.place(path)).toEqual({
      file: "p.yaml",
      line: before.length,
      column: (before.at(-1)?.length ?? 0) + 1,
    });
  });

  test("a character in a block of text", () => {
    const code = "x = 1\ny = {{ oops }}\n";
    expect(
      result.ok &&
        result.value.place(["steps", 0, "tasks", 0, "config", "code"], code.indexOf("oops")),
    ).toEqual({ file: "p.yaml", line: 10, column: 16 });
  });
});
