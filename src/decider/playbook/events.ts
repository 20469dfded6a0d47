/** What the core decided, as events for the log. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import { cancelRequestedEvent } from "../../action/lifecycle-event.ts";
import { executionRequestEvent, playbookEntity } from "../../action/execution-request.ts";
import { requestEvent, type RequestAttrs } from "../../action/request.ts";
import {
  recordOf,
  type CancelCommand,
  type Command,
  type DecisionEvent,
  type Place,
  type RequestCommand,
} from "../../core/decision.ts";
import type { Program } from "../../core/program.ts";
import type { EventSource, NewEvent, Tags } from "../../event/envelope.ts";
import { actionIdOf, executionIdOf, type EventId } from "../../event/ids.ts";
import type { About } from "./about.ts";

/** When, because of what, and in which execution. */
export type At = {
  /** RFC 3339. */
  readonly ts: string;
  readonly causationId: EventId;
  readonly about: About;
};

const source: EventSource = { system: "deed", ns: { component: "playbook" } };

/** @param at `digest`: the version that runs, recorded at the start. */
export function decisionEvent(
  decision: DecisionEvent,
  at: At & { readonly digest?: string },
): NewEvent {
  const { event_type, tags, attrs } = recordOf(decision);
  const { about, digest } = at;
  const own = event_type.startsWith("execution.");
  const started = event_type === "execution.started" && digest !== undefined;
  return {
    ...common(at),
    event_type,
    ...(own && about.parentId !== undefined ? { parent_execution_id: about.parentId } : {}),
    tags: { ...about.tags, ...(own ? about.place : {}), ...tags },
    attrs: started ? { ...attrs, digest } : attrs,
  };
}

type Asking = At & {
  readonly program: Program;
  readonly currentOf: (path: string) => string | undefined;
};

export function commandEvent(command: Command, at: Asking): NewEvent {
  if (command.do === "cancel") return cancelEvent(command, at);
  return command.kind === "playbook" ? childEvent(command, at) : actionEvent(command, at);
}

function actionEvent(command: RequestCommand, at: Asking): NewEvent {
  const { about, ts, causationId } = at;
  const { entity, attrs } = attrsOf(command);
  return requestEvent({
    attrs,
    idempotencyKey: command.key,
    entityId: entity ?? playbookEntity(about.path),
    ts,
    source,
    tenant: about.tenant,
    correlationId: about.correlationId,
    causationId,
    executionId: about.executionId,
    ...(about.traceparent === undefined ? {} : { traceparent: about.traceparent }),
    tags: { ...about.tags, ...tagsOf(command.place) },
  });
}

/** Kind `action` asks for any command, `approval` for a person's answer; every other kind is a command itself. */
function attrsOf({ kind, args, secrets, keychain, timeoutMs }: RequestCommand): {
  readonly entity?: string;
  readonly attrs: RequestAttrs;
} {
  const common = {
    retry: { attempts: 1 },
    ...(secrets === undefined ? {} : { secrets }),
    ...(keychain === undefined ? {} : { keychain }),
    ...(timeoutMs === undefined ? {} : { timeout_sec: timeoutMs / 1_000 }),
  };
  if (kind === "approval") {
    const { timeout_sec: ttl, ...rest } = common;
    return {
      attrs: { command: kind, args, ...rest, ...(ttl === undefined ? {} : { ttl_sec: ttl }) },
    };
  }
  const { command, args: given, entity } = args;
  if (kind !== "action" || typeof command !== "string") {
    return { attrs: { command: kind, args, ...common } };
  }
  const member = given === undefined ? "input" : "args";
  const inner = secrets?.filter(([first]) => first === member).map(([, ...rest]) => rest);
  return {
    ...(typeof entity === "string" && entity !== "" ? { entity } : {}),
    attrs: {
      command,
      args: objectOf(args[member]),
      ...common,
      ...(inner === undefined ? {} : { secrets: inner.filter((path) => path.length > 0) }),
    },
  };
}

function childEvent({ key, args, place }: RequestCommand, at: Asking): NewEvent {
  const { about, ts, causationId, currentOf } = at;
  const { path, input, return_step: step, version } = args;
  const playbook = typeof path === "string" ? path : JSON.stringify(path ?? null);
  const digest = typeof version === "string" && isDigest(version) ? version : currentOf(playbook);
  return executionRequestEvent({
    attrs: {
      playbook,
      ...(digest === undefined ? {} : { digest }),
      payload: objectOf(input),
      depth: about.depth + 1,
      ...(typeof step === "string" ? { return_step: step } : {}),
    },
    idempotencyKey: key,
    ts,
    source,
    tenant: about.tenant,
    correlationId: about.correlationId,
    causationId,
    parentId: about.executionId,
    ...(about.traceparent === undefined ? {} : { traceparent: about.traceparent }),
    tags: { ...about.tags, ...tagsOf(place) },
  });
}

function cancelEvent({ key, place, reason }: CancelCommand, at: Asking): NewEvent {
  const { about, ts, causationId, program } = at;
  const tags: Tags = { ...about.tags, ...tagsOf(place) };
  if (kindAt(program, place) === "playbook") {
    return {
      ...common(at),
      event_type: "execution.cancel_requested",
      execution_id: executionIdOf(about.tenant, key),
      parent_execution_id: about.executionId,
      tags,
      attrs: { reason, by: `execution ${about.executionId}` },
    };
  }
  const identity = {
    action_id: actionIdOf(about.tenant, key),
    entity_id: playbookEntity(about.path),
    tags,
    correlation_id: about.correlationId,
    execution_id: about.executionId,
    ...(about.traceparent === undefined ? {} : { traceparent: about.traceparent }),
  };
  return cancelRequestedEvent(identity, { ts, causationId, attempt: 1 }, { reason });
}

function common({ ts, causationId, about }: At): Omit<NewEvent, "event_type" | "tags" | "attrs"> {
  return {
    ts,
    entity_id: playbookEntity(about.path),
    correlation_id: about.correlationId,
    causation_id: causationId,
    execution_id: about.executionId,
    source,
    ...(about.traceparent === undefined ? {} : { traceparent: about.traceparent }),
  };
}

function kindAt({ steps, stepIndex }: Program, { step, task }: Place): string | undefined {
  const tasks = steps[stepIndex.get(step) ?? -1]?.tasks ?? [];
  return tasks.find(({ name }) => name === task)?.kind;
}

function tagsOf({ step, activation, item, task, attempt }: Place): Tags {
  return { step, activation, item, task, attempt };
}

function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

function objectOf(value: JsonObject[string]): JsonObject {
  return value !== undefined && isJsonObject(value) ? value : {};
}
