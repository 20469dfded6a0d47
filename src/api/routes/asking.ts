/** What asking has in common, for an action and for an execution: its key, its tags, its trace, and waiting for the end. */
import type { FastifyReply } from "fastify";
import Type, { type Static } from "typebox";
import { fault } from "../../event/error.ts";
import { anomalyTag, type LogRecord } from "../../event/envelope.ts";
import { viaTag } from "../../action/request.ts";
import type { WaitOptions } from "../../log/outcomes.ts";
import { text } from "./shapes.ts";

type Headers = { readonly [name: string]: string | readonly string[] | undefined };

/** Longer waits are cut to this, seconds. */
const waitSecMax = 300;

export const askingHeaders = Type.Object({
  "idempotency-key": Type.Optional(text),
  prefer: Type.Optional(Type.String()),
});

const tagValue = Type.Union([Type.String({ maxLength: 1_024 }), Type.Number(), Type.Boolean()]);

export const tagsSchema = Type.Record(Type.String({ maxLength: 128 }), tagValue, {
  maxProperties: 32,
});

/** The key that the client gave, in the header or in the body. */
export function keyOf(headers: Headers, member: string | undefined): string | undefined {
  const header = headers["idempotency-key"];
  const given = typeof header === "string" ? header : undefined;
  if (given !== undefined && member !== undefined && given !== member) {
    throw fault(
      "invalid_args",
      `Cannot take the request as Idempotency-Key says "${given}" and idempotency_key "${member}": give one of them`,
    );
  }
  return given ?? member;
}

const ownTags = ["action", "tenant", "priority", anomalyTag, viaTag];

/**
 * Tags that the system reads as its own are not for clients to set.
 *
 * @param others more of them, where what is asked for has some.
 */
export function checkTags(
  tags: Static<typeof tagsSchema> | undefined,
  others: readonly string[] = [],
): void {
  const own = [...ownTags, ...others].filter(
    (name) => tags !== undefined && Object.hasOwn(tags, name),
  );
  if (own.length === 0) return;
  const message = `Cannot take the request as these tags are set by the system: ${own.join(", ")}`;
  throw fault("invalid_args", message, {
    problems: own.map((name) => ({ pointer: `/tags/${name}`, message: "is set by the system" })),
  });
}

/** W3C Trace Context; what is not spelled so is left out, as that standard asks for. */
export function traceOf(headers: Headers): { readonly traceparent?: string } {
  const { traceparent } = headers;
  const isOne =
    typeof traceparent === "string" &&
    /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent);
  return isOne ? { traceparent } : {};
}

export type Waiting = {
  readonly seconds: number;
  readonly outcome: Promise<LogRecord | undefined>;
  readonly giveUp: () => void;
};

/**
 * Begins to wait before the request is on the log: an outcome in the very same commit is not missed.
 *
 * @returns `undefined` where the client does not prefer to wait.
 */
export function beginWaiting(
  reply: FastifyReply,
  prefer: Headers[string],
  wait: (options: WaitOptions) => Promise<LogRecord | undefined>,
): Waiting | undefined {
  const seconds = preferredWaitSec(prefer);
  if (seconds === undefined) return undefined;
  const controller = new AbortController();
  const giveUp = (): void => {
    controller.abort();
  };
  const outcome = wait({ timeoutMs: seconds * 1_000, signal: controller.signal });
  outcome.catch(giveUp);
  reply.raw.once("close", giveUp);
  return { seconds, outcome, giveUp };
}

/** The end that was waited for; `undefined` where none came in time, or nobody waits. */
export async function endOf(
  reply: FastifyReply,
  waiting: Waiting | undefined,
): Promise<LogRecord | undefined> {
  if (waiting === undefined) return undefined;
  const ended = await waiting.outcome;
  reply.header("preference-applied", `wait=${String(waiting.seconds)}`);
  return ended;
}

/** `Prefer: wait=N` (RFC 7240); other preferences are not known and left alone. */
function preferredWaitSec(prefer: Headers[string]): number | undefined {
  if (prefer === undefined) return undefined;
  const wait = String(prefer)
    .split(",")
    .map((preference) => preference.split(";")[0]?.trim() ?? "")
    .find((preference) => /^wait\s*(=|$)/i.test(preference));
  if (wait === undefined) return undefined;
  const seconds = /^wait\s*=\s*"?(\d{1,9})"?$/i.exec(wait)?.[1];
  if (seconds !== undefined) return Math.min(Number(seconds), waitSecMax);
  throw fault(
    "invalid_args",
    `Cannot wait as Prefer says "${wait}": write wait=N with whole seconds; at most ${String(waitSecMax)} are waited`,
  );
}
