import { describe, expect, test } from "vitest";
import { playbook } from "../../test/core/notation.ts";
import { Play, answers, failure, at } from "../../test/core/play.ts";
import { evaluate, drive } from "./evaluate.ts";
import { compileProgram } from "./program.ts";
import { decodeState, encodeState, evolve, initialState } from "./state.ts";
import type { CoreEvent } from "../event/core-event.ts";
import { eventId, executionId } from "../event/ids.ts";

const fork = { mode: "inclusive", next: ["a", "b"] } as const;
const forked = { start: fork, a: { next: "end" }, b: { next: "end" }, end: {} };

function begun(steps = {}): Play {
  const play = new Play(playbook({ steps: { ...forked, ...steps } })).start();
  return play.answer("e1/start/1/-/start/1", { ok: 1 });
}

describe("semantics 12: cancel", () => {
  test("reaches what runs, dispatches nothing new, and ends CANCELLED once all of it has ended", () => {
    const play = begun().input("execution.cancel_requested", { context: { reason: "enough" } });
    expect(play.cancels).toEqual(["e1/a/1/-/a/1", "e1/b/1/-/b/1"]);
    play.cancelled("e1/a/1/-/a/1");
    expect(play.status).toBeUndefined();
    play.answer("e1/b/1/-/b/1", { ok: "too late to stop" }).proved();
    expect(play.status).toBe("CANCELLED");
    expect(play.events.at(-1)).toEqual({ type: "execution.cancelled", reason: "enough" });
    expect(play.keys()).toHaveLength(3);
  });

  test("with nothing running it ends at once, also while a retry waits for its time", () => {
    const rules = [{ do: "retry" as const, attempts: 9, delay: 60 }];
    const play = new Play(
      playbook({ steps: { start: { tool: { rules } } } }),
      answers({ start: failure() }),
    );
    play.start().step();
    expect(play.last?.timers).toHaveLength(1);
    play.input("execution.cancel_requested").proved();
    expect(play.status).toBe("CANCELLED");
    expect(play.last?.timers).toEqual([]);
  });

  test("asked twice it is asked once", () => {
    const play = begun().input("execution.cancel_requested").input("execution.cancel_requested");
    expect(play.proved().cancels).toHaveLength(2);
  });

  test("wins over a failure that is still draining", () => {
    const play = begun().answer("e1/a/1/-/a/1", {
      error: { kind: "timeout", message: "t", retryable: true },
    });
    play.input("execution.cancel_requested");
    expect(play.cancels).toEqual(["e1/b/1/-/b/1"]);
    expect(play.cancelled("e1/b/1/-/b/1").proved().status).toBe("CANCELLED");
  });

  test("reaches a cursor's claim and the iterations of a loop", () => {
    const loop = new Play(
      playbook({ steps: { start: { loop: { in: [1, 2, 3], max: 2 } } } }),
    ).start();
    loop.input("execution.cancel_requested");
    expect(loop.cancels).toEqual(["e1/start/1/0/start/1", "e1/start/1/1/start/1"]);
    loop.cancelled("e1/start/1/0/start/1").cancelled("e1/start/1/1/start/1").proved();
    expect(loop.status).toBe("CANCELLED");
    const cursor = new Play(
      playbook({ steps: { start: { loop: { cursor: { query: "q" } } } } }),
    ).start();
    cursor.input("execution.cancel_requested");
    expect(cursor.cancels).toEqual(["e1/start/1/claim-1/claim/1"]);
    expect(cursor.cancelled("e1/start/1/claim-1/claim/1").proved().status).toBe("CANCELLED");
  });

  test("before the start was decided it ends without a step", () => {
    const { program, state: done } = new Play(playbook({ steps: { start: {} } })).run();
    const asked = (event_type: string): CoreEvent => ({
      event_id: eventId("1"),
      execution_id: executionId(done.executionId),
      event_type,
      status: "REQUESTED",
      timestamp: "2026-01-01T00:00:00.000Z",
    });
    const state = evolve(initialState("e1"), asked("execution.requested"), program);
    evolve(state, asked("execution.cancel_requested"), program);
    const { decision } = drive(state, [], program);
    expect(decision.events).toEqual([{ type: "execution.cancelled", reason: "" }]);
    expect(decision.commands).toEqual([]);
  });
});

describe("an action that is cancelled by someone else", () => {
  test("is an error of its task, kind cancelled", () => {
    const play = begun().cancelled("e1/a/1/-/a/1").answer("e1/b/1/-/b/1", { ok: 1 }).proved();
    expect(play.status).toBe("FAILED");
    expect(play.of("execution.failed")[0]?.error).toMatchObject({
      kind: "cancelled",
      message: 'step "a": it was cancelled',
    });
  });
});

describe("pause and resume", () => {
  test("while paused nothing is decided; what runs may end; resume goes on where it stood", () => {
    const play = begun().input("execution.paused");
    play.answer("e1/a/1/-/a/1", { ok: 1 }).answer("e1/b/1/-/b/1", { ok: 1 });
    expect(play.keys()).toHaveLength(3);
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1"]);
    play.input("execution.resumed");
    expect(play.openKeys()).toEqual(["e1/end/1/-/end/1"]);
    expect(play.goOn().proved().status).toBe("COMPLETED");
  });

  test("cancel reaches a paused execution", () => {
    const play = begun().input("execution.paused").input("execution.cancel_requested");
    expect(play.cancels).toHaveLength(2);
    play.cancelled("e1/a/1/-/a/1").cancelled("e1/b/1/-/b/1");
    expect(play.proved().status).toBe("CANCELLED");
  });

  test("a step that ended before its time fired, both while paused, has completed or failed, and nothing is stuck", () => {
    for (const first of ["result", "timer"]) {
      const play = begun({ a: { timeoutMs: 5000, next: "end" } }).input("execution.paused");
      if (first === "timer") play.fire("step/a/1").answer("e1/a/1/-/a/1", { ok: 1 });
      else play.answer("e1/a/1/-/a/1", { ok: 1 }).fire("step/a/1");
      play.input("execution.resumed").answer("e1/b/1/-/b/1", { ok: 1 }).goOn().proved();
      expect(play.status).toBe(first === "timer" ? "FAILED" : "COMPLETED");
    }
  });

  test("a row that fails while paused takes back the claim that was to come", () => {
    const play = new Play(
      playbook({ steps: { start: { loop: { cursor: { query: "q" }, max: 2 } } } }),
    ).start();
    play.answer("e1/start/1/claim-1/claim/1", { ok: [1, 2] }).input("execution.paused");
    play.answer("e1/start/1/0/start/1", { ok: 1 });
    play.answer("e1/start/1/1/start/1", {
      error: { kind: "timeout", message: "t", retryable: true },
    });
    play.input("execution.resumed").proved();
    expect(play.keys()).toHaveLength(3);
    expect(play.why).toBe('step "start": item 1: t');
  });

  test("a timer that fires while paused is not lost", () => {
    const rules = [
      { when: "output.status == 'error'", do: "retry" as const, attempts: 2, delay: 1 },
    ];
    const play = new Play(
      playbook({ steps: { start: { tool: { rules } } } }),
      answers({ start: [failure(), { ok: 1 }] }),
    ).start();
    play.step();
    play.input("execution.paused").fire("retry/start/1/-/0/1");
    expect(play.openKeys()).toEqual([]);
    expect(play.input("execution.resumed").openKeys()).toEqual(["e1/start/1/-/start/2"]);
    expect(play.goOn().proved().status).toBe("COMPLETED");
  });
});

describe("timeouts", () => {
  test("a step that does not end in time fails; what runs of it is cancelled and awaited", () => {
    const play = begun({ a: { timeoutMs: 5000, next: "end" } });
    expect(play.last?.timers).toEqual([{ name: "step/a/1", dueMs: Date.UTC(2026, 0, 1) + 5000 }]);
    play.fire("step/a/1");
    expect(play.cancels).toEqual(["e1/a/1/-/a/1"]);
    expect(play.last?.timers).toEqual([]);
    expect(play.status).toBeUndefined();
    play.cancelled("e1/a/1/-/a/1").answer("e1/b/1/-/b/1", { ok: 1 }).proved();
    expect(play.status).toBe("FAILED");
    expect(play.of("execution.failed")[0]?.failed).toEqual([
      {
        step: "a",
        activation: 1,
        error: {
          kind: "timeout",
          message: 'step "a": It did not end within 5000 ms',
          retryable: true,
          detail: { step: "a" },
        },
      },
    ]);
  });

  test("a step that ends in time has no timer left", () => {
    const play = begun({ a: { timeoutMs: 5000, next: "end" } });
    play.answer("e1/a/1/-/a/1", { ok: 1 }).proved();
    expect(play.last?.timers).toEqual([]);
  });

  test("a loop's step timeout ends its iterations, those that wait for a retry too", () => {
    const rules = [
      { when: "output.status == 'error'", do: "retry" as const, attempts: 3, delay: 60 },
    ];
    const play = new Play(
      playbook({
        steps: { start: { timeoutMs: 1000, loop: { in: [1, 2], max: 2 }, tool: { rules } } },
      }),
    ).start();
    play.answer("e1/start/1/0/start/1", {
      error: { kind: "timeout", message: "t", retryable: true },
    });
    play.fire("step/start/1");
    expect(play.cancels).toEqual(["e1/start/1/1/start/1"]);
    expect(play.cancelled("e1/start/1/1/start/1").proved().status).toBe("FAILED");
  });

  test("an execution that does not end in time fails, whatever runs is cancelled", () => {
    const play = new Play(playbook({ timeoutMs: 1000, steps: forked })).start();
    expect(play.last?.timers).toEqual([{ name: "execution", dueMs: Date.UTC(2026, 0, 1) + 1000 }]);
    play.fire("execution");
    expect(play.cancels).toEqual(["e1/start/1/-/start/1"]);
    play.cancelled("e1/start/1/-/start/1").proved();
    expect(play.status).toBe("FAILED");
    expect(play.of("execution.failed")).toEqual([
      {
        type: "execution.failed",
        error: {
          kind: "timeout",
          message: 'Playbook "test" did not end within 1000 ms',
          retryable: true,
        },
        failed: [],
      },
    ]);
  });
});

describe("semantics 13: a sub-playbook parks its parent", () => {
  const steps = {
    start: { tool: { kind: "playbook", config: { path: "other" }, input: { n: 1 } }, next: "end" },
    end: { tool: { input: { child: "{{ start.answer }}" } } },
  };

  test("it asks for the child, waits without a timer, and goes on with the child's terminal event", () => {
    const play = new Play(playbook({ steps })).start();
    const [command] = play.commands;
    expect(command).toMatchObject({ kind: "playbook", args: { path: "other", input: { n: 1 } } });
    expect(play.last).toEqual({ commands: play.commands, events: play.events, timers: [] });
    play.input("execution.completed", {
      execution_id: executionId("child"),
      parent_execution_id: executionId("e1"),
      result: { answer: 42 },
      ...at(command!.place),
    });
    expect(play.args("end")).toEqual({ input: { child: 42 } });
  });

  test("a child that failed fails the step; one of another parent is not ours", () => {
    const play = new Play(playbook({ steps })).start();
    const of = at(play.commands[0]!.place);
    const before = encodeState(play.state);
    play.input("execution.completed", {
      execution_id: executionId("x"),
      parent_execution_id: executionId("e2"),
      ...of,
    });
    expect(encodeState(play.state)).toBe(before);
    play.input("execution.failed", {
      execution_id: executionId("child"),
      parent_execution_id: executionId("e1"),
      context: { error: { kind: "not_found", message: "no such file", retryable: false } },
      ...of,
    });
    expect(play.proved().why).toBe('step "start": no such file');
  });
});

describe("semantics 14 and state 2: what comes late, twice or unasked changes nothing", () => {
  const unasked = [
    ["a result of an attempt that is over", { activation: 1, item: "-", task: "a", attempt: 2 }],
    [
      "a result of an activation that never was",
      { activation: 9, item: "-", task: "a", attempt: 1 },
    ],
    ["a result of an item that never was", { activation: 1, item: "3", task: "a", attempt: 1 }],
    ["a result of a task that never was", { activation: 1, item: "-", task: "z", attempt: 1 }],
  ] as const;

  test.each(unasked)("%s", (_name, place) => {
    const play = begun();
    const before = encodeState(play.state);
    play.nowMs += 1;
    play.answered({ step: "a", ...place }, { ok: 1 });
    expect(encodeState(play.state)).toBe(before);
    expect(play.last?.events).toEqual([]);
  });

  test("a result that comes twice", () => {
    const play = begun();
    const { place } = play.commands[1]!;
    play.answer("e1/a/1/-/a/1", { ok: 1 });
    const before = encodeState(play.state);
    play.nowMs += 1;
    play.answered(place, { ok: 2 });
    expect(encodeState(play.proved().state)).toBe(before);
  });

  test("a result that comes again while its task waits for another attempt", () => {
    const rules = [{ do: "retry" as const, attempts: 3, delay: 60 }];
    const play = new Play(playbook({ steps: { start: { tool: { rules } } } })).start();
    const { place } = play.commands[0]!;
    const failed = { error: { kind: "timeout", message: "t", retryable: true } } as const;
    play.answer("e1/start/1/-/start/1", failed);
    const before = encodeState(play.state);
    play.nowMs += 1;
    play.answered(place, failed).answered(place, { ok: 1 });
    expect(encodeState(play.proved().state)).toBe(before);
  });

  test.each([
    "action.accepted",
    "action.started",
    "action.progress",
    "action.retrying",
    "job.failed",
    "timer.fired",
  ])("%s", (type) => {
    const play = begun();
    const before = encodeState(play.state);
    play.nowMs += 1;
    play.input(type, { ...at(play.commands[1]!.place), context: { name: "step/a/1" } });
    expect(encodeState(play.state)).toBe(before);
  });

  test("an event whose time cannot be read", () => {
    const play = begun();
    const before = encodeState(play.state);
    play.input("execution.cancel_requested", { timestamp: "yesterday" });
    expect(encodeState(play.state)).toBe(before);
  });

  test("after the terminal event nothing changes and nothing is decided", () => {
    const play = new Play(playbook({ steps: { start: {} } })).run();
    const before = encodeState(play.state);
    for (const type of [
      "execution.requested",
      "execution.cancel_requested",
      "execution.paused",
      "execution.failed",
    ]) {
      play.input(type);
      expect(play.last).toEqual({
        commands: [],
        events: [],
        timers: [],
        completion: { status: "COMPLETED", result: { from: "start" }, failed: [] },
      });
    }
    play.answered(play.commands[0]!.place, { ok: 2 });
    expect(encodeState(play.proved().state)).toBe(before);
    expect(play.events.filter(({ type }) => type.startsWith("execution."))).toHaveLength(2);
  });

  test("before the request nothing is decided", () => {
    const program = compileProgram(playbook({ steps: { start: {} } }));
    if (!program.ok) throw new Error("compiles");
    expect(evaluate([], program.value).decision).toEqual({ commands: [], events: [], timers: [] });
  });
});

describe("snapshots", () => {
  test("are canonical: a decoded state encodes to the same bytes", () => {
    const play = begun();
    const bytes = encodeState(play.state);
    const read = decodeState(bytes);
    expect(read.ok && encodeState(read.value)).toBe(bytes);
  });

  test.each([
    ["", "Cannot read the snapshot as it is not JSON"],
    ["[]", "Cannot read the snapshot as its version is none: 1 is read"],
    ['{"version":2}', "Cannot read the snapshot as its version is 2: 1 is read"],
    ['{"version":1}', "Cannot read the snapshot as members are missing"],
  ])("%s is refused", (text, why) => {
    expect(decodeState(text)).toEqual({ ok: false, error: why });
  });

  test("a state does not grow with what is done: lesson 11", () => {
    const program = compileProgram(
      playbook({
        steps: { start: { set: { "ctx.n": "{{ (ctx.n | default(0)) + 1 }}" }, next: "start" } },
      }),
    );
    if (!program.ok) throw new Error("compiles");
    const play = new Play(
      playbook({
        steps: { start: { set: { "ctx.n": "{{ (ctx.n | default(0)) + 1 }}" }, next: "start" } },
      }),
    );
    play.start();
    const sizes = [100, 1000].map((until) => {
      while (play.commands.length < until) play.step();
      return encodeState(play.state).length;
    });
    expect((sizes[1] ?? 0) - (sizes[0] ?? 0)).toBeLessThan(20);
    expect(drive(initialState("e2"), [], program.value).state.status).toBe("new");
  });
});
