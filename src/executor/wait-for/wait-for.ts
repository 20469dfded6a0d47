/**
 * `wait_for`: waits until an event is on the log, and gives it back.
 *
 * 1. The window begins `look_back` before the request and does not move: an attempt that runs again after a
 *    crash looks at the same past, and misses nothing. So it may always run again.
 * 2. It gives the first event of the window, in the order of the log, that matches.
 * 3. Only events of its own tenant count, and none that it or its own execution made: actions, steps and
 *    timers of the playbook that waits. Observations count whoever they belong to.
 * 4. It holds nothing but its place: nobody polls, and all that wait share one follower (see `hub.ts`).
 * 5. A condition that reaches for a member that is not there does not hold. One that cannot be judged for
 *    an event does not hold either, and that is told as progress.
 */
import Type, { type Static } from "typebox";
import { parseDurationMs } from "../../base/duration.ts";
import { ok, type Result } from "../../base/result.ts";
import { deedError, fault, Fault } from "../../event/error.ts";
import { tenantOf, type DeedEvent, type LogRecord } from "../../event/envelope.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import { createHub, type EventFeed, type Hub } from "./hub.ts";

export type { EventFeed } from "./hub.ts";

const argsSchema = Type.Object(
  {
    /** An event type, or a pattern of them: `job.*`, `job.**`. */
    event: Type.String({ minLength: 1, maxLength: 256 }),
    /** CEL over `event` that must be true. */
    when: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Null()])),
    /** The entity that it must be about. */
    entity: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Null()])),
    /** How far before the request the window begins: a duration, or seconds. Default 0. */
    look_back: Type.Optional(Type.Union([Type.String(), Type.Number({ minimum: 0 })])),
    /** What the playbook gave its templates. */
    input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** It is, whatever is said. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type WaitArgs = Static<typeof argsSchema>;

export type WaitForOptions = {
  readonly feed: EventFeed;
  /** Reads a pattern of event types. Refused with a sentence. */
  readonly pattern: (text: string) => Result<(eventType: string) => boolean, string>;
  /** Reads a condition over an event. Refused with a sentence; so is an event that it cannot judge. */
  readonly condition: (
    text: string,
  ) => Result<(event: DeedEvent) => Result<boolean, string>, string>;
  /** Default 10,000: one that waits costs next to nothing. */
  readonly concurrency?: number;
  /** Default a day, milliseconds. */
  readonly timeoutMs?: number;
};

export function createWaitFor(options: WaitForOptions): Executor {
  const hub = createHub(options.feed);
  return {
    command: "wait_for",
    description: "Waits until an event is on the log and gives it back",
    argsSchema,
    idempotent: () => true,
    concurrency: options.concurrency ?? 10_000,
    timeoutMs: options.timeoutMs ?? 24 * 3_600_000,
    execute: async (args, context) => {
      const call = args as WaitArgs;
      const wanted = wantedOf(call, context, options);
      if (context.signal.aborted) throw ended(call);
      const found = await firstOf(hub, options.feed, { call, wanted, context });
      return found.event;
    },
  };
}

/** What is looked for, compiled. */
type Wanted = {
  readonly sinceMs: number;
  readonly types: string | ((eventType: string) => boolean);
  readonly matches: (record: LogRecord) => boolean;
};

function wantedOf(call: WaitArgs, context: ExecutionContext, options: WaitForOptions): Wanted {
  const refused = (why: string): Fault =>
    fault("invalid_args", `Cannot wait for ${call.event} as ${why}`);
  const lookBack =
    typeof call.look_back === "string"
      ? parseDurationMs(call.look_back)
      : ok((call.look_back ?? 0) * 1_000);
  if (!lookBack.ok) throw refused(`look_back is no duration: ${lookBack.error}`);
  const pattern = options.pattern(call.event);
  if (!pattern.ok) throw refused(pattern.error);
  const condition = call.when ? options.condition(call.when) : ok(() => ok(true));
  if (!condition.ok) throw refused(`when is ${condition.error}`);
  const sinceMs = context.requestedAtMs - lookBack.value;
  return {
    sinceMs,
    types: call.event.includes("*") ? pattern.value : call.event,
    matches: (record) => {
      const { event, ingestedAtMs } = record;
      if (ingestedAtMs < sinceMs || tenantOf(event) !== context.tenant) return false;
      if (!pattern.value(event.event_type) || isOwn(record, context)) return false;
      if (call.entity && event.entity_id !== call.entity) return false;
      const held = condition.value(event);
      if (!held.ok) {
        context.progress(undefined, `when cannot be judged for ${event.event_id}: ${held.error}`);
      }
      return held.ok && held.value;
    },
  };
}

/** Made by the waiting itself, or by the execution that waits. */
function isOwn({ topic, event }: LogRecord, { actionId, executionId }: ExecutionContext): boolean {
  if (topic === "events.normalized") return false;
  if (event.action_id === actionId) return true;
  return executionId !== undefined && event.execution_id === executionId;
}

async function firstOf(
  hub: Hub,
  feed: EventFeed,
  waiting: {
    readonly call: WaitArgs;
    readonly wanted: Wanted;
    readonly context: ExecutionContext;
  },
): Promise<LogRecord> {
  const { call, wanted, context } = waiting;
  const { signal, tenant } = context;
  let leave = (): void => undefined;
  let onAbort = (): void => undefined;
  const coming = new Promise<LogRecord>((resolve, reject) => {
    onAbort = () => {
      reject(ended(call));
    };
    leave = hub.join({
      types: wanted.types,
      see: (record) => {
        if (wanted.matches(record)) resolve(record);
      },
      broken: (thrown) => {
        reject(unreadable(call, thrown));
      },
    });
  });
  // What comes is watched while the past is read, and may fail before anybody awaits it.
  coming.catch(() => undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return (await inPast(feed, wanted, { tenant, signal })) ?? (await coming);
  } catch (thrown) {
    if (signal.aborted) throw ended(call);
    throw thrown instanceof Fault ? thrown : unreadable(call, thrown);
  } finally {
    leave();
    signal.removeEventListener("abort", onAbort);
  }
}

/** The first that matches, of what is on the log already. */
async function inPast(
  feed: EventFeed,
  { sinceMs, matches }: Wanted,
  { tenant, signal }: { readonly tenant: string; readonly signal: AbortSignal },
): Promise<LogRecord | undefined> {
  for await (const records of feed.past({ sinceMs, tenant, signal })) {
    const found = records.find(matches);
    if (found !== undefined) return found;
  }
  return undefined;
}

function ended({ event }: WaitArgs): Fault {
  return fault("cancelled", `Waiting for ${event} was ended`);
}

function unreadable({ event }: WaitArgs, thrown: unknown): Fault {
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `Cannot wait for ${event} as the log cannot be read: ${why}`;
  return new Fault(deedError("unavailable", message), thrown);
}
