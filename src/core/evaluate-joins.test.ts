import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { playbook, type StepNote } from "../../test/core/notation.ts";
import { coreLimits } from "./limits.ts";
import { Play, answers, failure } from "../../test/core/play.ts";

const fork = { mode: "inclusive" } as const;

/** Answers commands of these steps in this order, each as soon as it is asked for. */
function inOrder(play: Play, order: readonly string[]): Play {
  play.start();
  for (const step of order) {
    const key = play.openKeys().find((one) => one.startsWith(`e1/${step}/`));
    expect(key, `${step} is open: ${play.openKeys().join(", ")}`).toBeDefined();
    play.answer(key!, { ok: { from: step } });
  }
  return play.proved();
}

describe("semantics 15: a join waits for every branch that can still arrive", () => {
  const diamond = {
    start: { ...fork, next: ["a", "b"] },
    a: { next: "end" },
    b: { next: "end" },
    end: {},
  };

  test.each([[["start", "a", "b"]], [["start", "b", "a"]]])("diamond, %j", (order) => {
    const play = inOrder(new Play(playbook({ steps: diamond })), order.slice(0, 2));
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1"]);
    play.answer(play.openKeys()[0]!, { ok: 1 });
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1", "end/1"]);
    expect(play.goOn().proved().status).toBe("COMPLETED");
  });

  test("exclusive diamond: the branch that was not taken is not waited for", () => {
    const play = new Play(
      playbook({ steps: { ...diamond, start: { next: [{ to: "a", when: "1 == 2" }, "b"] } } }),
    );
    expect(play.run().proved().entered()).toEqual(["start/1", "b/1", "end/1"]);
  });

  test("nested: the outer join waits for the inner one", () => {
    const steps = {
      start: { ...fork, next: ["left", "right"] },
      left: { ...fork, next: ["l1", "l2"] },
      l1: { next: "inner" },
      l2: { next: "inner" },
      inner: { next: "outer" },
      right: { next: "outer" },
      outer: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "right", "left", "l1"]);
    expect(play.entered()).not.toContain("outer/1");
    play.answer("e1/l2/1/-/l2/1", { ok: 1 });
    expect(play.entered().slice(-1)).toEqual(["inner/1"]);
    play.answer("e1/inner/1/-/inner/1", { ok: 1 });
    expect(play.entered().slice(-1)).toEqual(["outer/1"]);
    expect(play.goOn().proved().status).toBe("COMPLETED");
    expect(play.entered().filter((one) => one.startsWith("outer"))).toEqual(["outer/1"]);
  });

  test("three ways, one skipped: the join is entered once, after the two others", () => {
    const steps = {
      start: { ...fork, next: ["a", "b", "c"] },
      a: { next: "end" },
      b: { admit: [{ allow: false }], next: "end" },
      c: { next: "end" },
      end: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "a"]);
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1", "c/1"]);
    expect(play.goOn().proved().entered()).toEqual(["start/1", "a/1", "b/1", "c/1", "end/1"]);
  });

  test("the last branch that could arrive is skipped: the skip itself lets the join go on", () => {
    const steps = {
      start: { ...fork, next: ["a", "b"] },
      a: { next: "end" },
      b: { next: "c" },
      c: { admit: [{ allow: false }], next: "end" },
      end: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "a", "b"]);
    expect(play.of("step.skipped")).toEqual([
      {
        type: "step.skipped",
        step: "c",
        activation: 1,
        rule: 0,
        entered: [{ step: "end", activation: 1 }],
      },
    ]);
    expect(play.goOn().status).toBe("COMPLETED");
  });

  test("a branch whose arcs all say no lets the join go on", () => {
    const steps = {
      start: { ...fork, next: ["a", "b"] },
      a: { next: "end" },
      b: { next: [{ to: "end", when: "1 == 2" }] },
      end: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "a", "b"]);
    expect(play.entered()).toEqual(["start/1", "a/1", "b/1", "end/1"]);
  });

  test("a failed branch that a rule handled counts as arrived", () => {
    const steps = {
      ...diamond,
      a: { tool: { rules: [{ do: "continue" as const }] }, next: "end" },
      end: { tool: { input: { a: "{{ a.error.message }}", b: "{{ b.from }}" } } },
    };
    const play = new Play(playbook({ steps }), answers({ a: failure("lost") }));
    expect(play.run().proved().entered()).toEqual(["start/1", "a/1", "b/1", "end/1"]);
    expect(play.args("end")).toEqual({ input: { a: "lost", b: "b" } });
    expect(play.status).toBe("COMPLETED");
  });

  test("a long way round is waited for", () => {
    const steps = {
      start: { ...fork, next: ["short", "l1"] },
      short: { next: "end" },
      l1: { next: "l2" },
      l2: { next: "l3" },
      l3: { next: "end" },
      end: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "short", "l1", "l2"]);
    expect(play.entered()).not.toContain("end/1");
    play.answer("e1/l3/1/-/l3/1", { ok: 1 });
    expect(play.entered()).toContain("end/1");
  });

  test("what arcs set for the step they lead to arrives, from all branches", () => {
    const steps = {
      start: { ...fork, next: ["a", "b"] },
      a: { next: [{ to: "end", set: { x: "{{ a.from }}" } }] },
      b: { next: [{ to: "end", set: { y: "{{ b.from }}", "step.z": 3 } }] },
      end: { tool: { input: { x: "{{ x }}", y: "{{ iter.y }}", z: "{{ step.z }}" } } },
    };
    const play = new Play(playbook({ steps })).run().proved();
    expect(play.args("end")).toEqual({ input: { x: "a", y: "b", z: 3 } });
  });

  test("where two branches set one name, the one that arrived last wins", () => {
    const steps = {
      start: { ...fork, next: ["a", "b"] },
      a: { next: [{ to: "end", set: { x: "a" } }] },
      b: { next: [{ to: "end", set: { x: "b" } }] },
      end: { tool: { input: { x: "{{ x }}" } } },
    };
    for (const order of [
      ["a", "b"],
      ["b", "a"],
    ]) {
      const play = inOrder(new Play(playbook({ steps })), ["start", ...order]);
      expect(play.args("end")).toEqual({ input: { x: order[1] } });
    }
  });
});

describe("semantics 7: cycles enter a step again as a new activation", () => {
  test("a step that leads back to itself is entered until its condition says no", () => {
    const steps = {
      start: { set: { "ctx.n": 0 }, next: "poll" },
      poll: {
        set: { "ctx.n": "{{ ctx.n + 1 }}" },
        next: [{ to: "poll", when: "ctx.n < 3" }, "done"],
      },
      done: {},
    };
    const play = new Play(playbook({ steps })).run().proved();
    expect(play.entered()).toEqual(["start/1", "poll/1", "poll/2", "poll/3", "done/1"]);
    expect(play.ctx).toEqual({ n: 3 });
    expect(play.keys()).toContain("poll/3/-/poll/1");
  });

  test("a join in a cycle joins anew in each round, and the way back does not hold up its own start", () => {
    const steps = {
      start: { set: { "ctx.n": 0 }, next: "head" },
      head: { ...fork, set: { "ctx.n": "{{ ctx.n + 1 }}" }, next: ["a", "b"] },
      a: { next: "join" },
      b: { next: "join" },
      join: { next: [{ to: "head", when: "ctx.n < 3" }, "end"] },
      end: {},
    };
    const play = new Play(playbook({ steps })).run().proved();
    expect(play.entered()).toEqual([
      "start/1",
      ...[1, 2, 3].flatMap((round) =>
        ["head", "a", "b", "join"].map((step) => `${step}/${String(round)}`),
      ),
      "end/1",
    ]);
    expect(play.status).toBe("COMPLETED");
  });

  test("a join after a cycle waits while the cycle can still leave it", () => {
    const steps = {
      start: { ...fork, set: { "ctx.n": 0 }, next: ["loop", "side"] },
      loop: {
        set: { "ctx.n": "{{ ctx.n + 1 }}" },
        next: [{ to: "body", when: "ctx.n < 3" }, "end"],
      },
      body: { next: "loop" },
      side: { next: "end" },
      end: {},
    };
    const play = inOrder(new Play(playbook({ steps })), ["start", "side", "loop", "body"]);
    expect(play.entered()).not.toContain("end/1");
    expect(
      play
        .goOn()
        .proved()
        .entered()
        .filter((one) => one.startsWith("end")),
    ).toEqual(["end/1"]);
  });

  test("two joins of one cycle that wait for each other: the one nearer to the start goes on", () => {
    const steps = {
      start: { ...fork, next: ["p", "q"] },
      p: { ...fork, next: [{ to: "q", when: "ctx.stop is not defined" }] },
      q: { ...fork, set: { "ctx.stop": 1 }, next: [{ to: "p", when: "q.again" }] },
      end: {},
    };
    const play = new Play(
      playbook({ steps }),
      answers({ q: [{ ok: { again: true } }], p: { ok: 1 } }),
    );
    play.run().proved();
    expect(play.status).toBe("COMPLETED");
    expect(play.entered()[1]).toBe("p/1");
  });

  test("a cycle without an end and without work fails at the limit instead of turning for ever", () => {
    const steps = { start: { next: "spin" }, spin: { loop: { in: [] }, next: "spin" } };
    const play = new Play(playbook({ steps })).start();
    play.state.enteredTotal = coreLimits.activationsMax - 100;
    play.goOn();
    expect(play.of("step.completed")).toHaveLength(101);
    expect(play.status).toBe("FAILED");
    expect(play.why).toBe(
      'step "spin": The execution entered more than 100000 steps: does a cycle never end?',
    );
  });
});

describe("in any playbook, with cycles too, whatever the order of answers", () => {
  const graph = fc.integer({ min: 2, max: 5 }).chain((size) =>
    fc.record({
      steps: fc.array(
        fc.record({
          targets: fc.uniqueArray(fc.nat({ max: size - 1 }), { maxLength: 3 }),
          exclusive: fc.boolean(),
        }),
        { minLength: size, maxLength: size },
      ),
      picks: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
    }),
  );

  test("there is always live work until it ends, and it ends once", () => {
    fc.assert(
      fc.property(graph, ({ steps: notes, picks }) => {
        const steps: Record<string, StepNote> = {};
        for (const [index, { targets, exclusive }] of notes.entries()) {
          const name = `s${String(index)}`;
          steps[name] = {
            mode: exclusive ? "exclusive" : "inclusive",
            next: targets.map((target) => ({
              to: `s${String(target)}`,
              when: target > index ? "1 == 1" : `${name}.n < 2`,
            })),
          };
        }
        const play = new Play(playbook({ steps })).start();
        for (let turn = 0; play.status === undefined; turn += 1) {
          const open = play.openKeys();
          expect(open.length, "live work").toBeGreaterThan(0);
          const key = open[(picks[turn % picks.length] ?? 0) % open.length] ?? "";
          play.answer(key, { ok: { n: Number(key.split("/")[2]) } });
        }
        expect(play.status).toBe("COMPLETED");
        expect(play.openKeys()).toEqual([]);
        expect(new Set(play.keys()).size).toBe(play.keys().length);
        if (play.keys().length < 40) play.proved();
      }),
      { numRuns: 60 },
    );
  });
});

describe("in any playbook without cycles, whatever the order of answers", () => {
  const graph = fc.integer({ min: 2, max: 9 }).chain((size) =>
    fc.record({
      arcs: fc.array(
        fc.record({
          targets: fc.uniqueArray(fc.integer({ min: 1, max: size - 1 }), { maxLength: 4 }),
          exclusive: fc.boolean(),
          falses: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
          skip: fc.boolean(),
        }),
        { minLength: size, maxLength: size },
      ),
      picks: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
    }),
  );

  test("each step is entered at most once: exactly where a taken arc leads, after all that could arrive", () => {
    fc.assert(
      fc.property(graph, ({ arcs, picks }) => {
        const steps: Record<string, StepNote> = {};
        for (const [index, { targets, exclusive, falses, skip }] of arcs.entries()) {
          steps[`s${String(index)}`] = {
            mode: exclusive ? "exclusive" : "inclusive",
            ...(skip && index > 0 && targets.length % 2 === 1 ? { admit: [{ allow: false }] } : {}),
            next: targets
              .filter((target) => target > index)
              .map((target, place) => ({
                to: `s${String(target)}`,
                when: falses[place] === true ? "1 == 2" : "1 == 1",
              })),
          };
        }
        const play = new Play(playbook({ steps })).start();
        for (let turn = 0; play.openKeys().length > 0; turn += 1) {
          const open = play.openKeys();
          play.answer(open[(picks[turn % picks.length] ?? 0) % open.length]!, { ok: turn });
        }
        expect(play.proved().status).toBe("COMPLETED");
        const expected = new Set<string>(["s0"]);
        for (const [name, { admit, next, mode }] of Object.entries(steps)) {
          if (!expected.has(name) || admit !== undefined || next === undefined) continue;
          const taken = [next]
            .flat()
            .flatMap((arc) => (typeof arc !== "string" && arc.when === "1 == 1" ? [arc] : []));
          for (const arc of mode === "exclusive" ? taken.slice(0, 1) : taken) expected.add(arc.to);
        }
        expect([...play.entered()].sort()).toEqual([...expected].map((name) => `${name}/1`).sort());
      }),
      { numRuns: 60 },
    );
  });
});
