/**
 * Renders per second of expressions that playbooks use, each compiled once.
 *
 *     npm run bench -- templates [--rounds 5] [--renders 200000] [--jinja <folder>] [--json]
 *
 * The floor is measured in the same run: a function written by hand that computes the same from the same
 * scope. `--jinja` names a folder in which `@huggingface/jinja` was installed; it is then measured beside,
 * parsed once and given only the roots that an expression names, and asked for the golden vectors that
 * Jinja2 itself answers.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import type { Json, JsonObject } from "../src/base/json.ts";
import { compileTemplate, scopeOf, type Scope, type Template } from "../src/core/template.ts";
import { median } from "./figures.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    renders: { type: "string", default: "200000" },
    jinja: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const rounds = Number(values.rounds);
const renders = Number(values.renders);

const roots: JsonObject = {
  execution_id: "7205913331785728001",
  ctx: { region_id: "7", a: { b: { c: [1, 2, { d: "deep" }] } } },
  output: {
    status: "error",
    http: { status: 429 },
    data: { rows: [{ found: "4" }], row_count: 1 },
  },
  payload: { id: 12, name: "O'Neil", tags: ["x", "y"], nested: { n: [1, 2, 3] } },
  rows: Array.from({ length: 20 }, (_, id) => ({ id, name: `row ${String(id)}` })),
};

type Data = {
  readonly execution_id: string;
  readonly ctx: {
    readonly region_id: string;
    readonly a: { readonly b: { readonly c: readonly [number, number, { readonly d: string }] } };
  };
  readonly output: {
    readonly status: string;
    readonly http: { readonly status: number };
    readonly data: { readonly rows: readonly { readonly found: string }[] };
  };
  readonly payload: Json;
  readonly rows: readonly { readonly id: number; readonly name: string }[];
};

type Case = {
  readonly name: string;
  readonly template: string;
  readonly floor: (data: Data) => unknown;
};

const cases: readonly Case[] = [
  { name: "root", template: "{{ execution_id }}", floor: (data) => data.execution_id },
  { name: "path", template: "{{ ctx.a.b.c[2].d }}", floor: (data) => data.ctx.a.b.c[2].d },
  {
    name: "number",
    template: "{{ ctx.region_id | int }}",
    floor: (data) => parseInt(data.ctx.region_id, 10),
  },
  {
    name: "condition",
    template: '{{ output.status == "error" and (output.http.status in [429, 500, 502]) }}',
    floor: (data) =>
      data.output.status === "error" && [429, 500, 502].includes(data.output.http.status),
  },
  {
    name: "count",
    template: "{{ (output.data.rows[0].found | int) > 0 }}",
    floor: (data) => parseInt(data.output.data.rows[0]?.found ?? "0", 10) > 0,
  },
  {
    name: "text",
    template: "/v1/{{ ctx.region_id }}/orders/{{ execution_id }}",
    floor: (data) => `/v1/${data.ctx.region_id}/orders/${data.execution_id}`,
  },
  {
    name: "default",
    template: "{{ ctx.cursor | default(0) | int }}",
    floor: (data) => ("cursor" in data.ctx ? 1 : 0),
  },
  {
    name: "json",
    template: '{{ payload | tojson | replace("\'", "\'\'") }}',
    floor: (data) => JSON.stringify(data.payload).replaceAll("'", "''"),
  },
  {
    name: "loop of 20",
    template:
      "{% for row in rows %}({{ row.id }}, '{{ row.name }}'){% if not loop.last %}, {% endif %}{% endfor %}",
    floor: (data) => data.rows.map((row) => `(${String(row.id)}, '${row.name}')`).join(", "),
  },
];

const rival = values.jinja === undefined ? undefined : loadRival(values.jinja);
const scope = scopeOf(roots);
const data = JSON.parse(JSON.stringify(roots)) as Data;
const figures = cases.map(({ name, template, floor }) => {
  const compiled = compile(template);
  const beside = rival?.prepare(template, roots);
  const perRound = Array.from({ length: rounds }, () => ({
    ours: nanoseconds(() => compiled.render(scope)),
    floor: nanoseconds(() => floor(data)),
    rival: beside === undefined ? 0 : nanoseconds(beside),
  }));
  const ours = median(perRound.map((round) => round.ours));
  return {
    name,
    ns: Math.round(ours),
    renders_per_s: Math.round(1e9 / ours),
    floor_ns: Math.round(median(perRound.map((round) => round.floor))),
    ...(rival === undefined
      ? {}
      : { jinja_ns: Math.round(median(perRound.map((round) => round.rival))) }),
  };
});

const agreement = {
  deed: agreeing(ask),
  ...(rival === undefined ? {} : { jinja: agreeing(rival.ask) }),
};
if (values.json) console.log(JSON.stringify({ figures, agreement }));
else {
  console.table(figures);
  console.log("golden vectors that Jinja2 answers:", agreement);
}

function compile(template: string): Template {
  const compiled = compileTemplate(template, "lenient");
  if (!compiled.ok) throw new Error(`${template}: ${compiled.error.message}`);
  return compiled.value;
}

function nanoseconds(run: () => unknown): number {
  for (let index = 0; index < renders / 10; index += 1) run();
  const startedMs = performance.now();
  for (let index = 0; index < renders; index += 1) run();
  return ((performance.now() - startedMs) * 1e6) / renders;
}

function ask(template: string, inner: Scope): Json {
  const result = compile(template).render(inner);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

type Vector = {
  readonly template: string;
  readonly kind?: string;
  readonly mode?: string;
  readonly scope?: JsonObject;
  readonly expect?: Json;
  readonly why?: string;
};

/** Of the vectors for which Jinja2 gives a value: how many are answered alike, otherwise, and not at all. */
function agreeing(answer: (template: string, scope: Scope, roots: JsonObject) => Json): object {
  const file = new URL("../test/golden/templates.json", import.meta.url);
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as {
    readonly vectors: readonly Vector[];
  };
  const counts = { alike: 0, otherwise: 0, refused: 0 };
  for (const { template, kind, mode, scope: given = {}, expect, why } of vectors) {
    if (expect === undefined || kind !== undefined || mode !== undefined || why !== undefined)
      continue;
    try {
      const same = isDeepStrictEqual(answer(template, scopeOf(given), given), expect);
      counts[same ? "alike" : "otherwise"] += 1;
    } catch {
      counts.refused += 1;
    }
  }
  return counts;
}

type Rival = {
  readonly prepare: (template: string, roots: JsonObject) => () => unknown;
  readonly ask: (template: string, scope: Scope, roots: JsonObject) => Json;
};

type RivalValue = { readonly type: string; readonly value: unknown };

type RivalModule = {
  readonly tokenize: (source: string) => unknown;
  readonly parse: (tokens: unknown) => { readonly body: readonly { readonly type: string }[] };
  readonly Environment: new () => { readonly set: (name: string, value: unknown) => unknown };
  readonly Interpreter: new (environment: unknown) => {
    readonly run: (program: unknown) => RivalValue;
    readonly evaluate: (node: unknown, environment: unknown) => RivalValue;
  };
};

/** The package as it would be wrapped: parsed once, and a single expression gives a value with its type. */
function loadRival(folder: string): Rival {
  const load = createRequire(join(folder, "package.json"));
  const { tokenize, parse, Environment, Interpreter } = load("@huggingface/jinja") as RivalModule;
  const prepare = (template: string, given: JsonObject): (() => RivalValue) => {
    const program = parse(tokenize(template));
    const [only, more] = program.body;
    const single = more === undefined && /^\{\{[^]*\}\}\n?$/.test(template) ? only : undefined;
    const named = Object.entries(given).filter(([root]) => template.includes(root));
    const constants = Object.entries({
      true: true,
      false: false,
      none: null,
      True: true,
      False: false,
      None: null,
    });
    const used = [...constants.filter(([word]) => template.includes(word)), ...named];
    return () => {
      const environment = new Environment();
      for (const [root, value] of used) environment.set(root, value);
      const interpreter = new Interpreter(environment);
      return single === undefined
        ? interpreter.run(program)
        : interpreter.evaluate(single, environment);
    };
  };
  return { prepare, ask: (template, _, given) => plain(prepare(template, given)()) };
}

function plain({ type, value }: RivalValue): Json {
  if (Array.isArray(value)) return value.map((one) => plain(one as RivalValue));
  if (value instanceof Map) {
    const members = [...(value as Map<string, RivalValue>)].map(([key, one]) => [key, plain(one)]);
    return Object.fromEntries(members) as JsonObject;
  }
  return type === "UndefinedValue" || value === undefined ? null : (value as Json);
}
