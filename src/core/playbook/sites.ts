/** Every place of a playbook where a template may stand, and what can be named there. */
import { isJsonObject, type Json } from "../../base/json.ts";
import type { Assignment, Playbook, Step, Task } from "../playbook.ts";
import { isList, isTemplate, type Path } from "./reader.ts";
import type { Facts } from "./words.ts";

export type Site = {
  /** In the model. */
  readonly path: Path;
  readonly source: string;
  readonly isCondition: boolean;
  /** What the condition decides, for people: `the arc to "end"`. */
  readonly decides?: string;
  readonly facts: Facts;
  /** Names beside those of the whole playbook. */
  readonly names: ReadonlySet<string>;
  /** Names of the whole playbook that stand for nothing here. */
  readonly missing: readonly string[];
};

/** Where a template stands: what all templates of one member share. */
type Around = Pick<Site, "facts" | "names" | "missing">;

const nothingYet: Facts = { envelope: false, event: undefined };

export function sitesOf(playbook: Playbook): readonly Site[] {
  const top = { facts: nothingYet, names: new Set<string>() };
  const ended = ["output", "event", "iter", "loop_index", "_attempt"];
  return [
    ...inValue(playbook.workload, ["workload"], { ...top, missing: [...ended, "ctx"] }),
    ...playbook.steps.flatMap((step, index) => sitesOfStep(step, ["steps", index])),
    ...inValue(playbook.output ?? null, ["output"], { ...top, missing: ended }),
  ];
}

function sitesOfStep(step: Step, path: Path): readonly Site[] {
  const { loop, next } = step;
  const own = ownNames(step);
  const outside = loop === undefined ? ["loop_index"] : [];
  const before = {
    facts: nothingYet,
    names: new Set<string>(),
    missing: ["output", "event", "iter", "loop_index", "_attempt"],
  };
  const after = {
    missing: outside,
    facts: { envelope: true, event: loop === undefined ? "step" : "loop" } as const,
    names: own,
  };
  const admit = step.admit.flatMap(({ when }, at) =>
    condition(when, { path: [...path, "admit", at, "when"], decides: "this rule" }, before),
  );
  const over =
    loop === undefined
      ? []
      : loop.mode === "cursor"
        ? [
            ...inValue(loop.cursor.config, [...path, "loop", "cursor", "config"], before),
            ...inValue(loop.cursor.rowsMax, [...path, "loop", "cursor", "rowsMax"], before),
          ]
        : inValue(loop.in, [...path, "loop", "in"], before);
  return [
    ...admit,
    ...over,
    ...inValue(loop?.maxInFlight ?? null, [...path, "loop", "maxInFlight"], before),
    ...step.tasks.flatMap((task, at) =>
      sitesOfTask(task, [...path, "tasks", at], { own, missing: outside, isFirst: at === 0 }),
    ),
    ...inSet(step.set, [...path, "set"], after),
    ...next.arcs.flatMap(({ to, when, set }, at) => [
      ...condition(
        when,
        { path: [...path, "next", "arcs", at, "when"], decides: `the arc to "${to}"` },
        after,
      ),
      ...inSet(set, [...path, "next", "arcs", at, "set"], after),
    ]),
    ...inValue(step.output ?? null, [...path, "output"], after),
  ];
}

function sitesOfTask(
  task: Task,
  path: Path,
  {
    own,
    missing,
    isFirst,
  }: {
    readonly own: ReadonlySet<string>;
    readonly missing: readonly string[];
    readonly isFirst: boolean;
  },
): readonly Site[] {
  const keychain = new Set([...own, "keychain"]);
  // A task that jumps back may come before the first one, so even that has an `output`, if a null one.
  const input = {
    facts: { envelope: !isFirst, event: undefined },
    names: keychain,
    missing: [...missing, "event"],
  };
  const config = { ...input, names: new Set([...keychain, ...Object.keys(task.input)]) };
  const rules = { facts: { envelope: true, event: "step" } as const, names: own, missing };
  const ownSet = { facts: nothingYet, names: own, missing };
  return [
    ...inValue(task.input, [...path, "input"], input),
    ...inValue(task.config, [...path, "config"], config),
    ...inValue(task.timeoutSec ?? null, [...path, "timeoutSec"], config),
    ...inSet(task.set, [...path, "set"], ownSet),
    ...task.rules.flatMap(({ when, then }, at) => {
      const rule: Path = [...path, "rules", at];
      const numbers =
        then.do === "retry"
          ? [
              ...inValue(then.attempts, [...rule, "then", "attempts"], rules),
              ...inValue(then.delaySec, [...rule, "then", "delay"], rules),
              ...inValue(then.delayMaxSec ?? null, [...rule, "then", "max_delay"], rules),
            ]
          : [];
      return [
        ...condition(when, { path: [...rule, "when"], decides: "this rule" }, rules),
        ...inSet(then.set, [...rule, "then", "set"], rules),
        ...numbers,
      ];
    }),
  ];
}

/** What only this step's templates can name: its item, its tasks, and what they set. */
function ownNames(step: Step): ReadonlySet<string> {
  const sets = [
    step.set,
    ...step.tasks.flatMap((task) => [task.set, ...task.rules.map(({ then }) => then.set)]),
    ...step.next.arcs.map(({ set }) => set),
  ].flat();
  return new Set([
    ...(step.loop === undefined ? [] : [step.loop.iterator]),
    ...step.tasks.map(({ name }) => name),
    ...sets.flatMap(({ scope, path: [name] }) =>
      scope === "iter" && name !== undefined ? [name] : [],
    ),
    ...(sets.some(({ scope }) => scope === "step") ? ["step"] : []),
  ]);
}

function condition(
  source: string | undefined,
  { path, decides }: { readonly path: Path; readonly decides: string },
  around: Around,
): readonly Site[] {
  return source === undefined ? [] : [{ path, source, isCondition: true, decides, ...around }];
}

function inSet(set: readonly Assignment[], path: Path, around: Around): readonly Site[] {
  return set.flatMap(({ value }, at) => inValue(value, [...path, at, "value"], around));
}

function inValue(value: Json, path: Path, around: Around): readonly Site[] {
  if (typeof value === "string") {
    const isText = !isTemplate(value) && !value.includes("{#");
    return isText ? [] : [{ path, source: value, isCondition: false, ...around }];
  }
  if (isList(value)) return value.flatMap((item, at) => inValue(item, [...path, at], around));
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    member === undefined ? [] : inValue(member, [...path, key], around),
  );
}
