/**
 * What the core answers: commands to run, decision events to record, timers to wait for.
 *
 * Invariants
 * 1. A command's key is derived from where it stands, never minted: a drive that is done again asks for the
 *    same actions. `<execution_id>/<step>/<activation>/<item>/<task>/<attempt>`.
 * 2. A decision event holds every value that was computed for it, so that whoever folds it computes none.
 * 3. One entry of the agenda gives one decision event or one command: each can be recorded by itself.
 *
 * Source: playbooks, "Commands"; contract, "The core event".
 */
import type { Json, JsonObject } from "../base/json.ts";
import type { CoreEvent } from "../event/core-event.ts";
import type { DeedError } from "../event/error.ts";
import { eventId, executionId } from "../event/ids.ts";

/** Where in a playbook something stands. All of it travels as tags of a request, and so in `meta.tags`. */
export type Place = {
  readonly step: string;
  /** The how-manieth time the step was entered, from 1. */
  readonly activation: number;
  /** The index of the iteration, `claim-<n>` for a cursor's claim, `-` where there is no loop. */
  readonly item: string;
  readonly task: string;
  /** Counts every command of this task in this item, from 1; after a jump it goes on, never back. */
  readonly attempt: number;
};

export type Command = RequestCommand | CancelCommand;

/** Asks for an action. The action layer must not retry it: the playbook's policy does. */
export type RequestCommand = {
  readonly do: "request";
  readonly key: string;
  readonly place: Place;
  /** Tool kind: `python`, `http`, `playbook`, … */
  readonly kind: string;
  /** The tool's members with their templates rendered, and `input`. Nothing else of the context. */
  readonly args: JsonObject;
  /** Paths in `args` of strings that name the keychain, as written: rendered in the executor alone. */
  readonly secrets?: readonly (readonly (string | number)[])[];
  /** With `secrets`: the credential that a name of the keychain stands for, where that has another name. */
  readonly keychain?: { readonly [name: string]: string };
  readonly timeoutMs?: number;
};

/** Asks to cancel what the command of this key started. */
export type CancelCommand = {
  readonly do: "cancel";
  readonly key: string;
  readonly place: Place;
  readonly reason: string;
};

/** A value that a `set` gave: recorded, then only applied. */
export type SetValue = {
  readonly scope: "ctx" | "iter" | "step";
  readonly path: readonly string[];
  readonly value: Json;
};

/** An activation that begins; `set` are the `iter` and `step` values of the arcs that led there. */
export type Entered = {
  readonly step: string;
  readonly activation: number;
  readonly set?: readonly SetValue[];
};

export type ArcDecision = {
  readonly to: string;
  readonly taken: boolean;
  /** `always`: no condition; `passed_over`: an earlier arc of an exclusive choice was taken. */
  readonly why: "always" | "true" | "false" | "passed_over";
  readonly set?: readonly SetValue[];
};

export type TaskVerdict =
  | { readonly do: "continue" | "break" }
  | { readonly do: "fail"; readonly error: DeedError }
  | { readonly do: "jump"; readonly to: string }
  /** `due_ms`: milliseconds since the Unix epoch; the time of the decision where there is no delay. */
  | { readonly do: "retry"; readonly due_ms: number };

export type FailedStep = {
  readonly step: string;
  readonly activation: number;
  readonly error: DeedError;
};

/** Which rule decided: its index, or what held without one. */
export type RuleName = number | "default" | "error";

/** What the core records: members by their names on the wire. See {@link recordOf}. */
export type DecisionEvent =
  | {
      readonly type: "execution.started";
      readonly workload: JsonObject;
      readonly entered: readonly Entered[];
    }
  | (OfStep & {
      readonly type: "step.skipped";
      readonly rule: RuleName;
      readonly entered: readonly Entered[];
    })
  | (OfStep & {
      readonly type: "loop.started";
      readonly max_in_flight: number;
      /** None: a cursor. */
      readonly items?: readonly Json[];
    })
  | (Place & {
      readonly type: "task.decided";
      readonly rule: RuleName;
      readonly verdict: TaskVerdict;
      readonly set: readonly SetValue[];
    })
  | (OfStep & {
      readonly type: "step.completed";
      /** Where it is not simply what the tool gave. */
      readonly data?: Json;
      readonly set: readonly SetValue[];
      readonly arcs: readonly ArcDecision[];
      readonly entered: readonly Entered[];
    })
  | (OfStep & { readonly type: "step.failed"; readonly error: DeedError })
  | { readonly type: "execution.completed"; readonly result: Json }
  | {
      readonly type: "execution.failed";
      readonly error: DeedError;
      readonly failed: readonly FailedStep[];
    }
  | { readonly type: "execution.cancelled"; readonly reason: string };

/** The activation that a decision is about. */
export type OfStep = { readonly step: string; readonly activation: number };

export type DecisionType = DecisionEvent["type"];

/** A wake-up that the state waits for: comes back as `timer.fired` with this name in its context. */
export type TimerRequest = {
  readonly name: string;
  /** Milliseconds since the Unix epoch. */
  readonly dueMs: number;
};

export type Completion = {
  readonly status: "COMPLETED" | "FAILED" | "CANCELLED";
  /** Of a completed execution; null else. */
  readonly result: Json;
  readonly failed: readonly FailedStep[];
};

export type Decision = {
  readonly commands: readonly Command[];
  readonly events: readonly DecisionEvent[];
  /** All that the state waits for now, not only what is new: level-triggered. */
  readonly timers: readonly TimerRequest[];
  /** Where the execution has ended, from then on. */
  readonly completion?: Completion;
};

/** The key of a command: unique in all executions. Names are escaped where they hold a slash. */
export function commandKey(execution: string, place: Place): string {
  const { step, activation, item, task, attempt } = place;
  return [
    escaped(execution),
    escaped(step),
    String(activation),
    escaped(item),
    escaped(task),
    String(attempt),
  ].join("/");
}

/** A name as one part of a key. */
export function escaped(name: string): string {
  return /[%/]/.test(name) ? name.replaceAll("%", "%25").replaceAll("/", "%2F") : name;
}

/** A decision as a log takes it: `tags` say where it stands, `attrs` hold what was decided. */
export type DecisionRecord = {
  readonly event_type: DecisionType;
  readonly tags: { readonly [name: string]: string | number };
  readonly attrs: JsonObject;
};

export function recordOf(decision: DecisionEvent): DecisionRecord {
  const { type, ...members } = decision;
  const tags: Record<string, string | number> = {};
  const attrs: Record<string, Json | undefined> = {};
  for (const [name, value] of Object.entries<Json | undefined>(members)) {
    if (placeNames.has(name) && (typeof value === "string" || typeof value === "number")) {
      tags[name] = value;
    } else {
      attrs[name] = value;
    }
  }
  return { event_type: type, tags, attrs };
}

/** The core event that a recorded decision comes back as: what `event/core-event` makes of its log record. */
export function coreEventOfDecision(decision: DecisionEvent, at: RecordedAt): CoreEvent {
  const { event_type, tags, attrs } = recordOf(decision);
  const { step, ...others } = tags;
  const { result, ...context } = attrs;
  return {
    event_id: eventId(at.eventId),
    execution_id: executionId(at.executionId),
    event_type,
    ...(typeof step === "string" ? { node_name: step } : {}),
    status: event_type.slice(event_type.lastIndexOf(".") + 1).toUpperCase(),
    ...(Object.keys(context).length === 0 ? {} : { context }),
    ...(result === undefined ? {} : { result }),
    meta: { tags: others },
    timestamp: at.timestamp,
  };
}

export type RecordedAt = {
  readonly eventId: string;
  readonly executionId: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly timestamp: string;
};

const placeNames: ReadonlySet<string> = new Set(["step", "activation", "item", "task", "attempt"]);
