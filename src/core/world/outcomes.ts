/** What a test says that the tools do. */
import { parseDurationMs } from "../../base/duration.ts";
import { nearest } from "../../base/nearest.ts";
import { deedError } from "../../event/error.ts";
import type { Program } from "../program.ts";
import type { Asked, ScriptedOutcome, WorldInput } from "./model.ts";
import type { Difference, Given, GivenOutcome } from "./test-schema.ts";

type GivenOutcomes = NonNullable<Given["outcomes"]>;

export type OutcomesOf = {
  readonly given: GivenOutcomes;
  readonly program: Program;
  /** Programs that may be run as sub-playbooks, by path. */
  readonly children: ReadonlyMap<string, Program>;
};

/**
 * Outcomes by `step`, by `step.task` and, in a loop, by either with `[item]`; the most exact name wins. Those of
 * a sub-playbook's steps have its path and a slash before them. A list has one for each time that the command
 * is asked for; the last stands for all that follow.
 */
export class Outcomes {
  private readonly its: OutcomesOf;
  private readonly times = new Map<string, number>();
  private readonly missing = new Map<string, string>();

  constructor(of: OutcomesOf) {
    this.its = of;
  }

  of({ command, program, executionId }: Asked): ScriptedOutcome {
    const { given } = this.its;
    const { kind, args, place } = command;
    const { step, task, item } = place;
    const prefix = this.prefixOf(program);
    const name = [`${step}.${task}[${item}]`, `${step}[${item}]`, `${step}.${task}`, step]
      .map((one) => prefix + one)
      .find((one) => Object.hasOwn(given, one));
    const found = name === undefined ? undefined : given[name];
    if (name === undefined || found === undefined) {
      if (kind === "noop") return { does: "succeed", result: args["result"] ?? null };
      const listed = program.steps[program.stepIndex.get(step) ?? -1]?.pipeline === true;
      this.missing.set(prefix + (listed ? `${step}.${task}` : step), kind);
      return { does: "fail", error: deedError("unprocessable", `No outcome is given for ${step}`) };
    }
    const key = [executionId, step, place.activation, item, task].join(" ");
    const time = this.times.get(key) ?? 0;
    this.times.set(key, time + 1);
    const outcomes: readonly GivenOutcome[] = Array.isArray(found) ? found : [found];
    return outcomeOf(outcomes[Math.min(time, outcomes.length - 1)] ?? {});
  }

  /** Those children that the test does not replace by an outcome. */
  childrenToRun(): ReadonlyMap<string, Program> {
    const { given, program, children } = this.its;
    const replaced = new Set<unknown>();
    for (const { name, tasks } of program.playbook.steps) {
      for (const task of tasks) {
        const replaces = [name, `${name}.${task.name}`].some((one) => Object.hasOwn(given, one));
        if (replaces && task.kind === "playbook") replaced.add(task.config["path"]);
      }
    }
    return new Map([...children].filter(([path]) => !replaced.has(path)));
  }

  /** Commands without an outcome, and outcomes without a step. */
  problems(): Difference[] {
    const missing = [...this.missing].map(([name, kind]) => ({
      path: [],
      message: `no outcome is given for "${name}" (${kind}), which the playbook asks for`,
    }));
    const unknown = Object.keys(this.its.given).flatMap((name): Difference[] => {
      const message = this.unknown(name);
      return message === undefined ? [] : [{ path: [name], message }];
    });
    return [...missing, ...unknown];
  }

  private prefixOf(program: Program): string {
    const [path] = [...this.its.children].find(([, child]) => child === program) ?? [];
    return program === this.its.program || path === undefined ? "" : `${path}/`;
  }

  private unknown(name: string): string | undefined {
    const { program, children } = this.its;
    const child = [...children.keys()].find((path) => name.startsWith(`${path}/`));
    const { stepIndex } = children.get(child ?? "") ?? program;
    const own = child === undefined ? name : name.slice(child.length + 1);
    const step = /^[^.[]*/.exec(own)?.[0] ?? own;
    if (stepIndex.has(own) || stepIndex.has(step)) return undefined;
    const near = nearest(step, [...stepIndex.keys()]);
    const hint = near === undefined ? "" : `: did you mean "${near}"?`;
    return `the playbook has no step "${step}"${hint}`;
  }
}

/** What happens to the execution from outside. */
export function inputsOf({ cancel, pause }: Given): WorldInput[] {
  const inputs: WorldInput[] = [];
  if (pause !== undefined) {
    inputs.push({ afterMs: msOf(pause.after), type: "execution.paused" });
    inputs.push({ afterMs: msOf(pause.until), type: "execution.resumed" });
  }
  if (cancel !== undefined) {
    const { after, reason } = cancel;
    const why = reason === undefined ? {} : { reason };
    inputs.push({ afterMs: msOf(after), type: "execution.cancel_requested", ...why });
  }
  return inputs;
}

function outcomeOf({ data = null, error, hangs, after }: GivenOutcome): ScriptedOutcome {
  const time = after === undefined ? {} : { afterMs: msOf(after) };
  if (hangs === true) return { does: "hang" };
  if (error === undefined) return { does: "succeed", result: data, ...time };
  const { kind, message = `scripted ${kind}`, retryable, status } = error;
  const detail = {
    ...(status === undefined ? {} : { status }),
    ...(data === null ? {} : { data }),
  };
  const made = deedError(kind, message, detail);
  return { does: "fail", error: { ...made, retryable: retryable ?? made.retryable }, ...time };
}

/** The schema lets durations pass only. */
function msOf(duration: string): number {
  const read = parseDurationMs(duration);
  return read.ok ? read.value : 0;
}
