import { describe, expect, test } from "vitest";
import { end, found, head, inStep, of, valid } from "../../test/core/playbooks.ts";
import { lintPlaybook, lintText } from "./lint.ts";
import { findingCodes, parsePlaybook } from "./parse.ts";

test("1. a playbook in which nothing is wrong has no findings", () => {
  expect(found(valid)).toEqual([]);
});

test("1. every finding has a place, what is wrong and a way out", () => {
  const text = `${head}vars: 1\nworkflow:\n  - {step: start, tool: {kind: pyton}, next: nowhere}`;
  for (const finding of lintText(text, "p.yaml")) {
    expect(findingCodes).toContain(finding.code);
    expect([finding.line > 0, finding.column > 0]).toEqual([true, true]);
    expect([finding.message, finding.help]).not.toContain("");
  }
});

test("a file that is refused is looked at as a whole", () => {
  expect(
    of(`  - {step: start, tool: {kind: http}, next: gone}\n  - {step: b, tool: {kind: noop}}`),
  ).toEqual([
    '5:19: error incomplete-tool: the http tool "start" has no "url", so it can do nothing; add "url" beside "kind"',
    '5:45: error unknown-step: the arc leads to "gone", which is no step; add a step "gone", or drop the arc',
    '6:12: warning unreachable-step: no way leads from "start" to step "b", so it is never entered; lead an arc to it, or drop it: a step without "next" ends its branch, it does not go on to "end"',
  ]);
});

test("the findings of parsing and of linting are one list in the order of the file", () => {
  const text = `${head}workflow:\n  - {step: start, tool: {kind: nop}, x: 1}\n`;
  const parsed = parsePlaybook(text, "p.yaml");
  expect(parsed.ok && lintPlaybook(parsed.value).map(({ code }) => code)).toEqual([
    "unknown-kind",
    "unknown-key",
  ]);
});

describe("keys", () => {
  test.each([
    [
      "of a step",
      "tool: noop\nnxt: end\nnext: end",
      '7:5: warning unknown-key: nobody reads the key "nxt" of a step; did you mean "next"?',
    ],
    [
      "of a tool",
      "tool: {kind: http, uri: x, url: y}\nnext: end",
      '6:24: warning unknown-key: nobody reads the key "uri" of a tool of kind http; did you mean "url"?',
    ],
    [
      "of an arc",
      "tool: noop\nnext: [{step: end, wen: a}]",
      '7:24: warning unknown-key: nobody reads the key "wen" of an arc; did you mean "when"?',
    ],
    [
      "of what a rule does",
      "tool: {kind: noop, name: t, spec: {policy: {rules: [{when: a, then: {do: retry, atempts: 1}}]}}}\nnext: end",
      '6:85: warning unknown-key: nobody reads the key "atempts" of what a rule does; did you mean "attempts"?',
    ],
  ])("that nobody reads: %s", (_where, members, finding) => {
    expect(inStep(members)).toContain(finding);
  });

  test.each([
    [
      "executor",
      "tool: noop\nnext: end",
      "executor: {profile: auto}",
      /^9:1: warning ignored-key: "executor" of a playbook has no effect: /,
    ],
    [
      "task",
      "tool: {kind: playbook, path: p, task: t}\nnext: end",
      "",
      /^6:37: warning ignored-key: "task" of a tool of kind playbook has no effect: /,
    ],
    [
      "pool",
      "tool: {kind: postgres, query: q, pool: {}}\nnext: end",
      "",
      /^6:38: warning ignored-key: "pool" /,
    ],
    [
      "policy of a loop",
      "tool: noop\nloop: {in: [1], spec: {policy: {exec: local}}}\nnext: end",
      "",
      /^7:28: warning ignored-key: "policy" of a loop's spec /,
    ],
    [
      "lease_seconds",
      "tool: noop\nloop: {cursor: {claim: c}, spec: {frame: {lease_seconds: 1}}}\nnext: end",
      "",
      /^7:47: warning ignored-key: "lease_seconds" of a frame /,
    ],
    [
      "max_in_flight",
      "tool: noop\nloop: {in: [1], spec: {max_in_flight: 2}}\nnext: end",
      "",
      /^7:28: warning ignored-key: "max_in_flight" has no effect: a sequential loop /,
    ],
    [
      "output_select",
      "tool: noop\noutput: {output_select: [a]}\nnext: end",
      "",
      /^7:14: warning not-run: "output_select" /,
    ],
    [
      "frame.process",
      "tool: noop\nloop: {cursor: {claim: c}, spec: {frame: {process: frame}}}\nnext: end",
      "",
      /^7:47: warning not-run: "process: frame" of a frame is read, but not run: /,
    ],
    [
      "_ref",
      "tool: {kind: noop, input: {a: '{{ start._ref is defined }}'}}\nnext: end",
      "",
      /^6:45: warning not-run: "_ref" /,
    ],
    [
      "_store",
      "tool: {kind: noop, input: {a: \"{{ start['_store'] }}\"}}\nnext: end",
      "",
      /^6:45: warning not-run: "_store" /,
    ],
    [
      "transfer",
      "tool: {kind: transfer}\nnext: end",
      "",
      /^6:18: error kind-not-run: a tool of kind "transfer" is read, but not run/,
    ],
  ])("that do nothing here: %s", (_key, members, rest, finding) => {
    expect(inStep(members, rest)).toEqual([expect.stringMatching(finding)]);
  });

  test.each([
    ["the input of a step", "tool: noop\ninput: {a: 1}\nnext: end", 7],
    [
      "the policy of a single tool",
      "tool:\n  kind: noop\n  spec: {policy: {rules: [{else: {then: {do: continue}}}]}}\nnext: end",
      8,
    ],
    [
      'what stands in "else" without "then"',
      "tool: [{kind: noop, spec: {policy: {rules: [\n    {else: {do: break}}]}}}]\nnext: end",
      7,
    ],
    ["libs", "tool:\n  kind: python\n  code: x\n  libs: {os: os}\nnext: end", 9],
  ])("that hold here and not on the field's engine: %s", (what, members, line) => {
    const text = `${head}workflow:\n  - step: start\n${members.replaceAll(/^/gm, "    ")}\n${end}\n`;
    const [finding, ...more] = lintText(text, "p.yaml");
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: "elsewhere-ignored", line });
    expect(finding?.message).toBe(`the field's engine passes over ${what}; here it holds`);
    expect(found(text.replace("noetl.io/v2", "deed/v1"))).toEqual([]);
  });

  test("that stand where nobody looks: code and url in a tool's spec", () => {
    expect(inStep("tool: {kind: python, spec: {code: x}}\nnext: end")).toEqual([
      '6:5: error incomplete-tool: the python tool "start" has no "code" or "script", so it can do nothing; add "code" or "script" beside "kind"',
      '6:33: error code-in-spec: "code" stands in the tool\'s spec, where nobody looks for it; move it out of spec, beside "kind"',
    ]);
  });

  test("deed/v1 has one word for each thing", () => {
    const text = `${head}workflow:\n  - {step: start, tool: {kind: http, endpoint: u, payload: {}}}\n`;
    expect(found(text)).toEqual([]);
    expect(found(text.replace("noetl.io/v2", "deed/v1"))).toEqual([
      'p.yaml:5:38: warning old-spelling: "endpoint" is an older word; write "url"',
      'p.yaml:5:51: warning old-spelling: "payload" is an older word; write "body"',
    ]);
  });
});

describe("tools", () => {
  test("of a kind that nobody knows, with the nearest", () => {
    expect(inStep("tool: {kind: pyton, code: x}\nnext: end")).toEqual([
      '6:18: error unknown-kind: no tool has the kind "pyton", so its step fails; did you mean "python"?',
    ]);
    expect(inStep("tool: noop\nloop: {cursor: {kind: postgre, claim: c}}\nnext: end")).toEqual([
      '7:27: error unknown-kind: no tool has the kind "postgre", so its step fails; did you mean "postgres"?',
    ]);
  });

  test("of a kind that a plugin brings", () => {
    const text = `${head}workflow: [{step: start, tool: {kind: slack}}]`;
    expect(lintText(text, "p.yaml", { kinds: ["slack"] })).toEqual([]);
    expect(lintText(text, "p.yaml").map(({ code }) => code)).toEqual(["unknown-kind"]);
  });
});

describe("ways", () => {
  test("an arc behind one without a condition is never taken", () => {
    expect(
      inStep("tool: noop\nnext: {arcs: [{step: end}, {step: start, when: a}]}", "workload: {a: 1}"),
    ).toEqual([
      '7:39: warning dead-arc: the arc to "start" is never taken: the one to "end" before it has no condition; give that one a condition, move it last, or set "mode: inclusive" to take both',
    ]);
    expect(
      inStep(
        "tool: noop\nnext: {spec: {mode: inclusive}, arcs: [{step: end}, {step: end, when: a}]}",
        "workload: {a: 1}",
      ),
    ).toEqual([]);
  });

  test("a rule behind one without a condition is never asked", () => {
    expect(
      inStep(
        "tool: [{kind: noop, spec: {policy: {rules: [{else: {then: {do: break}}}, {when: output, then: {do: fail}}]}}}]\nnext: end",
      ),
    ).toEqual([
      "6:78: warning dead-rule: this rule is never asked: the one before it has no condition; move the rule without a condition to the end",
    ]);
  });

  test("admit rules that only let in keep nothing out", () => {
    expect(
      inStep(
        "tool: noop\nspec: {policy: {admit: {rules: [{when: ctx, then: {allow: true}}]}}}\nnext: end",
      ),
    ).toEqual([expect.stringMatching(/^7:37: warning dead-rule: these rules keep nothing out/)]);
  });

  const cycle = (first: string, second: string) =>
    of(
      `  - {step: start, tool: noop, next: ${first}}\n  - {step: b, tool: noop, next: ${second}}\n${end}`,
      "workload: {n: 1}",
    );
  const endless: unknown = expect.stringMatching(
    /^5:37: error endless-loop: the cycle start → b has no exit: nothing that it decides ever leads out; /,
  );
  const noEnd: unknown = expect.stringMatching(/^7:12: warning unreachable-step: /);

  test.each([
    [
      "start",
      "b",
      [
        expect.stringMatching(/^5:37: error endless-loop: the cycle start has no exit/),
        expect.stringMatching(/^6:12: warning unreachable-step: /),
        expect.stringMatching(/^6:33: error endless-loop: the cycle b has no exit/),
        noEnd,
      ],
    ],
    ["b", "start", [endless, noEnd]],
    ["b", "[{step: end, when: n}, start]", []],
    ["b", "[{step: start, when: n}]", [noEnd]],
    ["b", "{spec: {mode: inclusive}, arcs: [{step: start}, {step: end}]}", [endless]],
    [
      "b",
      "[{step: end, when: false}, start]",
      [endless, expect.stringMatching(/never-holds/), noEnd],
    ],
    [
      "b",
      "[{step: end, when: '{{ output.status == \"success\" }}'}, start]",
      [endless, expect.stringMatching(/never-holds/), noEnd],
    ],
    ["b", "[{step: start, when: 'true'}, end]", [endless, noEnd]],
  ])("a cycle by %s and %s", (first, second, findings) => {
    expect(cycle(first, second)).toEqual(findings);
  });

  test("a cycle whose step may not be entered ends there", () => {
    expect(
      of(
        "  - {step: start, tool: noop, next: b}\n  - {step: b, tool: noop, when: n, next: start}",
        "workload: {n: 1}",
      ),
    ).toEqual([]);
  });

  const jump = (first: string) =>
    inStep(
      `tool:\n  - {name: a, kind: noop, spec: {policy: {rules: [${first}]}}}\n  - {name: b, kind: noop, spec: {policy: {rules: [{else: {then: {do: jump, to: a}}}]}}}\nnext: end`,
    );

  test("a jump back that is always taken needs a way out", () => {
    expect(jump("")).toEqual([
      '8:55: error endless-loop: the jump to "a" is always taken, and nothing on the way leads out; put a rule with "when" and "do: break" before it, or before the jump',
    ]);
    expect(jump("{when: output.data.empty, then: {do: break}}")).toEqual([]);
  });
});

test("3. the same file gives the same findings", () => {
  const text = valid.replaceAll("output.", "outpt.").replaceAll("when:", "wen:");
  expect(found(text)).toEqual(found(text));
  expect(found(text).length).toBeGreaterThan(4);
});

test("what two steps take from the workbook is told once", () => {
  const text = `${head}workbook: [{name: f, tool: {kind: python, code: "{{ nobody }}"}}]
workflow:
  - {step: start, tool: {kind: workbook, name: f}, next: end}
  - {step: end, tool: {kind: workbook, name: f}}
`;
  expect(lintText(text, "p.yaml").map(({ code }) => code)).toEqual(["unknown-root"]);
});
