/**
 * An execution of a playbook as a decider: `orchestrate-core` between the log's events and the log's events.
 *
 * The core folds core events and decides commands and decision events; here its inputs are records, and what it
 * decides becomes events: each decision as it is recorded, each command as the request for an action, or for a
 * sub-playbook as the child's own first event (`docs/decisions/0007`).
 *
 * Invariants
 * 1. One instance an execution, keyed by its id. What it knows can always be folded again from its thread.
 * 2. One step at a time: a decision stands on the log, and was folded from there, before the next is taken. So
 *    a history that is read again decides nothing anew.
 * 3. The version that an execution runs is named by its request, or chosen when it starts and recorded with
 *    `execution.started`. A playbook that nobody registered fails its execution; nothing waits for it.
 * 4. An execution that cannot go on (its request's key is taken, its history cannot be folded) fails and says why.
 * 5. Requests carry derived keys and are not retried by the action layer: the playbook's own policy does that.
 */
import { timestamp } from "../base/clock.ts";
import { isJsonObject, type Json } from "../base/json.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Place } from "../core/decision.ts";
import { decide } from "../core/evaluate.ts";
import type { Program } from "../core/program.ts";
import {
  decodeState,
  due,
  encodeState,
  evolve,
  hasEnded,
  initialState,
  type WorkflowState,
} from "../core/state.ts";
import { playbookEntity } from "../action/execution-request.ts";
import { coreEventOf, type CoreEvent } from "../event/core-event.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import { deedError, isErrorKind, type DeedError } from "../event/error.ts";
import { eventId, type EventId } from "../event/ids.ts";
import type { Decider } from "./decider.ts";
import { aboutOf, readAbout, type About } from "./playbook/about.ts";
import { commandEvent, decisionEvent } from "./playbook/events.ts";
import { isFolded, playbookDeciderName } from "./playbook/folded.ts";

export { playbookDeciderName } from "./playbook/folded.ts";

/** What executions need to know of playbooks. Content-addressed: a digest gives the same program for ever. */
export type Programs = {
  /** The digest of the version that stands at a path now: the pinned one, else the newest. */
  readonly current: (path: string) => string | undefined;
  readonly program: (digest: string) => Program | undefined;
  /** Reads through references to large results: exactly what would have stood inline. */
  readonly inline: (result: Json) => Json;
};

export type ExecutionState =
  | { readonly phase: "none" }
  | (Begun & {
      readonly phase: "live";
      readonly digest: string;
      readonly program: Program;
      /** Owned: it is changed in place. */
      readonly core: WorkflowState;
    })
  | (Begun & { readonly phase: "refused"; readonly error: DeedError })
  | { readonly phase: "ended" };

type Begun = {
  readonly about: About;
  /** The event that was folded last: the cause of what is decided next. */
  readonly lastEventId: EventId;
};

/** A version that becomes the newest at its path. `digest`: SHA-256 of the text, hex. */
export type Registration = {
  readonly path: string;
  readonly digest: string;
  readonly text: string;
  readonly file?: string;
};

/**
 * Registers a version.
 *
 * @param at `replaces`: the newest version until now, so that going back to an old one is a change, too.
 */
export function registeredEvent(
  version: Registration,
  at: { readonly ts: string; readonly replaces: string | undefined },
): NewEvent {
  const { path, digest } = version;
  const key = `playbook.registered/${path}/${digest}/after/${at.replaces ?? "none"}/${at.ts}`;
  return catalogEvent("playbook.registered", { path, key, ts: at.ts, attrs: version });
}

/** Holds a path at a version, whatever is registered after it; without one, lets it go. */
export function pinnedEvent(path: string, digest: string | undefined, ts: string): NewEvent {
  if (digest === undefined) {
    const key = `playbook.unpinned/${path}/${ts}`;
    return catalogEvent("playbook.unpinned", { path, key, ts, attrs: { path } });
  }
  const key = `playbook.pinned/${path}/${digest}/${ts}`;
  return catalogEvent("playbook.pinned", { path, key, ts, attrs: { path, digest } });
}

function catalogEvent(
  type: "playbook.registered" | "playbook.pinned" | "playbook.unpinned",
  of: {
    readonly path: string;
    readonly key: string;
    readonly ts: string;
    readonly attrs: NewEvent["attrs"];
  },
): NewEvent {
  return {
    ts: of.ts,
    event_type: type,
    entity_id: playbookEntity(of.path),
    idempotency_key: of.key,
    source: { system: "deed", ns: { component: "catalog" } },
    tags: {},
    attrs: of.attrs,
  };
}

/** Parents that an execution may have: more is a playbook that runs itself without end. */
const depthMax = 32;

const none: ExecutionState = { phase: "none" };

const ended: ExecutionState = { phase: "ended" };

const nothing: readonly NewEvent[] = [];

const noKeys: readonly string[] = [];

export function playbookDecider(programs: Programs): Decider<ExecutionState> {
  return {
    name: playbookDeciderName,
    version: "1",
    keysOf,
    thread: { ended: ({ phase }) => phase === "ended" },
    initial: () => none,
    evolve: (state, record) => evolveBy(programs, state, record),
    decide: () => nothing,
    advance: (state, nowMs) => advance(programs, state, nowMs),
    stuck,
    due: (state) => (state.phase === "live" ? due(state.core) : []),
    encode,
    decode: (snapshot) => decode(programs, snapshot),
  };
}

/** An execution's own events, and of its children those that say that they began and ended. */
function keysOf({ event }: LogRecord): readonly string[] {
  const { execution_id: execution, parent_execution_id: parent } = event;
  if (execution === undefined || !isFolded(event)) return noKeys;
  return parent === undefined ? [execution] : [execution, parent];
}

function evolveBy(programs: Programs, state: ExecutionState, record: LogRecord): ExecutionState {
  const { event } = record;
  if (state.phase === "ended" || !isFolded(event)) return state;
  if (state.phase === "none") {
    return event.event_type === "execution.requested" ? begin(programs, record) : state;
  }
  const begun = { ...state, lastEventId: event.event_id };
  if (begun.phase === "refused") {
    return isTerminal(event.event_type) && event.execution_id === begun.about.executionId
      ? ended
      : begun;
  }
  const read = coreEventOf(record);
  if (!read.ok) return begun;
  const { result } = read.value;
  const given =
    result === undefined ? read.value : { ...read.value, result: programs.inline(result) };
  const { digest, program } = versionOf(programs, begun, event);
  try {
    const core = evolve(begun.core, given, program);
    return hasEnded(core) ? ended : { ...begun, digest, program, core };
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const message = `Cannot go on as ${event.event_type} ${event.event_id} cannot be folded: ${why}`;
    const { about, lastEventId } = begun;
    return { about, lastEventId, phase: "refused", error: deedError("executor_error", message) };
  }
}

function begin(programs: Programs, record: LogRecord): ExecutionState {
  const { event } = record;
  const about = aboutOf(event);
  const read = coreEventOf(record);
  if (about === undefined || !read.ok) return none;
  const begun = { about, lastEventId: event.event_id };
  if (about.depth > depthMax) {
    const message = `Cannot run playbook "${about.path}" as it has more than ${String(depthMax)} parents: a playbook that runs itself must end somewhere`;
    return { ...begun, phase: "refused", error: deedError("unprocessable", message) };
  }
  const { digest = programs.current(about.path) } = about;
  const program = digest === undefined ? undefined : programs.program(digest);
  if (digest === undefined || program === undefined) {
    const which = about.digest === undefined ? "" : ` in version ${about.digest}`;
    const message = `Cannot run playbook "${about.path}" as it is not registered${which}: register it with deed playbook register`;
    return { ...begun, phase: "refused", error: deedError("not_found", message) };
  }
  const given = withRestartInline(programs, read.value);
  const core = evolve(initialState(about.executionId), given, program);
  return { ...begun, phase: "live", digest, program, core };
}

/** What an execution that is run again begins with may be large: then it stands there as references. */
function withRestartInline({ inline }: Programs, request: CoreEvent): CoreEvent {
  const restart = request.context?.["restart"];
  if (restart === undefined) return request;
  return { ...request, context: { ...request.context, restart: inline(restart) } };
}

/**
 * The version that was chosen at its own start counts, whatever stands at the path when it is read again. The
 * starts of its sub-playbooks are folded, too: they name theirs.
 */
function versionOf(
  programs: Programs,
  state: Extract<ExecutionState, { phase: "live" }>,
  event: LogRecord["event"],
): Pick<Extract<ExecutionState, { phase: "live" }>, "digest" | "program"> {
  const { digest } = event.attrs;
  const own = event.execution_id === state.about.executionId;
  const chosen = event.event_type === "execution.started" && typeof digest === "string";
  if (!own || !chosen || digest === state.digest) return state;
  const program = programs.program(digest);
  return program === undefined ? state : { digest, program };
}

function advance(programs: Programs, state: ExecutionState, nowMs: number): readonly NewEvent[] {
  if (state.phase === "none" || state.phase === "ended") return nothing;
  const { about, lastEventId } = state;
  const at = { ts: timestamp(nowMs), causationId: lastEventId, about };
  if (state.phase === "refused") {
    return [decisionEvent({ type: "execution.failed", error: state.error, failed: [] }, at)];
  }
  const { commands, events } = decide(state.core, state.program);
  return [
    ...events.map((event) => decisionEvent(event, { ...at, digest: state.digest })),
    ...commands.map((command) =>
      commandEvent(command, { ...at, program: state.program, currentOf: programs.current }),
    ),
  ];
}

/**
 * The step that asked fails, so what runs beside it is awaited. Where nothing was asked for, the execution itself
 * fails at once.
 */
function stuck(state: ExecutionState, error: DeedError, nowMs: number): readonly NewEvent[] {
  if (state.phase === "none" || state.phase === "ended") return nothing;
  const at = { ts: timestamp(nowMs), causationId: state.lastEventId, about: state.about };
  const place = state.phase === "live" ? placeAsked(state) : undefined;
  if (place === undefined) {
    return [decisionEvent({ type: "execution.failed", error, failed: [] }, at)];
  }
  const { step, activation } = place;
  return [decisionEvent({ type: "step.failed", step, activation, error }, at)];
}

/** Where the request stands that comes next; undefined where something else does, or it cannot be decided. */
function placeAsked({
  core,
  program,
}: Extract<ExecutionState, { phase: "live" }>): Place | undefined {
  try {
    const [command] = decide(core, program).commands;
    return command?.do === "request" ? command.place : undefined;
  } catch {
    return undefined;
  }
}

/** Nothing is kept of an execution that has ended: its thread says all. */
function encode(state: ExecutionState): Json | undefined {
  switch (state.phase) {
    case "none":
    case "ended":
      return undefined;
    case "live": {
      const { about, digest, lastEventId, core } = state;
      return { about, digest, lastEventId, core: encodeState(core) };
    }
    case "refused": {
      const { about, lastEventId, error } = state;
      return { about, lastEventId, error };
    }
  }
}

function decode(programs: Programs, snapshot: Json): Result<ExecutionState, string> {
  if (!isJsonObject(snapshot)) return err("not the state of an execution");
  const { about: saved, lastEventId, digest, core, error } = snapshot;
  const about = readAbout(saved);
  if (about === undefined || typeof lastEventId !== "string") return err("members are missing");
  const begun = { about, lastEventId: eventId(lastEventId) };
  if (isJsonObject(error)) {
    const { kind, message } = error;
    if (!isErrorKind(kind) || typeof message !== "string") return err("not an error");
    return ok({ ...begun, phase: "refused", error: deedError(kind, message) });
  }
  if (typeof digest !== "string" || typeof core !== "string") return err("members are missing");
  const program = programs.program(digest);
  if (program === undefined) return err(`there is no version ${digest}`);
  const decoded = decodeState(core);
  if (!decoded.ok) return decoded;
  return ok({ ...begun, phase: "live", digest, program, core: decoded.value });
}

function isTerminal(type: string): boolean {
  return (
    type === "execution.completed" || type === "execution.failed" || type === "execution.cancelled"
  );
}
