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
import type { Activation, AgendaItem, Run, StepData, Timer, WorkflowState } from "./model.ts";

/** Raised whenever a state of before would be read wrongly. */
export const snapshotVersion = 1;

type SavedActivation = Omit<Activation, "runs"> & { readonly runs: readonly Run[] };

type Plain = Omit<
  WorkflowState,
  "live" | "joins" | "timers" | "data" | "agenda" | "agendaDone" | "liveOf" | "openCount"
>;

type Saved = Plain & {
  readonly version: number;
  readonly agenda: AgendaItem[];
  readonly live: readonly SavedActivation[];
  readonly joins: readonly { readonly step: number; readonly set: SetValue[] }[];
  readonly timers: readonly Timer[];
  readonly data: readonly { readonly step: string; readonly is: StepData }[];
};

/** The state as canonical JSON: the same state gives the same bytes, however it came about. */
export function encodeState(state: WorkflowState): string {
  const saved: Saved = {
    version: snapshotVersion,
    ...plainOf(state),
    agenda: state.agenda.slice(state.agendaDone),
    live: [...state.live.values()].map((one) => ({ ...one, runs: [...one.runs.values()] })),
    joins: [...state.joins].map(([step, set]) => ({ step, set })),
    timers: [...state.timers.values()],
    data: [...state.data].map(([step, is]) => ({ step, is })),
  };
  return canonicalJson(saved);
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
    agenda,
    agendaDone: 0,
    live: new Map(live.map((one) => [one.key, { ...one, runs: byItem(one.runs) }])),
    joins: new Map(joins.map(({ step, set }) => [step, set])),
    timers: new Map(timers.map((timer) => [timer.name, timer])),
    data: new Map(data.map(({ step, is }) => [step, is])),
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
    payload: state.payload,
    env: state.env,
    workload: state.workload,
    ctx: state.ctx,
    entered: state.entered,
    enteredTotal: state.enteredTotal,
    last: state.last,
    failed: state.failed,
    result: state.result,
  };
}

function byItem(runs: readonly Run[]): Map<string, Run> {
  return new Map(runs.map((run) => [run.item, run]));
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
    typeof value["status"] === "string" &&
    ["entered", "live", "joins", "timers", "data", "agenda", "failed"].every((name) =>
      Array.isArray(value[name]),
    )
  );
}
