/** Records a shape's history, and what is decided along it. */
import { canonicalJson } from "../../src/base/canonical-json.ts";
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
  return {
    playbook,
    inputs: main.history.filter((event) => !isOwn(event, main.state)).map(asRead),
  };
}

/**
 * One line for each thing: the playbook, each input, and behind it what is decided; then the last state. What
 * is given stands as it came, as templates see the order of keys; what is decided is canonical.
 */
export function goldenText({ playbook, inputs }: Golden): string {
  const program = programOf(playbook);
  let state = initialState(inputs[0]?.execution_id ?? "");
  const lines = [`playbook ${JSON.stringify(playbook)}`];
  for (const event of inputs) {
    lines.push(`input ${JSON.stringify(event)}`);
    const driven = drive(state, [event], program);
    state = driven.state;
    lines.push(`decision ${canonicalJson(driven.decision)}`);
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
    inputs.push(asRead(JSON.parse(json)));
  }
  if (playbook === undefined) throw new Error("There is no line with the playbook");
  return { playbook, inputs };
}

/** As it is parsed where it comes in, with its members in that order. */
function asRead(value: unknown): CoreEvent {
  const event = parseCoreEvent(value);
  if (!event.ok) throw new Error(event.error.message);
  return event.value;
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
