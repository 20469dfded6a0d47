/** Where a run differs from what a test says. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { nearest } from "../../base/nearest.ts";
import type { RequestCommand } from "../decision.ts";
import type { Program } from "../program.ts";
import type { ExecutionRun, WorldRun } from "./model.ts";
import type { Difference, Then } from "./test-schema.ts";

type Path = readonly (string | number)[];

/** Every difference; none: it is as the test says. */
export function expectRun(then: Then, run: WorldRun, program: Program): Difference[] {
  const { main, ending } = run;
  const { completion, state } = main;
  const found: Difference[] = [];
  const failed = completion?.failed ?? [];
  const status = ending.toUpperCase();
  if (then.status !== undefined && then.status !== status) {
    const why = failed.map(({ error }) => `; ${error.message}`).join("");
    found.push({ path: ["status"], message: `it ends ${status}, not ${then.status}${why}` });
  }
  if (then.failed !== undefined) {
    found.push(...unlike(then.failed, failed.map(({ step }) => step).sort(), ["failed"]));
  }
  if (then.error !== undefined) found.push(...errorUnlike(then.error, main));
  if (then.result !== undefined) {
    found.push(...unlike(then.result, completion?.result, ["result"]));
  }
  for (const [step, times] of Object.entries(then.entered ?? {})) {
    found.push(...entered(program, main, { step, times, path: ["entered", step] }));
  }
  for (const [index, step] of (then.never_entered ?? []).entries()) {
    found.push(...entered(program, main, { step, times: 0, path: ["never_entered", index] }));
  }
  for (const [step, data] of Object.entries(then.data ?? {})) {
    found.push(...unlike(data, main.data.get(step), ["data", step]));
  }
  if (then.ctx !== undefined) found.push(...unlike(then.ctx, state.ctx, ["ctx"]));
  found.push(...commandsUnlike(then.commands ?? [], main.commands));
  return found;
}

function errorUnlike(expected: string, { history }: ExecutionRun): Difference[] {
  const terminal = history.find(({ event_type }) => event_type === "execution.failed");
  const error = terminal?.context?.["error"];
  const message = isJsonObject(error) ? error["message"] : undefined;
  if (typeof message === "string" && message.includes(expected)) return [];
  const got = typeof message === "string" ? `it says: ${message}` : "there is no error";
  return [{ path: ["error"], message: `the error does not say "${expected}"; ${got}` }];
}

function entered(
  { stepIndex }: Program,
  { state }: ExecutionRun,
  { step, times, path }: { readonly step: string; readonly times: number; readonly path: Path },
): Difference[] {
  const index = stepIndex.get(step);
  if (index === undefined) {
    const near = nearest(step, [...stepIndex.keys()]);
    const hint = near === undefined ? "" : `: did you mean "${near}"?`;
    return [{ path, message: `the playbook has no step "${step}"${hint}` }];
  }
  const got = state.entered[index] ?? 0;
  if (got === times) return [];
  return [{ path, message: `"${step}" is entered ${count(got)}, not ${count(times)}` }];
}

type Commands = NonNullable<Then["commands"]>;

/** The commands that a test names are asked for in this order; others may come between. */
function commandsUnlike(expected: Commands, commands: readonly RequestCommand[]): Difference[] {
  const found: Difference[] = [];
  let next = 0;
  for (const [index, one] of expected.entries()) {
    const at = commands.findIndex((command, place) => place >= next && isAsked(one, command));
    if (at >= 0) {
      const { args } = commands[at] ?? {};
      next = at + 1;
      if (one.args !== undefined) {
        found.push(...unlike(one.args, args, ["commands", index, "args"]));
      }
      continue;
    }
    const asked = commands.slice(next).map(({ place }) => place.step);
    const rest = asked.length === 0 ? "nothing" : asked.slice(0, 10).join(", ");
    const message = `no such command is asked for here: there is ${rest}`;
    found.push({ path: ["commands", index], message });
  }
  return found;
}

function isAsked(expected: Commands[number], { place, kind }: RequestCommand): boolean {
  return (
    expected.step === place.step &&
    (expected.task ?? place.task) === place.task &&
    (expected.kind ?? kind) === kind &&
    String(expected.item ?? place.item) === place.item &&
    (expected.attempt ?? place.attempt) === place.attempt
  );
}

/** Objects member by member, those that a test does not name may be there; lists whole. */
function unlike(expected: Json, got: Json | undefined, path: Path): Difference[] {
  if (isJsonObject(expected) && isJsonObject(got)) {
    return Object.entries(expected).flatMap(([name, value]) =>
      value === undefined ? [] : unlike(value, got[name], [...path, name]),
    );
  }
  if (isList(expected) && isList(got) && expected.length === got.length) {
    return expected.flatMap((value, index) => unlike(value, got[index], [...path, index]));
  }
  if (expected === got) return [];
  const is = got === undefined ? "there is nothing" : `it is ${said(got)}`;
  return [{ path, message: `${is}, not ${said(expected)}` }];
}

function count(times: number): string {
  return times === 0 ? "never" : times === 1 ? "once" : `${String(times)} times`;
}

function said(value: Json): string {
  const text = JSON.stringify(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
