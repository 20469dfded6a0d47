import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../base/json.ts";
import {
  compileCondition,
  compileTemplate,
  compileValue,
  scopeOf,
  type UndefinedMode,
} from "../template.ts";

const modes = fc.constantFrom<UndefinedMode>("strict", "lenient");

/** JSON with keys and texts that are hard: prototypes' names, quotes, surrogates, numbers as texts. */
const hardText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "items",
    "0",
    "-1",
    "a",
    "'",
    '"',
    "\\",
    "😀é",
    "42.5",
    "{{ x }}",
    "%s",
    "{}",
  ),
);

const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.integer({ min: -3, max: 12 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    hardText,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(hardText, tie("value"), { maxKeys: 4 }) as fc.Arbitrary<Json>,
  ),
})).value;

const rootNames = ["a", "b", "c", "items", "loop", "now", "__proto__"] as const;

const scopes: fc.Arbitrary<JsonObject> = fc.dictionary(fc.constantFrom(...rootNames), json);

/** Expressions of the whole language, most of them with the wrong types. */
const expression: fc.Arbitrary<string> = fc.letrec<{ expr: string }>((tie) => {
  const expr = tie("expr");
  const name = fc.constantFrom(...rootNames);
  const word = fc.constantFrom("a", "items", "__proto__", "constructor", "length", "x");
  const call = fc.tuple(
    fc.constantFrom(
      "int",
      "float",
      "default",
      "d",
      "tojson",
      "replace",
      "length",
      "string",
      "lower",
      "upper",
      "title",
      "capitalize",
      "first",
      "last",
      "join",
      "split",
      "trim",
      "round",
      "abs",
      "sum",
      "min",
      "max",
      "list",
      "sort",
      "unique",
      "reverse",
      "groupby",
      "batch",
      "slice",
      "keys",
      "values",
      "items",
      "dictsort",
      "get",
      "attr",
      "b64encode",
      "b64decode",
      "fromjson",
      "urlencode",
      "format",
      "wordcount",
      "truncate",
      "indent",
      "escape",
      "center",
      "filesizeformat",
    ),
    fc.array(expr, { maxLength: 2 }),
  );
  const method = fc.tuple(
    fc.constantFrom(
      "split",
      "rsplit",
      "strip",
      "upper",
      "title",
      "replace",
      "startswith",
      "join",
      "find",
      "count",
      "index",
      "format",
      "zfill",
      "ljust",
      "center",
      "splitlines",
      "partition",
      "get",
      "items",
      "keys",
      "values",
      "copy",
    ),
    fc.array(expr, { maxLength: 2 }),
  );
  return {
    expr: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      name,
      fc.constantFrom(
        "1",
        "0",
        "-2",
        "2.5",
        "'a'",
        "'%s'",
        "'{}'",
        "''",
        "true",
        "none",
        "[]",
        "{}",
        "now()",
        "range(3)",
        "loop.index",
      ),
      fc.tuple(expr, word).map(([base, key]) => `${base}.${key}`),
      fc.tuple(expr, expr).map(([base, key]) => `${base}[${key}]`),
      fc.tuple(expr, expr, expr).map(([base, from, to]) => `(${base})[${from}:${to}]`),
      fc
        .tuple(
          expr,
          fc.constantFrom(
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "**",
            "~",
            "==",
            "!=",
            "<",
            ">=",
            "in",
            "not in",
            "and",
            "or",
          ),
          expr,
        )
        .map((parts) => parts.join(" ")),
      expr.map((one) => `(${one})`),
      expr.map((one) => `not ${one}`),
      expr.map((one) => `-${one}`),
      fc
        .tuple(expr, expr, expr)
        .map(([then, condition, otherwise]) => `${then} if ${condition} else ${otherwise}`),
      fc.array(expr, { maxLength: 3 }).map((items) => `[${items.join(", ")}]`),
      fc.tuple(expr, expr).map(([key, value]) => `{'k': ${value}, ${key}: 1}`),
      fc
        .tuple(expr, call)
        .map(([base, [filter, args]]) => `${base} | ${filter}(${args.join(", ")})`),
      fc
        .tuple(expr, method)
        .map(([base, [name_, args]]) => `(${base}).${name_}(${args.join(", ")})`),
      fc
        .tuple(
          expr,
          fc.constantFrom(
            "defined",
            "undefined",
            "none",
            "string",
            "number",
            "mapping",
            "sequence",
            "odd",
            "upper",
            "divisibleby 2",
            "in a",
            "gt 1",
          ),
        )
        .map(([base, name_]) => `${base} is ${name_}`),
      fc
        .tuple(
          expr,
          fc.constantFrom(
            "map('upper')",
            "map(attribute='a.items')",
            "select",
            "select('string')",
            "selectattr('a')",
            "rejectattr('__proto__', 'defined')",
            "map('int') | sum",
          ),
        )
        .map((parts) => parts.join(" | ")),
    ),
  };
}).expr;

const template: fc.Arbitrary<string> = fc.letrec<{ part: string; body: string }>((tie) => {
  const body = tie("body");
  return {
    body: fc.array(tie("part"), { maxLength: 3 }).map((parts) => parts.join("")),
    part: fc.oneof(
      { maxDepth: 3, depthSize: "small" },
      fc.constantFrom("text ", "\n", "{# note #}", "{% raw %}{{ x }}{% endraw %}"),
      expression.map((one) => `{{ ${one} }}`),
      expression.map((one) => `{{- ${one} -}}`),
      fc
        .tuple(expression, body, body)
        .map(([c, yes, no]) => `{% if ${c} %}${yes}{% else %}${no}{% endif %}`),
      fc
        .tuple(expression, body, body)
        .map(([over, one, none]) => `{% for a in ${over} %}${one}{% else %}${none}{% endfor %}`),
      fc
        .tuple(expression, expression, body)
        .map(([over, only, one]) => `{% for a, b in ${over} if ${only} %}${one}{% endfor %}`),
      expression.map((one) => `{% set a = ${one} %}`),
      body.map((one) => `{% set b %}${one}{% endset %}`),
      fc
        .tuple(expression, body)
        .map(([value, one]) => `{% with c = ${value} %}${one}{% endwith %}`),
      body.map((one) => `{% filter upper %}${one}{% endfilter %}`),
    ),
  };
}).body;

const golden = (
  JSON.parse(
    readFileSync(new URL("../../../test/golden/templates.json", import.meta.url), "utf8"),
  ) as { readonly vectors: readonly { readonly template: string }[] }
).vectors.map((vector) => vector.template);

/** What is no template at all, or nearly one. */
const garbage = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "-",
        "if",
        "for",
        "in",
        "set",
        "endif",
        "endfor",
        "raw",
        "endraw",
        "a",
        "|",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        ".",
        ",",
        ":",
        "=",
        "1",
        "is",
        "not",
        " ",
        "\n",
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.join(" ")),
  fc
    .tuple(fc.constantFrom(...golden), fc.nat(200), fc.nat(4), fc.string({ maxLength: 3 }))
    .map(([source, at, cut, put]) => source.slice(0, at) + put + source.slice(at + cut)),
);

function render(source: string, mode: UndefinedMode, scope: JsonObject): unknown {
  const compiled = compileTemplate(source, mode);
  return compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
}

describe("any template", () => {
  test("6. never throws, and a problem has a place within the source", () => {
    fc.assert(
      fc.property(fc.oneof(template, garbage), modes, scopes, (source, mode, scope) => {
        const compiled = compileTemplate(source, mode);
        const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
        if (result.ok) return;
        expect(result.error.message).not.toBe("");
        expect(result.error.at).toBeGreaterThanOrEqual(0);
        expect(result.error.at).toBeLessThanOrEqual(source.length);
      }),
      { numRuns: 1_500 },
    );
  });

  test("6. as a condition or within a value, it never throws either", () => {
    fc.assert(
      fc.property(fc.oneof(expression, template, garbage), modes, scopes, (source, mode, scope) => {
        const condition = compileCondition(source, mode);
        const held = condition.ok ? condition.value.render(scopeOf(scope)) : condition;
        if (held.ok) expect(typeof held.value).toBe("boolean");
        const value = compileValue({ a: [source, { b: source }] }, mode);
        if (value.ok) value.value.render(scopeOf(scope));
      }),
      { numRuns: 700 },
    );
  });

  test("3. asks for the roots that it names, and for no others", () => {
    fc.assert(
      fc.property(template, modes, scopes, (source, mode, scope) => {
        const compiled = compileTemplate(source, mode);
        if (!compiled.ok) return;
        const inner = scopeOf(scope);
        const asked = new Set<string>();
        compiled.value.render({
          get: (root) => {
            asked.add(root);
            return inner.get(root);
          },
        });
        expect([...asked].filter((root) => !compiled.value.roots.has(root))).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });

  test("2. gives the same again, whatever else the scope holds and in whatever order", () => {
    fc.assert(
      fc.property(template, modes, scopes, scopes, (source, mode, scope, others) => {
        const compiled = compileTemplate(source, mode);
        if (!compiled.ok) return;
        const first = compiled.value.render(scopeOf(scope));
        const named = Object.entries(scope).filter(([root]) => compiled.value.roots.has(root));
        const unrelated = Object.entries(others).filter(
          ([root]) => !compiled.value.roots.has(root),
        );
        const turned = new Map([...unrelated, ...named.reverse()]);
        expect(compiled.value.render({ get: (root) => turned.get(root) })).toEqual(first);
        expect(render(source, mode, scope)).toEqual(first);
      }),
      { numRuns: 700 },
    );
  });

  test("4. gives JSON: what it gives, written and read again, is the same", () => {
    fc.assert(
      fc.property(expression, scopes, (source, scope) => {
        const compiled = compileTemplate(`{{ ${source} }}`, "lenient");
        const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
        if (!result.ok) return;
        const again = JSON.parse(JSON.stringify(result.value)) as Json;
        expect(JSON.stringify(again)).toBe(JSON.stringify(result.value));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("any data", () => {
  const value = (source: string, x: Json): Json | undefined => {
    const compiled = compileTemplate(source, "strict");
    const result = compiled.ok ? compiled.value.render(scopeOf({ x })) : compiled;
    if (!result.ok) throw new Error(result.error.message);
    return result.value;
  };

  test("1. one expression gives the value itself", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x }}", x)).toBe(x);
        expect(value("{{ [x][0] }}", x)).toEqual(x);
        expect(value("{{ x if true else 1 }}", x)).toBe(x);
      }),
    );
  });

  test("is equal to itself, is one element of a list of it, and is found in it", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x == x }}", x)).toBe(true);
        expect(value("{{ x in [x] }}", x)).toBe(true);
        expect(value("{{ [x, x] | unique | list | length }}", x)).toBe(1);
      }),
    );
  });

  test("survives JSON and Base64 there and back", () => {
    fc.assert(
      fc.property(json, (x) => {
        expect(value("{{ x | tojson | fromjson == x }}", x)).toBe(true);
        expect(value("{{ x | tojson | b64encode | b64decode == x | tojson }}", x)).toBe(true);
        expect(JSON.parse(String(value("{{ x | tojson(2) }}", x)))).toEqual(
          JSON.parse(JSON.stringify(x)),
        );
      }),
    );
  });

  test("is sorted as a model sorts it, and the sort is stable", () => {
    const rows = fc.array(fc.record({ k: fc.nat(3), n: fc.nat() }), { maxLength: 12 });
    fc.assert(
      fc.property(rows, fc.boolean(), (x, down) => {
        const sorted = value(`{{ x | sort(attribute='k', reverse=${String(down)}) }}`, x);
        const sign = down ? -1 : 1;
        expect(sorted).toEqual([...x].sort((left, right) => sign * (left.k - right.k)));
      }),
    );
  });

  test("is sliced as a model slices it", () => {
    const bound = fc.option(fc.integer({ min: -7, max: 7 }), { nil: undefined });
    const step = fc.option(
      fc.integer({ min: -3, max: 3 }).filter((by) => by !== 0),
      { nil: undefined },
    );
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 5 }), bound, bound, step, (x, from, to, by) => {
        const text = [from, to, by].map((one) => (one === undefined ? "" : String(one))).join(":");
        expect(value(`{{ x[${text}] }}`, x)).toEqual(sliced(x, { from, to, by: by ?? 1 }));
      }),
    );
  });
});

type Bounds = {
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly by: number;
};

/** Python's rule by the letter: every index from the first bound on, as long as it is before the second. */
function sliced<T>(list: readonly T[], { from, to, by }: Bounds): readonly T[] {
  const place = (bound: number): number => (bound < 0 ? bound + list.length : bound);
  const low = by > 0 ? 0 : -1;
  const high = by > 0 ? list.length : list.length - 1;
  const within = (index: number): number => Math.min(high, Math.max(low, index));
  const start = from === undefined ? (by > 0 ? low : high) : within(place(from));
  const stop = to === undefined ? (by > 0 ? high : low) : within(place(to));
  const all = list.flatMap((item, index) => {
    const steps = (index - start) / by;
    const inside = by > 0 ? index < stop : index > stop;
    return steps >= 0 && Number.isInteger(steps) && inside ? [item] : [];
  });
  return by > 0 ? all : all.reverse();
}
