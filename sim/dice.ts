import type { Random } from "../src/base/random.ts";

/** Choices drawn from one seeded source. */
export type Dice = {
  readonly chance: (probability: number) => boolean;
  /** A whole number from `from` to `to`, both included. */
  readonly between: (from: number, to: number) => number;
  readonly pick: <T>(choices: readonly T[]) => T;
};

export function createDice(random: Random): Dice {
  const between = (from: number, to: number): number =>
    from + Math.floor(random() * (to - from + 1));
  return {
    chance: (probability) => random() < probability,
    between,
    pick: (choices) => {
      const chosen = choices[between(0, choices.length - 1)];
      if (chosen === undefined) throw new Error("Cannot pick from no choices");
      return chosen;
    },
  };
}
