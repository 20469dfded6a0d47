import { nearest } from "../../base/nearest.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { ApiVersion, Playbook, Step } from "../playbook.ts";
import { readStep } from "./read-step.ts";
import type { Workbook } from "./read-tool.ts";
import { isList, type Member, type Reader } from "./reader.ts";
import { knownKeys } from "./schema.ts";

/** Steps of one playbook. */
export const stepsMax = 2_000;

/** The step that every execution begins with. */
const entry = "start";

const versions = ["noetl.io/v2", "deed/v1"] as const;

/** Reads a document as far as it can be read: the findings say whether the model may be used. */
export function readPlaybook(reader: Reader, value: Json): Playbook | undefined {
  const root = isJsonObject(value) ? { value, path: [] } : undefined;
  if (root === undefined) {
    return notAPlaybook(reader, "the document is no mapping");
  }
  const apiVersion = readVersion(reader, root);
  if (apiVersion === undefined) return undefined;
  reader.strict = apiVersion === "deed/v1";
  reader.keys(root, knownKeys.root, "a playbook");
  const metadata = reader.object(reader.required(root, "metadata", 'add "metadata: {name: …}"'));
  const name =
    metadata && reader.text(reader.required(metadata, "name", "give the playbook a name"));
  const path = metadata && reader.text(reader.member(metadata, "path"));
  const description = metadata && reader.text(reader.member(metadata, "description"));
  const workload = reader.object(reader.member(root, "workload"))?.value ?? {};
  const workbook = readWorkbook(reader, root);
  const steps = readWorkflow(reader, root, workbook);
  checkWorkbook(reader, workbook);
  checkArcs(reader, steps);
  const output = reader.member(root, "output")?.value;
  const timeoutMs = reader.durationMs(reader.member(root, "timeout"));
  return {
    apiVersion,
    name: name ?? "",
    path: path ?? name ?? "",
    ...(description === undefined ? {} : { description }),
    workload,
    entry,
    steps,
    keychain: readKeychain(reader, root),
    ...(output === undefined ? {} : { output }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function notAPlaybook<T>(reader: Reader, message: string): T | undefined {
  reader.report({
    code: "not-a-playbook",
    path: [],
    message,
    help: 'begin with "apiVersion: noetl.io/v2" (or deed/v1), "kind: Playbook", metadata and workflow',
  });
  return undefined;
}

function readVersion(reader: Reader, root: Member<JsonObject>): ApiVersion | undefined {
  const version = reader.member(root, "apiVersion");
  const kind = reader.member(root, "kind");
  if (version === undefined || kind === undefined) {
    const missing = version === undefined ? "apiVersion" : "kind";
    return notAPlaybook(reader, `"${missing}" is missing`);
  }
  reader.word(kind, ["Playbook"]);
  return reader.word(version, versions);
}

function readWorkflow(
  reader: Reader,
  root: Member<JsonObject>,
  workbook: Workbook,
): readonly Step[] {
  const workflow = reader.required(root, "workflow", 'add "workflow: [{step: start, …}]"');
  const items = reader.list(workflow);
  if (items.length > stepsMax) {
    reader.report({
      code: "too-large",
      path: ["workflow"],
      message: `a playbook may have ${String(stepsMax)} steps: it has ${String(items.length)}`,
      help: "move a part of it into a playbook of its own, and run it with kind playbook",
    });
    return [];
  }
  const steps: Step[] = [];
  for (const item of items) {
    const step = readStep(reader, item, { model: ["steps", steps.length], workbook });
    if (step !== undefined) steps.push(step);
  }
  checkNames(reader, steps);
  return steps;
}

function checkNames(reader: Reader, steps: readonly Step[]): void {
  const first = new Map<string, number>();
  for (const [index, { name }] of steps.entries()) {
    if (first.has(name)) {
      reader.report({
        code: "duplicate-step",
        path: reader.sourceOf(["steps", index, "name"]),
        message: `two steps have the name "${name}"`,
        help: "rename one of them, and the arcs that lead to it",
      });
    } else first.set(name, index);
  }
  if (first.has(entry)) return;
  const near = nearest(entry, [...first.keys()]);
  reader.report({
    code: "missing-start",
    path: ["workflow"],
    message: `no step is named "${entry}", so nothing says where to begin`,
    help: near === undefined ? `name the first step "${entry}"` : `rename "${near}" to "${entry}"`,
  });
}

function checkArcs(reader: Reader, steps: readonly Step[]): void {
  const names = new Set(steps.map((step) => step.name));
  for (const [index, { next }] of steps.entries()) {
    for (const [at, { to }] of next.arcs.entries()) {
      if (names.has(to)) continue;
      const near = nearest(to, [...names]);
      reader.report({
        code: "unknown-step",
        path: reader.sourceOf(["steps", index, "next", "arcs", at, "to"]),
        message: `the arc leads to "${to}", which is no step`,
        help:
          near === undefined ? `add a step "${to}", or drop the arc` : `did you mean "${near}"?`,
      });
    }
  }
}

/** A list of `{name, tool}`, or a mapping of names to tools. A tool may also stand in the entry itself. */
function readWorkbook(reader: Reader, root: Member<JsonObject>): Workbook {
  const entries = new Map<string, Member<JsonObject>>();
  const member = reader.member(root, "workbook");
  const add = (name: string | undefined, item: Member<JsonObject>): void => {
    if (name === undefined) return;
    if (entries.has(name)) reader.wrong(item, `an entry of another name than "${name}"`);
    const tool = reader.object(reader.member(item, "tool"));
    const own = tool === undefined ? ["name"] : ["name", "desc", "kind", "tool"];
    const rest = Object.entries(item.value).filter(([key]) => !own.includes(key));
    const inline = { value: Object.fromEntries(rest), path: item.path };
    entries.set(name, tool ?? inline);
    if (tool !== undefined) reader.keys(inline, knownKeys.tool, "a workbook entry");
  };
  if (member !== undefined && isList(member.value)) {
    for (const item of reader.list(member)) {
      const entry = reader.object(item);
      if (entry === undefined) continue;
      add(reader.text(reader.required(entry, "name", "name the workbook entry")), entry);
    }
  } else {
    const all = reader.object(member);
    for (const [name, value] of Object.entries(all?.value ?? {})) {
      const entry = reader.object({ value: value ?? null, path: ["workbook", name] });
      if (entry !== undefined) add(name, entry);
    }
  }
  return { entries, used: new Set() };
}

function checkWorkbook(reader: Reader, { entries, used }: Workbook): void {
  for (const [name, { path }] of entries) {
    if (used.has(name)) continue;
    reader.report({
      code: "unused-workbook",
      path,
      message: `no step uses the workbook entry "${name}"`,
      help: `use it with "kind: workbook" and "name: ${name}", or drop it`,
    });
  }
}

/** A list, or a mapping whose keys are the names. */
function readKeychain(reader: Reader, root: Member<JsonObject>): readonly JsonObject[] {
  const member = reader.member(root, "keychain");
  if (member === undefined) return [];
  if (!isList(member.value)) {
    const all = reader.object(member);
    return Object.entries(all?.value ?? {}).map(([name, value]) =>
      isJsonObject(value) ? { name, ...value } : { name, value: value ?? null },
    );
  }
  return reader.list(member).flatMap((item) => {
    const entry = reader.object(item);
    return entry === undefined ? [] : [entry.value];
  });
}
