import { describe, expect, test } from "vitest";
import type { Json } from "../base/json.ts";
import { playbook, type RuleNote, type TaskNote } from "../../test/core/notation.ts";
import { Play, answers, failure, type Answer } from "../../test/core/play.ts";

/** One step whose one task has these rules. */
function ruled(rules: readonly RuleNote[], given: Answer | Answer[], over: TaskNote = {}): Play {
  const steps = { start: { tool: { rules, ...over }, next: "end" }, end: {} };
  return new Play(playbook({ steps }), answers({ start: given }));
}

const good: Answer = { ok: { v: 1 } };
const bad = failure("broken");
const onError = "output.status == 'error'";

describe("what a rule does with an outcome", () => {
  test.each<[string, readonly RuleNote[], Answer, string, Json]>([
    ["no rule, ok", [], good, "COMPLETED", { v: 1 }],
    ["no rule, error", [], bad, "FAILED", null],
    ["continue, ok", [{ do: "continue" }], good, "COMPLETED", { v: 1 }],
    ["continue, error", [{ do: "continue" }], bad, "COMPLETED", { error: wordsOf("broken") }],
    ["break, ok", [{ do: "break" }], good, "COMPLETED", { v: 1 }],
    ["break, error", [{ do: "break" }], bad, "COMPLETED", { error: wordsOf("broken") }],
    ["fail, ok", [{ do: "fail" }], good, "FAILED", null],
    ["fail, error", [{ do: "fail" }], bad, "FAILED", null],
    ["retry once, ok", [{ when: onError, do: "retry", attempts: 1 }], good, "COMPLETED", { v: 1 }],
    ["retry once, error", [{ do: "retry", attempts: 1 }], bad, "FAILED", null],
    ["no rule matches, ok", [{ when: "1 == 2", do: "fail" }], good, "COMPLETED", { v: 1 }],
    ["no rule matches, error", [{ when: "1 == 2", do: "continue" }], bad, "FAILED", null],
    [
      "the first that holds decides",
      [{ when: onError, do: "fail" }, { do: "continue" }],
      bad,
      "FAILED",
      null,
    ],
    [
      "else decides where none before holds",
      [{ when: "output.status == 'ok'", do: "fail" }, { do: "continue" }],
      bad,
      "COMPLETED",
      { error: wordsOf("broken") },
    ],
  ])("%s", (_name, rules, answer, status, data) => {
    const play = ruled(rules, answer, {});
    play.run().proved();
    expect(play.status).toBe(status);
    expect(play.of("step.completed").some(({ step }) => step === "start")).toBe(
      status === "COMPLETED",
    );
    const seen = new Play(
      playbook({
        steps: {
          start: { tool: { rules }, next: "end" },
          end: { tool: { input: { seen: "{{ start }}" } } },
        },
      }),
      answers({ start: answer }),
    ).run();
    expect(seen.args("end")?.["input"]).toEqual(
      status === "COMPLETED" ? { seen: data } : undefined,
    );
  });

  test("fail on a success says which rule", () => {
    expect(
      ruled([{ when: "1 == 2", do: "continue" }, { do: "fail" }], good)
        .run()
        .proved().why,
    ).toBe('step "start": The task succeeded, but rule 1 says fail');
  });

  test("fail keeps the tool's error", () => {
    const play = ruled(
      [{ do: "fail" }],
      failure("quota", { kind: "rate_limited", retryable: true }),
    );
    expect(play.run().proved().of("execution.failed")[0]?.error).toEqual({
      kind: "rate_limited",
      message: 'step "start": quota',
      retryable: true,
      detail: { step: "start" },
    });
  });

  test("a condition that cannot be rendered fails the step and names the rule", () => {
    const play = new Play(
      playbook({
        strict: true,
        steps: { start: { tool: { rules: [{ when: "no.such.name", do: "continue" }] } } },
      }),
    );
    expect(play.run().proved().why).toMatch(
      /^step "start": Cannot render when of rule 0 at offset \d+: /,
    );
  });
});

function wordsOf(message: string): Json {
  return { kind: "executor_error", message, retryable: false };
}

describe("retry", () => {
  const retry = (over: Partial<Extract<RuleNote, { do: "retry" }>> = {}): RuleNote[] => [
    { when: onError, do: "retry", attempts: 4, ...over },
  ];

  test.each([1, 2, 3, 4])(
    "attempts: 4 is four attempts in all; it succeeds at attempt %i",
    (last) => {
      const given = [...Array.from({ length: last - 1 }, () => bad), good];
      const play = ruled(retry(), given).run().proved();
      expect(play.status).toBe("COMPLETED");
      expect(play.keys().filter((key) => key.startsWith("start"))).toEqual(
        Array.from({ length: last }, (_, index) => `start/1/-/start/${String(index + 1)}`),
      );
      expect(play.entered()).toEqual(["start/1", "end/1"]);
    },
  );

  test("after the last attempt it fails with the tool's error", () => {
    const play = ruled(retry(), [bad]).run().proved();
    expect(play.keys()).toHaveLength(4);
    expect(play.why).toBe('step "start": broken');
  });

  test.each([
    ["none", [2000, 2000, 2000]],
    ["fixed", [2000, 2000, 2000]],
    ["linear", [2000, 4000, 6000]],
    ["exponential", [2000, 4000, 8000]],
  ] as const)("backoff %s with delay 2 waits %j ms", (backoff, delays) => {
    const play = ruled(retry({ backoff, delay: 2 }), [bad])
      .run()
      .proved();
    const starts = play
      .of("task.decided")
      .flatMap(({ verdict }) => (verdict.do === "retry" ? [verdict.due_ms] : []));
    const at0 = Date.UTC(2026, 0, 1);
    expect(starts.map((due, index) => due - (starts[index - 1] ?? at0))).toEqual(delays);
  });

  test("delayMax caps the delay, and both may be templates", () => {
    const play = new Play(
      playbook({
        workload: { n: "3", delay: 1.5, most: 2 },
        steps: {
          start: {
            tool: {
              rules: [
                {
                  do: "retry",
                  attempts: "{{ workload.n }}",
                  backoff: "exponential",
                  delay: "{{ workload.delay }}",
                  delayMax: "{{ workload.most }}",
                },
              ],
            },
          },
        },
      }),
      answers({ start: bad }),
    );
    play.run().proved();
    expect(play.keys()).toHaveLength(3);
    expect(play.nowMs - Date.UTC(2026, 0, 1)).toBe(1500 + 2000);
  });

  test("without a delay the next attempt follows at once; with one it is a timer, and only that", () => {
    expect(ruled(retry(), [bad, good]).start().step()).toBe(true);
    const play = ruled(retry({ delay: 5 }), [bad, good]).start();
    play.step();
    expect(play.openKeys()).toEqual([]);
    expect(play.last?.timers).toEqual([
      { name: "retry/start/1/-/0/1", dueMs: Date.UTC(2026, 0, 1) + 5000 },
    ]);
    play.fire("retry/start/1/-/0/1");
    expect(play.openKeys()).toEqual(["e1/start/1/-/start/2"]);
    expect(play.last?.timers).toEqual([]);
    expect(play.goOn().proved().status).toBe("COMPLETED");
  });

  test("a success may be retried too, until it is what is wanted", () => {
    const rules: RuleNote[] = [{ when: "output.data.ready == false", do: "retry", attempts: 3 }];
    const play = ruled(rules, [{ ok: { ready: false } }, { ok: { ready: true } }])
      .run()
      .proved();
    expect(play.status).toBe("COMPLETED");
    const never = ruled(rules, [{ ok: { ready: false } }])
      .run()
      .proved();
    expect(never.why).toBe('step "start": The task succeeded, but rule 0 allows 3 attempts');
  });

  test("_attempt and output.attempt count from 1", () => {
    const play = ruled(retry(), [bad, bad, good], { input: { n: "{{ _attempt }}" } });
    play.run().proved();
    const given = play.commands.filter(({ place }) => place.step === "start");
    expect(given.map(({ args }) => args["input"])).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    const ends = new Play(
      playbook({
        steps: {
          start: {
            tool: {
              rules: [
                ...retry(),
                { do: "continue", set: { "ctx.attempt": "{{ output.attempt }}" } },
              ],
            },
          },
        },
      }),
      answers({ start: [bad, bad, good] }),
    ).run();
    expect(ends.ctx).toEqual({ attempt: 3 });
  });

  test("what a number should be and is not fails the step", () => {
    expect(
      ruled(retry({ attempts: "{{ 'x' }}" }), bad)
        .run()
        .proved().why,
    ).toBe('step "start": Cannot use attempts of rule 0 as it is no number: got "x"');
  });
});

describe("set in rules and tasks", () => {
  test("in a task's own set output is its data; in its rules it is the envelope", () => {
    const play = ruled([{ do: "continue", set: { "ctx.ruled": "{{ output.data.v }}" } }], good, {
      set: { "ctx.own": "{{ output.v }}", "ctx.copy": "{{ ctx.own }}" },
    });
    expect(play.run().proved().ctx).toEqual({ own: 1, copy: 1, ruled: 1 });
    expect(play.of("task.decided")[0]).toEqual({
      type: "task.decided",
      step: "start",
      activation: 1,
      item: "-",
      task: "start",
      attempt: 1,
      rule: 0,
      verdict: { do: "continue" },
      set: [
        { scope: "ctx", path: ["own"], value: 1 },
        { scope: "ctx", path: ["copy"], value: 1 },
        { scope: "ctx", path: ["ruled"], value: 1 },
      ],
    });
  });

  test("a task's own set is applied where the task passes, not where it failed, is retried or let pass as an error", () => {
    const set = { "ctx.n": "{{ (ctx.n | default(0)) + 1 }}" };
    const retried = ruled([{ when: onError, do: "retry", attempts: 3 }], [bad, bad, good], { set });
    expect(retried.run().proved().ctx).toEqual({ n: 1 });
    expect(
      ruled([{ do: "continue" }], bad, { set })
        .run()
        .proved().ctx,
    ).toEqual({});
  });

  test("a rule's set is applied whatever the rule does", () => {
    for (const rule of [
      { do: "fail" as const },
      { do: "continue" as const },
      { do: "retry" as const, attempts: 1 },
    ]) {
      const play = ruled([{ ...rule, set: { "ctx.why": "{{ output.error.message }}" } }], bad);
      expect(play.run().proved().ctx).toEqual({ why: "broken" });
    }
  });

  test("in a task's rules its own name and the step's are bound to its data", () => {
    const rules: RuleNote[] = [
      { when: "start.v == 1 and t.v == 1", do: "continue", set: { "ctx.seen": "{{ t.data.v }}" } },
    ];
    const play = new Play(
      playbook({ steps: { start: { tool: [{ name: "t", rules }] } } }),
      answers({ t: good }),
    );
    expect(play.run().proved().ctx).toEqual({ seen: 1 });
  });

  test("a set that cannot be rendered fails the step and names the member and the offset", () => {
    const play = new Play(
      playbook({
        strict: true,
        steps: {
          start: { tool: [{ name: "t", set: { "ctx.x": "{{ output.no }}" } }, { name: "u" }] },
        },
      }),
    );
    const { error } = play.run().proved().of("execution.failed")[0] ?? {};
    expect(error?.message).toMatch(
      /^step "start": task "t": Cannot render set ctx\.x at offset \d+: /,
    );
    expect(error?.detail).toMatchObject({ step: "start", task: "t", member: "set ctx.x" });
  });
});
