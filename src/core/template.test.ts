import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../base/json.ts";
import { present } from "../base/assert.ts";
import type { Result } from "../base/result.ts";
import {
  compileCondition,
  compileTemplate,
  compileValue,
  scopeOf,
  templateLimits,
  type UndefinedMode,
} from "./template.ts";

type Vector = {
  readonly template: string;
  readonly kind?: "condition";
  readonly mode?: UndefinedMode;
  readonly scope?: JsonObject;
  readonly expect?: Json;
  readonly error?: string;
  readonly at?: number;
};

const golden = JSON.parse(
  readFileSync(new URL("../../test/golden/templates.json", import.meta.url), "utf8"),
) as { readonly vectors: readonly Vector[] };

/** What a text gives, or its problem; `undefined` members of the scope are undefined names. */
function outcome(
  template: string,
  scope: JsonObject = {},
  mode: UndefinedMode = "lenient",
): Result<Json, { readonly message: string; readonly at: number }> {
  const compiled = compileTemplate(template, mode);
  return compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
}

function valueOf(template: string, scope: JsonObject = {}): Json {
  const result = outcome(template, scope);
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}

function problemOf(template: string, scope: JsonObject = {}, mode: UndefinedMode = "lenient") {
  const result = outcome(template, scope, mode);
  if (result.ok) throw new Error(`It gives ${JSON.stringify(result.value)}`);
  return result.error;
}

describe("golden vectors", () => {
  test("there are at least 300, and each is there once", () => {
    expect(golden.vectors.length).toBeGreaterThanOrEqual(300);
    const keys = golden.vectors.map(({ template, kind, mode, scope }) =>
      JSON.stringify([template, kind, mode, scope]),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  test.each(golden.vectors.map((vector) => [vector.template.slice(0, 80), vector] as const))(
    "%s",
    (_, { template, kind, mode = "lenient", scope = {}, ...wanted }) => {
      const compile = kind === "condition" ? compileCondition : compileTemplate;
      const compiled = compile(template, mode);
      const result = compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
      if (wanted.error === undefined) {
        expect(result).toEqual({ ok: true, value: wanted.expect });
      } else {
        expect(result).toMatchObject({
          ok: false,
          error: { message: expect.stringContaining(wanted.error) as string, at: wanted.at },
        });
      }
    },
  );
});

describe("types", () => {
  test("1. one expression gives the value itself, the very same object", () => {
    const rows = [{ id: 1 }, { id: 2 }];
    expect(valueOf("{{ rows }}", { rows })).toBe(rows);
    expect(valueOf("{{ step.rows[1] }}", { step: { rows } })).toBe(rows[1]);
    expect(valueOf("{{ step.rows | default([]) }}", { step: { rows } })).toBe(rows);
  });

  test("1. anything beside the expression makes it a text", () => {
    expect(valueOf("{{ n }} ", { n: 7 })).toBe("7 ");
    expect(valueOf("{# note #}{{ n }}", { n: 7 })).toBe("7");
    expect(valueOf("{{ n }}{{ n }}", { n: 7 })).toBe("77");
  });

  test("1. a line's end behind the expression is that of the file, not of the text", () => {
    expect(valueOf("{{ n }}\n", { n: 7 })).toBe(7);
    expect(valueOf("{{\n  n\n}}\r\n", { n: 7 })).toBe(7);
    expect(valueOf("{{ n }}\n\n", { n: 7 })).toBe("7\n");
  });

  test("1. a text without a template is given back as it is, its last line's end too", () => {
    expect(valueOf("select 1;\n")).toBe("select 1;\n");
    expect(valueOf("a { b } } c\r\n")).toBe("a { b } } c\r\n");
  });

  test("1. nothing is typed a second time", () => {
    expect(valueOf("{{ code }}", { code: "007" })).toBe("007");
    expect(valueOf("{{ '4' }}{{ 2 }}")).toBe("42");
    expect(valueOf("{{ flag | string }}", { flag: true })).toBe("True");
  });
});

describe("roots", () => {
  const rootsOf = (template: string): readonly string[] => {
    const compiled = compileTemplate(template, "lenient");
    if (!compiled.ok) throw new Error(compiled.error.message);
    return [...compiled.value.roots].sort();
  };

  test("3. are the names that only a scope can answer", () => {
    expect(rootsOf("{{ ctx.a + start['b'][i] }} {{ now() }}")).toEqual([
      "ctx",
      "i",
      "now",
      "start",
    ]);
    expect(rootsOf("{{ range(3) | map('string') | join(sep) }}")).toEqual(["sep"]);
    expect(
      rootsOf("{{ a if b else c }}{% if d is defined %}{{ e | default(f) }}{% endif %}"),
    ).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  test("3. variables of the template are none, where they are certain to be set", () => {
    expect(rootsOf("{% for x in xs %}{{ x }}{{ loop.index }}{% endfor %}")).toEqual(["xs"]);
    expect(rootsOf("{% for x in xs %}{% endfor %}{{ x }}{{ loop }}")).toEqual(["loop", "x", "xs"]);
    expect(rootsOf("{% set a = 1 %}{{ a }}")).toEqual([]);
    expect(rootsOf("{{ a }}{% set a = 1 %}")).toEqual(["a"]);
    expect(rootsOf("{% if c %}{% set a = 1 %}{% endif %}{{ a }}")).toEqual(["a", "c"]);
    expect(rootsOf("{% if c %}{% set a = 1 %}{% else %}{% set a = 2 %}{% endif %}{{ a }}")).toEqual(
      ["c"],
    );
    expect(rootsOf("{% with a = b %}{{ a }}{% endwith %}{{ a }}")).toEqual(["a", "b"]);
  });

  test("3. no other root is asked for, and those of a way not taken are not either", () => {
    const asked: string[] = [];
    const compiled = compileTemplate("{{ a.b if c else d }}", "lenient");
    if (!compiled.ok) throw new Error(compiled.error.message);
    compiled.value.render({
      get: (root) => {
        asked.push(root);
        return root === "c" ? true : { b: 1 };
      },
    });
    expect(asked).toEqual(["c", "a"]);
  });
});

describe("values", () => {
  const render = (value: Json, scope: JsonObject, mode: UndefinedMode = "lenient") => {
    const compiled = compileValue(value, mode);
    return compiled.ok ? compiled.value.render(scopeOf(scope)) : compiled;
  };

  test("templates in the strings of a value are rendered, each with its type", () => {
    const value = {
      url: "/items/{{ id }}",
      ids: ["{{ id }}", 5, "{{ none }}"],
      plain: { text: "as is\n", number: 1, nothing: null },
    };
    expect(render(value, { id: 7 })).toEqual({
      ok: true,
      value: {
        url: "/items/7",
        ids: [7, 5, null],
        plain: { text: "as is\n", number: 1, nothing: null },
      },
    });
  });

  test("what holds no template is given as it is, and keys are no templates", () => {
    const value = { a: [1, { b: "x" }], "{{ k }}": "y" };
    const compiled = compileValue(value, "strict");
    const rendered = compiled.ok ? compiled.value.render(scopeOf({})) : compiled;
    expect(rendered.ok && rendered.value).toBe(value);
    expect(compiled.ok && [...compiled.value.roots]).toEqual([]);
  });

  test("a key named __proto__ stays a key", () => {
    const value = JSON.parse('{"__proto__": "{{ n }}"}') as JsonObject;
    const rendered = render(value, { n: 1 });
    expect(rendered.ok && JSON.stringify(rendered.value)).toBe('{"__proto__":1}');
  });

  test("variables of one string are not those of the next", () => {
    const value = ["{% set a = 1 %}{{ a }}.", "{% if no %}{% set b = 2 %}{% endif %}{{ b }}."];
    expect(render(value, {})).toEqual({ ok: true, value: ["1.", "."] });
  });

  test("a problem says in which string it is", () => {
    expect(render({ a: ["x", "{{ 1 + }}"] }, {})).toMatchObject({
      ok: false,
      error: { path: ["a", 1], at: 7 },
    });
    expect(render({ a: "{{ n }}", b: { c: "x{{ gone.id }}" } }, { n: 1 }, "strict")).toMatchObject({
      ok: false,
      error: {
        path: ["b", "c"],
        at: 4,
        message: expect.stringContaining("gone is undefined") as string,
      },
    });
  });

  test("the roots are those of all strings", () => {
    const compiled = compileValue({ a: "{{ x }}", b: ["{{ y.z }}"] }, "lenient");
    expect(compiled.ok && [...compiled.value.roots].sort()).toEqual(["x", "y"]);
  });
});

describe("limits", () => {
  test("5. data that is only passed on may be of any size and depth", () => {
    let deep: Json = "end";
    for (let level = 0; level < 10 * templateLimits.depthMax; level += 1) deep = [deep];
    expect(valueOf("{{ deep }}", { deep })).toBe(deep);
    expect(valueOf("{{ deep | default(1) }}", { deep })).toBe(deep);
  });

  test("5. data that is too deep to be printed, compared or built is a problem", () => {
    const build = (): Json => {
      let deep: Json = "end";
      for (let level = 0; level < 2 * templateLimits.depthMax; level += 1) deep = [deep];
      return deep;
    };
    const scope = { deep: build(), other: build() };
    for (const template of [
      "{{ deep }}!",
      "{{ deep | tojson }}",
      "{{ deep == other }}",
      "{{ [deep] }}",
      "{{ [deep, other] | sort }}",
      "{{ [deep, other] | unique | list }}",
    ]) {
      expect(problemOf(template, scope).message).toContain("nested too deep");
    }
  });

  test("5. a text has a greatest length, however it comes about", () => {
    const big = "x".repeat(templateLimits.textLengthMax / 2);
    expect(valueOf("{{ big }}{{ big }}", { big })).toHaveLength(templateLimits.textLengthMax);
    expect(problemOf("{{ big }}{{ big }}!", { big }).message).toContain("too long");
  });

  test("5. loops together have a number of steps, within one another or not", () => {
    const half = templateLimits.loopStepsMax / 2;
    const loop = (steps: number): string => `{% for i in range(${String(steps)}) %}{% endfor %}`;
    expect(valueOf(loop(half) + loop(half))).toBe("");
    expect(problemOf(loop(half) + loop(half + 1)).message).toContain("loops more than");
  });

  test("5. what a pass of a loop does counts, not only that it is one", () => {
    const many = `{{ ${Array.from({ length: 150 }, () => "a").join(" ~ ")} }}`.repeat(4);
    expect(problemOf(`{% for i in range(90000) %}${many}{% endfor %}`).message).toContain(
      "too much",
    );
  });
});

describe("purity", () => {
  test("2. a render leaves nothing behind", () => {
    const template =
      "{% set ns = namespace(n=0) %}{% for i in xs %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}";
    const compiled = compileTemplate(template, "lenient");
    if (!compiled.ok) throw new Error(compiled.error.message);
    const scope = scopeOf({ xs: [1, 2, 3] });
    expect([1, 2, 3].map(() => compiled.value.render(scope))).toEqual(
      Array.from({ length: 3 }, () => ({ ok: true, value: "6" })),
    );
  });

  test("4. data is not changed by what reads it", () => {
    const freeze = <T extends Json>(value: T): T => {
      if (typeof value === "object" && value !== null) {
        Object.values(value).forEach((one: Json | undefined) => one !== undefined && freeze(one));
        Object.freeze(value);
      }
      return value;
    };
    const scope = freeze({ xs: [3, 1, 2], o: { b: 1, a: { c: [2] } } });
    expect(valueOf("{{ xs | sort }}", scope)).toEqual([1, 2, 3]);
    expect(valueOf("{{ xs | reverse | list }}", scope)).toEqual([2, 1, 3]);
    expect(valueOf("{{ dict(o, z=1) }}", scope)).toEqual({ b: 1, a: { c: [2] }, z: 1 });
    expect(valueOf("{{ xs + [4] }}", scope)).toEqual([3, 1, 2, 4]);
    expect(scope).toEqual({ xs: [3, 1, 2], o: { b: 1, a: { c: [2] } } });
  });

  test("4. every name of an object's prototype is undefined, and so is every member of it", () => {
    const names = [
      "__proto__",
      "constructor",
      "prototype",
      "__class__",
      "__defineGetter__",
      ...Object.getOwnPropertyNames(Object.prototype),
    ];
    const scope = { o: { a: 1 }, l: [1], s: "x", n: 1, name: "" };
    for (const name of names) {
      for (const ask of [
        `o.${name}`,
        `l.${name}`,
        `s.${name}`,
        `n.${name}`,
        `o["${name}"]`,
        `o[name]`,
        `o | attr(name)`,
        `o | get(name)`,
        `o.get(name)`,
        `[o] | map(attribute=name) | first`,
        `[o] | map(attribute="${name}.${name}") | first`,
        `[o] | groupby(name) | map(attribute="grouper") | first`,
        name,
      ]) {
        expect([ask, valueOf(`{{ ${ask} }}`, { ...scope, name })]).toEqual([ask, null]);
      }
      expect(valueOf(`{{ [o] | selectattr(name) | list }}`, { ...scope, name })).toEqual([]);
      expect(valueOf(`{{ name in o }}`, { ...scope, name })).toBe(false);
    }
  });
});

test("a hint names what is near", () => {
  expect(problemOf("{{ a | tojsn }}")).toEqual({
    message: "Unknown filter tojsn: did you mean tojson?",
    at: 7,
  });
  expect(problemOf("{{ a.get_it('x') }}").message).toContain("Unknown method get_it");
});

test("an offset counts in the source as it was given", () => {
  const source = "line one\r\n😀 {{ gone.x }}";
  expect(problemOf(source, {}, "strict").at).toBe(source.indexOf("gone"));
  expect(present(source[source.indexOf("gone")], "a character")).toBe("g");
});
