import fc from "fast-check";
import { expect, it } from "vitest";
import { parsePlaybook } from "../src/core/parse.ts";
import { cases } from "../test/core/random-playbook.ts";
import { playbookFile, playbooksMax, withOwnKeys, written } from "./playbook-pool.ts";

it("a playbook that is written out reads as it was", () => {
  fc.assert(
    fc.property(cases("any"), ({ playbook }) => {
      const steps = playbook.steps.map(({ loop, ...step }) => ({
        ...step,
        ...(loop?.mode === "sequential" ? { loop: { ...loop, maxInFlight: 1 } } : loop && { loop }),
        tasks: step.tasks.map(withOwnKeys),
      }));
      const named = JSON.parse(
        JSON.stringify({ ...playbook, steps }).replaceAll('"s0"', '"start"'),
      ) as typeof playbook;
      const parsed = parsePlaybook(JSON.stringify(written(named)), "x.yaml");
      expect(parsed.ok ? parsed.value.playbook : parsed.error).toEqual(named);
    }),
    { numRuns: 150 },
  );
});

it("every playbook of the pool is read without an error, and they hold all that a world is to meet", () => {
  const all: string[] = [];
  for (let number = 0; number < playbooksMax; number += 1) {
    const { text } = playbookFile(number);
    const parsed = parsePlaybook(text, "x.yaml");
    expect(parsed.ok, text).toBe(true);
    all.push(text);
  }
  for (const word of ['"approval"', '"action"', '"cursor"', '"parallel"', '"retry"', '"timeout"']) {
    expect(all.filter((text) => text.includes(word)).length, word).toBeGreaterThan(3);
  }
});
