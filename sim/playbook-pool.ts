/**
 * The playbooks of simulated worlds: random ones of the core's own properties, written out as files, with
 * approvals, other commands and each other mixed in. Each is made once, from its number alone.
 */
import fc from "fast-check";
import { sha256Hex } from "../src/base/hash.ts";
import type { JsonObject } from "../src/base/json.ts";
import { seededRandom } from "../src/base/random.ts";
import type { Assignment, Loop, Playbook, PolicyRule, Step, Task } from "../src/core/playbook.ts";
import { cases } from "../test/core/random-playbook.ts";
import { createDice, type Dice } from "./dice.ts";

export type PlaybookFile = {
  readonly path: string;
  readonly digest: string;
  readonly text: string;
  /** Where it can be run again from. */
  readonly steps: readonly string[];
};

/** How many there are. The first is the one that others call most. */
export const playbooksMax = 60;

const made = new Map<number, PlaybookFile>();

export function playbookFile(number: number): PlaybookFile {
  const known = made.get(number);
  if (known !== undefined) return known;
  const file = number === 0 ? fileOf(child) : fileOf(randomPlaybook(number));
  made.set(number, file);
  return file;
}

function pathOf(number: number): string {
  return number === 0 ? "child" : `random-${String(number)}`;
}

const nowhere: Step["next"] = { mode: "exclusive", onNoMatch: "end", arcs: [] };

function stepOfOne(name: string, kind: string, to?: string): Step {
  return {
    name,
    admit: [],
    tasks: [{ name, kind, config: {}, input: {}, set: [], rules: [] }],
    pipeline: false,
    set: [],
    next: to === undefined ? nowhere : { ...nowhere, arcs: [{ to, set: [] }] },
  };
}

const child: Playbook = {
  apiVersion: "noetl.io/v2",
  name: "child",
  path: "child",
  workload: { who: "nobody" },
  entry: "start",
  steps: [stepOfOne("start", "python", "end"), stepOfOne("end", "noop")],
  keychain: [],
};

/** An execution begins at `start`: here it only leads to the first step that was drawn. */
function randomPlaybook(number: number): Playbook {
  const drawn = fc.sample(cases("any"), { seed: number, numRuns: 6 }).at(-1)?.playbook ?? child;
  const dice = createDice(seededRandom(`playbook ${String(number)}`));
  const path = pathOf(number);
  const steps = drawn.steps.map((step) => ({
    ...step,
    tasks: step.tasks.map((task) => mixed(task, number, dice)),
  }));
  return {
    ...drawn,
    name: path,
    path,
    entry: "start",
    steps: [stepOfOne("start", "noop", drawn.entry), ...steps],
  };
}

function mixed(task: Task, number: number, dice: Dice): Task {
  if (task.kind === "playbook") {
    const called = dice.chance(0.7) ? 0 : dice.between(0, number - 1);
    return { ...task, config: { path: dice.chance(0.03) ? "nowhere" : pathOf(called) } };
  }
  const kind = dice.between(1, 100);
  if (kind <= 6) return { ...task, kind: "approval", config: { message: "go on?" }, input: {} };
  if (kind <= 12) {
    return { ...task, kind: "action", config: { command: "sim.safe" }, input: { n: number } };
  }
  return withOwnKeys(task);
}

/** Drawn tasks all have `code`; a file is refused for a key that its kind does not have. */
export function withOwnKeys(task: Task): Task {
  if (task.kind === "http") return { ...task, config: { url: "http://sim/{{ execution_id }}" } };
  return task.kind === "noop" ? { ...task, config: {} } : task;
}

function fileOf(playbook: Playbook): PlaybookFile {
  const text = JSON.stringify(written(playbook));
  const steps = playbook.steps.map(({ name }) => name);
  return { path: playbook.path, digest: sha256Hex(text), text, steps };
}

/** A playbook as a file has it: what is read from this is the playbook again. JSON is YAML. */
export function written(playbook: Playbook): JsonObject {
  const { apiVersion, name, path, workload, steps, timeoutMs } = playbook;
  return {
    apiVersion,
    kind: "Playbook",
    metadata: { name, path },
    workload,
    workflow: steps.map(writtenStep),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs / 1_000 }),
  };
}

function writtenStep(step: Step): JsonObject {
  const { name, admit, loop, tasks, pipeline, set, next, output, timeoutMs } = step;
  const rules = admit.map(({ when, allow }) =>
    when === undefined ? { else: { then: { allow } } } : { when, then: { allow } },
  );
  const arcs = next.arcs.map(({ to, when, set: values }) => ({
    step: to,
    ...(when === undefined ? {} : { when }),
    ...writtenSet(values),
  }));
  const tools = tasks.map(writtenTask);
  return {
    step: name,
    ...(rules.length === 0 ? {} : { spec: { policy: { admit: { rules } } } }),
    ...(loop === undefined ? {} : { loop: writtenLoop(loop) }),
    tool: pipeline ? tools : (tools[0] ?? null),
    ...writtenSet(set),
    ...(next === nowhere
      ? {}
      : { next: { spec: { mode: next.mode, on_no_match: next.onNoMatch }, arcs } }),
    ...(output === undefined ? {} : { output }),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs / 1_000 }),
  };
}

function writtenLoop(loop: Loop): JsonObject {
  const { iterator, mode, maxInFlight } = loop;
  if (loop.mode === "cursor") {
    const { kind, config, rowsMax } = loop.cursor;
    const spec = { mode, max_in_flight: maxInFlight, frame: { max_rows: rowsMax } };
    return { iterator, cursor: { kind, claim: config["query"] ?? "" }, spec };
  }
  const spec = mode === "sequential" ? { mode } : { mode, max_in_flight: maxInFlight };
  return { in: loop.in, iterator, spec };
}

function writtenTask({ name, kind, config, input, set, rules, timeoutSec }: Task): JsonObject {
  return {
    name,
    kind,
    ...config,
    ...(Object.keys(input).length === 0 ? {} : { input }),
    ...writtenSet(set),
    ...(rules.length === 0 ? {} : { spec: { policy: { rules: rules.map(writtenRule) } } }),
    ...(timeoutSec === undefined ? {} : { timeout: timeoutSec }),
  };
}

function writtenRule({ when, then }: PolicyRule): JsonObject {
  const own = { do: then.do, ...writtenSet(then.set) };
  const all =
    then.do === "jump"
      ? { ...own, to: then.to }
      : then.do === "retry"
        ? { ...own, attempts: then.attempts, backoff: then.backoff, delay: then.delaySec }
        : own;
  return when === undefined ? { else: { then: all } } : { when, then: all };
}

function writtenSet(set: readonly Assignment[]): JsonObject {
  if (set.length === 0) return {};
  const values = set.map(({ scope, path, value }) => [[scope, ...path].join("."), value]);
  return { set: Object.fromEntries(values) as JsonObject };
}
