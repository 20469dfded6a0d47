import { describe, expect, test } from "vitest";
import { end, found, head, inStep, of } from "../../../test/core/playbooks.ts";
import { lintText } from "../lint.ts";

describe("templates", () => {
  test("syntax is told at the character where it breaks, in whatever text", () => {
    const code = "tool:\n  kind: python\n  code: |\n    a = 1\n    b = {{ a b }}\nnext: end";
    expect(inStep(code)).toEqual([expect.stringMatching(/^10:18: error template-syntax: /)]);
    const folded = "tool:\n  kind: python\n  code: >-\n    a = 1\n\n    {% if a %}\nnext: end";
    expect(inStep(folded)).toEqual([expect.stringMatching(/^11:12: error template-syntax: /)]);
    const quoted = 'tool: {kind: python, code: "x\\n\\"{{ a | nofilter }}\\""}\nnext: end';
    expect(inStep(quoted)).toEqual([
      expect.stringMatching(/^6:45: error template-syntax: .*nofilter/),
    ]);
    expect(inStep("tool: noop\nnext: [{step: end, when: 'a ='}]")).toEqual([
      expect.stringMatching(/^7:33: error template-syntax: /),
    ]);
  });

  test.each([
    [
      "{{ strat.x }}",
      'did you mean "start"? Else declare it under workload, or give it a way out: strat | default(…)',
    ],
    [
      "{{ outcome.status }}",
      'did you mean "output"? Else declare it under workload, or give it a way out: outcome | default(…)',
    ],
    ["{{ qqqqqq }}", "declare it under workload, or give it a way out: qqqqqq | default(…)"],
  ])("a name that nobody knows: %s", (template, help) => {
    const name = /\w+/.exec(template)?.[0] ?? "";
    expect(inStep(`tool: {kind: noop, input: {a: '${template}'}}\nnext: end`)).toEqual([
      `6:39: warning unknown-root: no step, value or item here has the name "${name}"; ${help}`,
    ]);
  });

  test("in deed/v1 such a name is an error", () => {
    const text = `${head}workflow: [{step: start, tool: {kind: noop, input: {a: '{{ b }}'}}}]`;
    expect(lintText(text.replace("noetl.io/v2", "deed/v1"), "p.yaml")).toMatchObject([
      { code: "unknown-root", severity: "error" },
    ]);
  });

  test.each([
    ["with a default", "{{ a | default(1) }}{{ a.b | d('') }}"],
    ["asked for", "{{ 1 if a is defined else 2 }}{{ a.b is undefined }}"],
    ["set in the template", "{% for a in [1] %}{{ a }}{% endfor %}{% set b = 1 %}{{ b }}"],
    [
      "known everywhere",
      "{{ workload }}{{ ctx }}{{ execution_id }}{{ job.uuid }}{{ payload }}{{ env }}{{ now }}{{ _attempt }}",
    ],
    ["functions", "{{ range(3) | list }}{{ dict(x=1) }}"],
    ["of a step, of the workload, of the tool's input", "{{ end }}{{ w }}{{ own }}"],
    ["the keychain", "{{ keychain.pg }}"],
  ])("a name that may be there: %s", (_how, template) => {
    expect(
      inStep(
        `tool: {kind: noop, input: {own: 1}, result: "${template}"}\nnext: end`,
        "workload: {w: 1}",
      ),
    ).toEqual([]);
  });

  test("names of the step: its item, its tasks, what they set", () => {
    expect(
      inStep(
        "loop: {in: [1], iterator: x}\ntool:\n  - {name: a, kind: noop, set: {s: 1}}\n  - {kind: noop, result: '{{ x }}{{ a }}{{ s }}{{ loop_index }}'}\nnext: end",
      ),
    ).toEqual([]);
    expect(
      of(
        `  - {step: start, tool: {kind: noop, set: {s: 1}}, next: end}\n  - {step: end, tool: {kind: noop, result: '{{ s }}'}}`,
      ),
    ).toEqual([expect.stringMatching(/^6:48: warning unknown-root: .*"s"/)]);
  });

  test.each([
    ["output before the step has run", "tool: noop\nwhen: output.ok\nnext: end", "output"],
    [
      "event in a tool's input",
      "tool: {kind: noop, input: {a: '{{ event.name }}'}}\nnext: end",
      "event",
    ],
    [
      "loop_index outside a loop",
      "tool: {kind: noop, input: {a: '{{ loop_index }}'}}\nnext: end",
      "loop_index",
    ],
    [
      "the keychain in a condition",
      "tool: noop\nnext: [{step: end, when: keychain.a}]",
      "keychain",
    ],
  ])("names that stand for nothing there: %s", (_where, members, name) => {
    expect(inStep(members)).toEqual([
      expect.stringMatching(
        new RegExp(`warning unknown-root: "${name}" (stands for nothing|is known to)`),
      ),
    ]);
  });
});

describe("conditions", () => {
  const arc = (when: string, rest = "") =>
    inStep(
      `${rest}tool: noop\nnext: [{step: end, when: "${when}"}, {step: end}]`,
      "workload: {a: 1}",
    ).map((line) => line.replace(/^\d+:/, ""));

  test.each([
    [
      "output.status == 'success'",
      'output.status is never "success": it is ok or error; write "ok"',
    ],
    [
      "'failed' == output.status",
      'output.status is never "failed": it is ok or error; write "error"',
    ],
    [
      "output.status in ['success', 'done']",
      'output.status is never "success": it is ok or error; write "ok"',
    ],
    [
      "not (output.status != 'success')",
      'output.status is never "success": it is ok or error; write "ok"',
    ],
    [
      "a and output.status == 'success'",
      'output.status is never "success": it is ok or error; write "ok"',
    ],
    [
      "event.name == 'step.done'",
      'event.name is never "step.done": it is call.done or call.error; write "call.done"',
    ],
    [
      "event.name == 'loop.done'",
      'event.name is never "loop.done": it is call.done or call.error; write "call.done"',
    ],
    [
      "output.error.kind == 'rate_limited'",
      expect.stringMatching(/^output.error.kind is never "rate_limited": .*; write "rate_limit"$/),
    ],
    [
      "output['error']['kind'] == 'oops'",
      expect.stringMatching(/^output.error.kind is never "oops": /),
    ],
    ["false", "its condition is always false; drop it, or correct the condition"],
    ["1 == 2", "its condition is always false; drop it, or correct the condition"],
    ["{{ none }}", "its condition is always false; drop it, or correct the condition"],
    ["false or not true", "its condition is always false; drop it, or correct the condition"],
  ])("%s can never hold", (when, why) => {
    const [finding, ...more] = lintText(
      `${head}workload: {a: 1}\nworkflow:\n  - {step: start, tool: noop, next: [{step: end, when: "${when}"}, end]}\n${end}`,
      "p.yaml",
    );
    expect(more).toEqual([]);
    expect(finding?.code).toBe("never-holds");
    expect(
      `${finding?.message ?? ""}; ${finding?.help ?? ""}`.replace(
        'the arc to "end" can never be chosen: ',
        "",
      ),
    ).toEqual(why);
  });

  test.each([
    "output.status == 'ok'",
    "output.status == 'error' and output.error.kind == 'timeout'",
    "event.name in ['call.done', 'step.done']",
    "start.status == 'success'",
    "output.data.status == 'success'",
    "output.status == a",
    "a == 'x' or true",
  ])("%s may hold", (when) => {
    expect(arc(when).filter((line) => line.includes("never-holds"))).toEqual([]);
  });

  test("a part that is never equal is told where the whole may hold", () => {
    expect(arc("a or output.status == 'success'")).toEqual([
      '53: warning never-equal: output.status is never "success": it is ok or error; write "ok"',
    ]);
  });

  test("a step reached only by an arc that can never hold is never reached", () => {
    expect(
      of(
        `  - {step: start, tool: noop, next: [{step: end, when: "event.name == 'x'"}]}\n${end}`,
      ).map((line) => line.split(" ")[2]),
    ).toEqual(["never-holds:", "unreachable-step:"]);
  });

  test("in a loop, event.name is loop.done", () => {
    const loop = "loop: {in: [1]}\n";
    expect(arc("event.name == 'loop.done'", loop)).toEqual([]);
    expect(arc("event.name == 'call.done'", loop)).toEqual([
      expect.stringMatching(/never-holds: .*it is loop.done or call.error; write "loop.done"$/),
    ]);
  });

  test("in a task's own set, output is its data", () => {
    expect(
      inStep("tool: {kind: noop, set: {a: \"{{ output.status == 'success' }}\"}}\nnext: end"),
    ).toEqual([]);
    expect(
      inStep("tool: noop\nset: {ctx.a: \"{{ output.status == 'success' }}\"}\nnext: end"),
    ).toEqual([expect.stringMatching(/^7:39: warning never-equal: /)]);
  });

  test("words of the field for errors are told in noetl.io/v2, and never hold in deed/v1", () => {
    const text = `${head}workflow:\n  - {step: start, tool: noop, next: [{step: end, when: "output.error.kind == 'rate_limit'"}, end]}\n${end}`;
    expect(found(text)).toEqual([
      'p.yaml:5:78: warning foreign-word: "rate_limit" is a word of noetl.io/v2 alone: the taxonomy of errors has "rate_limited"; it holds here; in deed/v1 write "rate_limited"',
    ]);
    expect(lintText(text.replace("noetl.io/v2", "deed/v1"), "p.yaml")).toMatchObject([
      { code: "never-holds", help: 'write "rate_limited"' },
    ]);
  });
});
