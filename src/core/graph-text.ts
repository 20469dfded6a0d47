/**
 * A playbook as a picture: the text of a Mermaid flowchart.
 *
 * Invariants
 * 1. The text is a flowchart whatever a playbook says: names and conditions stand in quoted labels only, and
 *    every character that could mean something there is written as its number.
 * 2. Every step is one node, every arc is one edge, both in the order of the file.
 * 3. The same playbook gives the same text. A longer text is cut, and says so with "…".
 *
 * Not drawn: what happens within a step (policy rules, jumps), and what `set` keeps.
 */
import type { Arc, Loop, Playbook, Step, Task } from "./playbook.ts";
import { reachOf, type Reach } from "./program/graph.ts";

/** Characters of one line of a label. */
const labelCharsMax = 80;

/** Tools that are named in a node; of those beyond, only how many they are. */
const toolsMax = 6;

/**
 * The flowchart of a playbook.
 *
 * A round node is where it begins, a node with double sides is a loop, a thick frame is a join. A thick arrow
 * is taken beside others, a dotted one leads back.
 *
 * @returns lines, each with its end.
 */
export function mermaidOf(playbook: Playbook): string {
  const { steps, entry } = playbook;
  const index = new Map(steps.map(({ name }, at) => [name, at]));
  const targets = steps.map(({ next }) =>
    next.arcs.flatMap(({ to }) => {
      const target = index.get(to);
      return target === undefined ? [] : [target];
    }),
  );
  const reach = reachOf(targets, index.get(entry) ?? 0);
  const joins = joinsOf(targets, reach);
  const lines = ["flowchart TD"];
  for (const [at, step] of steps.entries()) {
    lines.push(`  ${nodeOf(step, { at, isEntry: step.name === entry, isJoin: joins.has(at) })}`);
  }
  for (const [at, step] of steps.entries()) {
    for (const [place, arc] of step.next.arcs.entries()) {
      const target = index.get(arc.to);
      if (target === undefined) continue;
      const arrow = arrowOf(step, isBack(reach, at, target));
      const label = conditionOf(step, arc, place);
      const said = label === "" ? "" : `|"${labelText(label)}"|`;
      lines.push(`  s${String(at)} ${arrow}${said} s${String(target)}`);
    }
  }
  if (joins.size > 0) {
    const nodes = [...joins].map((at) => `s${String(at)}`).join(",");
    lines.push("  classDef join stroke-width:4px", `  class ${nodes} join`);
  }
  return `${lines.join("\n")}\n`;
}

/** The text of a condition without the braces around it. */
export function bareCondition(when: string): string {
  const [, inner] = /^\{\{-?((?:(?!\}\}).)*?)-?\}\}$/s.exec(when.trim()) ?? [];
  return (inner ?? when).trim();
}

/** What a loop does, in a few words: `each customer in {{ customers }}, parallel, 4 at one time`. */
export function loopText(loop: Loop): string {
  const { mode, iterator, maxInFlight } = loop;
  const over = mode === "cursor" ? ` claimed from ${loop.cursor.kind}` : ` in ${spelled(loop.in)}`;
  const many = mode === "sequential" ? "" : `, ${String(maxInFlight)} at one time`;
  return `each ${iterator}${over}, ${mode}${many}`;
}

/** A tool by its kind; a playbook by its path, too. */
export function toolText({ kind, config }: Task): string {
  const { path } = config;
  return kind === "playbook" && typeof path === "string" ? `${kind} ${path}` : kind;
}

type Node = { readonly at: number; readonly isEntry: boolean; readonly isJoin: boolean };

function nodeOf(step: Step, { at, isEntry, isJoin }: Node): string {
  const { name, loop, tasks, pipeline } = step;
  const tools = tasks
    .slice(0, toolsMax)
    .map((task) => (pipeline ? `${task.name}: ${toolText(task)}` : toolText(task)));
  const more = tasks.length - tools.length;
  const lines = [
    name,
    ...tools,
    ...(more > 0 ? [`and ${String(more)} more`] : []),
    ...(loop === undefined ? [] : [loopText(loop)]),
    ...step.admit.flatMap(({ when, allow }) =>
      when === undefined ? [] : [`${allow ? "when" : "not when"} ${bareCondition(when)}`],
    ),
    ...(isJoin ? ["join"] : []),
  ];
  const label = `"${lines.map(labelText).join("<br/>")}"`;
  const id = `s${String(at)}`;
  if (loop !== undefined) return `${id}[[${label}]]`;
  return isEntry ? `${id}([${label}])` : `${id}[${label}]`;
}

/** Steps that arcs of several others lead to; arcs that lead back are no wait. */
function joinsOf(targets: readonly (readonly number[])[], reach: Reach): ReadonlySet<number> {
  const sources = targets.map(() => new Set<number>());
  for (const [at, ways] of targets.entries()) {
    for (const target of ways) if (!isBack(reach, at, target)) sources[target]?.add(at);
  }
  return new Set([...sources.keys()].filter((at) => (sources[at]?.size ?? 0) > 1));
}

function isBack({ rank }: Reach, from: number, to: number): boolean {
  return (rank[from] ?? 0) >= (rank[to] ?? 0);
}

function arrowOf({ next }: Step, back: boolean): string {
  if (back) return "-.->";
  return next.mode === "inclusive" && next.arcs.length > 1 ? "==>" : "-->";
}

function conditionOf({ next }: Step, { when }: Arc, place: number): string {
  if (when !== undefined) return bareCondition(when);
  return next.mode === "exclusive" && place > 0 ? "else" : "";
}

function spelled(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What Mermaid, or the Markdown in its labels, could take for more than itself. */
const special =
  /[^\p{L}\p{M}\p{N} _.,=!'()/?…+-]|^[-+=]|(?<=^\p{N}+)[.)]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu;

/** One line of a label: cut, and each special character by its number. */
function labelText(text: string): string {
  const plain = text.replaceAll(/[\p{C}\p{Z}\s]+/gu, " ").trim();
  const all = Array.from(plain);
  const cut = all.length > labelCharsMax ? `${all.slice(0, labelCharsMax - 1).join("")}…` : plain;
  return cut.replaceAll(special, (one) => `#${String(one.codePointAt(0))};`) || " ";
}
