/** What a record of `expect.json` says, and where a run differs from it. For `compat.ts`. */
import { isJsonObject, type Json, type JsonObject } from "../src/base/json.ts";
import type { ExecutionRun, WorldRun } from "../src/core/scripted-world.ts";

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
};

/** Every difference, in words; none: the run is as it should be. */
export function differences(expected: Expected, { ending, main }: WorldRun): string[] {
  const { status, failed_step: failedStep, steps = {}, ctx, loop = {} } = expected;
  const found: string[] = [];
  const failed = main.completion?.failed ?? [];
  if (ending.toUpperCase() !== status) {
    found.push(`status: expected ${status}, got ${ending.toUpperCase()}`);
    for (const { step, error } of failed) found.push(`  ${step}: ${error.message}`);
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
  if (ctx !== undefined) found.push(...unlike(ctx, main.state.ctx, "ctx"));
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

function enteredTimes({ program, state }: ExecutionRun, step: string): number {
  return state.entered[program.stepIndex.get(step) ?? -1] ?? 0;
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
