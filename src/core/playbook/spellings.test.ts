import { describe, expect, test } from "vitest";
import { step, task } from "../../../test/core/playbooks.ts";

describe("next is read in every form", () => {
  const tool = "tool: {kind: noop}\n";

  test.each([
    ["nothing", "", "exclusive", []],
    ["null", "next:", "exclusive", []],
    ["a name", "next: end", "exclusive", [{ to: "end", set: [] }]],
    [
      "a list of names is a fan-out",
      "next: [end, start]",
      "inclusive",
      [
        { to: "end", set: [] },
        { to: "start", set: [] },
      ],
    ],
    [
      "a list with a condition is a choice",
      "next: [{step: end, when: a}, start]",
      "exclusive",
      [
        { to: "end", when: "a", set: [] },
        { to: "start", set: [] },
      ],
    ],
    [
      "one arc",
      "next: {step: end, when: true}",
      "exclusive",
      [{ to: "end", when: "true", set: [] }],
    ],
    [
      "arcs",
      "next: {spec: {mode: inclusive}, arcs: [{step: end, when: '{{ a }}', set: {ctx.n: 1}}]}",
      "inclusive",
      [{ to: "end", when: "{{ a }}", set: [{ scope: "ctx", path: ["n"], value: 1 }] }],
    ],
    [
      "args of an arc are set under ctx",
      "next: [{step: end, when: a, set: {ctx.m: 1}, args: {n: 2}}]",
      "exclusive",
      [
        {
          to: "end",
          when: "a",
          set: [
            { scope: "ctx", path: ["m"], value: 1 },
            { scope: "ctx", path: ["n"], value: 2 },
          ],
        },
      ],
    ],
    [
      "the older place of the mode",
      "spec: {next_mode: inclusive}\nnext: {arcs: [{step: end}]}",
      "inclusive",
      [{ to: "end", set: [] }],
    ],
  ])("%s", (_form, next, mode, arcs) => {
    expect(step(tool + next).next).toEqual({ mode, onNoMatch: "end", arcs });
  });

  test.each([
    ["quiet", "end"],
    ["end", "end"],
    ["fail", "fail"],
  ])("on_no_match: %s", (word, onNoMatch) => {
    const next = `next: {spec: {on_no_match: ${word}}, arcs: [{step: end, when: a}]}`;
    expect(step(tool + next).next.onNoMatch).toBe(onNoMatch);
  });
});

describe("tools are read in every form", () => {
  test("one tool is named as its step, or as it says", () => {
    expect(step("tool: {kind: noop}")).toMatchObject({
      pipeline: false,
      tasks: [{ name: "start", kind: "noop" }],
    });
    expect(step("tool: {kind: noop, name: idle}").tasks[0]?.name).toBe("idle");
    expect(step("tool: noop").tasks[0]?.kind).toBe("noop");
  });

  test("a list is a pipeline, with names, older labels, or numbers", () => {
    const pipeline = step(
      "tool:\n  - {name: a, kind: noop}\n  - b: {kind: noop, result: 1}\n  - {kind: noop}",
    );
    expect(pipeline.pipeline).toBe(true);
    expect(pipeline.tasks.map(({ name, config }) => [name, config])).toEqual([
      ["a", {}],
      ["b", { result: 1 }],
      ["task_2", {}],
    ]);
  });

  test.each([
    ["kind: http\nendpoint: u\ncredential: c", { url: "u", auth: "c" }, {}],
    [
      "kind: http\nurl: u\npayload: {a: 1}\nparams: {p: 1}",
      { url: "u", body: { a: 1 }, params: { p: 1 } },
      {},
    ],
    ["kind: http\nurl: u\nargs: {a: 1}", { url: "u" }, { a: 1 }],
    ["kind: postgres\ncommand: select 1\ndatabase: d", { query: "select 1", database: "d" }, {}],
    ["kind: duckdb\ncmds: select 1", { query: "select 1" }, {}],
    ["kind: python\ncode: x\npayload: {a: 1}", { code: "x" }, { a: 1 }],
    ["kind: python\ncode: x\nargs: {a: 1}", { code: "x" }, { a: 1 }],
    [
      "kind: playbook\npath: p\nreturn_step: end\npayload: {a: 1}",
      { path: "p", return_step: "end" },
      { a: 1 },
    ],
    ["kind: container\nimage: i\nargs: [a]", { image: "i", args: ["a"] }, {}],
    ["kind: shell\ncmds: ls\ncwd: /", { command: "ls", cwd: "/" }, {}],
    ["kind: other\nanything: {goes: 1}", { anything: { goes: 1 } }, {}],
  ])("%j has its members in their one spelling", (tool, config, input) => {
    expect(task(tool)).toMatchObject({ config, input });
    expect(Object.keys(task(tool).config).sort()).toEqual(Object.keys(config).sort());
  });

  test("a step's input is merged over its tool's; a task of a pipeline keeps its own", () => {
    expect(
      step("input: {a: step, b: step}\ntool: {kind: noop, input: {a: tool, c: tool}}").tasks[0]
        ?.input,
    ).toEqual({ a: "step", b: "step", c: "tool" });
    expect(
      step("input: {a: step, b: step}\ntool: [{kind: noop, input: {a: task}}]").tasks[0]?.input,
    ).toEqual({ a: "task", b: "step" });
  });

  test.each([
    ["timeout: 30", 30],
    ["timeout: '45'", 45],
    ["timeout: 2m", 120],
    ["timeout: '{{ t }}'", "{{ t }}"],
    ["spec: {timeout: 5}", 5],
  ])("%s is seconds", (timeout, seconds) => {
    expect(task(`kind: noop\n${timeout}`).timeoutSec).toBe(seconds);
  });
});

describe("a workbook reference is what it names", () => {
  const book =
    "workbook:\n  - name: f\n    tool: {kind: python, code: c, input: {a: book, b: book}, timeout: 9, spec: {policy: {rules: [{else: {do: break}}]}}}";

  test("under the step's name, with the step's input over its own", () => {
    expect(step("tool: {kind: workbook, name: f, input: {a: own}}", book).tasks).toEqual([
      {
        name: "start",
        kind: "python",
        config: { code: "c" },
        input: { a: "own", b: "book" },
        set: [],
        rules: [{ then: { do: "break", set: [] } }],
        timeoutSec: 9,
      },
    ]);
  });

  test("in a pipeline under its label, and with its own policy where it has one", () => {
    const [first] = step(
      "tool:\n  - {name: t, kind: workbook, task: f, timeout: 3, spec: {policy: {rules: [{else: {do: fail}}]}}}",
      book,
    ).tasks;
    expect(first).toMatchObject({
      name: "t",
      kind: "python",
      timeoutSec: 3,
      rules: [{ then: { do: "fail" } }],
    });
  });

  test("where the workbook is a mapping, or an entry is the tool itself", () => {
    const mapping = "workbook: {f: {kind: python, code: m}}";
    expect(step("tool: {kind: workbook, name: f}", mapping).tasks[0]?.config).toEqual({
      code: "m",
    });
    const inline = "workbook: [{name: f, kind: python, code: i}]";
    expect(step("tool: {kind: workbook, name: f}", inline).tasks[0]?.config).toEqual({ code: "i" });
  });
});

describe("policies are read in every form", () => {
  const rulesOf = (rules: string) => task(`kind: noop\nspec: {policy: {rules: [${rules}]}}`).rules;

  test.each([
    ["{when: a, then: {do: fail}}", { when: "a", then: { do: "fail", set: [] } }],
    ["{when: true, then: {do: break}}", { when: "true", then: { do: "break", set: [] } }],
    ["{else: {then: {do: continue}}}", { then: { do: "continue", set: [] } }],
    ["{else: null, then: {do: break}}", { then: { do: "break", set: [] } }],
    [
      "{else: {do: continue, set: {ctx.a: 1}}}",
      { then: { do: "continue", set: [{ scope: "ctx", path: ["a"], value: 1 }] } },
    ],
    [
      "{when: a, then: {set_ctx: {a: 1}, set_iter: {b: 2}}}",
      {
        when: "a",
        then: {
          do: "continue",
          set: [
            { scope: "ctx", path: ["a"], value: 1 },
            { scope: "iter", path: ["b"], value: 2 },
          ],
        },
      },
    ],
    [
      "{when: a, then: {do: jump, to: start}}",
      { when: "a", then: { do: "jump", to: "start", set: [] } },
    ],
    [
      "{when: a, then: {do: retry}}",
      {
        when: "a",
        then: { do: "retry", attempts: 3, backoff: "fixed", delaySec: 0, set: [] },
      },
    ],
    [
      "{when: a, then: {do: retry, attempts: '{{ n }}', backoff: exponential, delay: 0.5, max_delay: 9}}",
      {
        when: "a",
        then: {
          do: "retry",
          attempts: "{{ n }}",
          backoff: "exponential",
          delaySec: 0.5,
          delayMaxSec: 9,
          set: [],
        },
      },
    ],
    [
      "{when: a, then: {do: retry, backoff: linear}}",
      { when: "a", then: { do: "retry", attempts: 3, backoff: "linear", delaySec: 1, set: [] } },
    ],
  ])("%s", (rule, model) => {
    expect(rulesOf(rule)).toEqual([model]);
  });

  const error = "output.status == 'error'";

  test.each([
    ["true", { when: error, then: { attempts: 3, backoff: "fixed", delaySec: 1 } }],
    ["5", { when: error, then: { attempts: 5 } }],
    [
      "{max_attempts: 4, initial_delay: 2, backoff_multiplier: 2, max_delay: 30}",
      { when: error, then: { attempts: 4, backoff: "exponential", delaySec: 2, delayMaxSec: 30 } },
    ],
    [
      "{retry_when: '{{ output.http.status >= 500 }}', stop_when: '{{ ctx.stop }}', backoff_multiplier: 1}",
      {
        when: "(output.http.status >= 500) and not (ctx.stop)",
        then: { attempts: 3, backoff: "fixed" },
      },
    ],
  ])("retry: %s is a rule", (retry, rule) => {
    expect(task(`kind: noop\nretry: ${retry}`).rules).toMatchObject([rule]);
  });

  test("retry: false is none; the rule of retry comes before the others", () => {
    expect(task("kind: noop\nretry: false").rules).toEqual([]);
    const rules = task("kind: noop\nretry: 2\nspec: {policy: {rules: [{else: {do: fail}}]}}").rules;
    expect(rules.map(({ then }) => then.do)).toEqual(["retry", "fail"]);
  });

  test.each([
    ["when: a", [{ when: "a", allow: true }, { allow: false }]],
    [
      "spec: {policy: {admit: {mode: exclusive, rules: [{when: a, then: {allow: true}}, {else: {then: {allow: false}}}]}}}",
      [{ when: "a", allow: true }, { allow: false }],
    ],
    ["spec: {policy: {admit: {rules: [{when: a, allow: false}]}}}", [{ when: "a", allow: false }]],
  ])("%s says whether the step is entered", (members, admit) => {
    expect(step(`tool: noop\n${members}`).admit).toEqual(admit);
  });
});

describe("loops are read in every form", () => {
  test.each([
    [
      "{in: '{{ a }}', iterator: x}",
      { iterator: "x", maxInFlight: 1, mode: "sequential", in: "{{ a }}" },
    ],
    ["{in: [1, 2]}", { iterator: "item", maxInFlight: 1, mode: "sequential", in: [1, 2] }],
    [
      "{in: a, iterator: x, spec: {mode: parallel}}",
      { iterator: "x", maxInFlight: 64, mode: "parallel", in: "a" },
    ],
    [
      "{in: a, iterator: x, spec: {mode: parallel, max_in_flight: '{{ n }}'}}",
      { iterator: "x", maxInFlight: "{{ n }}", mode: "parallel", in: "a" },
    ],
    [
      "{collection: a, element: x, mode: async, max_in_flight: 5}",
      { iterator: "x", maxInFlight: 5, mode: "parallel", in: "a" },
    ],
    [
      "{cursor: {kind: postgres, auth: pg, claim: c}, iterator: x, spec: {mode: cursor, max_in_flight: 2, frame: {max_rows: 50, process: row}}}",
      {
        iterator: "x",
        maxInFlight: 2,
        mode: "cursor",
        cursor: { kind: "postgres", config: { query: "c", auth: "pg" }, rowsMax: 50 },
      },
    ],
    [
      "{cursor: {query: c}}",
      {
        iterator: "item",
        maxInFlight: 64,
        mode: "cursor",
        cursor: { kind: "postgres", config: { query: "c" }, rowsMax: 1 },
      },
    ],
  ])("%s", (loop, model) => {
    expect(step(`tool: noop\nloop: ${loop}`).loop).toEqual(model);
  });
});

test("set is read in every form, in its order", () => {
  expect(
    step(
      "tool: noop\nset:\n  ctx.a.b: 1\n  iter.c: 2\n  step.d: 3\n  e: 4\n  f.g: 5\n  ctx: {h: 6, i.j: 7}\n  ctx.k:",
    ).set,
  ).toEqual([
    { scope: "ctx", path: ["a", "b"], value: 1 },
    { scope: "iter", path: ["c"], value: 2 },
    { scope: "step", path: ["d"], value: 3 },
    { scope: "iter", path: ["e"], value: 4 },
    { scope: "iter", path: ["f", "g"], value: 5 },
    { scope: "ctx", path: ["h"], value: 6 },
    { scope: "ctx", path: ["i", "j"], value: 7 },
    { scope: "ctx", path: ["k"], value: null },
  ]);
});

test("output of a step replaces its data, unless it holds settings of an object store", () => {
  expect(step("tool: noop\noutput: '{{ output.data.x }}'").output).toBe("{{ output.data.x }}");
  expect(step("tool: noop\noutput: {a: 1}").output).toEqual({ a: 1 });
  expect(step("tool: noop\noutput: {output_select: [a]}").output).toBeUndefined();
});
