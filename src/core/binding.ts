/**
 * What a tool needs to be called: the names that its templates read, known before anything runs.
 *
 * A command carries the rendered arguments of its tool and nothing else of the context; this says where they
 * come from. Source: playbooks, "Commands"; lessons 12.
 */
import type { Program } from "./program.ts";

export type Binding = {
  readonly step: string;
  readonly task: string;
  /** Roots that the tool's members and its input name, in alphabetical order. */
  readonly roots: readonly string[];
};

/** One for each task, in the order of the file. */
export function bindingsOf(program: Program): readonly Binding[] {
  return program.steps.flatMap((step) =>
    step.tasks.map(({ name, config, input }) => ({
      step: step.name,
      task: name,
      roots: [...new Set([...config.roots, ...input.roots])].sort(),
    })),
  );
}
