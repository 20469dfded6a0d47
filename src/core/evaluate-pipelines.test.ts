import { describe, expect, test } from "vitest";
import type { Json } from "../base/json.ts";
import { playbook, type RuleNote, type TaskNote } from "../../test/core/notation.ts";
import { coreLimits } from "./limits.ts";
import { Play, answers, failure, type Answer } from "../../test/core/play.ts";

const good: Answer = { ok: { v: 1 } };
const bad = failure("broken");
const onError = "output.status == 'error'";

describe("pipelines", () => {
  const three = (over: readonly Partial<TaskNote>[]): TaskNote[] =>
    ["a", "b", "c"].map((name, index) => ({ name, ...over[index] }));
  const played = (tasks: TaskNote[], given: { [name: string]: Answer | Answer[] } = {}): Play =>
    new Play(playbook({ steps: { start: { tool: tasks } } }), answers(given)).run().proved();

  test("tasks run in order; the step's data is the last one's", () => {
    const play = played(three([]), { a: { ok: 1 }, b: { ok: 2 }, c: { ok: 3 } });
    expect(play.keys()).toEqual(["start/1/-/a/1", "start/1/-/b/1", "start/1/-/c/1"]);
    expect(play.result).toBe(3);
  });

  test("an error without a rule ends the pipeline and the step", () => {
    const play = played(three([]), { b: bad });
    expect(play.keys()).toHaveLength(2);
    expect(play.why).toBe('step "start": task "b": broken');
  });

  test("continue goes on after an error; the next task sees its envelope", () => {
    const play = played(
      three([{}, { rules: [{ do: "continue" }] }, { input: { was: "{{ output }}" } }]),
      {
        b: bad,
        c: { ok: 3 },
      },
    );
    expect(play.args("start", "c")).toEqual({
      input: {
        was: {
          status: "error",
          data: null,
          error: wordsOf("broken"),
          http: null,
          attempt: 1,
          duration_ms: 0,
        },
      },
    });
    expect(play.result).toBe(3);
  });

  test("break ends the pipeline well with the data of the task that broke it", () => {
    const play = played(three([{}, { rules: [{ do: "break" }] }]), { b: { ok: 2 } });
    expect(play.keys()).toEqual(["start/1/-/a/1", "start/1/-/b/1"]);
    expect(play.result).toBe(2);
    expect(play.status).toBe("COMPLETED");
  });

  test("jump goes on at the named task, forward or back, and no key is ever used twice", () => {
    const again: RuleNote = { when: "ctx.n < 3", do: "jump", to: "a" };
    const count = { set: { "ctx.n": "{{ (ctx.n | default(0)) + 1 }}" } };
    const play = played(three([count, {}, { rules: [again] }]), { c: { ok: "end" } });
    expect(play.keys()).toEqual(
      [1, 2, 3].flatMap((n) => ["a", "b", "c"].map((task) => `start/1/-/${task}/${String(n)}`)),
    );
    expect(play.result).toBe("end");
    const over = played(three([{ rules: [{ do: "jump", to: "c" }] }]));
    expect(over.keys()).toEqual(["start/1/-/a/1", "start/1/-/c/1"]);
  });

  test("a task that is jumped to has its attempts anew", () => {
    const tasks: TaskNote[] = [
      { name: "a", rules: [{ when: onError, do: "retry", attempts: 2 }, { do: "continue" }] },
      {
        name: "b",
        rules: [
          { when: "ctx.once is not defined", do: "jump", to: "a", set: { "ctx.once": true } },
        ],
      },
    ];
    const play = played(tasks, { a: [bad, good, bad, good] });
    expect(play.status).toBe("COMPLETED");
    expect(play.keys().filter((key) => key.includes("/a/"))).toHaveLength(4);
  });

  test("a jump for ever fails at the limit", () => {
    const rules: RuleNote[] = [{ do: "jump", to: "start" }];
    const play = new Play(playbook({ steps: { start: { tool: { rules } } } })).start();
    const [run] = play.state.live.get("start/1")?.runs.values() ?? [];
    if (run !== undefined) run.jumps = coreLimits.jumpsMax - 1;
    play.step();
    expect(play.status).toBeUndefined();
    play.step();
    expect(play.why).toBe('step "start": Cannot jump to "start" as 10000 jumps were made');
  });

  test("<step>.results.<task> reaches one task's data, in the step's own arcs too", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            tool: [{ name: "first" }, { name: "second" }],
            next: [{ to: "end", when: "start.results.first.more == true" }],
          },
          end: {
            tool: { input: { first: "{{ start.results.first.more }}", second: "{{ start.x }}" } },
          },
        },
      }),
      answers({ first: { ok: { more: true } }, second: { ok: { x: 2 } } }),
    );
    expect(play.run().proved().args("end")).toEqual({ input: { first: true, second: 2 } });
  });

  test("a task's data is seen by later tasks under its name", () => {
    const play = played(three([{}, {}, { input: { a: "{{ a.v }}", b: "{{ b.data }}" } }]), {
      a: good,
      b: { ok: 2 },
    });
    expect(play.args("start", "c")).toEqual({ input: { a: 1, b: 2 } });
  });
});

function wordsOf(message: string): Json {
  return { kind: "executor_error", message, retryable: false };
}
