/** Commands of tasks, and what a task's rules say about its outcome. */
import type { Json, JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { deedError, type DeedError } from "../../event/error.ts";
import {
  commandKey,
  type DecisionEvent,
  type Place,
  type RequestCommand,
  type RuleName,
  type SetValue,
  type TaskVerdict,
} from "../decision.ts";
import { coreLimits } from "../limits.ts";
import type { ConsequenceProgram, Program, TaskProgram } from "../program/model.ts";
import { stepOf } from "../state/live.ts";
import {
  claimItem,
  claimTask,
  type Activation,
  type Outcome,
  type Run,
  type WorkflowState,
} from "../state/model.ts";
import { envelopeOf, passedData } from "../state/outcome.ts";
import { Names } from "./names.ts";
import { holds, numberOf, renderedObject } from "./render.ts";

export type InRun = {
  readonly state: WorkflowState;
  readonly program: Program;
  readonly activation: Activation;
  readonly run: Run;
};

/** The command of the task that a run stands at; where its input cannot be rendered, the task's failure. */
export function dispatch(where: InRun): RequestCommand | DecisionEvent {
  const { state, program, activation, run } = where;
  const step = stepOf(program, activation);
  const task = taskOf(where);
  const place = placeOf(where, (run.issued[task.name] ?? 0) + 1);
  const names = new Names(state, { step, activation, run });
  if (run.outcome !== undefined) names.output = envelopeOf(run.outcome, program.strict);
  const made = argsOf(task, names);
  if (!made.ok) return failedTask(place, made.error);
  return {
    do: "request",
    key: commandKey(state.executionId, place),
    place,
    kind: task.kind,
    ...made.value,
    ...secretsOf(task, program),
  };
}

/** The command that claims the next rows of a cursor. */
export function claim(
  state: WorkflowState,
  program: Program,
  activation: Activation,
): Result<RequestCommand, DeedError> {
  const step = stepOf(program, activation);
  const { loop } = step;
  if (loop?.mode !== "cursor")
    return err(deedError("unprocessable", "Cannot claim without a cursor"));
  const names = new Names(state, { step, activation });
  const rowsMax = numberOf(loop.rowsMax, names, "loop.cursor.rowsMax");
  if (!rowsMax.ok) return rowsMax;
  names.input = { __frame_max_rows: rowsMax.value };
  const config = renderedObject(loop.config, names, "loop.cursor");
  if (!config.ok) return config;
  const item = claimItem((activation.loop?.cursor?.claims ?? 0) + 1);
  const place: Place = {
    step: step.name,
    activation: activation.number,
    item,
    task: claimTask,
    attempt: 1,
  };
  const key = commandKey(state.executionId, place);
  const args = { ...config.value, max_rows: rowsMax.value };
  return ok({
    do: "request",
    key,
    place,
    kind: loop.kind,
    args,
    ...secretsOf(loop, program),
  });
}

function secretsOf(
  { secrets }: Pick<TaskProgram, "secrets">,
  { keychain }: Program,
): Pick<RequestCommand, "secrets" | "keychain"> {
  if (secrets.length === 0) return {};
  return Object.keys(keychain).length === 0 ? { secrets } : { secrets, keychain };
}

/** What the rules, and the task's own `set`, make of an outcome. */
export function judge(where: InRun, outcome: Outcome): DecisionEvent {
  const { state, program, activation, run } = where;
  const step = stepOf(program, activation);
  const task = taskOf(where);
  const place = placeOf(where, run.issued[task.name] ?? 0);
  const names = new Names(state, { step, activation, run });
  names.output = envelopeOf(outcome, program.strict);
  names.event = { name: outcome.ok ? "call.done" : "call.error" };
  const data = passedData(outcome, program.strict);
  names.own.set(step.name, { data, tasks: run.tasks });
  names.own.set(task.name, { data });

  const chosen = choose(task, names);
  if (!chosen.ok) return failedTask(place, chosen.error);
  const { rule, then } = chosen.value;
  const set: SetValue[] = [];
  const passes = then === undefined ? outcome.ok : then.do !== "fail" && then.do !== "retry";
  if (passes && outcome.ok) {
    const envelope = names.output;
    names.output = outcome.data;
    const own = names.assign(task.set, "set");
    if (!own.ok) return failedTask(place, own.error);
    names.output = envelope;
    set.push(...own.value);
  }
  if (then !== undefined) {
    const ruled = names.assign(then.set, `rule ${String(rule)}, set`);
    if (!ruled.ok) return failedTask(place, ruled.error);
    set.push(...ruled.value);
  }
  const verdict = verdictOf({ where, names, outcome, rule }, then);
  if (!verdict.ok) return failedTask(place, verdict.error);
  return { type: "task.decided", ...place, rule, verdict: verdict.value, set };
}

type Chosen = { readonly rule: RuleName; readonly then?: ConsequenceProgram };

function choose(task: TaskProgram, names: Names): Result<Chosen, DeedError> {
  for (const [index, { when, then }] of task.rules.entries()) {
    const held = holds(when, names, `when of rule ${String(index)}`);
    if (!held.ok) return held;
    if (held.value) return ok({ rule: index, then });
  }
  return ok({ rule: "default" });
}

type Ruled = {
  readonly where: InRun;
  readonly names: Names;
  readonly outcome: Outcome;
  readonly rule: RuleName;
};

function verdictOf(
  { where, names, outcome, rule }: Ruled,
  then: ConsequenceProgram | undefined,
): Result<TaskVerdict, DeedError> {
  const by = `rule ${String(rule)}`;
  switch (then?.do) {
    case "continue":
    case "break":
      return ok({ do: then.do });
    case "jump":
      return ok({ do: "jump", to: then.to });
    case "fail":
      return ok({ do: "fail", error: failure(outcome, `${by} says fail`) });
    case "retry":
      return retry(where, { names, outcome, by, then });
    case undefined:
      return ok(outcome.ok ? { do: "continue" } : { do: "fail", error: outcome.error });
  }
}

type Retried = {
  readonly names: Names;
  readonly outcome: Outcome;
  readonly by: string;
  readonly then: Extract<ConsequenceProgram, { do: "retry" }>;
};

/** Another attempt where one is left, at its time. The delay grows with the attempts that were made. */
function retry(
  { state, run }: InRun,
  { names, outcome, by, then }: Retried,
): Result<TaskVerdict, DeedError> {
  const attempts = numberOf(then.attempts, names, `attempts of ${by}`);
  if (!attempts.ok) return attempts;
  const most = Math.min(attempts.value, coreLimits.attemptsMax);
  if (run.tries >= most) {
    return ok({ do: "fail", error: failure(outcome, `${by} allows ${String(most)} attempts`) });
  }
  const delay = numberOf(then.delaySec, names, `delay of ${by}`);
  if (!delay.ok) return delay;
  const delayMax = numberOf(then.delayMaxSec ?? Infinity, names, `longest delay of ${by}`);
  if (!delayMax.ok) return delayMax;
  const seconds = Math.min(delay.value * growth(then.backoff, run.tries), delayMax.value);
  const delayMs = Math.min(Math.max(0, Math.round(seconds * 1_000)), coreLimits.delayMsMax);
  return ok({ do: "retry", due_ms: state.nowMs + delayMs });
}

function growth(backoff: "none" | "fixed" | "linear" | "exponential", tries: number): number {
  switch (backoff) {
    case "none":
    case "fixed":
      return 1;
    case "linear":
      return tries;
    case "exponential":
      return 2 ** Math.min(tries - 1, 32);
  }
}

function failure(outcome: Outcome, why: string): DeedError {
  if (!outcome.ok) return outcome.error;
  return deedError("unprocessable", `The task succeeded, but ${why}`);
}

function failedTask(place: Place, error: DeedError): DecisionEvent {
  return { type: "task.decided", ...place, rule: "error", verdict: { do: "fail", error }, set: [] };
}

function argsOf(
  task: TaskProgram,
  names: Names,
): Result<{ readonly args: JsonObject; readonly timeoutMs?: number }, DeedError> {
  const input = renderedObject(task.input, names, "input");
  if (!input.ok) return input;
  names.input = input.value;
  const config = renderedObject(task.config, names, "tool");
  if (!config.ok) return config;
  const timeout = numberOf(task.timeoutSec ?? 0, names, "timeout");
  if (!timeout.ok) return timeout;
  const hasInput = Object.keys(input.value).length > 0;
  const args = hasInput ? { ...config.value, input: input.value } : config.value;
  if (!fits(args, coreLimits.argsBytesMax)) {
    const message = `Cannot send the arguments as they are larger than ${String(coreLimits.argsBytesMax)} bytes`;
    return err(deedError("unprocessable", `${message}: pass a reference, or less`));
  }
  const timeoutMs = Math.round(timeout.value * 1_000);
  return ok({ args, ...(timeoutMs > 0 ? { timeoutMs } : {}) });
}

/** True where a value's JSON is about that large or smaller; stops counting as soon as it is not. */
function fits(value: Json | undefined, bytesMax: number): boolean {
  let left = bytesMax;
  const open: (Json | undefined)[] = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next === "string") left -= next.length + 2;
    else if (typeof next !== "object" || next === null) left -= 4;
    else {
      for (const [name, member] of Object.entries<Json | undefined>(next)) {
        left -= name.length + 4;
        if (member !== undefined) open.push(member);
      }
    }
    if (left < 0) return false;
  }
  return true;
}

function taskOf({ program, activation, run }: InRun): TaskProgram {
  const task = stepOf(program, activation).tasks[run.task];
  if (task === undefined) throw new RangeError(`Cannot find task ${String(run.task)}`);
  return task;
}

function placeOf(where: InRun, attempt: number): Place {
  const { activation, run, program } = where;
  return {
    step: stepOf(program, activation).name,
    activation: activation.number,
    item: run.item,
    task: taskOf(where).name,
    attempt,
  };
}
