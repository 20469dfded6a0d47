/** What is wrong with the ways through a playbook: steps that nothing reaches, cycles that nothing ends. */
import { compileCondition } from "../template.ts";
import type { Arc, Playbook, Step } from "../playbook.ts";
import { outcomeOf } from "./condition.ts";
import { expressionsOf } from "./expression.ts";
import type { FindingCode } from "./finding.ts";
import type { Path } from "./reader.ts";

/** Tells a finding at a member of the model. */
export type Tell = (finding: {
  readonly code: FindingCode;
  readonly path: Path;
  readonly message: string;
  readonly help: string;
  readonly within?: number;
}) => void;

/** An arc as far as it can be known: `certain` needs no condition, or one that always holds. */
type Way = {
  readonly arc: Arc;
  readonly index: number;
  readonly target: number;
  readonly certain: boolean;
};

export function lintGraph(playbook: Playbook, tell: Tell): void {
  const index = new Map(playbook.steps.map(({ name }, at) => [name, at]));
  const strict = playbook.apiVersion === "deed/v1";
  const ways = playbook.steps.map((step) => waysOf(step, index, strict));
  for (const [at, step] of playbook.steps.entries()) {
    lintDeadArcs(step, ["steps", at], tell);
    lintDeadRules(step, ["steps", at], tell);
    lintJumps(step, ["steps", at], tell);
  }
  lintReach(playbook, ways, tell);
  lintCycles(playbook, ways, tell);
}

/** The arcs that can be taken. */
function waysOf(step: Step, index: ReadonlyMap<string, number>, strict: boolean): readonly Way[] {
  const facts = { envelope: true, event: step.loop === undefined ? "step" : "loop" } as const;
  const ways: Way[] = [];
  for (const [at, arc] of step.next.arcs.entries()) {
    const target = index.get(arc.to);
    const outcome = arc.when === undefined ? "always" : known(arc.when, { facts, strict });
    if (target === undefined || outcome === "never") continue;
    ways.push({ arc, index: at, target, certain: outcome === "always" });
    if (outcome === "always" && step.next.mode === "exclusive") break;
  }
  return ways;
}

function known(
  when: string,
  around: Parameters<typeof outcomeOf>[1],
): "always" | "never" | undefined {
  if (!compileCondition(when, "lenient").ok) return undefined;
  const [expression] = expressionsOf(when, true);
  return expression === undefined ? undefined : outcomeOf(expression, around);
}

function lintDeadArcs({ next }: Step, path: Path, tell: Tell): void {
  if (next.mode !== "exclusive") return;
  const first = next.arcs.findIndex(({ when }) => when === undefined);
  if (first < 0) return;
  for (let at = first + 1; at < next.arcs.length; at += 1) {
    const { to = "" } = next.arcs[at] ?? {};
    tell({
      code: "dead-arc",
      path: [...path, "next", "arcs", at, "to"],
      message: `the arc to "${to}" is never taken: the one to "${next.arcs[first]?.to ?? ""}" before it has no condition`,
      help: 'give that one a condition, move it last, or set "mode: inclusive" to take both',
    });
  }
}

function lintDeadRules({ tasks, admit }: Step, path: Path, tell: Tell): void {
  for (const [task, { rules }] of tasks.entries()) {
    const first = rules.findIndex(({ when }) => when === undefined);
    if (first < 0 || first === rules.length - 1) continue;
    tell({
      code: "dead-rule",
      path: [...path, "tasks", task, "rules", first + 1],
      message: "this rule is never asked: the one before it has no condition",
      help: "move the rule without a condition to the end",
    });
  }
  const denies = admit.some(({ allow }) => !allow);
  if (admit.length === 0 || denies) return;
  tell({
    code: "dead-rule",
    path: [...path, "admit", 0],
    message: "these rules keep nothing out: where none of them holds, the step is entered",
    help: 'end them with "- else: {then: {allow: false}}"',
  });
}

/** A jump back that is always taken, with nothing on its way that could lead out. */
function lintJumps({ tasks }: Step, path: Path, tell: Tell): void {
  const order = new Map(tasks.map(({ name }, at) => [name, at]));
  for (const [at, { rules }] of tasks.entries()) {
    const [rule] = rules;
    if (rule?.when !== undefined || rule?.then.do !== "jump") continue;
    const to = order.get(rule.then.to);
    if (to === undefined || to > at) continue;
    const leaves = tasks.slice(to, at).some((task) =>
      task.rules.some(({ then }) => {
        if (then.do === "break" || then.do === "fail") return true;
        return then.do === "jump" && (order.get(then.to) ?? 0) > at;
      }),
    );
    if (leaves) continue;
    tell({
      code: "endless-loop",
      path: [...path, "tasks", at, "rules", 0],
      message: `the jump to "${rule.then.to}" is always taken, and nothing on the way leads out`,
      help: 'put a rule with "when" and "do: break" before it, or before the jump',
    });
  }
}

function lintReach(
  { steps, entry }: Playbook,
  ways: readonly (readonly Way[])[],
  tell: Tell,
): void {
  const start = steps.findIndex(({ name }) => name === entry);
  if (start < 0) return;
  const reached = new Set([start]);
  for (const at of reached) for (const { target } of ways[at] ?? []) reached.add(target);
  for (const [at, { name }] of steps.entries()) {
    if (reached.has(at)) continue;
    tell({
      code: "unreachable-step",
      path: ["steps", at, "name"],
      message: `no way leads from "${entry}" to step "${name}", so it is never entered`,
      help: `lead an arc to it, or drop it: a step without "next" ends its branch, it does not go on to "end"`,
    });
  }
}

/** Cycles that go on for ever: no step on them can stop, or lead out. */
function lintCycles({ steps }: Playbook, ways: readonly (readonly Way[])[], tell: Tell): void {
  for (const cycle of componentsOf(ways)) {
    const inside = new Set(cycle);
    const [first = 0] = cycle;
    const names = cycle.map((at) => steps[at]?.name ?? "").join(" → ");
    if (cycle.some((at) => canStop(steps[at], ways[at] ?? [], inside))) continue;
    tell({
      code: "endless-loop",
      path: ["steps", first, "next"],
      message: `the cycle ${names} has no exit: nothing that it decides ever leads out`,
      help: "give one of its arcs a condition that ends it",
    });
  }
}

function canStop(
  step: Step | undefined,
  ways: readonly Way[],
  inside: ReadonlySet<number>,
): boolean {
  if (step === undefined || step.admit.some(({ allow }) => !allow)) return true;
  const certainInside = ways.some(({ target, certain }) => certain && inside.has(target));
  if (!certainInside) return true;
  return step.next.mode === "exclusive" && ways.some(({ target }) => !inside.has(target));
}

/** Strongly connected steps, where one of them can be entered again. Tarjan's way, without calls in calls. */
function componentsOf(ways: readonly (readonly Way[])[]): readonly (readonly number[])[] {
  const order = new Map<number, number>();
  const low = new Map<number, number>();
  const stack: number[] = [];
  const onStack = new Set<number>();
  const found: number[][] = [];
  const lower = (at: number, value: number): void => {
    low.set(at, Math.min(low.get(at) ?? value, value));
  };
  const enter = (at: number): void => {
    order.set(at, order.size);
    lower(at, order.get(at) ?? 0);
    stack.push(at);
    onStack.add(at);
  };
  for (let root = 0; root < ways.length; root += 1) {
    if (order.has(root)) continue;
    const work = [{ at: root, next: 0 }];
    enter(root);
    for (let top = work.at(-1); top !== undefined; top = work.at(-1)) {
      const way = ways[top.at]?.[top.next];
      top.next += 1;
      if (way !== undefined) {
        if (!order.has(way.target)) {
          enter(way.target);
          work.push({ at: way.target, next: 0 });
        } else if (onStack.has(way.target)) lower(top.at, order.get(way.target) ?? 0);
        continue;
      }
      work.pop();
      const parent = work.at(-1);
      if (parent !== undefined) lower(parent.at, low.get(top.at) ?? 0);
      if (low.get(top.at) !== order.get(top.at)) continue;
      const component = stack.splice(stack.indexOf(top.at));
      for (const one of component) onStack.delete(one);
      const cyclic =
        component.length > 1 || (ways[top.at] ?? []).some(({ target }) => target === top.at);
      if (cyclic) found.push(component.sort((left, right) => left - right));
    }
  }
  return found;
}
