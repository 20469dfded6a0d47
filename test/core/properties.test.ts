/**
 * What holds for every playbook and every order of results. Numbers are those of the invariants of the core
 * (`src/core/evaluate.ts`) and the properties P1 to P8 of `docs/reference/core.md`.
 *
 * `DEED_PROPERTY_RUNS=20000 npx vitest run test/core/properties.test.ts` runs for longer; `DEED_PROPERTY_SEED`
 * draws the same playbooks again; `DEED_PROPERTY_SHRINK=no` gives the first counterexample as it is.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson } from "../../src/base/canonical-json.ts";
import type { Json } from "../../src/base/json.ts";
import type { CoreEvent } from "../../src/event/core-event.ts";
import { coreEventOfDecision, type Command, type DecisionEvent } from "../../src/core/decision.ts";
import { decide, drive, evaluate, type Driven } from "../../src/core/evaluate.ts";
import type { Program } from "../../src/core/program.ts";
import { runWorld, type ExecutionRun, type WorldRun } from "../../src/core/scripted-world.ts";
import {
  decodeState,
  encodeState,
  evolve,
  hasEnded,
  initialState,
  isOwn,
  type WorkflowState,
} from "../../src/core/state.ts";
import { cases, type Case } from "./random-playbook.ts";

const numRuns = Number(process.env["DEED_PROPERTY_RUNS"] ?? 120);
const drawn = process.env["DEED_PROPERTY_SEED"];
const parameters = {
  numRuns,
  ...(drawn === undefined ? {} : { seed: Number(drawn) }),
  endOnFailure: process.env["DEED_PROPERTY_SHRINK"] === "no",
};
const limitMs = 10_000 + numRuns * 400;

const seeds = fc.nat({ max: 1_000_000 }).map(String);
/** Parts of a history at which it is cut; scaled to its length. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 });

function run({ options, script }: Case, seed: string): WorldRun {
  return runWorld({ ...options, seed }, script);
}

type Told = { readonly commands: readonly Command[]; readonly events: readonly DecisionEvent[] };

function told(driven: readonly Driven[]): Told {
  return {
    commands: driven.flatMap(({ decision }) => decision.commands),
    events: driven.flatMap(({ decision }) => decision.events),
  };
}

function bytes(value: unknown): string {
  return canonicalJson(value as Json);
}

function inputsOf({ history, state }: ExecutionRun): readonly CoreEvent[] {
  return history.filter((event) => !isOwn(event, state));
}

function places(parts: readonly number[], length: number): number[] {
  const inside = parts.map((part) => Math.floor(part * length)).sort((a, b) => a - b);
  return [0, ...inside, length];
}

function pieces(events: readonly CoreEvent[], parts: readonly number[]): CoreEvent[][] {
  const at = places(parts, events.length);
  return at.slice(1).map((end, index) => events.slice(at[index], end));
}

function eachOf(events: readonly CoreEvent[]): CoreEvent[][] {
  return events.map((event) => [event]);
}

function driveAll(
  parts: readonly (readonly CoreEvent[])[],
  program: Program,
  id: string,
): Driven[] {
  const driven: Driven[] = [];
  let state: WorkflowState = initialState(id);
  for (const part of parts) {
    driven.push(drive(state, part, program));
    state = driven.at(-1)!.state;
  }
  return driven;
}

/** The decisions of a run, without what only the log knows about them. */
function recorded(events: readonly CoreEvent[]): string[] {
  return events.map(({ event_type, node_name, context, result, meta }) =>
    bytes([event_type, node_name ?? null, context ?? null, result ?? null, meta ?? null]),
  );
}

function asRecorded(decisions: readonly DecisionEvent[]): string[] {
  const at = { eventId: "1", executionId: "1", timestamp: "" };
  return recorded(decisions.map((decision) => coreEventOfDecision(decision, at)));
}

function openWork({ openCount, timers, paused }: WorkflowState): number {
  return openCount + timers.size + (paused ? 1 : 0);
}

describe("P1. incremental drive and full replay", () => {
  it(
    "give the same decisions and the same state, however the history is cut",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, cuts, (one, seed, parts) => {
          for (const execution of executionsOf(run(one, seed))) {
            const { program, executionId: id, state, history, commands } = execution;
            const inputs = inputsOf(execution);
            const final = encodeState(state);
            const each = driveAll(eachOf(inputs), program, id);
            const whole = evaluate(inputs, program);
            const cut = driveAll(pieces(inputs, parts), program, id);
            const decisions = told(each);
            expect(encodeState(each.at(-1)!.state)).toBe(final);
            expect(encodeState(whole.state)).toBe(final);
            expect(encodeState(cut.at(-1)!.state)).toBe(final);
            expect(bytes(whole.decision.timers)).toBe(bytes(each.at(-1)!.decision.timers));
            expect(bytes(told([whole]))).toBe(bytes(decisions));
            expect(bytes(told(cut))).toBe(bytes(decisions));
            expect(bytes(decisions.commands.filter((command) => command.do === "request"))).toBe(
              bytes(commands),
            );
            const own = history.filter(
              ({ event_type: type, execution_id }) =>
                execution_id === id && !type.startsWith("action.") && type !== "timer.fired",
            );
            expect(asRecorded(decisions.events)).toEqual(
              recorded(own.filter((event) => isOwn(event, state))),
            );
          }
        }),
        parameters,
      );
    },
    limitMs,
  );

  it(
    "decide nothing that a history holds already, and only what it lacks",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, cuts, (one, seed, parts) => {
          const { main } = run(one, seed);
          const { program, executionId: id, history } = main;
          const full = evaluate(history, program);
          expect(told([full])).toEqual({ commands: [], events: [] });
          expect(encodeState(full.state)).toBe(encodeState(main.state));
          const cut = driveAll(pieces(history, parts), program, id);
          expect(encodeState(cut.at(-1)!.state)).toBe(encodeState(main.state));
          const prefix = history.slice(0, places(parts, history.length)[1]);
          const lacking = history.slice(prefix.length);
          const next = lacking.findIndex((event) => !isOwn(event, main.state));
          const own = lacking
            .slice(0, next === -1 ? lacking.length : next)
            .filter(({ event_type }) => !event_type.startsWith("action."));
          const made = evaluate(prefix, program).decision.events;
          if (prefix.length > 0) expect(asRecorded(made)).toEqual(recorded(own));
        }),
        parameters,
      );
    },
    limitMs,
  );
});

describe("P2. the order of results", () => {
  it(
    "does not change how an acyclic playbook ends, nor what it entered",
    () => {
      fc.assert(
        fc.property(cases("acyclic"), seeds, seeds, (one, left, right) => {
          const [first, second] = [run(one, left), run(one, right)];
          expect(["completed", "failed"]).toContain(first.ending);
          expect(second.ending).toBe(first.ending);
          if (first.ending === "completed") {
            expect(second.main.state.entered).toEqual(first.main.state.entered);
            expect(first.main.state.entered.every((times) => times <= 1)).toBe(true);
          }
        }),
        parameters,
      );
    },
    limitMs,
  );

  it(
    "leaves every playbook with an end",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, (one, seed) => {
          expect(["completed", "failed", "cancelled"]).toContain(run(one, seed).ending);
        }),
        parameters,
      );
    },
    limitMs,
  );
});

/** Late: comes again behind what followed it. Contrary: says the opposite of what was told first. */
type Again = { readonly of: number; readonly at: number; readonly contrary: boolean };

const repeats = fc.array(
  fc.record({
    of: fc.double({ min: 0, max: 0.999, noNaN: true }),
    at: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
    contrary: fc.boolean(),
  }),
  { minLength: 1, maxLength: 6 },
);

const pauses = new Set(["execution.paused", "execution.resumed", "execution.cancel_requested"]);

function withRepeats(events: readonly CoreEvent[], again: readonly Again[]): CoreEvent[] {
  const all = [...events];
  for (const { of, at, contrary } of again) {
    const from = Math.floor(of * all.length);
    const event = all[from];
    if (event === undefined || pauses.has(event.event_type)) continue;
    const place = Math.min(all.length, from + 1 + Math.floor(at * (all.length - from)));
    const other = contrary ? contraryOf(event) : event;
    all.splice(place, 0, { ...other, timestamp: all[place - 1]!.timestamp });
  }
  return all;
}

function contraryOf(event: CoreEvent): CoreEvent {
  if (event.event_type === "action.succeeded") return { ...event, event_type: "action.failed" };
  if (event.event_type === "action.failed") {
    return { ...event, event_type: "action.succeeded", result: { n: 1 } };
  }
  return event;
}

describe("P3. duplicates and late events", () => {
  it(
    "change neither the decisions nor the state",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, repeats, (one, seed, again) => {
          const { main } = run(one, seed);
          const { program, executionId: id } = main;
          for (const events of [inputsOf(main), main.history]) {
            const plain = driveAll(eachOf(events), program, id);
            const noisy = driveAll(eachOf(withRepeats(events, again)), program, id);
            expect(bytes(told(noisy))).toBe(bytes(told(plain)));
            expect(encodeState(noisy.at(-1)!.state)).toBe(encodeState(plain.at(-1)!.state));
          }
        }),
        parameters,
      );
    },
    limitMs,
  );
});

describe("P4 to P7. every moment of a history", () => {
  it(
    "4. has live work, or has ended, or something to decide",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, (one, seed) => {
          const { program, executionId: id, history } = run(one, seed).main;
          const state = initialState(id);
          for (const event of history) {
            evolve(state, event, program);
            if (hasEnded(state)) continue;
            const { commands, events } = decide(state, program);
            expect(commands.length + events.length + openWork(state)).toBeGreaterThan(0);
          }
        }),
        parameters,
      );
    },
    limitMs,
  );

  it(
    "5. holds one terminal event, and no decision behind it",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, (one, seed) => {
          for (const { history } of executionsOf(run(one, seed))) {
            const own = history.filter(
              ({ event_type, execution_id }) =>
                execution_id === history[0]!.execution_id &&
                /^(step|loop|task)\.|^execution\.(started|completed|failed|cancelled)$/.test(
                  event_type,
                ),
            );
            const terminal = own.filter(({ event_type }) =>
              /^execution\.(completed|failed|cancelled)$/.test(event_type),
            );
            expect(terminal).toHaveLength(1);
            expect(own.at(-1)).toBe(terminal[0]);
          }
        }),
        parameters,
      );
    },
    limitMs,
  );

  it(
    "6. asks for no command twice",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, (one, seed) => {
          const keys = executionsOf(run(one, seed)).flatMap(({ commands }) =>
            commands.map(({ key }) => key),
          );
          expect(new Set(keys).size).toBe(keys.length);
        }),
        parameters,
      );
    },
    limitMs,
  );

  it(
    "7. runs no more iterations of a loop at one time than max_in_flight says",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, (one, seed) => {
          for (const { history } of executionsOf(run(one, seed))) expectInFlight(history);
        }),
        parameters,
      );
    },
    limitMs,
  );
});

function expectInFlight(history: readonly CoreEvent[]): void {
  const most = new Map<string, number>();
  const open = new Map<string, Set<string>>();
  for (const { event_type, node_name, meta, context } of history) {
    const tags = meta?.["tags"] as { activation?: number; item?: string } | undefined;
    const key = `${String(node_name)}/${String(tags?.activation)}`;
    const item = String(tags?.item);
    const running = open.get(key) ?? new Set();
    open.set(key, running);
    if (event_type === "loop.started") most.set(key, Number(context?.["max_in_flight"]));
    else if (event_type === "action.requested" && !item.startsWith("claim")) running.add(item);
    else if (/^(action|execution)\.(succeeded|completed|failed|cancelled)$/.test(event_type)) {
      running.delete(item);
    }
    expect(running.size).toBeLessThanOrEqual(most.get(key) ?? 1);
  }
}

describe("P8. a snapshot", () => {
  it(
    "restored at any point goes on to the same bytes",
    () => {
      fc.assert(
        fc.property(cases("any"), seeds, cuts, (one, seed, parts) => {
          const { main } = run(one, seed);
          const { program, executionId: id, history } = main;
          const inputs = inputsOf(main);
          const straight = driveAll(eachOf(inputs), program, id);
          const broken: Driven[] = [];
          let state = initialState(id);
          for (const part of pieces(inputs, parts)) {
            broken.push(drive(restored(state), part, program));
            state = broken.at(-1)!.state;
          }
          expect(bytes(told(broken))).toBe(bytes(told(straight)));
          expect(encodeState(state)).toBe(encodeState(main.state));

          const folded = initialState(id);
          const half = places(parts, history.length)[1] ?? 0;
          for (const event of history.slice(0, half)) evolve(folded, event, program);
          const rest = history.slice(half);
          const again = drive(restored(folded), rest, program);
          expect(encodeState(again.state)).toBe(encodeState(main.state));
        }),
        parameters,
      );
    },
    limitMs,
  );
});

function restored(state: WorkflowState): WorkflowState {
  const text = encodeState(state);
  const read = decodeState(text);
  if (!read.ok) throw new Error(read.error);
  expect(encodeState(read.value)).toBe(text);
  return read.value;
}

function executionsOf({ main, children }: WorldRun): readonly ExecutionRun[] {
  return [main, ...children];
}
