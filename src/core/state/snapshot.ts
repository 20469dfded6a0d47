/**
 * A state as canonical JSON, and back.
 *
 * Whoever decodes a snapshot must have the program that it was made with: steps and tasks stand in it by
 * their index. What can be derived is not written.
 */
import { canonicalJson } from "../../base/canonical-json.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { SetValue } from "../decision.ts";
import type {
  Activation,
  AgendaItem,
  LoopState,
  Run,
  StepData,
  Timer,
  WorkflowState,
} from "./model.ts";

/** Raised whenever a state of before would be read wrongly. */
export const snapshotVersion = 1;

/**
 * A value of the playbook's own, as JSON text: templates see the order of an object's keys, so it is kept as
 * it came, while canonical JSON orders the keys of what is ours.
 */
type Verbatim = string;

type SavedRun = Omit<Run, "value" | "iter" | "tasks" | "outcome"> & { readonly given: Verbatim };

type SavedLoop = Omit<LoopState, "items" | "results"> & { readonly given: Verbatim };

type SavedActivation = Omit<
  Activation,
  "runs" | "loop" | "iter" | "stepValues" | "tasks" | "outcome"
> & {
  readonly runs: readonly SavedRun[];
  readonly loop?: SavedLoop;
  readonly given: Verbatim;
};

type Plain = Omit<
  WorkflowState,
  | "live"
  | "joins"
  | "timers"
  | "data"
  | "agenda"
  | "agendaDone"
  | "liveOf"
  | "openCount"
  | keyof Given
>;

/** What the playbook and its tools gave to the execution as a whole. */
type Given = Pick<WorkflowState, "payload" | "env" | "workload" | "ctx" | "last" | "result">;

type Saved = Plain & {
  readonly version: number;
  readonly given: Verbatim;
  readonly agenda: AgendaItem[];
  readonly live: readonly SavedActivation[];
  readonly joins: readonly { readonly step: number; readonly set: Verbatim }[];
  readonly timers: readonly Timer[];
  readonly data: readonly { readonly step: string; readonly is: Verbatim }[];
};

/** The state as canonical JSON: the same state gives the same bytes, however it came about. */
export function encodeState(state: WorkflowState): string {
  const { payload, env, workload, ctx, last, result } = state;
  const saved: Saved = {
    version: snapshotVersion,
    ...plainOf(state),
    given: verbatim({ payload, env, workload, ctx, last, result } satisfies Given),
    agenda: state.agenda.slice(state.agendaDone),
    live: [...state.live.values()].map(saveActivation),
    joins: [...state.joins].map(([step, set]) => ({ step, set: verbatim(set) })),
    timers: [...state.timers.values()],
    data: [...state.data].map(([step, is]) => ({ step, is: verbatim(is) })),
  };
  return canonicalJson(saved);
}

function saveActivation(activation: Activation): SavedActivation {
  const { runs, loop, iter, stepValues, tasks, outcome, ...rest } = activation;
  return {
    ...rest,
    ...(loop === undefined ? {} : { loop: saveLoop(loop) }),
    runs: [...runs.values()].map(saveRun),
    given: verbatim({ iter, stepValues, tasks, outcome }),
  };
}

function saveLoop({ items, results, ...rest }: LoopState): SavedLoop {
  return { ...rest, given: verbatim({ items, results }) };
}

function saveRun({ value, iter, tasks, outcome, ...rest }: Run): SavedRun {
  return { ...rest, given: verbatim({ value, iter, tasks, outcome }) };
}

function readActivation({ runs, loop, given, ...rest }: SavedActivation): Activation {
  return {
    ...rest,
    ...read<Pick<Activation, "iter" | "stepValues" | "tasks" | "outcome">>(given),
    ...(loop === undefined ? {} : { loop: readLoop(loop) }),
    runs: new Map(runs.map((run) => [run.item, readRun(run)])),
  };
}

function readLoop({ given, ...rest }: SavedLoop): LoopState {
  return { ...rest, ...read<Pick<LoopState, "items" | "results">>(given) };
}

function readRun({ given, ...rest }: SavedRun): Run {
  return { ...rest, ...read<Pick<Run, "value" | "iter" | "tasks" | "outcome">>(given) };
}

function verbatim(value: unknown): Verbatim {
  return JSON.stringify(value);
}

/** Our own writing is trusted. */
function read<T>(text: Verbatim): T {
  return JSON.parse(text) as T;
}

/**
 * Reads a snapshot back.
 *
 * @returns refused where the text is no snapshot, or one of another version: then fold the history again.
 */
export function decodeState(text: string): Result<WorkflowState, string> {
  const saved = parsed(text);
  if (saved === undefined) return err("Cannot read the snapshot as it is not JSON");
  if (!isJsonObject(saved) || saved["version"] !== snapshotVersion) {
    const found = isJsonObject(saved) ? JSON.stringify(saved["version"]) : "none";
    return err(
      `Cannot read the snapshot as its version is ${found}: ${String(snapshotVersion)} is read`,
    );
  }
  if (!isSaved(saved)) return err("Cannot read the snapshot as members are missing");
  const { live, joins, timers, data, agenda } = saved;
  const state: WorkflowState = {
    ...plainOf(saved),
    ...read<Given>(saved.given),
    agenda,
    agendaDone: 0,
    live: new Map(live.map((one) => [one.key, readActivation(one)])),
    joins: new Map(joins.map(({ step, set }) => [step, read<SetValue[]>(set)])),
    timers: new Map(timers.map((timer) => [timer.name, timer])),
    data: new Map(data.map(({ step, is }) => [step, read<StepData>(is)])),
    liveOf: [],
    openCount: 0,
  };
  for (const activation of state.live.values()) {
    state.liveOf[activation.step] = (state.liveOf[activation.step] ?? 0) + 1;
    for (const run of activation.runs.values()) if (run.phase === "open") state.openCount += 1;
    if (activation.loop?.cursor?.phase === "open") state.openCount += 1;
  }
  return ok(state);
}

/** What is written as it stands. */
function plainOf(state: Plain): Plain {
  return {
    executionId: state.executionId,
    status: state.status,
    nowMs: state.nowMs,
    paused: state.paused,
    ...(state.drain === undefined ? {} : { drain: state.drain }),
    ...(state.restartAt === undefined ? {} : { restartAt: state.restartAt }),
    ...(state.returnStep === undefined ? {} : { returnStep: state.returnStep }),
    entered: state.entered,
    enteredTotal: state.enteredTotal,
    failed: state.failed,
  };
}

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return undefined;
  }
}

/** Our own writing is trusted beyond its version and its outline. */
function isSaved(value: JsonObject): value is JsonObject & Saved {
  return (
    typeof value["executionId"] === "string" &&
    typeof value["given"] === "string" &&
    typeof value["status"] === "string" &&
    ["entered", "live", "joins", "timers", "data", "agenda", "failed"].every((name) =>
      Array.isArray(value[name]),
    )
  );
}
