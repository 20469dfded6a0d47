/**
 * Random playbooks and random outcomes: what the properties of the core run over.
 *
 * A playbook is drawn as a sketch that shrinks well, then written out. Every playbook ends: arcs that lead
 * back hold for the first activations only, and jumps are counted.
 */
import fc from "fast-check";
import type { Json } from "../../src/base/json.ts";
import { seededRandom } from "../../src/base/random.ts";
import { deedError } from "../../src/event/error.ts";
import type { Arc, Loop, Playbook, PolicyRule, Step, Task } from "../../src/core/playbook.ts";
import { compileProgram, type Program } from "../../src/core/program.ts";
import type {
  Asked,
  ScriptedOutcome,
  WorldInput,
  WorldOptions,
} from "../../src/core/scripted-world.ts";

type Drawn<A> = A extends fc.Arbitrary<infer T> ? T : never;

/** Undefined, but for one in so many. */
function sometimes<T>(oneIn: number, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof(
    { weight: oneIn - 1, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary },
  );
}

/** `acyclic`: the terminal status may not depend on the order of results. */
export type Shape = "acyclic" | "any";

const ruleSketch = fc.constantFrom(
  ...(["continue", "retry", "retry_late", "fail", "break", "jump", "set"] as const),
);

const taskSketch = fc.record({
  kind: fc.constantFrom("python", "python", "python", "http", "noop", "playbook"),
  rules: fc.array(ruleSketch, { maxLength: 2, size: "max" }),
  otherwise: fc.constantFrom("none", "none", "none", "continue"),
  set: fc.boolean(),
});

const whens = ["always", "always", "always", "always", "even", "small", "never", "done"] as const;

const arcSketch = fc.record({
  by: fc.constantFrom(1, 1, 1, 2, 2, 3),
  when: fc.oneof(
    { weight: 60, arbitrary: fc.constantFrom(...whens) },
    { weight: 1, arbitrary: fc.constant("broken" as const) },
  ),
  set: fc.boolean(),
});

const loopSketch = fc.record({
  mode: fc.constantFrom("sequential", "parallel", "parallel", "cursor"),
  items: fc.integer({ min: 0, max: 6 }),
  mapping: fc.boolean(),
  inFlight: fc.integer({ min: 1, max: 3 }),
});

const stepSketch = (shape: Shape) =>
  fc.record({
    tasks: fc.array(taskSketch, { minLength: 1, maxLength: 3 }),
    loop: sometimes(4, loopSketch),
    inclusive: fc.constantFrom(true, true, false),
    arcs: fc.array(arcSketch, { minLength: 1, maxLength: 3, size: "max" }),
    strictMatch: fc.boolean(),
    admit: fc.constantFrom(
      ...(["all", "all", "all", "all", "all", "all", "none", "small"] as const),
    ),
    set: fc.boolean(),
    output: fc.boolean(),
    back:
      shape === "acyclic"
        ? fc.constant(undefined)
        : sometimes(
            5,
            fc.record({ by: fc.nat({ max: 4 }), times: fc.integer({ min: 1, max: 2 }) }),
          ),
    timeoutMs:
      shape === "acyclic"
        ? fc.constant(undefined)
        : sometimes(
            20,
            fc.integer({ min: 3, max: 25 }).map((tenths) => tenths * 100),
          ),
  });

type StepSketch = Drawn<ReturnType<typeof stepSketch>>;
type TaskSketch = Drawn<typeof taskSketch>;

const inputSketch = fc.record({
  afterMs: fc.integer({ min: 0, max: 3_000 }),
  type: fc.constantFrom("execution.cancel_requested", "execution.paused", "execution.resumed"),
});

/** One case: a program, what its tools do, and what happens from outside. */
export type Case = {
  readonly playbook: Playbook;
  readonly program: Program;
  readonly options: Omit<WorldOptions, "seed">;
  readonly script: (asked: Asked) => ScriptedOutcome;
  readonly [fc.toStringMethod]: () => string;
};

export function cases(shape: Shape): fc.Arbitrary<Case> {
  return fc
    .record({
      steps: fc.array(stepSketch(shape), { minLength: 2, maxLength: 9, size: "max" }),
      strict: fc.boolean(),
      outcomes: fc.nat({ max: 1_000_000 }),
      failing: fc.constantFrom(0, 0, 0, 0.02, 0.1),
      inputs:
        shape === "acyclic"
          ? fc.constant([])
          : sometimes(4, fc.array(inputSketch, { minLength: 1, maxLength: 2 })),
      timeoutMs:
        shape === "acyclic"
          ? fc.constant(undefined)
          : sometimes(
              20,
              fc.integer({ min: 1, max: 9 }).map((seconds) => seconds * 1_000),
            ),
    })
    .map(({ steps, strict, outcomes, failing, inputs = [], timeoutMs }) => {
      const playbook: Playbook = {
        apiVersion: strict ? "deed/v1" : "noetl.io/v2",
        name: "random",
        path: "random",
        workload: { limit: 5, text: "{{ payload.who }}-{{ limit }}" },
        entry: "s0",
        steps: steps.map((sketch, index) =>
          stepOf(sketch, index, { count: steps.length, acyclic: shape === "acyclic" }),
        ),
        keychain: [],
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      };
      return {
        playbook,
        program: programOf(playbook),
        options: {
          program: programOf(playbook),
          children: new Map([["child", childProgram]]),
          payload: { who: "me" },
          inputs: resumed(inputs),
          eventsMax: 100_000,
        },
        script: scriptOf(outcomes, failing, shape === "any"),
        [fc.toStringMethod]: () =>
          JSON.stringify({ playbook, inputs: resumed(inputs), outcomes, failing, shape }),
      };
    });
}

export function programOf(playbook: Playbook): Program {
  const compiled = compileProgram(playbook);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}

/** A pause that nobody ends would let the execution wait for ever, as it should. */
function resumed(inputs: readonly WorldInput[]): WorldInput[] {
  const paused = inputs.some(({ type }) => type === "execution.paused");
  return [...inputs, ...(paused ? [{ afterMs: 5_000, type: "execution.resumed" } as const] : [])];
}

/** What a tool does follows from where it stands, never from when it is asked. */
function scriptOf(seed: number, failing: number, hangs: boolean): Case["script"] {
  return ({ command: { place, timeoutMs } }) => {
    const { step, activation, item, task, attempt } = place;
    const random = seededRandom([seed, step, activation, item, task, attempt].join("/"));
    const chance = random();
    const cancel = random() < 0.2 ? "ignored" : "stops";
    if (task === "claim") {
      const claim = Number(item.slice("claim-".length));
      const rows = claim > 2 ? 0 : Math.floor(random() * 3);
      const result: Json = Array.from({ length: rows }, (_, row) => ({ n: claim * 10 + row }));
      return { does: "succeed", result: { rows: result, row_count: rows }, cancel };
    }
    if (hangs && timeoutMs !== undefined && random() < 0.2) return { does: "hang", cancel };
    if (chance < failing) {
      const kind = random() < 0.5 ? "unavailable" : "executor_error";
      return { does: "fail", error: deedError(kind, "scripted", { status: 503 }), cancel };
    }
    return { does: "succeed", result: { n: Math.floor(random() * 10), activation }, cancel };
  };
}

function stepOf(
  sketch: StepSketch,
  index: number,
  { count, acyclic }: { readonly count: number; readonly acyclic: boolean },
): Step {
  const { tasks, loop, inclusive, arcs, strictMatch, admit, set, output, back, timeoutMs } = sketch;
  const name = nameOf(index);
  const forward = arcs
    .filter(({ by }) => index + by < count)
    .map((arc): Arc => ({
      to: nameOf(index + arc.by),
      ...whenOf(arc.when),
      set: arc.set
        ? [
            { scope: "ctx", path: ["from", name], value: "{{ execution_id }}" },
            { scope: "iter", path: ["came"], value: name },
          ]
        : [],
    }));
  const counter = { scope: "ctx", path: ["rounds", name], value: rounds(name) } as const;
  const backward: Arc[] =
    back === undefined
      ? []
      : [
          {
            to: nameOf(Math.max(0, index - back.by)),
            when: `ctx.rounds.${name} <= ${String(back.times)}`,
            set: [],
          },
        ];
  return {
    name,
    admit: admitOf(admit),
    ...(loop === undefined ? {} : { loop: loopOf(loop) }),
    tasks: tasks.map((task, at) =>
      taskOf(task, tasks.length === 1 ? name : `t${String(at)}`, acyclic),
    ),
    pipeline: tasks.length > 1,
    set: [
      ...(back === undefined ? [] : [counter]),
      ...(set ? [{ scope: "ctx", path: ["last"], value: name } as const] : []),
    ],
    next: {
      mode: inclusive ? "inclusive" : "exclusive",
      onNoMatch: strictMatch && forward.some(({ when }) => when === undefined) ? "fail" : "end",
      arcs: [...backward, ...forward],
    },
    ...(output ? { output: { of: "{{ output.status }}", by: name } } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function rounds(name: string): string {
  return `{{ ((ctx.get('rounds') or {}).get('${name}') or 0) + 1 }}`;
}

function nameOf(index: number): string {
  return `s${String(index)}`;
}

function admitOf(admit: StepSketch["admit"]): Step["admit"] {
  if (admit === "none") return [{ when: "true", allow: false }];
  if (admit === "small") return [{ when: "{{ limit > 3 }}", allow: true }, { allow: false }];
  return [];
}

function whenOf(when: (typeof whens)[number] | "broken"): { readonly when?: string } {
  switch (when) {
    case "always":
      return {};
    case "even":
      return { when: "{{ ((output.data or {}).get('n') or 0) % 2 == 0 }}" };
    case "small":
      return { when: "((output.data or {}).get('n') or 0) < 5" };
    case "never":
      return { when: "false" };
    case "done":
      return { when: "{{ event.name != 'call.error' }}" };
    case "broken":
      return { when: "{{ 1 / 0 }}" };
  }
}

function loopOf({ mode, items, mapping, inFlight }: Drawn<typeof loopSketch>): Loop {
  const iterator = "item";
  if (mode === "cursor") {
    return {
      iterator,
      maxInFlight: inFlight,
      mode,
      cursor: { kind: "postgres", config: { query: "claim {{ limit }}" }, rowsMax: 3 },
    };
  }
  const list: Json = Array.from({ length: items }, (_, at) => ({ at }));
  const object: Json = Object.fromEntries(list.map((item, at) => [`k${String(at)}`, item]));
  return { iterator, maxInFlight: inFlight, mode, in: mapping ? object : list };
}

function taskOf({ kind, rules, otherwise, set }: TaskSketch, name: string, acyclic: boolean): Task {
  const input: Task["input"] = {
    who: "{{ payload.who }}",
    seen: "{{ iter }}",
    given: "{{ limit }}",
    ctx: "{{ ctx }}",
  };
  return {
    name,
    kind,
    config: kind === "playbook" ? { path: "child" } : { code: "run {{ execution_id }}" },
    input,
    set: set ? [{ scope: "iter", path: ["got"], value: "{{ output }}" }] : [],
    rules: [
      ...rules.map((rule): PolicyRule => ruleOf(rule, name)),
      ...(otherwise === "continue" ? [{ then: { do: "continue", set: [] } } as const] : []),
    ],
    ...(rules.includes("retry_late") && !acyclic ? { timeoutSec: 0.9 } : {}),
  };
}

function ruleOf(rule: Drawn<typeof ruleSketch>, name: string): PolicyRule {
  const failed = "{{ output.status == 'error' }}";
  switch (rule) {
    case "continue":
      return { when: failed, then: { do: "continue", set: [] } };
    case "retry":
      return {
        when: failed,
        then: { do: "retry", attempts: 3, backoff: "none", delaySec: 0, set: [] },
      };
    case "retry_late":
      return {
        when: failed,
        then: { do: "retry", attempts: 3, backoff: "exponential", delaySec: 0.5, set: [] },
      };
    case "fail":
      return { when: "{{ output.attempt > 2 }}", then: { do: "fail", set: [] } };
    case "break":
      return {
        when: "{{ ((output.data or {}).get('n') or 0) > 7 }}",
        then: { do: "break", set: [] },
      };
    case "jump": {
      const count = {
        scope: "iter",
        path: [`j_${name}`],
        value: `{{ (iter.get('j_${name}') or 0) + 1 }}`,
      };
      return {
        when: `{{ (iter.get('j_${name}') or 0) < 2 and output.status == 'ok' }}`,
        then: { do: "jump", to: name, set: [{ ...count, scope: "iter" }] },
      };
    }
    case "set":
      return {
        when: "{{ output.status == 'ok' and output.attempt == 1 }}",
        then: {
          do: "continue",
          set: [{ scope: "step", path: ["kept"], value: "{{ output.attempt }}" }],
        },
      };
  }
}

const childProgram = programOf({
  apiVersion: "noetl.io/v2",
  name: "child",
  path: "child",
  workload: { who: "nobody" },
  entry: "start",
  steps: [
    {
      name: "start",
      admit: [],
      tasks: [{ name: "start", kind: "python", config: {}, input: {}, set: [], rules: [] }],
      pipeline: false,
      set: [],
      next: { mode: "exclusive", onNoMatch: "end", arcs: [{ to: "end", set: [] }] },
    },
    {
      name: "end",
      admit: [],
      tasks: [{ name: "end", kind: "noop", config: {}, input: {}, set: [], rules: [] }],
      pipeline: false,
      set: [],
      next: { mode: "exclusive", onNoMatch: "end", arcs: [] },
    },
  ],
  keychain: [],
});
