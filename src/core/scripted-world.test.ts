import { describe, expect, test } from "vitest";
import { playbook, type PlaybookNote } from "../../test/core/notation.ts";
import { canonicalJson } from "../base/canonical-json.ts";
import { deedError } from "../event/error.ts";
import { evaluate } from "./evaluate.ts";
import { compileProgram, type Program } from "./program.ts";
import { runWorld, type Script, type WorldOptions, type WorldRun } from "./scripted-world.ts";
import { encodeState } from "./state.ts";

function programOf(note: PlaybookNote): Program {
  const compiled = compileProgram(playbook(note));
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}

const fork = programOf({
  steps: {
    start: { mode: "inclusive", next: ["a", "b", "c"] },
    a: { next: "end" },
    b: { next: "end" },
    c: { next: "end" },
    end: {},
  },
});

const gives: Script = ({ command }) => ({ does: "succeed", result: { of: command.place.task } });

function run(options: Partial<WorldOptions> = {}, script = gives): WorldRun {
  return runWorld({ program: fork, ...options }, script);
}

/** The steps in the order in which their actions ended. */
function ended({ main }: WorldRun): (string | undefined)[] {
  return main.history
    .filter(({ event_type }) => /^action\.(succeeded|failed|cancelled)$/.test(event_type))
    .map(({ node_name }) => node_name);
}

describe("1. the same options and outcomes give the same run", () => {
  test("byte for byte, with a seed and without", () => {
    for (const options of [{}, { seed: "7" }]) {
      const [first, second] = [run(options), run(options)];
      expect(canonicalJson([...first.main.history])).toBe(canonicalJson([...second.main.history]));
    }
  });

  test("a seed chooses the order", () => {
    expect(ended(run())).toEqual(["start", "a", "b", "c", "end"]);
    const orders = new Set(
      Array.from({ length: 30 }, (_, seed) => ended(run({ seed: String(seed) })).join()),
    );
    expect(orders.size).toBe(6);
  });
});

describe("2. a history is complete", () => {
  test("folded whole it gives the state, and nothing is left to decide", () => {
    const { main } = run({ seed: "1" });
    const { state, decision } = evaluate(main.history, main.program);
    expect(encodeState(state)).toBe(encodeState(main.state));
    expect([decision.commands, decision.events]).toEqual([[], []]);
  });

  test("ids count on, and times never go back", () => {
    const { history } = run({ seed: "1" }).main;
    expect(history.map(({ event_id }) => Number(event_id))).toEqual(history.map((_, at) => at + 1));
    const times = history.map(({ timestamp }) => timestamp);
    expect(times).toEqual([...times].sort());
  });
});

describe("3. a run ends, whatever the script says", () => {
  const one = programOf({ steps: { start: { tool: { timeout: 5 } } } });
  const hangs: Script = () => ({ does: "hang" });

  test("a tool that hangs is awaited", () => {
    expect(run({}, hangs).ending).toBe("waiting");
  });

  test("or its time is up", () => {
    const { ending, main } = run({ program: one }, hangs);
    expect(ending).toBe("failed");
    expect(main.completion?.failed[0]?.error).toMatchObject({ kind: "timeout" });
    expect(main.history.at(-1)?.timestamp).toBe("2026-01-01T00:00:05.000Z");
  });

  test("or it is cancelled, unless it cannot be", () => {
    const inputs = [{ afterMs: 60, type: "execution.cancel_requested" }] as const;
    expect(run({ inputs }, hangs).ending).toBe("cancelled");
    const deaf: Script = () => ({ does: "hang", cancel: "ignored" });
    expect(run({ inputs }, deaf).ending).toBe("waiting");
    const late: Script = () => ({ does: "succeed", result: 1, afterMs: 99, cancel: "ignored" });
    const { ending, main } = run({ inputs }, late);
    expect(ending).toBe("cancelled");
    expect(main.history.at(-1)?.timestamp).toBe("2026-01-01T00:00:00.099Z");
  });

  test("a pause that nobody ends is awaited", () => {
    const inputs = [{ afterMs: 5, type: "execution.paused" }] as const;
    expect(run({ inputs }).ending).toBe("waiting");
  });

  test("what goes on for ever is stopped", () => {
    const cycle = programOf({ steps: { start: { next: "start" } } });
    expect(run({ program: cycle, eventsMax: 500 }).ending).toBe("unbounded");
  });
});

describe("sub-playbooks", () => {
  const child = programOf({ steps: { start: { next: "end" }, end: { tool: { kind: "noop" } } } });
  const parent = (config = {}): Program =>
    programOf({
      steps: {
        start: {
          tool: { kind: "playbook", config: { path: "child", ...config }, input: { n: 1 } },
        },
      },
    });
  const children = new Map([["child", child]]);

  test("run as executions of their own, and their end is the result of the command", () => {
    const { ending, main, children: runs } = run({ program: parent(), children });
    expect(ending).toBe("completed");
    expect(main.completion?.result).toEqual({ of: "start" });
    expect(runs.map(({ executionId }) => executionId)).toEqual(["1000002"]);
    expect(runs[0]?.history[0]?.context).toEqual({ payload: { n: 1 }, env: {} });
    const told = main.history.filter(({ execution_id }) => execution_id === "1000002");
    expect(told.map(({ event_type }) => event_type)).toEqual([
      "execution.requested",
      "execution.completed",
    ]);
    for (const event of told) {
      expect(event).toMatchObject({ parent_execution_id: "1000001", node_name: "start" });
    }
  });

  test("return_step names the step whose data it is", () => {
    const program = parent({ return_step: "end" });
    const script: Script = ({ command: { kind } }) => ({ does: "succeed", result: kind });
    expect(run({ program, children }, script).main.completion?.result).toBe("noop");
  });

  test("a child that fails fails its step; one that is unknown is asked for like a tool", () => {
    const error = deedError("conflict", "no");
    const failing = run({ program: parent(), children }, () => ({ does: "fail", error }));
    expect(failing.ending).toBe("failed");
    expect(failing.main.completion?.failed[0]?.error.kind).toBe("conflict");
    expect(run({ program: parent() }).main.completion?.result).toEqual({ of: "start" });
  });

  test("cancel reaches the child", () => {
    const inputs = [{ afterMs: 5, type: "execution.cancel_requested" }] as const;
    const { ending, children: runs } = run({ program: parent(), children, inputs });
    expect([ending, runs[0]?.completion?.status]).toEqual(["cancelled", "CANCELLED"]);
  });
});
