import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { readYaml, yamlLimits } from "./yaml.ts";

function only(text: string) {
  const { documents, problems } = readYaml(text);
  expect(problems).toEqual([]);
  const [document] = documents;
  if (document === undefined) throw new Error("no document");
  return document;
}

function problems(text: string): readonly string[] {
  return readYaml(text).problems.map(
    ({ line, column, message }) => `${String(line)}:${String(column)}: ${message}`,
  );
}

describe("1. no input throws, hangs or fills the memory", () => {
  test("any text at all", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        const { documents, problems: told } = readYaml(text);
        expect(documents.length + told.length).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 500 },
    );
  });

  test("characters that YAML means something by", () => {
    const mark = fc.constantFrom(
      ...Array.from("{}[]:,-?&*!|>'\"%@`#~<\n \ta1"),
      "<<: ",
      "*a",
      "&a ",
      "---\n",
    );
    fc.assert(
      fc.property(fc.array(mark, { maxLength: 60 }), (marks) => {
        for (const { value } of readYaml(marks.join("")).documents) JSON.stringify(value);
      }),
      { numRuns: 1_500 },
    );
  });

  test("nesting deeper than JSON may be", () => {
    const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    expect(problems(deep(64))).toEqual([]);
    expect(problems(deep(66))).toEqual([
      "1:66: cannot be read as lists and mappings may stand in one another 64 times",
    ]);
    expect(problems(deep(20_000))[0]).toMatch(
      /: cannot be read as lists and mappings may stand in one another 64 times$/,
    );
  });

  test("a file past its limit", () => {
    expect(problems(`# ${"x".repeat(yamlLimits.charsMax)}`)).toEqual([
      "1:1: cannot be read as a file may hold 1048576 characters: it holds 1048578",
    ]);
  });

  test("an anchor that holds itself", () => {
    expect(problems("a: &a [*a, *a]")).toEqual([
      "1:8: not valid YAML: the alias *a stands inside its own anchor",
      "1:12: not valid YAML: the alias *a stands inside its own anchor",
    ]);
  });
});

describe("2. what JSON cannot hold exactly is a problem", () => {
  test.each([
    ["a: .inf", "1:4: .inf is no number that JSON knows: write it in quotes"],
    ["a: .nan", "1:4: .nan is no number that JSON knows: write it in quotes"],
    [
      "a: 9007199254740993",
      "1:4: the number 9007199254740993 cannot be held exactly: write it in quotes",
    ],
    ["a: !ruby/x b", "1:4: not valid YAML: Unresolved tag: !ruby/x"],
    ["? [a]\n: b", "1:3: not valid YAML: a key must be a text"],
    ["a:\n  b: 1\n  b: 2", '3:3: not valid YAML: the key "b" stands twice in one mapping'],
  ])("%s", (text, problem) => {
    expect(problems(text)).toEqual([problem]);
  });

  test("numbers as keys are texts", () => {
    expect(only("1: a\ntrue: b").value).toEqual({ "1": "a", true: "b" });
  });

  test("__proto__ is a key as any other", () => {
    expect(JSON.stringify(only("__proto__: {a: 1}").value)).toBe('{"__proto__":{"a":1}}');
  });
});

describe("3. an alias is what its anchor held", () => {
  test("as a value, as an item, as a key", () => {
    expect(only("a: &x {n: 1}\nb: *x\nc: [*x]\nd: &k name\n*k : 2").value).toEqual({
      a: { n: 1 },
      b: { n: 1 },
      c: [{ n: 1 }],
      d: "name",
      name: 2,
    });
  });

  test("<< fills in what a mapping does not say itself, the first source before the second", () => {
    const text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  c: 3\n  <<: [*x, *y]";
    expect(only(text).value).toMatchObject({ z: { a: 1, b: 1, c: 3 } });
    expect(only('"<<": 1').value).toEqual({ "<<": 1 });
    expect(problems("<<: 1")).toEqual([
      "1:1: not valid YAML: << takes a mapping, or a list of mappings",
    ]);
  });

  test("what an alias holds stands where its anchor stands", () => {
    const document = only("x: &x\n  a: one\ny: *x\nz:\n  <<: *x");
    expect(document.place(["y", "a"])).toEqual({ line: 2, column: 6 });
    expect(document.place(["z", "a"])).toEqual({ line: 2, column: 6 });
    expect(document.place(["y"])).toEqual({ line: 3, column: 4 });
  });
});

describe("4. a place inside a text is exact", () => {
  const at = (text: string, word: string) => {
    const document = only(text);
    const value = (document.value as { readonly t: string }).t;
    return document.place(["t"], value.indexOf(word));
  };

  test.each([
    ["plain", "t: one two", { line: 1, column: 8 }],
    ["plain, folded", "t: one\n   more\n     two", { line: 3, column: 6 }],
    ["single-quoted", "t: 'it''s '' two'", { line: 1, column: 14 }],
    ["single-quoted, folded", "t: 'one\n\n  two'", { line: 3, column: 3 }],
    ["double-quoted", 't: "a\\n\\x41\\u0042\\t\\" two"', { line: 1, column: 23 }],
    [
      "double-quoted, with escaped line ends",
      't: "one \\\n   more\\\n   \\ two"',
      { line: 3, column: 6 },
    ],
    ["double-quoted, past the basic plane", 't: "\\U0001F600\\0 two"', { line: 1, column: 18 }],
    ["literal", "t: |\n  one\n    more\n\n  two\n", { line: 5, column: 3 }],
    ["literal with an indentation of its own", "t: |2-\n     one\n    two", { line: 3, column: 5 }],
    ["folded", "t: >- # why\n  one\n  more\n\n\n  two", { line: 6, column: 3 }],
    ["behind CRLF", "t: |\r\n  one\r\n  two\r\n", { line: 3, column: 3 }],
  ])("%s", (_how, text, place) => {
    expect(at(text, "two")).toEqual(place);
  });

  test("whatever text, however it is written, the mark is found", () => {
    const text = fc.string({
      unit: fc.constantFrom(...Array.from("ab'\"\\:#-{}%é \n\t"), "  ", "\u00a0", "😀", "\u0007"),
      maxLength: 40,
    });
    const type = fc.constantFrom(
      "PLAIN",
      "QUOTE_DOUBLE",
      "QUOTE_SINGLE",
      "BLOCK_LITERAL",
      "BLOCK_FOLDED",
    );
    const seen = new Set<string>();
    fc.assert(
      fc.property(text, text, type, (before, after, style) => {
        const value = `${before}§${after}`;
        const file = stringify({ a: { t: value } }, { defaultStringType: style, lineWidth: 20 });
        const document = only(file);
        // The writer of the library does not fold every text well.
        fc.pre(JSON.stringify(document.value) === JSON.stringify({ a: { t: value } }));
        const { line, column } = document.place(["a", "t"], before.length);
        expect(file.split("\n")[line - 1]?.charAt(column - 1)).toBe("§");
        seen.add(style);
      }),
      { numRuns: 600 },
    );
    expect(seen.size).toBe(5);
  });
});

describe("a place", () => {
  const document = only("a:\n  b: [1, {c: 2}]\n  d: 'x'\n---\n".replace("---\n", ""));

  test.each([
    ["of a number", ["a", "b", 0], { line: 2, column: 7 }],
    ["of a quoted text, behind the quote", ["a", "d"], { line: 3, column: 7 }],
    ["of a list, at its key", ["a", "b"], { line: 2, column: 3 }],
    ["of a mapping in a list", ["a", "b", 1], { line: 2, column: 10 }],
    ["of what is not there, at what would hold it", ["a", "b", 1, "x"], { line: 2, column: 10 }],
  ])("%s", (_what, path, place) => {
    expect(document.place(path)).toEqual(place);
  });

  test("of a key", () => {
    expect(document.keyPlace(["a", "b", 1, "c"])).toEqual({ line: 2, column: 11 });
  });
});

test("documents of one file are read one by one, empty ones are left out", () => {
  const { documents } = readYaml("a: 1\n---\n---\nb: &x 2\nc: *x\n");
  expect(documents.map(({ value }) => value)).toEqual([{ a: 1 }, { b: 2, c: 2 }]);
  expect(documents[1]?.place(["b"])).toEqual({ line: 4, column: 7 });
});
