import type { Mutant } from "./mutants.ts";
import { runWorld, type Outcome } from "./world.ts";

/** How many broken promises of one world are told. */
const toldMax = 5;

/** Runs a world twice. `problem` says what is wrong with it and how to see it again. */
export async function runTwice(
  seed: number,
  mutant?: Mutant,
): Promise<Outcome & { readonly problem: string | undefined }> {
  const first = await runWorld(seed, mutant);
  const second = await runWorld(seed, mutant);
  const told = first.violations
    .slice(0, toldMax)
    .map(({ invariant, message }) => `  ${invariant}: ${message}`);
  if (first.hash !== second.hash) told.push("  two runs of this seed left two different logs");
  const command = `npm run sim -- --seed ${String(seed)}`;
  return {
    ...first,
    problem:
      told.length === 0 ? undefined : [`World ${String(seed)} (${command})`, ...told].join("\n"),
  };
}
