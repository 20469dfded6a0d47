/**
 * A world that is written down: runs programs to their end in memory, on a clock of its own, without any I/O.
 *
 * It does what a kernel and its executors do: it records what is decided, one thing at a time, turns each
 * command into the events of an action with the outcome that the script says, fires timers when they are due,
 * and runs a sub-playbook as an execution of its own whose terminal event wakes the parent.
 *
 * Invariants
 * 1. The same options and the same outcomes give the same run, byte for byte. A seed chooses how long tools
 *    take, and so the order in which they end.
 * 2. A history is complete: folded from its first event it gives the state, and nothing is left to decide.
 * 3. A run ends, whatever the script says: with a terminal event, or with one of the words of `Ending`.
 */
import type { WorldOptions, Asked, Script, ScriptedOutcome, WorldRun } from "./world/model.ts";
import { World } from "./world/world.ts";

export type {
  Asked,
  Ending,
  ExecutionRun,
  Script,
  ScriptedOutcome,
  WorldInput,
  WorldOptions,
  WorldRun,
} from "./world/model.ts";

/** Runs a program to its end. */
export function runWorld(options: WorldOptions, script: Script): WorldRun {
  const play = playWorld(options);
  let turn = play.next();
  while (turn.done !== true) turn = play.next(script(turn.value));
  return turn.value;
}

/** The same, for one who needs time to find an outcome: yields each command, and takes what its tool does. */
export function* playWorld(options: WorldOptions): Generator<Asked, WorldRun, ScriptedOutcome> {
  const world = new World(options);
  for (let asked = world.next(); asked !== undefined; asked = world.next()) {
    world.answer(yield asked);
  }
  return world.run();
}
