/** What a record of `expect.json` says, and where a run differs from it. For `compat.ts`. */
import { isJsonObject, type Json, type JsonObject } from "../src/base/json.ts";
import type { FailedStep } from "../src/core/decision.ts";
import type { Program } from "../src/core/program.ts";
import { evolve, initialState, type WorkflowState } from "../src/core/state.ts";
import { dataOf } from "../src/core/state/fold-decision.ts";
import { activationKey } from "../src/core/state/live.ts";
import { coreEventOf } from "../src/event/core-event.ts";
import type { LogRecord } from "../src/event/envelope.ts";

export type Expected = {
  readonly file: string;
  readonly needs: readonly string[];
  readonly start?: JsonObject;
  readonly status: "COMPLETED" | "FAILED" | "PARSE_OK";
  readonly failed_step?: string;
  readonly steps?: { readonly [step: string]: { readonly entered?: number; readonly data?: Json } };
  readonly never_entered?: readonly string[];
  readonly ctx?: JsonObject;
  readonly loop?: {
    readonly [step: string]: { readonly count?: number; readonly results_in_order?: Json };
  };
  readonly lint_must_report?: readonly string[];
  /** SQL, run before the playbook. */
  readonly setup_sql?: readonly string[];
  /** Queries, each with the first cell of its result. */
  readonly tables?: { readonly [query: string]: Json };
};

/** What an execution did, as its thread tells. */
export type Played = {
  readonly program: Program;
  readonly state: WorkflowState;
  /** As they were before the terminal event, which forgets them. */
  readonly entered: readonly number[];
  readonly ctx: JsonObject;
  /** The data of each step that completed, by name: that of its last activation. */
  readonly data: ReadonlyMap<string, Json>;
  readonly failed: readonly FailedStep[];
  readonly error: Json | undefined;
};

/** Folds the thread of an execution again. */
export function playedBy(
  executionId: string,
  program: Program,
  thread: readonly LogRecord[],
): Played {
  const state = initialState(executionId);
  const data = new Map<string, Json>();
  let error: Json | undefined;
  for (const record of thread) {
    const read = coreEventOf(record);
    if (!read.ok) continue;
    const event = read.value;
    const { activation: number } = record.event.tags;
    if (event.event_type === "step.completed" && event.node_name !== undefined) {
      const given = event.context?.["data"];
      const activation = state.live.get(activationKey(event.node_name, Number(number)));
      if (given !== undefined) data.set(event.node_name, given);
      else if (activation !== undefined) {
        data.set(event.node_name, dataOf(activation, program.strict));
      }
    }
    if (event.event_type === "execution.failed") error = event.context?.["error"];
    evolve(state, event, program);
  }
  const { entered, ctx, failed } = state;
  return { program, state, entered, ctx, data, failed, error };
}

/** Every difference, in words; none: the run is as it should be. */
export function differences(expected: Expected, main: Played): string[] {
  const { status, failed_step: failedStep, steps = {}, ctx, loop = {} } = expected;
  const found: string[] = [];
  const { failed } = main;
  const ending = main.state.status.toUpperCase();
  if (ending !== status) {
    found.push(`status: expected ${status}, got ${ending}`);
    for (const { step, error } of failed) found.push(`  ${step}: ${error.message}`);
    if (failed.length === 0) found.push(`  ${JSON.stringify(main.error)}`);
  }
  if (failedStep !== undefined && !failed.some(({ step }) => step === failedStep)) {
    const got = failed.map(({ step }) => step).join(", ");
    found.push(`failed step: expected ${failedStep}, got ${got === "" ? "none" : got}`);
  }
  for (const [step, { entered, data }] of Object.entries(steps)) {
    const times = enteredTimes(main, step);
    if (entered !== undefined && times !== entered) {
      found.push(`${step}: expected ${String(entered)} activations, got ${String(times)}`);
    }
    if (data !== undefined) found.push(...unlike(data, main.data.get(step), `${step}.data`));
  }
  for (const step of expected.never_entered ?? []) {
    if (enteredTimes(main, step) > 0) found.push(`${step}: must never be entered`);
  }
  if (ctx !== undefined) found.push(...unlike(ctx, main.ctx, "ctx"));
  for (const [step, { count, results_in_order: results }] of Object.entries(loop)) {
    const data = main.data.get(step);
    const given = isJsonObject(data) ? data["results"] : undefined;
    const got = isList(given) ? given.length : undefined;
    if (count !== undefined && got !== count) {
      found.push(`${step}: expected ${String(count)} iterations, got ${String(got)}`);
    }
    if (results !== undefined) found.push(...unlike(results, given, `${step}.results`));
  }
  return found;
}

function enteredTimes({ program, entered }: Played, step: string): number {
  return entered[program.stepIndex.get(step) ?? -1] ?? 0;
}

/** What a query gave, against what it must give. */
export function unlikeCell(expected: Json, got: unknown, query: string): string[] {
  return unlike(expected, (got ?? null) as Json, query);
}

/** Objects by key, lists whole, numbers and strings not interchangeable. */
function unlike(expected: Json, got: Json | undefined, place: string): string[] {
  if (isJsonObject(expected)) {
    if (!isJsonObject(got)) return [differs(expected, got, place)];
    return Object.entries(expected).flatMap(([name, value]) =>
      value === undefined ? [] : unlike(value, got[name], `${place}.${name}`),
    );
  }
  if (isList(expected)) {
    if (!isList(got) || got.length !== expected.length) return [differs(expected, got, place)];
    return expected.flatMap((value, at) => unlike(value, got[at], `${place}[${String(at)}]`));
  }
  return expected === got ? [] : [differs(expected, got, place)];
}

function differs(expected: Json, got: Json | undefined, place: string): string {
  return `${place}: expected ${said(expected)}, got ${got === undefined ? "nothing" : said(got)}`;
}

function said(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
