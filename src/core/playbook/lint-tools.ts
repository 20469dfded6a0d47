/** What is wrong with tools: kinds that nobody knows, and tools without what makes them one. */
import { nearest } from "../../base/nearest.ts";
import type { Playbook, Task } from "../playbook.ts";
import type { Tell } from "./lint-graph.ts";
import type { Path } from "./reader.ts";

/** Kinds of tools that the field uses, and those that are ours. */
export const fieldKinds: readonly string[] = [
  ...["python", "http", "postgres", "playbook", "workbook", "noop", "shell", "duckdb", "snowflake"],
  ...["ducklake", "nats", "container", "artifact", "transfer", "subscription", "script", "agent"],
  ...["action", "approval", "wait_for"],
];

/** Kinds that are read and never run: no executor serves them. */
const notRun: ReadonlySet<string> = new Set([
  ...["snowflake", "ducklake", "nats", "container", "transfer", "subscription", "script", "agent"],
]);

/** One of these makes a tool of the kind. */
const needs: { readonly [kind: string]: readonly string[] } = {
  python: ["code", "script"],
  http: ["url"],
  postgres: ["query", "script"],
  duckdb: ["query", "script"],
  snowflake: ["query", "script"],
  ducklake: ["query", "script"],
  playbook: ["path"],
  shell: ["command", "argv"],
  artifact: ["action"],
  wait_for: ["event"],
};

/** @param kinds those that executors of plugins add. */
export function lintTools(playbook: Playbook, tell: Tell, kinds: readonly string[]): void {
  const around: Around = { tell, kinds, known: [...fieldKinds, ...kinds] };
  for (const [at, { tasks, loop }] of playbook.steps.entries()) {
    for (const [index, task] of tasks.entries()) {
      lintTask(task, ["steps", at, "tasks", index], around);
    }
    if (loop?.mode === "cursor") {
      lintKind(loop.cursor.kind, ["steps", at, "loop", "cursor", "kind"], around);
    }
  }
}

type Around = {
  readonly tell: Tell;
  readonly known: readonly string[];
  /** Of these, the ones that plugins add. */
  readonly kinds: readonly string[];
};

function lintTask(task: Task, path: Path, around: Around): void {
  const { kind, config } = task;
  lintKind(kind, [...path, "kind"], around);
  const needed = Object.hasOwn(needs, kind) ? (needs[kind] ?? []) : [];
  if (needed.length === 0 || needed.some((key) => Object.hasOwn(config, key))) return;
  const keys = needed.map((key) => `"${key}"`).join(" or ");
  around.tell({
    code: "incomplete-tool",
    path,
    message: `the ${kind} tool "${task.name}" has no ${keys}, so it can do nothing`,
    help: `add ${keys} beside "kind"`,
  });
}

function lintKind(kind: string, path: Path, { tell, known, kinds }: Around): void {
  if (notRun.has(kind) && !kinds.includes(kind)) {
    tell({
      code: "kind-not-run",
      path,
      message: `a tool of kind "${kind}" is read, but not run: its step fails`,
      help: "use a tool that is run, as python, http or postgres",
    });
  }
  if (known.includes(kind) || kind.includes("{{")) return;
  const near = nearest(kind, known);
  tell({
    code: "unknown-kind",
    path,
    message: `no tool has the kind "${kind}", so its step fails`,
    help: near === undefined ? `known here: ${known.join(", ")}` : `did you mean "${near}"?`,
  });
}
