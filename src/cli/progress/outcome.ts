/** What came of an execution: its result on stdout, and the exit code. */
import type { Command } from "commander";
import type { JsonObject } from "../../base/json.ts";
import type { Context } from "../context.ts";
import { Exit, exitCodes, printable } from "../terminal.ts";
import type { Progress } from "./model.ts";

/** @throws {Exit} where it was not completed. */
export function reportOutcome(context: Context, progress: Progress, command: Command): void {
  const execution = progress.executions.get(progress.root);
  if (execution === undefined) return;
  const { id, playbook, status, result, error, requestedAtMs, endedAtMs } = execution;
  const { json } = context.optionsOf(command);
  const told: JsonObject = {
    execution_id: id,
    playbook,
    status,
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
    duration_ms: (endedAtMs ?? requestedAtMs) - requestedAtMs,
  };
  const completed = status === "completed";
  const indent = context.io.isTerminal ? 2 : undefined;
  context
    .terminalOf(command)
    .result(told, () => (completed ? JSON.stringify(result ?? null, undefined, indent) : ""));
  if (completed) return;
  const code = status === "cancelled" ? exitCodes.cancelled : exitCodes.failed;
  const why = error === undefined || error === "" ? "" : `: ${printable(error)}`;
  throw new Exit(code, json ? "" : `execution ${id} of ${printable(playbook)} ${status}${why}`);
}
