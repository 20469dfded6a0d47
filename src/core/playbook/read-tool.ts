/** One tool as a task: its members in their one spelling, its input merged, its workbook entry filled in. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { PolicyRule, Task } from "../playbook.ts";
import { readRules } from "./read-policy.ts";
import { membersOf, readSet } from "./read-set.ts";
import type { Member, Path, Reader } from "./reader.ts";
import { knownKeys } from "./schema.ts";
import { keysOfKind, type Known } from "./tool-schema.ts";

/** The tools of `workbook`, by name. */
export type Workbook = {
  readonly entries: ReadonlyMap<string, Member<JsonObject>>;
  /** Names that a task stands for. */
  readonly used: Set<string>;
};

export type ToolSource = {
  readonly tool: Member<JsonObject>;
  /** The task's name where the tool gives none. */
  readonly name: string;
  /** One of a list: where it names a workbook entry otherwise, `name` is the task's own. */
  readonly listed: boolean;
  /** The step's `input`. A pipeline's task keeps its own values, else the step's win. */
  readonly input: readonly Member[];
  readonly model: Path;
  readonly workbook: Workbook;
};

/** What every tool may have that is not its own business. */
const handled = new Set([
  ...["kind", "name", "desc", "description", "input", "args", "payload", "set", "set_ctx"],
  ...["set_iter", "spec", "timeout", "retry", "assert", "auth", "credential"],
  ...["output_select", "_ref", "_store", "store"],
]);

type Spelling = { readonly [ours: string]: readonly string[] };

const sql: Spelling = { query: ["query", "command", "cmds"] };

/** Older words by the kind of tool: for http, `payload` is what is sent. */
const spellings: { readonly [kind: string]: Spelling } = {
  http: { url: ["url", "endpoint"], body: ["body", "payload", "data", "json"] },
  postgres: sql,
  duckdb: sql,
  snowflake: sql,
  ducklake: sql,
  shell: { command: ["command", "cmds"] },
};

/** Kinds for which `args` is a member of the tool's own: a list of words for a program. */
const ownArgs: ReadonlySet<string> = new Set(["container", "script", "agent"]);

const inputWords = ["input", "args", "payload"] as const;

/** Reads a tool. Undefined where it has no kind, or names no workbook entry. */
export function readTool(reader: Reader, source: ToolSource): Task | undefined {
  const { tool, model } = source;
  const kind = reader.text(reader.required(tool, "kind", 'name the tool, as in "kind: python"'));
  if (kind === undefined) return undefined;
  if (kind === "workbook") return readReference(reader, source);
  checkKeys(reader, tool, kind);
  const name = reader.text(reader.member(tool, "name")) ?? source.name;
  const own = readInput(reader, tool, kind);
  const input = source.listed ? [...source.input, ...own] : [...own, ...source.input];
  const task = taskOf(reader, source, { name, kind, tools: [tool], input, model });
  if (!source.listed && task.rules.length > 0 && Object.hasOwn(tool.value, "spec")) {
    reader.elsewhere([...tool.path, "spec"], "the policy of a single tool");
  }
  if (kind === "python" && Object.hasOwn(task.config, "libs")) {
    reader.elsewhere([...tool.path, "libs"], "libs");
  }
  return task;
}

/** A reference: the entry's members, and over them those of the task. */
function readReference(reader: Reader, source: ToolSource): Task | undefined {
  const { tool, workbook, model } = source;
  const label = source.listed ? reader.text(reader.member(tool, "name")) : undefined;
  const named =
    reader.spelled(tool, "task", "workbook") ??
    reader.required(tool, "name", "name the workbook entry");
  const entryName = reader.text(named);
  if (named === undefined || entryName === undefined) return undefined;
  const entry = workbook.entries.get(entryName);
  workbook.used.add(entryName);
  if (entry === undefined) {
    const all = [...workbook.entries.keys()];
    reader.report({
      code: "unknown-workbook",
      path: named.path,
      message: `the workbook has no entry "${entryName}"`,
      help: all.length === 0 ? "add it under workbook" : `it has: ${all.join(", ")}`,
    });
    return undefined;
  }
  const kind = reader.text(reader.required(entry, "kind", 'name the tool, as in "kind: python"'));
  if (kind === undefined) return undefined;
  if (kind === "workbook") {
    return reader.wrong(
      { value: kind, path: [...entry.path, "kind"] },
      "the kind of a tool, not another workbook reference",
    );
  }
  checkKeys(reader, entry, kind);
  checkKeys(reader, tool, "workbook", kind);
  const own = readInput(reader, tool, kind);
  const entryInput = readInput(reader, entry, kind);
  const input = source.listed
    ? [...entryInput, ...source.input, ...own]
    : [...entryInput, ...own, ...source.input];
  const name = label ?? source.name;
  return taskOf(reader, source, { name, kind, tools: [entry, tool], input, model });
}

type TaskParts = {
  readonly name: string;
  readonly kind: string;
  /** What makes it up, the later over the earlier. */
  readonly tools: readonly Member<JsonObject>[];
  readonly input: readonly Member[];
  readonly model: Path;
};

function taskOf(reader: Reader, source: ToolSource, parts: TaskParts): Task {
  const { name, kind, tools, input, model } = parts;
  reader.origin(model, source.tool.path);
  const isReference = tools.length > 1;
  const config: [string, Json][] = [];
  for (const tool of tools) {
    const own = isReference && tool === source.tool;
    for (const [key, member] of configOf(reader, tool, own ? "workbook" : kind)) {
      reader.origin([...model, "config", key], member.path);
      config.push([key, member.value]);
    }
  }
  const merged = new Map<string, Json>();
  for (const { value, path } of input) {
    const key = String(path.at(-1));
    reader.origin([...model, "input", key], path);
    merged.set(key, value);
  }
  const rules = tools.map((tool) => readRules(reader, tool, [...model, "rules"]));
  const sets = tools.map((tool) => readSet(reader, tool, [...model, "set"]));
  const timeouts = tools.map((tool) => readTimeout(reader, tool));
  const timeoutSec = timeouts.findLast((one) => one !== undefined);
  for (const tool of tools) checkSpec(reader, tool);
  return {
    name,
    kind,
    config: Object.fromEntries(config),
    input: Object.fromEntries(merged),
    set: last(sets),
    rules: last<PolicyRule>(rules),
    ...(timeoutSec === undefined ? {} : { timeoutSec }),
  };
}

/** The task's own where it has any, else its workbook entry's. */
function last<T>(lists: readonly (readonly T[])[]): readonly T[] {
  return lists.findLast((list) => list.length > 0) ?? [];
}

function readTimeout(reader: Reader, tool: Member<JsonObject>): number | string | undefined {
  const own = reader.seconds(reader.member(tool, "timeout"));
  const spec = reader.member(tool, "spec");
  if (own !== undefined || spec === undefined || !isJsonObject(spec.value)) return own;
  return reader.seconds(reader.member({ value: spec.value, path: spec.path }, "timeout"));
}

/** What goes to the tool under its own names. */
function configOf(
  reader: Reader,
  tool: Member<JsonObject>,
  kind: string,
): readonly (readonly [string, Member])[] {
  const spelling = Object.hasOwn(spellings, kind) ? (spellings[kind] ?? {}) : {};
  const spelled = new Set(Object.values(spelling).flat());
  const reference = kind === "workbook" ? ["task", "workbook"] : [];
  const found: [string, Member][] = [];
  for (const member of membersOf(tool)) {
    const key = String(member.path.at(-1));
    const own = key === "args" && ownArgs.has(kind);
    if (spelled.has(key) || reference.includes(key) || (handled.has(key) && !own)) continue;
    found.push([key, member]);
  }
  const auth = reader.spelled(tool, "auth", "credential");
  if (auth !== undefined) found.push(["auth", auth]);
  for (const [ours, words] of Object.entries(spelling)) {
    const member = reader.spelled(tool, ours, ...words.slice(1));
    if (member !== undefined) found.push([ours, member]);
  }
  return found;
}

/** `input`, or the older `args` and `payload`; what is empty has no values. */
function readInput(reader: Reader, tool: Member<JsonObject>, kind: string): readonly Member[] {
  const words = inputWords.filter(
    (word) => !(word === "payload" && kind === "http") && !(word === "args" && ownArgs.has(kind)),
  );
  return readInputOf(reader, tool, words);
}

/** The values of the first of these keys that is there. */
export function readInputOf(
  reader: Reader,
  of: Member<JsonObject>,
  words: readonly string[] = inputWords,
): readonly Member[] {
  return membersOf(reader.object(reader.spelled(of, ...words)));
}

/** Tells keys that no tool of these kinds has; a kind that we do not know may have any. */
function checkKeys(reader: Reader, tool: Member<JsonObject>, ...kinds: readonly string[]): void {
  const known = kinds.map(keysOfKind);
  if (known.includes(undefined)) return;
  reader.keys(tool, Object.assign({}, ...known) as Known, `a tool of kind ${kinds.at(-1) ?? ""}`);
}

/** `spec` holds policy and limits; what a tool does stands beside it. */
function checkSpec(reader: Reader, tool: Member<JsonObject>): void {
  const spec = reader.object(reader.member(tool, "spec"));
  if (spec === undefined) return;
  const misplaced = new Set(["code", "url", "endpoint", "query", "command", "script", "path"]);
  for (const key of Object.keys(spec.value).filter((one) => misplaced.has(one))) {
    reader.report({
      code: "code-in-spec",
      path: [...spec.path, key],
      message: `"${key}" stands in the tool's spec, where nobody looks for it`,
      help: `move it out of spec, beside "kind"`,
      atKey: true,
    });
  }
  const rest = Object.entries(spec.value).filter(([key]) => !misplaced.has(key));
  reader.keys(
    { value: Object.fromEntries(rest), path: spec.path },
    knownKeys.toolSpec,
    "a tool's spec",
  );
}
