import { describe, expect, test } from "vitest";
import { playbook } from "../../test/core/notation.ts";
import { Play } from "../../test/core/play.ts";

describe("an execution that is run again from a step", () => {
  const known = {
    step: "b",
    workload: { n: 1, kept: true },
    ctx: { seen: 5 },
    steps: { start: { data: { rows: 3 } } },
  };
  const steps = {
    start: { next: "b" },
    b: {
      tool: {
        input: {
          rows: "{{ start.rows }}",
          n: "{{ n }}",
          kept: "{{ kept }}",
          seen: "{{ ctx.seen }}",
        },
      },
    },
  };

  test("begins there with what the former one knew, its own payload over the workload", () => {
    const play = new Play(playbook({ steps }));
    play.input("execution.requested", { context: { payload: { n: 2 }, env: {}, restart: known } });
    expect(play.commands.map(({ place }) => place.step)).toEqual(["b"]);
    expect(play.args("b")).toEqual({ input: { rows: 3, n: 2, kept: true, seen: 5 } });
    expect(play.goOn().last?.completion).toMatchObject({
      status: "COMPLETED",
      result: { from: "b" },
    });
  });

  test("a step that this version does not have fails it, and says so", () => {
    const play = new Play(playbook({ steps }));
    const restart = { ...known, step: "gone" };
    play.input("execution.requested", { context: { payload: {}, env: {}, restart } });
    expect(play.commands).toEqual([]);
    expect(play.events).toMatchObject([{ type: "execution.failed", error: { kind: "not_found" } }]);
  });
});

test("return_step names the step whose data is the result, also where no template reads it", () => {
  const steps = { start: { next: "b" }, b: {} };
  const play = new Play(playbook({ steps }));
  play.input("execution.requested", { context: { payload: {}, env: {}, return_step: "start" } });
  expect(play.goOn().last?.completion?.result).toEqual({ from: "start" });
});
