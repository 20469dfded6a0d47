import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compilePattern } from "./pattern.ts";

function matches(pattern: string, text: string): boolean {
  const compiled = compilePattern(pattern);
  if (!compiled.ok) throw new Error(compiled.error.message);
  return compiled.value(text);
}

describe("a pattern is found anywhere in the text", () => {
  test.each<[pattern: string, yes: readonly string[], no: readonly string[]]>([
    ["", ["", "a"], []],
    ["etl", ["etl", "nightly-etl-2"], ["et", "ETL"]],
    [
      "^job:[a-z]+-\\d{2,3}$",
      ["job:etl-01", "job:a-123"],
      ["job:etl-1", "job:etl-1234", "xjob:a-12"],
    ],
    ["a|bc|", ["a", "bc", "zzz"], []],
    ["^(a|bc)+$", ["a", "abc", "bcbca"], ["", "b", "abcb"]],
    ["^a.c$", ["abc", "a😀c"], ["a\nc", "ac"]],
    ["(?s)^a.c$", ["a\nc"], ["ac"]],
    ["(?i)^Straße|[k-m]$", ["sTRASSE".replace("SS", "ß"), "xL"], ["xz"]],
    ["^[^a-c]$", ["d", "😀"], ["a", "b", "dd"]],
    ["^[\\w.-]+@[\\w-]+\\.com$", ["a.b@c-d.com"], ["a b@c.com", "a@b_com"]],
    ["^[]a]$", ["]", "a"], ["b"]],
    ["^[a-]$", ["a", "-"], ["b"]],
    ["\\bfail\\b", ["it did fail.", "fail"], ["failure", "xfail"]],
    ["a\\Bb", ["ab"], ["a b"]],
    ["\\Ax\\z", ["x"], ["x\n", "xx"]],
    ["^\\x41\\x{1F600}\\t\\.$", ["A😀\t."], ["A"]],
    ["a{0}b", ["b"], ["a"]],
    ["^a{2}$", ["aa"], ["a", "aaa"]],
    ["^a{2,}?$", ["aa", "aaaa"], ["a"]],
    ["^(?:ab?){1,2}$", ["a", "ab", "aba"], ["", "aaa"]],
    ["^(a*)*$", ["", "aaa"], ["b"]],
    ["x{a", ["x{a"], ["xa"]],
  ])("%s", (pattern, yes, no) => {
    for (const text of yes) expect(matches(pattern, text), text).toBe(true);
    for (const text of no) expect(matches(pattern, text), text).toBe(false);
  });
});

describe("what is not known is refused with its place", () => {
  test.each([
    ["a(b", "a ( without its )", 1],
    ["ab)", "a ) without its (", 2],
    ["a[b", "a [ without its ]", 1],
    ["*a", "nothing to repeat", 0],
    ["^*", "nothing to repeat", 0],
    ["a**", "a repetition of a repetition", 2],
    ["(?=a)", "a group that is not known here (look-around, name or flags)", 0],
    ["(a)\\1", "the escape \\1 is not known", 3],
    ["\\p", "the escape \\p is not known", 0],
    ["a\\", "a backslash at the end", 1],
    ["[z-a]", "a range that ends below its start", 1],
    ["[[:alpha:]]", "[: is not known here", 1],
    ["a{3,2}", "a repetition that ends below its start", 0],
    ["a{1001}", "a repetition of more than 1000 times", 0],
    ["(a{100}){100}", "it has more than 2000 steps", 0],
    ["(".repeat(65), "groups deeper than 64", 64],
  ])("%s", (pattern, what, at) => {
    expect(compilePattern(pattern)).toEqual({
      ok: false,
      error: { message: `not a valid pattern: ${what}`, at },
    });
  });
});

test("patterns that make others backtrack cost one pass", () => {
  const long = `${"a".repeat(20_000)}b`;
  expect(matches("^(a+)+$", long)).toBe(false);
  expect(matches("^(a|a)*$", long)).toBe(false);
  expect(matches("^(a*a*a*a*a*)*$", long)).toBe(false);
});

test("decides as the language's own expressions do", () => {
  const leaf = fc.constantFrom(
    "a",
    "b",
    "c",
    ".",
    "[ab]",
    "[^a]",
    "\\d",
    "\\w",
    "1",
    "\\b",
    "^",
    "$",
  );
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { depthSize: "small", maxDepth: 4 },
      leaf,
      fc.tuple(tie("pattern"), tie("pattern")).map(([left, right]) => `${left}${right}`),
      fc.tuple(tie("pattern"), tie("pattern")).map(([left, right]) => `(?:${left}|${right})`),
      fc
        .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}", "{0,}", "+?"))
        .map(([inner, times]) => `(?:${inner})${times}`),
    ),
  }));
  const text = fc.stringMatching(/^[abc1 \n]{0,8}$/);
  fc.assert(
    fc.property(pattern, text, (source, given) => {
      expect(matches(source, given)).toBe(new RegExp(source, "u").test(given));
    }),
    { numRuns: 2_000 },
  );
});
