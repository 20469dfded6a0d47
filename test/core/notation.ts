/** A terse notation for a playbook's model, for tests of the core alone: the parser has its own. */
import type { Json, JsonObject } from "../../src/base/json.ts";
import type {
  Assignment,
  Consequence,
  Loop,
  Playbook,
  PolicyRule,
  Step,
  Task,
} from "../../src/core/playbook.ts";

export type Sets = { readonly [name: string]: Json };

export type RuleNote = { readonly when?: string; readonly set?: Sets } & (
  | { readonly do: "continue" | "fail" | "break" }
  | { readonly do: "jump"; readonly to: string }
  | {
      readonly do: "retry";
      readonly attempts: number | string;
      readonly backoff?: "none" | "fixed" | "linear" | "exponential";
      readonly delay?: number | string;
      readonly delayMax?: number | string;
    }
);

export type TaskNote = {
  readonly name?: string;
  readonly kind?: string;
  readonly config?: JsonObject;
  readonly input?: JsonObject;
  readonly set?: Sets;
  readonly rules?: readonly RuleNote[];
  readonly timeout?: number | string;
};

export type ArcNote = string | { readonly to: string; readonly when?: string; readonly set?: Sets };

export type StepNote = {
  readonly tool?: TaskNote | readonly TaskNote[];
  readonly next?: ArcNote | readonly ArcNote[];
  readonly mode?: "exclusive" | "inclusive";
  readonly onNoMatch?: "end" | "fail";
  readonly set?: Sets;
  readonly admit?: readonly { readonly when?: string; readonly allow: boolean }[];
  readonly loop?: {
    readonly in?: Json;
    readonly as?: string;
    readonly mode?: "sequential" | "parallel";
    readonly max?: number | string;
    readonly cursor?: { readonly query: string; readonly rows?: number | string };
  };
  readonly output?: Json;
  readonly timeoutMs?: number;
};

export type PlaybookNote = {
  readonly strict?: boolean;
  readonly workload?: JsonObject;
  readonly output?: Json;
  readonly timeoutMs?: number;
  readonly steps: { readonly [name: string]: StepNote };
};

/** The first step is the one that it begins with. */
export function playbook({
  strict = false,
  workload = {},
  output,
  timeoutMs,
  steps,
}: PlaybookNote): Playbook {
  const notes = Object.entries(steps);
  return {
    apiVersion: strict ? "deed/v1" : "noetl.io/v2",
    name: "test",
    path: "test",
    workload,
    entry: notes[0]?.[0] ?? "start",
    steps: notes.map(([name, note]) => stepOf(name, note)),
    keychain: [],
    ...(output === undefined ? {} : { output }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function stepOf(name: string, note: StepNote): Step {
  const { tool = {}, next = [], loop } = note;
  const tasks: readonly TaskNote[] = isList(tool) ? tool : [tool];
  const arcs: readonly ArcNote[] = isList(next) ? next : [next];
  return {
    name,
    admit: note.admit ?? [],
    ...(loop === undefined ? {} : { loop: loopOf(loop) }),
    tasks: tasks.map((task, index) => taskOf(task, isList(tool) ? `task${String(index)}` : name)),
    pipeline: isList(tool),
    set: setOf(note.set),
    next: {
      mode: note.mode ?? "exclusive",
      onNoMatch: note.onNoMatch ?? "end",
      arcs: arcs.map((arc) => {
        if (typeof arc === "string") return { to: arc, set: [] };
        return {
          to: arc.to,
          ...(arc.when === undefined ? {} : { when: arc.when }),
          set: setOf(arc.set),
        };
      }),
    },
    ...(note.output === undefined ? {} : { output: note.output }),
    ...(note.timeoutMs === undefined ? {} : { timeoutMs: note.timeoutMs }),
  };
}

function taskOf(note: TaskNote, name: string): Task {
  return {
    name: note.name ?? name,
    kind: note.kind ?? "python",
    config: note.config ?? {},
    input: note.input ?? {},
    set: setOf(note.set),
    rules: (note.rules ?? []).map((rule): PolicyRule => ({
      ...(rule.when === undefined ? {} : { when: rule.when }),
      then: consequenceOf(rule),
    })),
    ...(note.timeout === undefined ? {} : { timeoutSec: note.timeout }),
  };
}

function consequenceOf(rule: RuleNote): Consequence {
  const set = setOf(rule.set);
  if (rule.do === "jump") return { do: "jump", to: rule.to, set };
  if (rule.do !== "retry") return { do: rule.do, set };
  const { attempts, backoff = "none", delay = 0, delayMax } = rule;
  return {
    do: "retry",
    set,
    attempts,
    backoff,
    delaySec: delay,
    ...(delayMax === undefined ? {} : { delayMaxSec: delayMax }),
  };
}

function loopOf(note: NonNullable<StepNote["loop"]>): Loop {
  const { as: iterator = "item", max: maxInFlight = 64, cursor } = note;
  if (cursor !== undefined) {
    const { query, rows = 50 } = cursor;
    return {
      iterator,
      maxInFlight,
      mode: "cursor",
      cursor: { kind: "postgres", config: { query }, rowsMax: rows },
    };
  }
  return { iterator, maxInFlight, mode: note.mode ?? "parallel", in: note.in ?? [] };
}

function setOf(set: Sets = {}): Assignment[] {
  return Object.entries(set).map(([name, value]) => {
    const [scope, ...path] = name.split(".");
    if (scope === "ctx" || scope === "iter" || scope === "step") return { scope, path, value };
    return { scope: "iter", path: name.split("."), value };
  });
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
