import { describe, expect, test } from "vitest";
import { playbook, type PlaybookNote } from "../../test/core/notation.ts";
import { coreEventOf } from "../event/core-event.ts";
import { eventId, executionId } from "../event/ids.ts";
import { commandKey, coreEventOfDecision, recordOf, type DecisionEvent } from "./decision.ts";
import { compileProgram } from "./program.ts";
import { maskOf, reachOf, isIn } from "./program/graph.ts";
import { decisionOf } from "./state/read.ts";

function problems(note: PlaybookNote, entry?: string): unknown {
  const compiled = compileProgram({ ...playbook(note), ...(entry === undefined ? {} : { entry }) });
  return compiled.ok ? [] : compiled.error;
}

describe("compileProgram refuses, with all that is wrong and where", () => {
  test.each<[string, PlaybookNote, unknown]>([
    [
      "an arc to nowhere",
      { steps: { start: { next: "nowhere" } } },
      [
        {
          path: ["steps", 0, "next", "arcs", 0, "to"],
          message: 'step "start" leads to "nowhere", which is no step',
        },
      ],
    ],
    [
      "a jump to nowhere",
      { steps: { start: { tool: { rules: [{ do: "jump", to: "x" }] } } } },
      [
        {
          path: ["steps", 0, "tasks", 0, "rules", 0, "then", "to"],
          message: 'task "start" jumps to "x", which is no task of its step',
        },
      ],
    ],
    [
      "two tasks of one name",
      { steps: { start: { tool: [{ name: "a" }, { name: "a" }] } } },
      [
        {
          path: ["steps", 0, "tasks", 1, "name"],
          message: 'two tasks of step "start" have the name "a"',
        },
      ],
    ],
    [
      "a step without a tool",
      { steps: { start: { tool: [] } } },
      [{ path: ["steps", 0, "tasks"], message: 'step "start" has no tool' }],
    ],
    [
      "a string that mixes the keychain with other names",
      { steps: { start: { tool: { config: { url: "{{ keychain.a }}{{ ctx.b }}" } } } } },
      [
        {
          path: ["steps", 0, "tasks", 0, "config", "url"],
          message:
            "a string that names the keychain can name nothing else, as only executors read the keychain: it names ctx",
        },
      ],
    ],
  ])("%s", (_name, note, expected) => {
    expect(problems(note)).toEqual(expected);
  });

  test("an entry that is no step, and two steps of one name", () => {
    const one = playbook({ steps: { start: {} } });
    expect(compileProgram({ ...one, entry: "begin", steps: [...one.steps, ...one.steps] })).toEqual(
      {
        ok: false,
        error: [
          { path: ["steps", 1, "name"], message: 'two steps have the name "start"' },
          { path: ["entry"], message: 'there is no step "begin" to begin with' },
        ],
      },
    );
  });

  test("templates that do not parse, each with its place and its offset", () => {
    const found = problems({
      workload: { w: "{{ a b }}" },
      output: "{{ ( }}",
      steps: {
        start: {
          admit: [{ when: "1 +", allow: true }],
          loop: { in: "{{ [ }}", max: "{{ | }}" },
          tool: {
            config: { deep: ["{{ x. }}"] },
            rules: [{ when: "and", do: "continue", set: { "ctx.a": "{{ ~ }}" } }],
          },
          next: [{ to: "start", when: "not" }],
        },
      },
    });
    const paths = (found as { path: unknown[]; at: number }[]).map(({ path }) => path.join("."));
    expect(paths).toEqual([
      "steps.0.admit.0.when",
      "steps.0.loop.maxInFlight",
      "steps.0.loop.in",
      "steps.0.tasks.0.config.deep.0",
      "steps.0.tasks.0.rules.0.when",
      "steps.0.tasks.0.rules.0.then.set.0.value",
      "steps.0.next.arcs.0.when",
      "workload.w",
      "output",
    ]);
    expect((found as { at?: number }[]).every(({ at }) => typeof at === "number")).toBe(true);
  });
});

describe("reach", () => {
  test("is what a step can be reached from, over any number of arcs and words of 32", () => {
    const chain = Array.from({ length: 70 }, (_, index) => (index < 69 ? [index + 1] : []));
    const { from, incoming, byRank } = reachOf(chain, 0);
    expect([...Array(70).keys()].filter((step) => isIn(from[69] ?? maskOf(70), step))).toEqual([
      ...Array(69).keys(),
    ]);
    expect([...Array(70).keys()].filter((step) => isIn(from[40] ?? maskOf(70), step))).toEqual([
      ...Array(40).keys(),
    ]);
    expect(incoming.slice(0, 3)).toEqual([0, 1, 1]);
    expect(byRank).toEqual([...Array(70).keys()]);
  });

  test("of a step in a cycle has the step itself; ranks go from causes to effects", () => {
    const { from, rank, byRank } = reachOf([[2, 1], [3], [3], [1, 4], []], 0);
    expect([0, 1, 2, 3, 4].filter((step) => isIn(from[1] ?? maskOf(5), step))).toEqual([
      0, 1, 2, 3,
    ]);
    expect(byRank).toEqual([0, 2, 3, 4, 1]);
    expect(rank).toEqual([0, 4, 1, 2, 3]);
  });
});

describe("keys", () => {
  test("are unique where names hold slashes and percent signs", () => {
    const place = { step: "a/b", activation: 1, item: "-", task: "50%", attempt: 2 };
    expect(commandKey("e/1", place)).toBe("e%2F1/a%2Fb/1/-/50%25/2");
    expect(commandKey("e", { ...place, step: "a", task: "b" })).toBe("e/a/1/-/b/2");
  });
});

describe("a decision on the log", () => {
  const error = { kind: "timeout", message: "m", retryable: true, detail: { step: "s" } } as const;
  const set = [{ scope: "ctx", path: ["a"], value: null }] as const;
  const of = { step: "s/x", activation: 2 };
  const entered = [{ step: "t", activation: 1, set }];
  const decisions: DecisionEvent[] = [
    { type: "execution.started", workload: { a: [1] }, entered },
    { type: "step.skipped", ...of, rule: 0, entered: [] },
    { type: "loop.started", ...of, max_in_flight: 3, items: [1, null] },
    { type: "loop.started", ...of, max_in_flight: 3 },
    {
      type: "task.decided",
      ...of,
      item: "0",
      task: "t",
      attempt: 2,
      rule: "default",
      verdict: { do: "continue" },
      set,
    },
    {
      type: "task.decided",
      ...of,
      item: "-",
      task: "t",
      attempt: 1,
      rule: 1,
      verdict: { do: "retry", due_ms: 5 },
      set,
    },
    {
      type: "task.decided",
      ...of,
      item: "-",
      task: "t",
      attempt: 1,
      rule: "error",
      verdict: { do: "fail", error },
      set: [],
    },
    {
      type: "task.decided",
      ...of,
      item: "-",
      task: "t",
      attempt: 1,
      rule: 0,
      verdict: { do: "jump", to: "x" },
      set: [],
    },
    {
      type: "step.completed",
      ...of,
      data: null,
      set,
      arcs: [{ to: "t", taken: true, why: "true", set }],
      entered,
    },
    { type: "step.completed", ...of, set: [], arcs: [], entered: [] },
    { type: "step.failed", ...of, error },
    { type: "execution.completed", result: { status: "own", meta: 1 } },
    { type: "execution.failed", error, failed: [{ ...of, error }] },
    { type: "execution.cancelled", reason: "why" },
  ];

  test.each(decisions.map((decision) => [decision.type, decision] as const))(
    "%s comes back as it went, by our conversion and by the one of the log",
    (_type, decision) => {
      const at = { eventId: "7", executionId: "e1", timestamp: "2026-01-01T00:00:00.000Z" };
      const direct = coreEventOfDecision(decision, at);
      expect(decisionOf(direct)).toEqual(decision);
      const { event_type, tags, attrs } = recordOf(decision);
      const logged = coreEventOf({
        topic: "decisions",
        partition: 0,
        offset: 1,
        ingestedAtMs: 0,
        event: {
          event_id: eventId("7"),
          event_type,
          entity_id: "execution:e1",
          execution_id: executionId("e1"),
          ts: at.timestamp,
          source: { system: "deed", ns: {} },
          tags,
          attrs,
        },
      });
      expect(logged).toEqual({ ok: true, value: direct });
    },
  );

  test.each([
    ["step.completed", { set: [], arcs: [] }],
    ["step.failed", { error: { kind: "nonsense", message: "m", retryable: true } }],
    ["task.decided", { rule: 0, verdict: { do: "dance" }, set: [] }],
    ["execution.started", { workload: {}, entered: [{ step: "s" }] }],
    ["loop.started", {}],
    ["step.danced", {}],
  ])("%s that is not as we write it is no decision", (event_type, context) => {
    expect(
      decisionOf({
        event_id: eventId("1"),
        execution_id: executionId("e1"),
        event_type,
        node_name: "s",
        status: "X",
        context,
        meta: { tags: { activation: 1, item: "-", task: "t", attempt: 1 } },
        timestamp: "2026-01-01T00:00:00.000Z",
      }),
    ).toBeUndefined();
  });
});
