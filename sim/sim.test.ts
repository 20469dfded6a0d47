import { describe, expect, it } from "vitest";
import { mutants, type Mutant } from "./mutants.ts";
import { playbookMutants } from "./playbook-mutants.ts";
import { runTwice } from "./twice.ts";
import { runWorld } from "./world.ts";

const worlds = 200;

const minuteMs = 60_000;

/** Worlds in which a mutant may hide. */
const seedsMax = 40;

describe("the simulation", () => {
  it(
    `keeps every promise in ${String(worlds)} worlds, and leaves the same log when a world is run again`,
    async () => {
      let actions = 0;
      let executions = 0;
      let crashes = 0;
      for (let seed = 1; seed <= worlds; seed += 1) {
        const outcome = await runTwice(seed);
        expect(outcome.problem).toBeUndefined();
        actions += outcome.actions;
        executions += outcome.executions;
        crashes += outcome.crashes;
      }
      expect(actions).toBeGreaterThan(worlds * 10);
      expect(executions).toBeGreaterThan(worlds * 3);
      expect(crashes).toBeGreaterThan(worlds);
    },
    5 * minuteMs,
  );

  it("tells of a world that is not the same when it is run again, and how to see it", async () => {
    let runs = 0;
    const mutant: Mutant = {
      log: (log) => {
        runs += 1;
        const tags = { run: runs };
        return {
          ...log,
          append: (events) => log.append(events.map((event) => ({ ...event, tags }))),
        };
      },
    };
    const { problem } = await runTwice(3, mutant);
    expect(problem).toContain("npm run sim -- --seed 3");
    expect(problem).toContain("two runs of this seed left two different logs");
  });
});

describe("a planted fault is caught", () => {
  it.each([...mutants, ...playbookMutants])(
    "$name: breaks $breaks",
    async ({ make, breaks }) => {
      const broken = new Set<string>();
      for (let seed = 1; seed <= seedsMax; seed += 1) {
        const { violations } = await runWorld(seed, make());
        for (const { invariant } of violations) broken.add(invariant);
        if (breaks.some((invariant) => broken.has(invariant))) break;
      }
      expect(
        breaks.filter((invariant) => broken.has(invariant)),
        [...broken].join(" "),
      ).not.toEqual([]);
    },
    minuteMs,
  );
});
