import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { nearest } from "../../base/nearest.ts";
import type { Step, Task } from "../playbook.ts";
import { readAdmit } from "./read-policy.ts";
import { readLoop } from "./read-loop.ts";
import { readNext } from "./read-next.ts";
import { readSet } from "./read-set.ts";
import { readInputOf, readTool, type Workbook } from "./read-tool.ts";
import { isList, type Member, type Path, type Reader } from "./reader.ts";
import { knownKeys } from "./schema.ts";

/** Reads one step. Undefined where it has no name: nothing could lead to it. */
export function readStep(
  reader: Reader,
  item: Member,
  { model, workbook }: { readonly model: Path; readonly workbook: Workbook },
): Step | undefined {
  const step = reader.object(item);
  if (step === undefined) return undefined;
  reader.keys(step, knownKeys.step, "a step");
  reader.origin(model, step.path);
  const name = reader.text(reader.required(step, "step", "give the step a name"));
  if (name === undefined) return undefined;
  reader.origin([...model, "name"], [...step.path, "step"]);
  const spec = reader.object(reader.member(step, "spec"));
  if (spec !== undefined) reader.keys(spec, knownKeys.stepSpec, "a step's spec");
  const desc = reader.text(reader.spelled(step, "desc", "description"));
  const loop = readLoop(reader, step, [...model, "loop"]);
  const output = readOutput(reader, step);
  const timeoutMs =
    reader.durationMs(reader.member(step, "timeout")) ??
    (spec && reader.durationMs(reader.member(spec, "timeout")));
  return {
    name,
    ...(desc === undefined ? {} : { desc }),
    admit: readAdmit(reader, step, [...model, "admit"]),
    ...(loop === undefined ? {} : { loop }),
    ...readTools(reader, step, { name, model, workbook }),
    set: readSet(reader, step, [...model, "set"]),
    next: readNext(reader, step, [...model, "next"]),
    ...(output === undefined ? {} : { output }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** `output` of a step; where it holds nothing but settings of the origin's object store, there is none. */
function readOutput(reader: Reader, step: Member<JsonObject>): Json | undefined {
  const output = reader.member(step, "output");
  if (output === undefined || !isJsonObject(output.value)) return output?.value;
  const settings = ["output_select", "_store", "store", "_ref"];
  const keys = Object.keys(output.value);
  if (keys.length === 0 || !keys.every((key) => settings.includes(key))) return output.value;
  reader.keys({ value: output.value, path: output.path }, knownKeys.step, "a step's output");
  return undefined;
}

type StepTools = { readonly name: string; readonly model: Path; readonly workbook: Workbook };

function readTools(
  reader: Reader,
  step: Member<JsonObject>,
  { name, model, workbook }: StepTools,
): Pick<Step, "tasks" | "pipeline"> {
  const member = reader.member(step, "tool");
  const input = readInputOf(reader, step);
  if (input.length > 0) reader.elsewhere([...step.path, "input"], "the input of a step");
  const listed = member !== undefined && isList(member.value);
  const tools = listed ? reader.list(member) : member === undefined ? [] : [member];
  if (tools.length === 0) {
    reader.report({
      code: "step-without-tool",
      path: member?.path ?? step.path,
      message: `step "${name}" has no tool`,
      help: 'give it one; "tool: {kind: noop}" does nothing and only leads on',
    });
  }
  const tasks: Task[] = [];
  for (const [index, item] of tools.entries()) {
    const { tool, label } = labelledTool(reader, item, listed);
    if (tool === undefined) continue;
    const task = readTool(reader, {
      tool,
      name: label ?? (listed ? `task_${String(index)}` : name),
      listed,
      input,
      model: [...model, "tasks", tasks.length],
      workbook,
    });
    if (task !== undefined) tasks.push(task);
  }
  checkTasks(reader, tasks, [...model, "tasks"]);
  return { tasks, pipeline: listed };
}

/** A tool block, the name of a kind, or the older `label: {kind, …}` of a pipeline. */
function labelledTool(
  reader: Reader,
  item: Member,
  listed: boolean,
): { readonly tool: Member<JsonObject> | undefined; readonly label?: string } {
  if (typeof item.value === "string") {
    return { tool: { value: { kind: item.value }, path: item.path } };
  }
  const tool = reader.object(item);
  const [only, ...others] = tool === undefined ? [] : Object.entries(tool.value);
  if (!listed || tool === undefined || only === undefined || others.length > 0) return { tool };
  const [label, value] = only;
  const isLabel = label !== "kind" && isJsonObject(value);
  return isLabel ? { tool: { value, path: [...tool.path, label] }, label } : { tool };
}

/** Names of tasks are unique in their step, and jumps lead to one of them. */
function checkTasks(reader: Reader, tasks: readonly Task[], model: Path): void {
  const names = new Set<string>();
  for (const [index, { name }] of tasks.entries()) {
    if (names.has(name)) {
      reader.report({
        code: "duplicate-task",
        path: reader.sourceOf([...model, index]),
        message: `two tasks of one step have the name "${name}"`,
        help: "rename one of them",
      });
    }
    names.add(name);
  }
  for (const [index, { rules }] of tasks.entries()) {
    for (const [at, { then }] of rules.entries()) {
      if (then.do !== "jump" || names.has(then.to)) continue;
      const near = nearest(then.to, [...names]);
      reader.report({
        code: "unknown-task",
        path: [...reader.sourceOf([...model, index, "rules", at, "then"]), "to"],
        message: `the jump leads to "${then.to}", which is no task of this step`,
        help:
          near === undefined ? `its tasks: ${[...names].join(", ")}` : `did you mean "${near}"?`,
      });
    }
  }
}
