import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../base/json.ts";
import { playbook, type StepNote } from "../../test/core/notation.ts";
import { Play, answers } from "../../test/core/play.ts";

/** What a tool of the step `ask` gets for these templates, after a step `start` that gave `data`. */
function asked(
  templates: JsonObject,
  over: { workload?: JsonObject; payload?: JsonObject; data?: Json; start?: StepNote } = {},
): Json | undefined {
  const { workload = {}, payload = {}, data = { v: 1 }, start = {} } = over;
  const play = new Play(
    playbook({
      workload,
      steps: { start: { next: "ask", ...start }, ask: { tool: { input: templates } } },
    }),
    answers({ start: { ok: data } }),
  );
  play.run(payload).proved();
  expect(play.why).toBeUndefined();
  return play.args("ask")?.["input"];
}

describe("what a template sees", () => {
  test("the execution's own names", () => {
    const play = new Play(
      playbook({
        workload: { a: 1 },
        steps: {
          start: {
            tool: {
              input: {
                execution: "{{ execution_id }}",
                job: "{{ job.execution_id }}/{{ job.uuid }}",
                payload: "{{ payload.p }}",
                input: "{{ input }}",
                env: "{{ env.HOME }}",
                now: "{{ now() }}",
                workload: "{{ workload }}",
                attempt: "{{ _attempt }}",
                index: "{{ loop_index is defined }}",
                output: "{{ output is defined }}",
                event: "{{ event is defined }}",
              },
            },
          },
        },
      }),
    );
    play.start({ p: 2 }, { HOME: "/root" }).proved();
    expect(play.args("start")).toEqual({
      input: {
        execution: "e1",
        job: "e1/e1",
        payload: 2,
        input: { p: 2 },
        env: "/root",
        now: "2026-01-01T00:00:00.000Z",
        workload: { a: 1, p: 2 },
        attempt: 1,
        index: false,
        output: false,
        event: false,
      },
    });
  });

  test("workload keys stand at top level, and a completed step of that name wins", () => {
    expect(
      asked({ a: "{{ a }}", start: "{{ start }}" }, { workload: { a: 1, start: "w" } }),
    ).toEqual({
      a: 1,
      start: { v: 1 },
    });
  });

  test("an undefined name is null in noetl.io/v2 and an error in deed/v1", () => {
    expect(asked({ no: "{{ nobody }}", deep: "{{ nobody.at.all }}" })).toEqual({
      no: null,
      deep: null,
    });
    const strict = new Play(
      playbook({ strict: true, steps: { start: { tool: { input: { no: "{{ nobody }}" } } } } }),
    );
    expect(strict.run().proved().why).toMatch(
      /^step "start": Cannot render input\.no at offset \d+: .*nobody/,
    );
    expect(strict.keys()).toEqual([]);
  });

  test.each<[Json, Json]>([
    [{ v: 1 }, { v: 1 }],
    [{ data: 2 }, 2],
    [{ data: null }, null],
    [
      [1, 2],
      [1, 2],
    ],
    ["text", "text"],
    [7, 7],
    [false, false],
    [null, null],
  ])("<step>.data of %j is %j; the bare name is the data itself", (data, seen) => {
    expect(asked({ data: "{{ start.data }}", bare: "{{ start }}" }, { data })).toEqual({
      data: seen,
      bare: data,
    });
  });

  test("a key of the data wins over a method of that name", () => {
    expect(asked({ items: "{{ start.items }}" }, { data: { items: [1] } })).toEqual({ items: [1] });
  });

  test("semantics 10: one expression keeps its type, anything else is a string, nothing is typed again", () => {
    const templates = {
      digits: "{{ workload.digits }}",
      number: "{{ workload.number }}",
      list: "{{ workload.list }}",
      text: "n={{ workload.number }}",
      literal: "007",
    };
    const workload = { digits: "007", number: 7, list: [1] };
    expect(asked(templates, { workload })).toEqual({
      digits: "007",
      number: 7,
      list: [1],
      text: "n=7",
      literal: "007",
    });
  });

  test("iter values outside a loop are scratch that ends with the step, seen by their bare name", () => {
    const tool = [
      { name: "one", set: { kept: "{{ output.v }}", "iter.deep.er": 2 } },
      { name: "two", input: { kept: "{{ kept }}", deep: "{{ iter.deep.er }}" } },
    ];
    const play = new Play(
      playbook({
        steps: {
          start: { tool, set: { "ctx.kept": "{{ kept }}" }, next: "end" },
          end: { tool: { input: { kept: "{{ kept }}", iter: "{{ iter }}" } } },
        },
      }),
      answers({ one: { ok: { v: 1 } } }),
    );
    play.run().proved();
    expect(play.args("start", "two")).toEqual({ input: { kept: 1, deep: 2 } });
    expect(play.ctx).toEqual({ kept: 1 });
    expect(play.args("end")).toEqual({ input: { kept: null, iter: {} } });
  });

  test("a tool's own input is seen by its other members", () => {
    const play = new Play(
      playbook({
        workload: { page: 1 },
        steps: {
          start: {
            tool: { input: { page: "{{ workload.page + 1 }}" }, config: { url: "/{{ page }}" } },
          },
        },
      }),
    );
    expect(play.run().proved().args("start")).toEqual({ url: "/2", input: { page: 2 } });
  });

  test("the last activation of a step is the one that is seen", () => {
    const play = new Play(
      playbook({
        steps: {
          start: { next: [{ to: "start", when: "start.n < 3" }, "end"] },
          end: { tool: { input: { n: "{{ start.n }}" } } },
        },
      }),
      answers({ start: ({ place }) => ({ ok: { n: place.activation } }) }),
    );
    expect(play.run().proved().args("end")).toEqual({ input: { n: 3 } });
  });
});

describe("the workload", () => {
  test("the payload is merged over it, member by member, and is data: never rendered", () => {
    const play = new Play(playbook({ workload: { a: { x: 1 }, b: 2 }, steps: { start: {} } }));
    play.start({ a: { y: 1 }, c: "{{ b }}" }).proved();
    expect(play.state.workload).toEqual({ a: { y: 1 }, b: 2, c: "{{ b }}" });
  });

  test("its values may be templates over the payload and each other, whatever their order", () => {
    const workload = {
      url: "{{ base }}/{{ workload.page }}",
      base: "http://{{ host }}",
      host: "h",
      page: "{{ payload.start + 1 }}",
    };
    const play = new Play(playbook({ workload, steps: { start: {} } }));
    play.start({ host: "other", start: 4 }).proved();
    expect(play.of("execution.started")[0]?.workload).toEqual({
      url: "http://other/5",
      base: "http://other",
      host: "other",
      page: 5,
      start: 4,
    });
  });

  test("a value that needs itself finds itself undefined", () => {
    const play = new Play(
      playbook({ workload: { a: "{{ b }}", b: "{{ a }}" }, steps: { start: {} } }),
    );
    expect(play.start().proved().state.workload).toEqual({ a: null, b: null });
  });

  test("one that cannot be rendered fails the execution before any step", () => {
    const play = new Play(
      playbook({ strict: true, workload: { a: "{{ nobody }}" }, steps: { start: {} } }),
    );
    expect(play.run().proved().status).toBe("FAILED");
    expect(play.why).toMatch(/^Cannot render workload\.a at offset \d+: /);
  });

  test("what is called __proto__ is a member like any other", () => {
    const payload = JSON.parse('{"__proto__":{"polluted":1}}') as JsonObject;
    const play = new Play(
      playbook({
        steps: {
          start: { set: { "ctx.__proto__.x": 1 }, tool: { input: { it: "{{ polluted }}" } } },
        },
      }),
    );
    play.run(payload).proved();
    expect(play.args("start")).toEqual({ input: { it: null } });
    expect(JSON.stringify(play.ctx)).toBe('{"__proto__":{"x":1}}');
    expect(Object.getPrototypeOf(play.ctx)).toBe(Object.prototype);
  });
});

describe("semantics 4: a step's set", () => {
  test("is computed once, in order, before the arcs, and recorded with its values", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            set: {
              "ctx.n": "{{ start.v }}",
              "ctx.m": "{{ ctx.n + 1 }}",
              "ctx.deep.er": "{{ output.data.v }}",
            },
            next: [{ to: "end", when: "ctx.m == 2", set: { "ctx.arc": "{{ ctx.m }}" } }],
          },
          end: {},
        },
      }),
      answers({ start: { ok: { v: 1 } } }),
    );
    play.run().proved();
    expect(play.ctx).toEqual({ n: 1, m: 2, deep: { er: 1 }, arc: 2 });
    expect(play.of("step.completed")[0]).toEqual({
      type: "step.completed",
      step: "start",
      activation: 1,
      set: [
        { scope: "ctx", path: ["n"], value: 1 },
        { scope: "ctx", path: ["m"], value: 2 },
        { scope: "ctx", path: ["deep", "er"], value: 1 },
      ],
      arcs: [
        { to: "end", taken: true, why: "true", set: [{ scope: "ctx", path: ["arc"], value: 2 }] },
      ],
      entered: [{ step: "end", activation: 1 }],
    });
  });

  test("a counter in a cycle counts: lesson 4", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            set: { "ctx.n": "{{ (ctx.n | default(0)) + 1 }}" },
            next: [{ to: "start", when: "ctx.n < 4" }],
          },
        },
      }),
    );
    play.run().proved();
    expect(play.of("step.completed").map(({ set }) => set[0]?.value)).toEqual([1, 2, 3, 4]);
  });
});

describe("event.name in arcs", () => {
  test.each([
    [{ ok: 1 }, "call.done"],
    [{ error: { kind: "timeout" as const, message: "t", retryable: true } }, "call.error"],
  ])("after %j it is %s", (answer, name) => {
    const rules = [{ do: "continue" as const, set: { "ctx.rule": "{{ event.name }}" } }];
    const play = new Play(
      playbook({
        steps: {
          start: { tool: { rules }, next: [{ to: "end", when: `event.name == '${name}'` }] },
          end: {},
        },
      }),
      answers({ start: answer }),
    );
    expect(play.run().proved().entered()).toEqual(["start/1", "end/1"]);
    expect(play.ctx).toEqual({ rule: name });
  });
});
