/**
 * A playbook made ready to be decided: every template parsed once, the graph's reach known.
 *
 * Invariants
 * 1. Nothing is parsed after `compileProgram`: a decision renders, it never compiles.
 * 2. Compiling is pure; the same playbook gives a program that decides the same.
 * 3. A program holds no state of an execution: one serves all executions of its playbook, at one time too.
 *
 * Not checked here: what the linter finds (unknown kinds, unreachable steps, roots that nobody knows).
 */
import { err, ok, type Result } from "../base/result.ts";
import type { Playbook } from "./playbook.ts";
import { Compiler } from "./program/compiler.ts";
import { compileStep } from "./program/compile-step.ts";
import { reachOf } from "./program/graph.ts";
import type { Program, ProgramProblem, StepProgram } from "./program/model.ts";

export type { Program, ProgramProblem, StepProgram } from "./program/model.ts";

/**
 * Compiles a playbook.
 *
 * @returns refused with all that is wrong: templates that do not parse, an entry, an arc or a jump to
 *   nowhere, two steps or two tasks of one name.
 */
export function compileProgram(playbook: Playbook): Result<Program, readonly ProgramProblem[]> {
  const compiler = new Compiler(playbook.apiVersion === "deed/v1" ? "strict" : "lenient");
  const stepIndex = new Map<string, number>();
  for (const [index, { name }] of playbook.steps.entries()) {
    if (stepIndex.has(name))
      compiler.problem(["steps", index, "name"], `two steps have the name "${name}"`);
    else stepIndex.set(name, index);
  }
  const entry = stepIndex.get(playbook.entry);
  if (entry === undefined)
    compiler.problem(["entry"], `there is no step "${playbook.entry}" to begin with`);
  const drafts = playbook.steps.map((step, index) =>
    compileStep(compiler, { step, index, stepIndex }),
  );
  const workload = Object.entries(playbook.workload).flatMap(([name, value]) =>
    value === undefined ? [] : [{ name, value: compiler.value(value, ["workload", name]) }],
  );
  const output =
    playbook.output === undefined ? undefined : compiler.value(playbook.output, ["output"]);
  if (compiler.problems.length > 0 || entry === undefined) return err(compiler.problems);

  const arcs = drafts.map((draft) => draft.arcs.map((arc) => stepIndex.get(arc.to) ?? 0));
  const reach = reachOf(arcs, entry);
  const steps = drafts.map((draft): StepProgram => {
    const read = compiler.reads.has(draft.name);
    const looked = read || draft.tasks.some((task) => compiler.reads.has(task.name));
    return {
      ...draft,
      join: (reach.incoming[draft.index] ?? 0) > 1,
      read,
      keepsTasks: looked && draft.tasks.length > 1,
    };
  });
  return ok({
    playbook,
    strict: playbook.apiVersion === "deed/v1",
    steps,
    stepIndex,
    entry,
    workload,
    ...(output === undefined ? {} : { output }),
    keychain: keychainOf(playbook),
    reach,
    reads: compiler.reads,
  });
}

/** `keychain: [{name: db, credential: pg_main}]`; a name without a credential is that credential's own. */
function keychainOf({ keychain }: Playbook): { readonly [name: string]: string } {
  return Object.fromEntries(
    keychain.flatMap(({ name, credential }) =>
      typeof name === "string" && typeof credential === "string" ? [[name, credential]] : [],
    ),
  );
}
