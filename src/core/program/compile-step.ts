import type {
  AdmitProgram,
  ArcProgram,
  AssignProgram,
  ConsequenceProgram,
  LoopProgram,
  RuleProgram,
  StepProgram,
  TaskProgram,
} from "./model.ts";
import type { Assignment, Consequence, Loop, Step, Task } from "../playbook.ts";
import type { Condition } from "../template.ts";
import type { Compiler, Path } from "./compiler.ts";

/** A step before the whole graph and all reads are known. */
export type StepDraft = Omit<StepProgram, "join" | "read" | "keepsTasks">;

export type StepSource = {
  readonly step: Step;
  readonly index: number;
  readonly stepIndex: ReadonlyMap<string, number>;
};

export function compileStep(compiler: Compiler, source: StepSource): StepDraft {
  const { step, index } = source;
  const path: Path = ["steps", index];
  const taskIndex = new Map<string, number>();
  for (const [at, { name }] of step.tasks.entries()) {
    if (taskIndex.has(name)) {
      compiler.problem(
        [...path, "tasks", at, "name"],
        `two tasks of step "${step.name}" have the name "${name}"`,
      );
    } else taskIndex.set(name, at);
  }
  if (step.tasks.length === 0)
    compiler.problem([...path, "tasks"], `step "${step.name}" has no tool`);
  const compiled: StepDraft = {
    index,
    name: step.name,
    admit: step.admit.map((rule, at): AdmitProgram => ({
      ...whenOf(compiler.condition(rule.when, [...path, "admit", at, "when"])),
      allow: rule.allow,
    })),
    ...(step.loop === undefined ? {} : { loop: loopOf(compiler, step.loop, [...path, "loop"]) }),
    tasks: step.tasks.map((task, at) =>
      compileTask(compiler, { task, index: at, taskIndex, path: [...path, "tasks", at] }),
    ),
    taskIndex,
    pipeline: step.pipeline,
    set: assignments(compiler, step.set, [...path, "set"]),
    arcs: arcsOf(compiler, source, [...path, "next", "arcs"]),
    exclusive: step.next.mode === "exclusive",
    failWithoutMatch: step.next.onNoMatch === "fail",
    ...(step.output === undefined
      ? {}
      : { output: compiler.value(step.output, [...path, "output"]) }),
    ...(step.timeoutMs === undefined ? {} : { timeoutMs: step.timeoutMs }),
    noop: step.tasks.every((task) => task.kind === "noop"),
  };
  return compiled;
}

function arcsOf(compiler: Compiler, { step, stepIndex }: StepSource, path: Path): ArcProgram[] {
  return step.next.arcs.map((arc, at): ArcProgram => {
    if (!stepIndex.has(arc.to)) {
      compiler.problem(
        [...path, at, "to"],
        `step "${step.name}" leads to "${arc.to}", which is no step`,
      );
    }
    return {
      to: arc.to,
      ...whenOf(compiler.condition(arc.when, [...path, at, "when"])),
      set: assignments(compiler, arc.set, [...path, at, "set"]),
    };
  });
}

type TaskSource = {
  readonly task: Task;
  readonly index: number;
  readonly taskIndex: ReadonlyMap<string, number>;
  readonly path: Path;
};

function compileTask(
  compiler: Compiler,
  { task, index, taskIndex, path }: TaskSource,
): TaskProgram {
  const config = compiler.withSecrets(task.config, [...path, "config"]);
  const input = compiler.withSecrets(task.input, [...path, "input"]);
  return {
    index,
    name: task.name,
    kind: task.kind,
    config: config.value,
    input: input.value,
    secrets: [...config.secrets, ...input.secrets.map((secret) => ["input", ...secret])],
    set: assignments(compiler, task.set, [...path, "set"]),
    rules: task.rules.map((rule, at): RuleProgram => {
      const to = rule.then.do === "jump" ? rule.then.to : undefined;
      const rulePath: Path = [...path, "rules", at];
      if (to !== undefined && !taskIndex.has(to)) {
        compiler.problem(
          [...rulePath, "then", "to"],
          `task "${task.name}" jumps to "${to}", which is no task of its step`,
        );
      }
      return {
        ...whenOf(compiler.condition(rule.when, [...rulePath, "when"])),
        then: consequenceOf(compiler, rule.then, [...rulePath, "then"]),
      };
    }),
    ...(task.timeoutSec === undefined
      ? {}
      : { timeoutSec: compiler.number(task.timeoutSec, [...path, "timeoutSec"]) }),
  };
}

function consequenceOf(compiler: Compiler, then: Consequence, path: Path): ConsequenceProgram {
  const set = assignments(compiler, then.set, [...path, "set"]);
  if (then.do === "jump") return { do: "jump", to: then.to, set };
  if (then.do !== "retry") return { do: then.do, set };
  return {
    do: "retry",
    set,
    attempts: compiler.number(then.attempts, [...path, "attempts"]),
    backoff: then.backoff,
    delaySec: compiler.number(then.delaySec, [...path, "delaySec"]),
    ...(then.delayMaxSec === undefined
      ? {}
      : { delayMaxSec: compiler.number(then.delayMaxSec, [...path, "delayMaxSec"]) }),
  };
}

function loopOf(compiler: Compiler, loop: Loop, path: Path): LoopProgram {
  const { iterator } = loop;
  if (loop.mode !== "cursor") {
    const maxInFlight =
      loop.mode === "sequential" ? 1 : compiler.number(loop.maxInFlight, [...path, "maxInFlight"]);
    return { iterator, maxInFlight, mode: "list", in: compiler.value(loop.in, [...path, "in"]) };
  }
  const config = compiler.withSecrets(loop.cursor.config, [...path, "cursor", "config"]);
  return {
    iterator,
    maxInFlight: compiler.number(loop.maxInFlight, [...path, "maxInFlight"]),
    mode: "cursor",
    kind: loop.cursor.kind,
    config: config.value,
    secrets: config.secrets,
    rowsMax: compiler.number(loop.cursor.rowsMax, [...path, "cursor", "rowsMax"]),
  };
}

function assignments(compiler: Compiler, set: readonly Assignment[], path: Path): AssignProgram[] {
  return set.map(({ scope, path: members, value }, at) => ({
    scope,
    path: members,
    value: compiler.value(value, [...path, at, "value"]),
    name: [scope, ...members].join("."),
  }));
}

function whenOf(when: Condition | undefined): { readonly when?: Condition } {
  return when === undefined ? {} : { when };
}
