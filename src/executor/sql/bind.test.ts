import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fault } from "../../event/error.ts";
import { bindParams } from "./bind.ts";
import { firstWords, piecesOf } from "./lex.ts";

describe("the parameters of a query", () => {
  test("each place of a name gets a number of its own, and the value beside the text", () => {
    const sql = "select * from t where a = :id and b in (:id, %(other)s)";
    expect(bindParams(sql, { id: 1, other: "x" })).toEqual({
      text: "select * from t where a = $1 and b in ($2, $3)",
      values: [
        { value: 1, json: false },
        { value: 1, json: false },
        { value: "x", json: false },
      ],
      rewritten: true,
    });
  });

  test.each([
    ["a literal", "select ':id'"],
    ["a literal with a quote in it", "select 'it''s :id'"],
    ["a literal with escapes", String.raw`select E'\' :id', e'a''\':id'`],
    ["a quoted name", 'select "a:id" from t'],
    ["a dollar-quoted text", "do $$ begin perform :id; end $$"],
    ["a dollar-quoted text with a tag", "select $a$ :id $$ :id $a$"],
    ["a comment to the end of the line", "select 1 -- :id"],
    ["a comment in a comment", "select 1 /* a /* b */ :id */"],
    ["a cast", "select a::id from t"],
    ["an assignment", "select f(x := 1, y:=2)"],
    ["a slice of an array", "select a[1:id], a[b:id] from t"],
    ["what is left open", "select ':id"],
  ])("what stands in %s is no placeholder", (_, sql) => {
    expect(bindParams(sql, { id: 1 })).toEqual({ text: sql, values: [], rewritten: false });
  });

  test("a value that the query casts to JSON is known as one", () => {
    const given = { a: [1], b: [1], c: [1], d: 1 };
    const byName = bindParams("select :a::jsonb, :b :: json, :c::jsonb[], :d", given);
    expect(byName.values.map(({ json }) => json)).toEqual([true, true, false, false]);
    const byNumber = bindParams("select $1::int[], $2::jsonb, '$1::json'", [[1], [2]]);
    expect(byNumber).toEqual({
      text: "select $1::int[], $2::jsonb, '$1::json'",
      values: [
        { value: [1], json: false },
        { value: [2], json: true },
      ],
      rewritten: false,
    });
  });

  test("a name that is not given is refused, even one that every object has", () => {
    for (const name of ["nobody", "constructor"]) {
      let thrown: unknown;
      try {
        bindParams(`select :${name}`, { a: 1, b: 2 });
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBeInstanceOf(Fault);
      expect((thrown as Fault).error).toEqual({
        kind: "invalid_args",
        message: `Cannot bind the parameter "${name}" of the query: given are a, b`,
        retryable: false,
      });
    }
  });

  test("whatever the value is, the text of the query is the same", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bound = bindParams("select :a, '…'", { a: value as string });
        expect(bound.text).toBe("select $1, '…'");
        expect(bound.values[0]?.value).toBe(value);
      }),
    );
  });
});

describe("the pieces of an SQL text", () => {
  test("put together they are the text, whatever it is", () => {
    const part = fc.constantFrom(
      ...[
        "'",
        '"',
        "$$",
        "$a$",
        "--",
        "\n",
        "/*",
        "*/",
        "E'",
        "\\",
        ":a",
        "$1",
        "%(a)s",
        ";",
        "x",
        " ",
      ],
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const sql = parts.join("");
        const pieces = [...piecesOf(sql)];
        expect(pieces.map(({ from, to }) => sql.slice(from, to)).join("")).toBe(sql);
        expect(pieces.every(({ from, to }) => to > from)).toBe(true);
      }),
    );
  });

  test("each statement is known by its first word", () => {
    const sql = "-- a; b\nSelect ';' from t;; /* x */ INSERT into t values ($$;$$);\n(select 1)";
    expect(firstWords(sql)).toEqual(["select", "insert", "select"]);
  });
});
