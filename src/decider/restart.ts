/**
 * What an execution knew when it came to a step: where a new one can go on from.
 *
 * The history of the former is folded, page by page, as far as it goes; what it knew is noted each time that it
 * enters the step, and the last note counts.
 *
 * Invariants
 * 1. Pure: the same history gives the same answer. Memory is bounded by what is live and by the data of steps.
 * 2. The note is taken behind the event that enters the step: with the data of the step before it and the `ctx`
 *    values that led there, and with nothing that the step did itself.
 * 3. Only the data of steps comes along that the version to run reads.
 *
 * Not taken along: `iter` and `step` values that an arc's `set` gave to the step.
 */
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Program } from "../core/program.ts";
import { evolve, hasEnded, initialState, type WorkflowState } from "../core/state.ts";
import type { Restart } from "../action/execution-request.ts";
import { coreEventOf } from "../event/core-event.ts";
import { anomalyTag, type LogRecord } from "../event/envelope.ts";
import { deedError, type DeedError } from "../event/error.ts";
import type { ExecutionId } from "../event/ids.ts";
import { isFolded } from "./playbook/folded.ts";

export type RestartOptions = {
  /** Of the execution that is run again. */
  readonly executionId: ExecutionId;
  /** The version that it ran. */
  readonly ran: Program;
  /** The version that goes on. */
  readonly runs: Program;
  readonly step: string;
  /** A step whose data is asked for as the result, whether or not a template reads it. */
  readonly returnStep?: string | undefined;
  /** Reads through references to large results. */
  readonly inline: (result: Json) => Json;
};

/** The fold of a former execution: `take` each page of its thread in order, then ask for the `restart`. */
export type RestartFold = {
  readonly take: (records: readonly LogRecord[]) => void;
  /** @returns refused (`conflict`) where the step was never entered. */
  readonly restart: () => Result<Restart, DeedError>;
};

export function createRestartFold(options: RestartOptions): RestartFold {
  const { executionId, step, inline } = options;
  const program = keepingAll(options.ran);
  let state = initialState(executionId);
  let last: Restart | undefined;
  return {
    take: (records) => {
      for (const record of records) {
        if (record.event.tags[anomalyTag] !== undefined || !isFolded(record.event)) continue;
        const read = coreEventOf(record);
        if (!read.ok || hasEnded(state)) continue;
        const { result, context } = read.value;
        const restart = context?.["restart"];
        const given = {
          ...read.value,
          ...(result === undefined ? {} : { result: inline(result) }),
          ...(restart === undefined ? {} : { context: { ...context, restart: inline(restart) } }),
        };
        state = evolve(state, given, program);
        const own = read.value.execution_id === executionId;
        if (own && enters(context?.["entered"], step)) last = noteOf(state, options);
      }
    },
    restart: () => {
      if (last !== undefined) return ok(last);
      const message = `Cannot run execution ${executionId} again from step "${step}" as it never came there`;
      return err(deedError("conflict", message));
    },
  };
}

/** The program, but that it keeps the data of every step: what the other version reads is not known to it. */
function keepingAll(program: Program): Program {
  return {
    ...program,
    steps: program.steps.map((step) => ({
      ...step,
      read: true,
      keepsTasks: step.tasks.length > 1,
    })),
  };
}

function enters(entered: Json | undefined, step: string): boolean {
  return (
    Array.isArray(entered) && entered.some((one: Json) => isJsonObject(one) && one["step"] === step)
  );
}

function noteOf(state: WorkflowState, { runs, step, returnStep }: RestartOptions): Restart {
  const read = new Set(runs.steps.filter((one) => one.read).map(({ name }) => name));
  if (returnStep !== undefined) read.add(returnStep);
  const steps: Record<string, { data: Json; tasks?: JsonObject }> = {};
  for (const [name, { data, tasks }] of state.data) {
    if (read.has(name)) steps[name] = { data, ...(tasks === undefined ? {} : { tasks }) };
  }
  return { step, workload: state.workload, ctx: state.ctx, steps };
}
