import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Fault } from "../../event/error.ts";
import { depthMax, readJson } from "./json.ts";

function refusal(text: string, firstLine?: number): string {
  try {
    readJson(text, firstLine);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.error.message;
    throw thrown;
  }
  throw new Error("was read");
}

describe("1. what is not JSON is refused with line, column and what was expected", () => {
  it.each([
    ['{"a": 1,}', 1, 9, 'expected a name in double quotes, found "}"'],
    ['{"a": 1,\n  b: 2}', 2, 3, 'expected a name in double quotes, found "b: 2}"'],
    ['{"a" 1}', 1, 6, 'expected a colon, found "1}"'],
    ["[1 2]", 1, 4, 'expected a comma or ], found "2]"'],
    ['{"a": 1 "b": 2}', 1, 9, 'expected a comma or }, found "\\"b\\": 2}"'],
    ["[1,]", 1, 4, 'expected a value, found "]"'],
    ["{'a': 1}", 1, 2, "expected a name in double quotes or }, found \"'a': 1}\""],
    ['{"a": [1, {"b": tru}]}', 1, 17, 'expected a value, found "tru}]}"'],
    ['{"a": 01}', 1, 7, 'expected a value, found "01}"'],
    ['{"a": 1', 1, 8, "expected a comma or }, found the end"],
    ["", 1, 1, "expected a value, found the end"],
    ['{"a": 1} x', 1, 10, 'expected the end, found "x"'],
    ['"open', 1, 1, 'expected a value, found "\\"open"'],
    ["]", 1, 1, 'expected a value, found "]"'],
  ])("%j", (text, line, column, message) => {
    expect(refusal(text)).toBe(
      `Cannot read the body as JSON at line ${String(line)}, column ${String(column)}: ${message}`,
    );
  });

  it("counts lines from the one where the text begins", () => {
    expect(refusal("{", 7)).toContain("line 7, column 2");
  });

  it("reads every JSON value as JSON.parse does, and refuses every text that is cut", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (text, cut) => {
        fc.pre(!text.includes("__proto__"));
        expect(readJson(text)).toEqual(JSON.parse(text));
        const part = text.slice(0, cut % text.length);
        let valid = true;
        try {
          JSON.parse(part);
        } catch {
          valid = false;
        }
        if (!valid) expect(refusal(part)).toMatch(/line \d+, column \d+: expected /);
      }),
      { numRuns: 300 },
    );
  });
});

describe("2. values nest at most so deep", () => {
  it("takes the deepest, and refuses one level more", () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    const text = (levels: number): string => `${nested(levels)}${" ".repeat(300)}`;
    expect(readJson(text(depthMax))).toHaveLength(1);
    expect(refusal(text(depthMax + 1))).toBe(
      "Cannot read the body as it nests deeper than 128 levels",
    );
  });

  it("does not take brackets in a text for levels", () => {
    const value = { text: '["\\'.repeat(500) };
    expect(readJson(JSON.stringify(value))).toEqual(value);
  });
});

it.each(['{"__proto__": {"a": 1}}', '[{"\\u005f_proto__": 1}]'])(
  "3. no member is named __proto__: %s",
  (text) => {
    expect(refusal(text)).toBe('Cannot read the body as a member of it is named "__proto__"');
  },
);

it("3. a text may say __proto__", () => {
  expect(readJson('{"a": "__proto__"}')).toEqual({ a: "__proto__" });
});
