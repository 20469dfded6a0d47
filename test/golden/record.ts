/** Records a shape's history, and what is decided along it. */
import { canonicalJson } from "../../src/base/canonical-json.ts";
import type { Json } from "../../src/base/json.ts";
import { parseCoreEvent, type CoreEvent } from "../../src/event/core-event.ts";
import type { Playbook } from "../../src/core/playbook.ts";
import { drive } from "../../src/core/evaluate.ts";
import { compileProgram, type Program } from "../../src/core/program.ts";
import { runWorld, type Asked, type ScriptedOutcome } from "../../src/core/scripted-world.ts";
import { encodeState, initialState, isOwn } from "../../src/core/state.ts";
import type { Shape } from "./shapes.ts";

export type Golden = {
  readonly playbook: Playbook;
  /** What came from outside, in its order. */
  readonly inputs: readonly CoreEvent[];
};

export function historyOf({
  playbook,
  children = [],
  payload = {},
  inputs = [],
  ...more
}: Shape): Golden {
  const { main } = runWorld(
    {
      program: programOf(playbook),
      children: new Map(children.map((child) => [child.path, programOf(child)])),
      payload,
      inputs,
      ...(more.seed === undefined ? {} : { seed: more.seed }),
    },
    (asked) => outcomeOf(more.tools ?? {}, asked),
  );
  return { playbook, inputs: main.history.filter((event) => !isOwn(event, main.state)) };
}

/** One line for each thing: the playbook, each input, and behind it what is decided; then the last state. */
export function goldenText({ playbook, inputs }: Golden): string {
  const program = programOf(playbook);
  let state = initialState(inputs[0]?.execution_id ?? "");
  const lines = [line("playbook", playbook)];
  for (const event of inputs) {
    lines.push(line("input", event));
    const driven = drive(state, [event], program);
    state = driven.state;
    lines.push(line("decision", driven.decision));
  }
  return `${[...lines, `state ${encodeState(state)}`].join("\n")}\n`;
}

/** @throws Error where a line cannot be read. */
export function readGolden(text: string): Golden {
  const inputs: CoreEvent[] = [];
  let playbook: Playbook | undefined;
  for (const written of text.split("\n")) {
    const [, kind, json = ""] = /^(\w+) (.*)$/.exec(written) ?? [];
    if (kind === "playbook") playbook = JSON.parse(json) as Playbook;
    if (kind !== "input") continue;
    const event = parseCoreEvent(JSON.parse(json));
    if (!event.ok) throw new Error(event.error.message);
    inputs.push(event.value);
  }
  if (playbook === undefined) throw new Error("There is no line with the playbook");
  return { playbook, inputs };
}

function line(kind: string, value: unknown): string {
  return `${kind} ${canonicalJson(value as Json)}`;
}

function programOf(playbook: Playbook): Program {
  const compiled = compileProgram(playbook);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.error));
  return compiled.value;
}

function outcomeOf(tools: NonNullable<Shape["tools"]>, { command }: Asked): ScriptedOutcome {
  const { task, item, attempt } = command.place;
  const outcomes = tools[`${task}/${item}`] ?? tools[task] ?? [];
  const last = outcomes.at(-1) ?? { does: "succeed", result: { of: task, item } };
  return outcomes[attempt - 1] ?? last;
}
