import { describe, expect, test } from "vitest";
import { playbook, type ArcNote } from "../../test/core/notation.ts";
import { Play, answers, failure } from "../../test/core/play.ts";

/** start with two arcs to a and b, whose conditions are literals. */
function branching(over: {
  mode: "exclusive" | "inclusive";
  onNoMatch: "end" | "fail";
  first: string | undefined;
  second: string | undefined;
}): Play {
  const arc = (to: string, when: string | undefined): ArcNote =>
    when === undefined ? to : { to, when };
  const { mode, onNoMatch, first, second } = over;
  const next = [arc("a", first), arc("b", second)];
  return new Play(playbook({ steps: { start: { mode, onNoMatch, next }, a: {}, b: {} } }))
    .run()
    .proved();
}

const t = "{{ true }}";
const f = "{{ false }}";

describe("semantics 2 and 3: arcs are decided once, all of them, by mode and conditions", () => {
  test.each([
    ["exclusive", undefined, undefined, ["a"], ["always", "passed_over"]],
    ["exclusive", t, undefined, ["a"], ["true", "passed_over"]],
    ["exclusive", t, t, ["a"], ["true", "passed_over"]],
    ["exclusive", t, f, ["a"], ["true", "passed_over"]],
    ["exclusive", f, t, ["b"], ["false", "true"]],
    ["exclusive", f, undefined, ["b"], ["false", "always"]],
    ["exclusive", f, f, [], ["false", "false"]],
    ["inclusive", undefined, undefined, ["a", "b"], ["always", "always"]],
    ["inclusive", t, t, ["a", "b"], ["true", "true"]],
    ["inclusive", t, f, ["a"], ["true", "false"]],
    ["inclusive", f, t, ["b"], ["false", "true"]],
    ["inclusive", f, undefined, ["b"], ["false", "always"]],
    ["inclusive", f, f, [], ["false", "false"]],
  ] as const)("%s, first %s, second %s: enters %j", (mode, first, second, entered, why) => {
    for (const onNoMatch of ["end", "fail"] as const) {
      const play = branching({ mode, onNoMatch, first, second });
      const fails = onNoMatch === "fail" && entered.length === 0;
      expect(play.entered()).toEqual(["start/1", ...entered.map((step) => `${step}/1`)]);
      expect(play.status).toBe(fails ? "FAILED" : "COMPLETED");
      if (fails) {
        expect(play.why).toBe(
          'step "start": No arc of the step has a condition that holds, and it says on_no_match: fail',
        );
      } else {
        const [decided] = play.of("step.completed");
        expect(decided?.arcs).toEqual(
          why.map((reason, index) => ({
            to: index === 0 ? "a" : "b",
            taken: reason === "always" || reason === "true",
            why: reason,
          })),
        );
      }
    }
  });

  test("a step without arcs ends only its own branch, also with on_no_match: fail", () => {
    const play = new Play(
      playbook({
        steps: {
          start: { mode: "inclusive", next: ["a", "b"] },
          a: { onNoMatch: "fail" },
          b: { next: "c" },
          c: {},
        },
      }),
    );
    play.run().proved();
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1", "c/1"]);
    expect(play.status).toBe("COMPLETED");
  });

  test("what changes in ctx later changes no arc that was decided", () => {
    const play = new Play(
      playbook({
        steps: {
          start: { mode: "inclusive", next: ["a", "b"], set: { "ctx.way": "left" } },
          a: { next: [{ to: "left", when: "ctx.way == 'left'" }, "right"] },
          b: { set: { "ctx.way": "right" } },
          left: {},
          right: {},
        },
      }),
      answers({ left: "open" }),
    );
    play.start().answer("e1/start/1/-/start/1", { ok: 1 });
    play.answer("e1/a/1/-/a/1", { ok: 1 }).answer("e1/b/1/-/b/1", { ok: 1 }).proved();
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1", "left/1"]);
  });

  test("a condition that cannot be rendered fails the step and says where", () => {
    const play = new Play(
      playbook({
        strict: true,
        steps: { start: { next: [{ to: "a", when: "ctx.nothing.at.all" }] }, a: {} },
      }),
    );
    play.run().proved();
    expect(play.status).toBe("FAILED");
    expect(play.why).toMatch(/^step "start": Cannot render when of arc 0 to "a" at offset \d+: /);
    expect(play.entered()).toEqual(["start/1"]);
  });
});

describe("semantics 5: a failed step fails the execution and nothing hangs", () => {
  test("nothing new is dispatched, what runs is awaited, one terminal event names the failed steps", () => {
    const play = new Play(
      playbook({
        steps: {
          start: { mode: "inclusive", next: ["a", "b", "c"] },
          a: { next: "after" },
          b: { next: "after" },
          c: {},
          after: {},
        },
      }),
    );
    play.start().answer("e1/start/1/-/start/1", { ok: 1 });
    play.answer("e1/a/1/-/a/1", { error: { kind: "timeout", message: "slow", retryable: true } });
    expect(play.status).toBeUndefined();
    play.answer("e1/b/1/-/b/1", { ok: 2 });
    expect(play.status).toBeUndefined();
    expect(play.answer("e1/c/1/-/c/1", failureOf("broken")).proved().status).toBe("FAILED");
    expect(play.keys()).toEqual(["start/1/-/start/1", "a/1/-/a/1", "b/1/-/b/1", "c/1/-/c/1"]);
    expect(play.of("execution.failed")).toEqual([
      {
        type: "execution.failed",
        error: {
          kind: "timeout",
          message: 'step "a": slow',
          retryable: true,
          detail: { step: "a" },
        },
        failed: [
          {
            step: "a",
            activation: 1,
            error: {
              kind: "timeout",
              message: 'step "a": slow',
              retryable: true,
              detail: { step: "a" },
            },
          },
          {
            step: "c",
            activation: 1,
            error: {
              kind: "executor_error",
              message: 'step "c": broken',
              retryable: false,
              detail: { step: "c" },
            },
          },
        ],
      },
    ]);
    expect(play.of("step.completed").at(-1)).toEqual({
      type: "step.completed",
      step: "b",
      activation: 1,
      set: [],
      arcs: [],
      entered: [],
    });
  });

  test("while it drains no further task, iteration, step or retry begins", () => {
    const retry = { do: "retry" as const, attempts: 3, delay: 60 };
    const play = new Play(
      playbook({
        steps: {
          start: { mode: "inclusive", next: ["fails", "line", "list", "again"] },
          fails: {},
          line: { tool: [{ name: "one" }, { name: "two" }] },
          list: { loop: { in: [1, 2, 3], max: 1 } },
          again: { tool: { rules: [retry] }, next: "after" },
          after: {},
        },
      }),
    ).start();
    play
      .answer("e1/start/1/-/start/1", { ok: 1 })
      .answer("e1/again/1/-/again/1", failureOf("once"));
    expect(play.last?.timers).toHaveLength(1);
    play.answer("e1/fails/1/-/fails/1", failureOf("broken"));
    expect(play.last?.timers).toEqual([]);
    play.answer("e1/line/1/-/one/1", { ok: 1 });
    expect(play.status).toBeUndefined();
    play.answer("e1/list/1/0/list/1", { ok: 1 });
    expect(play.proved().status).toBe("FAILED");
    expect(play.keys()).toHaveLength(5);
    expect(play.of("execution.failed")[0]?.failed.map(({ step }) => step)).toEqual(["fails"]);
  });

  test("a tool's error without a rule fails its step", () => {
    const play = new Play(
      playbook({ steps: { start: { next: "a" }, a: {} } }),
      answers({ start: failure("no") }),
    );
    expect(play.run().proved().status).toBe("FAILED");
    expect(play.why).toBe('step "start": no');
    expect(play.entered()).toEqual(["start/1"]);
  });
});

function failureOf(message: string): {
  error: { kind: "executor_error"; message: string; retryable: boolean };
} {
  return { error: { kind: "executor_error", message, retryable: false } };
}

describe("admit rules decide whether a step is entered", () => {
  test.each([
    [[{ when: t, allow: true }, { allow: false }], true],
    [[{ when: f, allow: true }, { allow: false }], false],
    [[{ when: f, allow: true }], true],
    [[{ when: t, allow: false }], false],
    [[], true],
  ])("%j: entered %s", (admit, enters) => {
    const play = new Play(
      playbook({ steps: { start: { next: "a" }, a: { admit, next: "b" }, b: {} } }),
    );
    play.run().proved();
    expect(play.status).toBe("COMPLETED");
    expect(play.keys().includes("a/1/-/a/1")).toBe(enters);
    expect(play.of("step.skipped").length).toBe(enters ? 0 : 1);
    expect(play.entered().includes("b/1")).toBe(enters);
  });
});
