/**
 * npm run bench -- core: what deciding costs, each figure beside a baseline of the same run.
 *
 * The baseline of a fold or a drive is the least that anyone could do with the same events: `JSON.parse` of
 * their text, and a count by key in a bare Map. That of a template is the same value made by hand.
 */
import process from "node:process";
import type { CoreEvent } from "../src/event/core-event.ts";
import type { Playbook } from "../src/core/playbook.ts";
import { drive } from "../src/core/evaluate.ts";
import { compileProgram, type Program } from "../src/core/program.ts";
import { runWorld, type ExecutionRun } from "../src/core/scripted-world.ts";
import { evolve, initialState, isOwn } from "../src/core/state.ts";
import { compileTemplate } from "../src/core/template.ts";
import { playbook, type StepNote } from "../test/core/notation.ts";
import { median } from "./figures.ts";

type Figure = {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly beside: string;
  /** What it must not be worse than; none where the issue sets none. */
  readonly aim?: { readonly most: number };
};

const rounds = 5;
const figures: Figure[] = [];

function report(figure: Figure): void {
  const { name, value, unit, beside, aim } = figure;
  const good = aim === undefined ? "" : value <= aim.most ? "ok  " : "MISS";
  const most = aim === undefined ? "" : ` (at most ${String(aim.most)})`;
  const shown = value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
  console.log(`${good.padEnd(5)}${name.padEnd(46)} ${shown} ${unit}${most}; ${beside}`);
  figures.push(figure);
}

function programOf(written: Playbook): Program {
  const compiled = compileProgram(written);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}

function runOf(program: Program): ExecutionRun {
  return runWorld({ program }, ({ command: { place } }) => ({
    does: "succeed",
    result: { n: place.activation, item: place.item, text: "a result of usual length" },
  })).main;
}

function ms(work: () => void): number {
  const startedMs = performance.now();
  work();
  return performance.now() - startedMs;
}

/** Milliseconds, the median of some rounds, after one that warms up. */
function timed(work: () => void): number {
  work();
  return median(Array.from({ length: rounds }, () => ms(work)));
}

type Floors = { readonly parseMs: number; readonly mapMs: number };

function floorsOf(events: readonly CoreEvent[]): Floors {
  const texts = events.map((event) => JSON.stringify(event));
  const parseMs = timed(() => {
    for (const text of texts) JSON.parse(text);
  });
  const mapMs = timed(() => {
    const counts = new Map<string, number>();
    for (const { event_type, node_name = "" } of events) {
      const key = `${node_name}/${event_type}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  });
  return { parseMs, mapMs };
}

function besides({ parseMs, mapMs }: Floors, each: (ms: number) => string): string {
  return `JSON.parse of the same ${each(parseMs)}, a bare Map ${each(mapMs)}`;
}

function inputsOf({ history, state }: ExecutionRun): readonly CoreEvent[] {
  return history.filter((event) => !isOwn(event, state));
}

function perSecond(count: number): (ms: number) => string {
  return (taken) => `${Math.round(count / (taken / 1_000)).toLocaleString("en")}/s`;
}

/** A cycle: its history grows, what is live does not. */
function cycle(activations: number): Program {
  return programOf(
    playbook({
      steps: {
        start: {
          tool: { input: { page: "{{ ctx.page }}", of: "{{ execution_id }}" } },
          set: { "ctx.page": "{{ output.data.n }}" },
          next: [{ to: "start", when: `{{ ctx.page < ${String(activations)} }}` }, "end"],
        },
        end: {},
      },
    }),
  );
}

function folds(): void {
  const run = runOf(cycle(25_000));
  const { history, program, executionId } = run;
  const foldMs = timed(() => {
    const state = initialState(executionId);
    for (const event of history) evolve(state, event, program);
  });
  const count = history.length;
  report({
    name: `events folded, a history of ${count.toLocaleString("en")}`,
    value: count / (foldMs / 1_000),
    unit: "events/s",
    beside: besides(floorsOf(history), perSecond(count)),
  });
}

function drives(): void {
  const run = runOf(cycle(34_500));
  const inputs = inputsOf(run);
  const perActivation = run.history.length / inputs.length;
  for (const length of [10, 1_000, 100_000]) {
    const before = Math.min(Math.round(length / perActivation), inputs.length - 600);
    const measured = inputs.slice(before, before + 500);
    const taken = Array.from({ length: rounds + 1 }, () => {
      let { state } = drive(initialState(run.executionId), inputs.slice(0, before), run.program);
      return ms(() => {
        for (const event of measured) ({ state } = drive(state, [event], run.program));
      });
    });
    const each = (of: number): string => `${((of * 1_000) / measured.length).toFixed(2)} µs`;
    report({
      name: `a drive behind ${String(length)} events`,
      value: (median(taken.slice(1)) * 1_000) / measured.length,
      unit: "µs",
      beside: besides(floorsOf(measured), each),
      aim: { most: 100 },
    });
  }
}

function linear(): void {
  const names = Array.from({ length: 10 }, (_, index) => `step${String(index)}`);
  const steps = Object.fromEntries(
    names.map((name, index): [string, StepNote] => [
      name,
      {
        tool: {
          input: { who: "{{ workload.who }}", before: `{{ ${names[index - 1] ?? "ctx"}.n }}` },
        },
        next: names[index + 1] ?? [],
      },
    ]),
  );
  const run = runOf(programOf(playbook({ workload: { who: "me" }, steps })));
  const inputs = inputsOf(run);
  const times = 500;
  const taken = timed(() => {
    for (let index = 0; index < times; index += 1) {
      let state = initialState(run.executionId);
      for (const event of inputs) ({ state } = drive(state, [event], run.program));
    }
  });
  const many = Array.from({ length: times }, () => inputs).flat();
  const each = (of: number): string => `${((of * 1_000) / many.length).toFixed(2)} µs`;
  report({
    name: "a drive of a ten-step linear playbook",
    value: (taken * 1_000) / many.length,
    unit: "µs",
    beside: besides(floorsOf(many), each),
    aim: { most: 25 },
  });
}

function parallel(): void {
  const items = Array.from({ length: 10_000 }, (_, index) => index);
  const steps = {
    start: {
      loop: { in: "{{ workload.items }}", mode: "parallel", max: 64 },
      tool: { input: { item: "{{ item }}" } },
      next: "end",
    },
    end: { tool: { input: { stats: "{{ start.stats }}" } } },
  } as const;
  const run = runOf(programOf(playbook({ workload: { items }, steps })));
  const inputs = inputsOf(run);
  const taken = timed(() => {
    let state = initialState(run.executionId);
    for (const event of inputs) ({ state } = drive(state, [event], run.program));
  });
  report({
    name: "a parallel loop over 10,000 items, all of it",
    value: taken,
    unit: "ms",
    beside: besides(floorsOf(inputs), (of) => `${of.toFixed(1)} ms`),
    aim: { most: 1_000 },
  });
}

type TemplateScope = {
  readonly ctx: { readonly page: number; readonly name: string };
  readonly output: { readonly data: { readonly rows: readonly number[] } };
};

function templates(): void {
  const scopes = Array.from({ length: 64 }, (_, page): TemplateScope => ({
    ctx: { page, name: `deed ${String(page)}` },
    output: { data: { rows: Array.from({ length: page % 5 }, (_, row) => row) } },
  }));
  const cases: readonly [string, string, (scope: TemplateScope) => unknown][] = [
    ["{{ ctx.page }}", "a member", ({ ctx }) => ctx.page],
    [
      "page {{ ctx.page + 1 }} of {{ ctx.name | upper }}",
      "a text of two",
      ({ ctx }) => `page ${String(ctx.page + 1)} of ${ctx.name.toUpperCase()}`,
    ],
    [
      "{{ output.data.rows | length > 2 and ctx.page < 5 }}",
      "a condition",
      ({ ctx, output }) => output.data.rows.length > 2 && ctx.page < 5,
    ],
  ];
  const times = 200_000;
  for (const [source, what, byHand] of cases) {
    const compiled = compileTemplate(source, "lenient");
    if (!compiled.ok) throw new Error(compiled.error.message);
    const { render } = compiled.value;
    const named = scopes.map((scope) => ({
      get: (root: string) => (root === "ctx" ? scope.ctx : scope.output),
    }));
    const kept: unknown[] = Array.from({ length: 64 }, () => undefined);
    const taken = timed(() => {
      for (let index = 0; index < times; index += 1) kept[index & 63] = render(named[index & 63]!);
    });
    const handMs = timed(() => {
      for (let index = 0; index < times; index += 1) kept[index & 63] = byHand(scopes[index & 63]!);
    });
    if (kept.includes(undefined)) throw new Error("nothing was rendered");
    report({
      name: `renders of ${what}`,
      value: times / (taken / 1_000),
      unit: "renders/s",
      beside: `by hand ${perSecond(times)(handMs)}`,
    });
  }
}

for (const bench of [folds, drives, linear, parallel, templates]) bench();
process.exitCode = figures.some(({ value, aim }) => aim !== undefined && value > aim.most) ? 1 : 0;
