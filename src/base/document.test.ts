import fc from "fast-check";
import Type from "typebox";
import { describe, expect, test } from "vitest";
import { formatProblem, readDocuments } from "./document.ts";
import { nearest } from "./nearest.ts";

const strict = { additionalProperties: false };

const schema = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z]+$", description: "a name of lower-case letters" }),
    mode: Type.Optional(Type.Union([Type.Literal("live"), Type.Literal("off")])),
    kind: Type.Optional(Type.Literal("Thing")),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    when: Type.Optional(Type.String()),
    steps: Type.Optional(Type.Array(Type.Object({ run: Type.String() }, strict))),
  },
  strict,
);

const lines = (...text: readonly string[]): string => text.join("\n");

function problems(text: string): readonly string[] {
  const read = readDocuments(text, "a.yaml", schema);
  return read.ok ? [] : read.error.map(formatProblem);
}

describe("what fits is read", () => {
  test("every document of a file, in its order", () => {
    const read = readDocuments("name: a\n---\nname: b\nlimit: 2\n", "a.yaml", schema);
    expect(read.ok && read.value.map(({ value }) => value)).toEqual([
      { name: "a" },
      { name: "b", limit: 2 },
    ]);
  });

  test("as YAML 1.2: `on` and `yes` are texts", () => {
    const read = readDocuments("on: yes", "a.yaml", Type.Object({ on: Type.String() }));
    expect(read.ok && read.value.map(({ value }) => value)).toEqual([{ on: "yes" }]);
  });
});

describe("what does not fit is refused with its place", () => {
  test.each([
    [
      "an unknown key, with the word that was meant",
      "name: a\nlimt: 3",
      'a.yaml:2:1: unknown key "limt": did you mean "limit"?',
    ],
    [
      "an unknown key that is near to none, with those that are known",
      "name: a\nxyzzyq: 3",
      'a.yaml:2:1: unknown key "xyzzyq": known here: name, mode, kind, limit, when, steps',
    ],
    [
      "an unknown key deep inside",
      "name: a\nsteps:\n  - run: x\n  - run: y\n    rum: z",
      'a.yaml:5:5: unknown key "rum": did you mean "run"?',
    ],
    ["a wrong type", "name: a\nwhen: 3", 'a.yaml:2:7: "when" must be string: got 3'],
    [
      "a wrong type inside a list",
      "name: a\nsteps: [{run: x}, {run: 4}]",
      'a.yaml:2:25: "run" must be string: got 4',
    ],
    ["a number that is too small", "name: a\nlimit: 0", 'a.yaml:2:8: "limit" must be >= 1: got 0'],
    [
      "a word that is none of the choices",
      "name: a\nmode: livve",
      'a.yaml:2:7: "mode" must be one of live, off: got "livve"',
    ],
    [
      "a word that is not the one",
      "name: a\nkind: Thin",
      'a.yaml:2:7: "kind" must be Thing: got "Thin"',
    ],
    [
      "a text of another form, in words",
      "name: A1",
      'a.yaml:1:7: "name" must be a name of lower-case letters: got "A1"',
    ],
    ["a member that is missing", "limit: 1", "a.yaml:1:1: missing: name"],
    ["a member that is missing deep inside", "name: a\nsteps:\n  - {}", "a.yaml:3:5: missing: run"],
    [
      "a mapping where a text belongs",
      "name: a\nwhen:\n  b: 1",
      'a.yaml:2:1: "when" must be string: got {"b":1}',
    ],
    [
      "a list for the document",
      "- name: a",
      'a.yaml:1:1: the document must be object: got [{"name":"a"}]',
    ],
    ["an empty file", "", "a.yaml:1:1: the file is empty"],
    ["a file of comments", "# nothing\n", "a.yaml:1:1: the file is empty"],
    [
      "a key that stands twice",
      "name: a\nname: b",
      'a.yaml:2:1: not valid YAML: the key "name" stands twice in one mapping',
    ],
    [
      "an alias of nothing",
      "name: *x",
      "a.yaml:1:7: not valid YAML: no anchor &x stands before the alias *x",
    ],
  ])("%s", (_what, text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  test("YAML that is broken, at the place where it breaks", () => {
    expect(problems("name: a\nsteps: [")[0]).toMatch(/^a\.yaml:2:9: not valid YAML: /);
    expect(problems("name: a\n  limit: 1")[0]).toMatch(/^a\.yaml:1:7: not valid YAML: /);
  });

  test("aliases that blow up", () => {
    const bomb = lines(
      "a: &a [l,l,l,l,l,l,l,l,l]",
      "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]",
      "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]",
      "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]",
      "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]",
      "f: [*e,*e,*e,*e,*e,*e,*e,*e,*e]",
    );
    expect(problems(bomb)).toEqual([
      "a.yaml:6:8: cannot be read as a file may stand for 200000 values: here are more",
    ]);
  });

  test("all problems are told, of all documents, in the order of the file", () => {
    expect(problems("name: A\nlimit: 0\nfoo: 1\nlimt: 2\n---\nname: b\nwhen: 4")).toEqual([
      'a.yaml:1:7: "name" must be a name of lower-case letters: got "A"',
      'a.yaml:2:8: "limit" must be >= 1: got 0',
      'a.yaml:3:1: unknown key "foo": known here: name, mode, kind, limit, when, steps',
      'a.yaml:4:1: unknown key "limt": did you mean "limit"?',
      'a.yaml:7:7: "when" must be string: got 4',
    ]);
  });

  test("many unknown keys in one of several documents do not hide each other, nor the document", () => {
    const many = Array.from({ length: 30 }, (_, index) => `x${String(index)}: 1`);
    const found = problems(lines("name: a", "---", "name: b", ...many));
    expect(found.slice(0, 2)).toEqual([
      'a.yaml:4:1: unknown key "x0": known here: name, mode, kind, limit, when, steps',
      'a.yaml:5:1: unknown key "x1": known here: name, mode, kind, limit, when, steps',
    ]);
  });

  test("a long value is not repeated", () => {
    expect(problems(`name: ${"A".repeat(200)}`)).toEqual([
      'a.yaml:1:7: "name" must be a name of lower-case letters',
    ]);
  });
});

describe("a place inside a text is found however the text is written", () => {
  const placed = (text: string): string => {
    const read = readDocuments(text, "a.yaml", schema);
    if (!read.ok) throw new Error(read.error.map(formatProblem).join("\n"));
    const [document] = read.value;
    const within = document?.value.when?.indexOf("HERE") ?? -1;
    const problem = document?.problem(["when"], "here", within);
    return `${String(problem?.line)}:${String(problem?.column)}`;
  };

  test.each([
    ["plain", "name: a\nwhen: one HERE", "2:11"],
    ["plain over two lines", "name: a\nwhen: one\n   two HERE", "3:8"],
    ["single quotes", "name: a\nwhen: 'one HERE'", "2:12"],
    ["single quotes with a quote inside", "name: a\nwhen: 'it''s HERE'", "2:14"],
    ["double quotes", 'name: a\nwhen: "one HERE"', "2:12"],
    ["double quotes with escapes", 'name: a\nwhen: "\\u00e9\\n\\"\\\\ HERE"', "2:21"],
    ["a literal block", "name: a\nwhen: |\n  one\n    two\n\n  three HERE\n", "6:9"],
    ["a literal block that begins there", "name: a\nwhen: |\n  HERE\n", "3:3"],
    ["a folded block", "name: a\nwhen: >-\n  one\n  two HERE\n", "4:7"],
  ])("%s", (_what, text, place) => {
    expect(placed(text)).toBe(place);
  });

  test("a member that is not there is placed at what should hold it", () => {
    const read = readDocuments("name: a\nsteps:\n  - run: x\n", "a.yaml", schema);
    const [document] = read.ok ? read.value : [];
    expect(document?.problem(["steps", 0, "missing"], "here")).toEqual({
      file: "a.yaml",
      line: 3,
      column: 5,
      message: "here",
    });
  });

  test("any offset into any one-line text is found", () => {
    const plain = fc.stringMatching(/^[a-z]([a-z ]{0,20}[a-z])?$/);
    fc.assert(
      fc.property(plain, fc.nat(20), (text, offset) => {
        const within = offset % text.length;
        const read = readDocuments(`name: a\nwhen: "${text}"`, "a.yaml", schema);
        const problem = read.ok ? read.value[0]?.problem(["when"], "", within) : undefined;
        fc.pre(text.charAt(within) !== " ");
        expect(problem?.column).toBe(8 + within);
      }),
    );
  });
});

describe("nearest", () => {
  test.each([
    ["wen", ["when", "per", "on"], "when"],
    ["cooldown", ["cool_down", "count"], "cool_down"],
    ["idempotencyKey", ["idempotency_key", "priority"], "idempotency_key"],
    ["zzzzzz", ["when", "per"], undefined],
    ["a", [], undefined],
  ])("of %j in %j is %j", (written, known, word) => {
    expect(nearest(written, known)).toBe(word);
  });
});
