import { describe, expect, test } from "vitest";
import { patternProblem, typeMatcher } from "./match.ts";

describe("typeMatcher", () => {
  test.each<[pattern: string, yes: readonly string[], no: readonly string[]]>([
    ["job.failed", ["job.failed"], ["job.failed.twice", "job", "xjob.failed"]],
    ["job.*", ["job.failed", "job.done"], ["job", "job.failed.twice", "service.failed"]],
    ["*.failed", ["job.failed"], ["failed", "job.etl.failed"]],
    ["job.*.failed", ["job.etl.failed"], ["job.failed", "job.a.b.failed"]],
    ["job.**", ["job.failed", "job.etl.failed"], ["job", "jobs.failed"]],
    ["**", ["job", "job.failed", "Anything at all"], []],
    ["Disk Alert!", ["Disk Alert!"], ["Disk Alert"]],
  ])("%s", (pattern, yes, no) => {
    const matches = typeMatcher(pattern);
    // Twice: the second answer is the remembered one.
    for (let round = 0; round < 2; round += 1) {
      for (const type of yes) expect(matches(type), type).toBe(true);
      for (const type of no) expect(matches(type), type).toBe(false);
    }
  });

  test("answers rightly for more types than it remembers", () => {
    const matches = typeMatcher("job.*");
    for (let index = 0; index < 3_000; index += 1) {
      expect(matches(`job.${String(index)}`)).toBe(true);
      expect(matches(`service.${String(index)}`)).toBe(false);
    }
  });
});

describe("patternProblem tells what can never match", () => {
  test.each([
    [
      "job.fail*",
      '"fail*" is no segment of a pattern: * stands for one whole segment, ** at the end for one or more',
    ],
    [
      "job.**.failed",
      '"**" is no segment of a pattern: * stands for one whole segment, ** at the end for one or more',
    ],
    [
      "rule.fired",
      '"rule.fired" triggers no rule: events of rules and timers are records of decisions',
    ],
    ["timer.*", '"timer.*" triggers no rule: events of rules and timers are records of decisions'],
    [
      "action.succeded",
      '"action.succeded" is no event of this system, and reserved so that no observation can be one: did you mean "action.succeeded"?',
    ],
  ])("%s", (pattern, problem) => {
    expect(patternProblem(pattern)).toBe(problem);
  });

  test.each(["job.failed", "action.failed", "action.*", "**", "Disk Alert!", "source.position"])(
    "and nothing about %s",
    (pattern) => {
      expect(patternProblem(pattern)).toBeUndefined();
    },
  );
});
