import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../base/json.ts";
import { playbook, type StepNote } from "../../test/core/notation.ts";
import { Play, answers, failure, type Requested } from "../../test/core/play.ts";

function looping(loop: StepNote["loop"], over: StepNote = {}, workload = {}): Play {
  const start: StepNote = { loop: loop ?? {}, tool: { input: { it: "{{ item }}" } }, ...over };
  return new Play(
    playbook({
      workload,
      steps: {
        start: { next: "end", ...start },
        end: { tool: { input: { all: "{{ start.results }}" } } },
      },
    }),
    answers({
      start: ({ args }: Requested) => ({ ok: { got: (args["input"] as { it: Json }).it } }),
    }),
  );
}

describe("semantics 6: a loop's data", () => {
  test("results stand in the order of the items, whatever order they came in", () => {
    const play = looping({ in: ["a", "b", "c"] }).start();
    for (const item of ["2", "0", "1"])
      play.answer(`e1/start/1/${item}/start/1`, { ok: `r${item}` });
    play.goOn().proved();
    expect(play.args("end")).toEqual({ input: { all: ["r0", "r1", "r2"] } });
    expect(play.status).toBe("COMPLETED");
  });

  test("the result of an execution that ends in a loop is its results and its counts", () => {
    const play = looping({ in: [1, 2, 3] }, { next: [] })
      .run()
      .proved();
    expect(play.result).toEqual({
      results: [{ got: 1 }, { got: 2 }, { got: 3 }],
      stats: { total: 3, success: 3, failed: 0 },
    });
  });

  test("an iteration whose error a rule handled is the value {error}, and counts as failed", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            loop: { in: [1, 2] },
            tool: { rules: [{ when: "output.status == 'error'", do: "continue" }] },
          },
        },
      }),
      answers({
        start: ({ place }: Requested) => (place.item === "0" ? failure("bad") : { ok: "good" }),
      }),
    );
    expect(play.run().proved().result).toEqual({
      results: [{ error: { kind: "executor_error", message: "bad", retryable: false } }, "good"],
      stats: { total: 2, success: 1, failed: 1 },
    });
  });

  test("an iteration that fails unhandled fails the step once what runs has ended; nothing new is claimed", () => {
    const play = looping({ in: [0, 1, 2, 3, 4], max: 2 }).start();
    play.answer("e1/start/1/0/start/1", failure("broken") as { error: never });
    expect(play.status).toBeUndefined();
    expect(play.openKeys()).toEqual(["e1/start/1/1/start/1"]);
    play.answer("e1/start/1/1/start/1", { ok: 1 }).proved();
    expect(play.status).toBe("FAILED");
    expect(play.why).toBe('step "start": item 0: broken');
    expect(play.keys()).toHaveLength(2);
  });

  test("a loop over nothing is done at once", () => {
    const play = looping({ in: [] }).run().proved();
    expect(play.entered()).toEqual(["start/1", "end/1"]);
    expect(play.args("end")).toEqual({ input: { all: [] } });
  });
});

describe("loop.in", () => {
  test("a mapping gives items {key, value}", () => {
    const play = looping({ in: { b: 1, a: 2 } })
      .run()
      .proved();
    expect(play.args("end")).toEqual({
      input: { all: [{ got: { key: "b", value: 1 } }, { got: { key: "a", value: 2 } }] },
    });
  });

  test.each([
    ["{{ workload.none }}", null],
    ["{{ workload.text }}", "abc"],
    ["{{ workload.number }}", 7],
    ["{{ workload.ref }}", { $ref: "blob:sha256:00", size: 1 }],
  ])("%s is an error that names the step", (source, value) => {
    const workload = { text: "abc", number: 7, ref: { $ref: "blob:sha256:00", size: 1 } };
    const play = looping({ in: source }, {}, workload).run().proved();
    expect(play.status).toBe("FAILED");
    expect(play.why).toBe(
      `step "start": Cannot loop over loop.in: a list or a mapping is needed, got ${JSON.stringify(value)}`,
    );
    expect(play.keys()).toEqual([]);
  });

  test("items are taken when the loop begins: what an iteration sets later changes none", () => {
    const play = new Play(
      playbook({
        steps: {
          start: {
            loop: { in: "{{ workload.list }}", mode: "sequential" },
            tool: { input: { it: "{{ item }}" }, set: { "ctx.seen": "{{ item }}" } },
          },
        },
        workload: { list: [1, 2] },
      }),
    );
    play.run().proved();
    expect(play.commands.map(({ args }) => args)).toEqual([
      { input: { it: 1 } },
      { input: { it: 2 } },
    ]);
    expect(play.ctx).toEqual({ seen: 2 });
  });
});

describe("semantics 11: max_in_flight holds", () => {
  test.each([
    [{ mode: "sequential" as const }, 1],
    [{ max: 3 }, 3],
    [{ max: "{{ workload.n }}" }, 4],
    [{ max: "{{ workload.text }}" }, 2],
    [{}, 64],
  ])("%j: at most %i run at one time", (loop, most) => {
    const play = looping(
      { in: Array.from({ length: 70 }, (_, index) => index), ...loop },
      {},
      { n: 4, text: "2" },
    ).start();
    let seen = 0;
    while (play.openKeys().length > 0) {
      seen = Math.max(seen, play.openKeys().filter((key) => key.includes("/start/")).length);
      play.step();
    }
    expect(seen).toBe(most);
    expect(play.status).toBe("COMPLETED");
  });

  test.each([0, -1, 1.5, "{{ workload.nothing }}", "many"])("%j is an error", (max) => {
    const play = looping({ in: [1], max })
      .run()
      .proved();
    expect(play.status).toBe("FAILED");
    expect(play.why).toMatch(/^step "start": Cannot (loop with|use loop) max_in_flight/);
  });

  test("it is never exceeded, whatever fails, retries or arrives out of order, and all items are run", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ fails: fc.boolean(), pick: fc.nat() }), { maxLength: 25 }),
        (max, items) => {
          const rules = [
            { when: "output.status == 'error'", do: "retry" as const, attempts: 2, delay: 1 },
            { do: "continue" as const },
          ];
          const play = new Play(
            playbook({
              steps: {
                start: { loop: { in: items.map((_, index) => index), max }, tool: { rules } },
              },
            }),
            () => "open",
          ).start();
          for (let turn = 0; play.status === undefined; turn += 1) {
            const open = play.openKeys();
            const waiting = play.last?.timers ?? [];
            expect(open.length + waiting.length).toBeLessThanOrEqual(max);
            const pick = items[turn % Math.max(1, items.length)]?.pick ?? 0;
            const key = open[pick % Math.max(1, open.length)];
            if (key === undefined) {
              play.fire(waiting[0]!.name);
              continue;
            }
            const item = items[Number(key.split("/")[3])];
            play.answer(
              key,
              item?.fails === true && key.endsWith("/1")
                ? { error: { kind: "timeout", message: "t", retryable: true } }
                : { ok: key.split("/")[3]! },
            );
          }
          expect(play.status).toBe("COMPLETED");
          expect(play.result).toEqual({
            results: items.map((_, index) => String(index)),
            stats: { total: items.length, success: items.length, failed: 0 },
          });
          play.proved();
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("what an iteration sees", () => {
  test("its item by the iterator's name, iter.<name>, iter._index, iter._total, loop_index", () => {
    const input = {
      bare: "{{ row }}",
      iter: "{{ iter.row }}",
      index: "{{ iter._index }}",
      total: "{{ iter._total }}",
      loop: "{{ loop_index }}",
    };
    const play = new Play(
      playbook({ steps: { start: { loop: { in: ["x", "y"], as: "row" }, tool: { input } } } }),
    );
    play.run().proved();
    expect(play.commands.map(({ args }) => args["input"])).toEqual([
      { bare: "x", iter: "x", index: 0, total: 2, loop: 0 },
      { bare: "y", iter: "y", index: 1, total: 2, loop: 1 },
    ]);
  });

  test("iter values do not cross iterations; step and ctx values do", () => {
    const rules = [
      {
        do: "continue" as const,
        set: { "iter.a": "{{ item }}", "step.b": "{{ item }}", "ctx.c": "{{ item }}" },
      },
    ];
    const tasks = [
      { name: "one", rules },
      { name: "two", input: { a: "{{ iter.a }}", b: "{{ step.b }}", c: "{{ ctx.c }}" } },
      { name: "three", input: {} },
    ];
    const first = {
      name: "zero",
      input: { a: "{{ iter.a }}", b: "{{ step.b }}", c: "{{ ctx.c }}" },
    };
    const play = new Play(
      playbook({
        steps: { start: { loop: { in: [1, 2], mode: "sequential" }, tool: [first, ...tasks] } },
      }),
    );
    play.run().proved();
    const inputs = play.commands.filter(({ place }) => ["zero", "two"].includes(place.task));
    expect(inputs.map(({ args }) => args["input"])).toEqual([
      { a: null, b: null, c: null },
      { a: 1, b: 1, c: 1 },
      { a: null, b: 1, c: 1 },
      { a: 2, b: 2, c: 2 },
    ]);
  });

  test("after the loop event.name is loop.done", () => {
    const next = [
      { to: "no", when: "event.name == 'call.done'" },
      { to: "end", when: "event.name == 'loop.done'" },
    ];
    const play = new Play(
      playbook({ steps: { start: { loop: { in: [1] }, next }, no: {}, end: {} } }),
    );
    expect(play.run().proved().entered()).toEqual(["start/1", "end/1"]);
  });

  test("a loop step that is entered again begins with fresh results", () => {
    const steps = {
      start: { set: { "ctx.n": 0 }, next: "work" },
      work: {
        loop: { in: [1, 2] },
        set: { "ctx.n": "{{ ctx.n + 1 }}" },
        next: [{ to: "work", when: "ctx.n < 2" }],
      },
    };
    const play = new Play(
      playbook({ steps }),
      answers({ work: ({ key }: Requested) => ({ ok: key }) }),
    );
    expect(play.run().proved().result).toEqual({
      results: ["e1/work/2/0/work/1", "e1/work/2/1/work/1"],
      stats: { total: 2, success: 2, failed: 0 },
    });
  });
});

describe("a cursor claims rows until none is left", () => {
  const cursor = { query: "claim {{ workload.table }} limit {{ __frame_max_rows }}", rows: 2 };
  const claiming = (max: number, frames: Json[]): Play =>
    new Play(
      playbook({
        workload: { table: "t" },
        steps: {
          start: { loop: { cursor, as: "row", max }, tool: { input: { id: "{{ row.id }}" } } },
        },
      }),
      answers({
        claim: ({ place }: Requested) => ({
          ok: frames[Number(place.item.slice("claim-".length)) - 1] ?? { rows: [] },
        }),
        start: ({ args }: Requested) => ({ ok: (args["input"] as { id: Json }).id }),
      }),
    );
  const rows = (...ids: number[]): Json => ({
    columns: ["id"],
    rows: ids.map((id) => ({ id })),
    row_count: ids.length,
  });

  test("one frame after the other, one row at a time", () => {
    const play = claiming(1, [rows(1, 2), rows(3)])
      .run()
      .proved();
    expect(play.keys()).toEqual([
      "start/1/claim-1/claim/1",
      "start/1/0/start/1",
      "start/1/1/start/1",
      "start/1/claim-2/claim/1",
      "start/1/2/start/1",
      "start/1/claim-3/claim/1",
    ]);
    expect(play.commands[0]).toEqual({
      do: "request",
      key: "e1/start/1/claim-1/claim/1",
      place: { step: "start", activation: 1, item: "claim-1", task: "claim", attempt: 1 },
      kind: "postgres",
      args: { query: "claim t limit 2", max_rows: 2 },
    });
    expect(play.result).toEqual({ results: [1, 2, 3], stats: { total: 3, success: 3, failed: 0 } });
  });

  test("with room left it claims while rows run, one claim at a time", () => {
    const play = claiming(3, [rows(1, 2), rows(3, 4), rows(5)]).start();
    play.step();
    expect(play.openKeys()).toEqual([
      "e1/start/1/0/start/1",
      "e1/start/1/1/start/1",
      "e1/start/1/claim-2/claim/1",
    ]);
    play.goOn().proved();
    expect(play.result).toEqual({
      results: [1, 2, 3, 4, 5],
      stats: { total: 5, success: 5, failed: 0 },
    });
  });

  test("rows that came back while others ran are claimed: it ends after a claim that nothing had followed", () => {
    const play = claiming(2, [rows(1), rows(), rows(7), rows()])
      .run()
      .proved();
    expect(play.result).toEqual({ results: [1, 7], stats: { total: 2, success: 2, failed: 0 } });
    expect(play.keys().filter((key) => key.includes("claim"))).toHaveLength(5);
  });

  test.each([
    [[{ id: 1 }], [1]],
    [{ command_0: { rows: [{ id: 1 }] } }, [1]],
    [null, []],
  ])("rows as %j", (frame, results) => {
    const play = claiming(1, [frame]).run().proved();
    expect(play.result).toMatchObject({ results });
  });

  test("a claim that fails, or gives no rows, fails the step", () => {
    const fails = new Play(
      playbook({ steps: { start: { loop: { cursor } } } }),
      answers({ claim: failure("no table") }),
    );
    expect(fails.run().proved().why).toBe('step "start": no table');
    expect(
      claiming(1, [{ text: "?" }])
        .run()
        .proved().why,
    ).toBe('step "start": Cannot go on with the cursor as its claim gave no rows');
  });
});
