import { describe, expect, test } from "vitest";
import { formatProblem } from "../base/document.ts";
import { parsed } from "../../test/core/playbooks.ts";
import { parsePlaybookTests, runPlaybookTests } from "./playbook-tests.ts";
import { compileProgram, type Program } from "./program.ts";

const head = "apiVersion: noetl.io/v2\nkind: Playbook\nmetadata: {name: p}\nworkflow:\n";

const playbook = `${head}
- step: start
  tool: {kind: python, code: x, input: {who: "{{ who }}"}}
  next: [{step: each}]
- step: each
  loop: {in: [a, b], iterator: row, spec: {mode: parallel}}
  tool:
    - {name: get, kind: http, url: "http://x/{{ row }}"}
    - {name: keep, kind: python, code: y}
  next: [{step: child, when: "{{ start.go }}"}]
- step: child
  tool: {kind: playbook, path: other}
  set: {ctx.given: "{{ output.data }}"}
`;

function programOf(text: string): Program {
  const compiled = compileProgram(parsed(text));
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}

const other = programOf(`${head}- {step: start, tool: {kind: python, code: z}}\n`);

/** What is told about each test of a file, by its name. */
function told(tests: string): { readonly [name: string]: readonly string[] } {
  const read = parsePlaybookTests(tests, "p.test.yaml");
  if (!read.ok) return { refused: read.error.map(formatProblem) };
  const program = programOf(playbook);
  const reports = runPlaybookTests(read.value, program, new Map([["other", other]]));
  return Object.fromEntries(
    reports.map(({ name, problems }) => [name, problems.map(formatProblem)]),
  );
}

/** A test with every outcome that the playbook needs. */
function all(then: string, given = ""): string {
  return `tests:
- name: t
  given:
    outcomes:
      start: {data: {go: true, n: 1}}
      each.get: {data: {status_code: 200}}
      "each.get[1]": {data: {status_code: 201}}
      each.keep: {data: kept}
      other/start: {data: 7}
${given}
  then:
${then}`;
}

describe("a test that holds", () => {
  test("has no problem, whatever it names", () => {
    const then = `    status: COMPLETED
    failed: []
    entered: {start: 1, each: 1, child: 1}
    data: {start: {n: 1}, each: {results: [kept, kept], stats: {total: 2}}}
    commands:
      - {step: each, task: get, item: 1, attempt: 1, args: {url: "http://x/b"}}
      - {step: child, kind: playbook}`;
    expect(told(all(then))).toEqual({ t: [] });
  });

  test("runs the sub-playbook, or takes the outcome that it gives instead", () => {
    expect(told(all("    ctx: {given: null}"))).toEqual({
      t: ["p.test.yaml:12:18: it is 7, not null"],
    });
    const given = "      child: {data: 8}";
    expect(told(all("    ctx: {given: 8}", given))).toEqual({ t: [] });
  });

  test("may pause, cancel, and wait for what hangs", () => {
    const hangs = "      child: {hangs: true}";
    expect(told(all("    status: WAITING", hangs))).toEqual({ t: [] });
    const cancel = `${hangs}\n    cancel: {after: 1h}\n    pause: {after: 5ms, until: 10m}`;
    expect(told(all("    status: CANCELLED", cancel))).toEqual({ t: [] });
  });
});

describe("1. nothing is made up", () => {
  test("a command without an outcome is a problem, and so is an outcome without a step", () => {
    expect(
      told(
        "tests:\n- name: t\n  given:\n    outcomes:\n      stat: {data: 1}\n      other/end: {data: 1}\n  then: {status: FAILED}",
      ),
    ).toEqual({
      t: [
        'p.test.yaml:4:5: no outcome is given for "start" (python), which the playbook asks for',
        'p.test.yaml:5:7: the playbook has no step "stat": did you mean "start"?',
        'p.test.yaml:6:7: the playbook has no step "end"',
      ],
    });
  });
});

describe("2. every difference is told, with its place", () => {
  test.each([
    ["    status: FAILED", "12:13: it ends COMPLETED, not FAILED"],
    ["    failed: [each]", '12:5: it is [], not ["each"]'],
    ["    error: x", '12:12: the error does not say "x"; there is no error'],
    ["    result: 8", "12:13: it is 7, not 8"],
    ["    entered: {each: 2}", '12:21: "each" is entered once, not 2 times'],
    ["    never_entered: [start]", '12:21: "start" is entered once, not never'],
    [
      "    never_entered: [chlid]",
      '12:21: the playbook has no step "chlid": did you mean "child"?',
    ],
    ['    data: {start: {n: "1"}}', '12:24: it is 1, not "1"'],
    ["    data: {start: {m: 1}}", "12:23: there is nothing, not 1"],
    [
      "    commands: [{step: child}, {step: start}]",
      "12:31: no such command is asked for here: there is nothing",
    ],
    ["    commands: [{step: each, item: 0, args: {url: u}}]", '12:50: it is "http://x/a", not "u"'],
  ])("%s", (then, problem) => {
    expect(told(all(then, ""))).toEqual({ t: [`p.test.yaml:${problem}`] });
  });
});

describe("a file of tests that cannot be read", () => {
  test.each([
    ["tests: []", '1:1: "tests" must not have fewer than 1 items: got []'],
    ["tests:\n- name: t\n  than: {}\n  then: {}", '3:3: unknown key "than": did you mean "then"?'],
    ["tests:\n- {name: t}", "2:3: missing: then"],
    ["tests:\n- {name: t, given: {outcomes: {start: {after: 5}}}, then: {}}", "2:47:"],
    ["tests: [", "1:9: not valid YAML"],
  ])("%s", (text, problem) => {
    const { refused = [] } = told(text);
    expect(refused.join("\n")).toContain(`p.test.yaml:${problem}`);
  });
});
