/** What is shown of executions. Times in milliseconds since the epoch. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";

/** What of an event is read. Records of the log have it, and those that the API shows. */
export type ProgressEvent = {
  readonly event_type: string;
  /** RFC 3339. */
  readonly ts: string;
  readonly execution_id?: string;
  readonly parent_execution_id?: string;
  readonly action_id?: string;
  readonly tags: { readonly [name: string]: Json | undefined };
  readonly attrs: JsonObject;
};

/** One execution. */
export type ExecutionProgress = {
  readonly id: string;
  readonly playbook: string;
  /** The steps, in a loop with the item, that lead down to it from the execution that is watched. */
  readonly path: readonly string[];
  status: "requested" | "running" | "paused" | "cancelling" | "completed" | "failed" | "cancelled";
  readonly requestedAtMs: number;
  endedAtMs: number | undefined;
  /** Of a completed one. */
  result: Json | undefined;
  /** Of a failed one: what it says; of a cancelled one: why. */
  error: string | undefined;
  /** In the order in which they were entered. */
  readonly activations: Activation[];
};

/** One time that a step was entered. */
export type Activation = {
  readonly step: string;
  /** The how-manieth time, from 1. */
  readonly number: number;
  status: "running" | "completed" | "failed" | "skipped" | "stopped";
  readonly enteredAtMs: number;
  endedAtMs: number | undefined;
  error: string | undefined;
  /** The kinds of its tools that were asked for, in order, each once. */
  readonly kinds: string[];
  /** The most attempts of one task of one item. */
  attempts: number;
  loop: Loop | undefined;
  /** Those that have not ended, or wait for another attempt. By item and task. */
  readonly commands: Map<string, Command>;
  /** Sub-playbooks that are shown, by id: of a loop those that run, and those that failed it. */
  readonly children: string[];
};

export type Loop = {
  /** Undefined while nobody knows: a cursor claims until nothing is left. */
  readonly total: number | undefined;
  readonly items: Map<string, "open" | "done" | "failed">;
  open: number;
  done: number;
  failed: number;
};

export type Progress = {
  /** The execution that is watched. */
  readonly root: string;
  readonly executions: Map<string, ExecutionProgress>;
};

export type Command = {
  /** The index of the iteration, `-` where there is no loop. */
  readonly item: string;
  readonly task: string;
  readonly kind: string;
  readonly attempt: number;
  readonly actionId: string | undefined;
  readonly askedAtMs: number;
  state: "asked" | "running" | "waits" | "retry" | "ended";
  /** `waits`: for what. `retry`: after which error. `running`: what it says of its progress. */
  why: string;
  /** `retry`: when. Milliseconds since the epoch. */
  dueMs: number | undefined;
  /** What it asks of a person, or which event it waits for. */
  readonly about: string;
};

/** `kind: message` of an error. */
export function errorText(error: Json | undefined): string {
  if (!isJsonObject(error)) return "";
  const { kind, message } = error;
  const parts = [kind, message].filter((part) => typeof part === "string");
  return parts.filter((part) => part !== "").join(": ");
}
