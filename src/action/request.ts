/**
 * What an `action.requested` event asks for.
 *
 * Wire shapes only; `requestEvent` is the one place that builds such an event, for people (API, CLI),
 * rules, compensation and re-drive alike.
 */
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import {
  actionIdOf,
  defaultTenant,
  type ActionId,
  type EventId,
  type ExecutionId,
} from "../event/ids.ts";
import type { EventSource, NewEvent, Tags } from "../event/envelope.ts";

export const priorities = ["critical", "high", "normal", "low"] as const;

export type Priority = (typeof priorities)[number];

export function isPriority(value: unknown): value is Priority {
  return priorities.some((priority) => priority === value);
}

/** Exponential back-off with full jitter. Without a ttl `attempts` ends it, with a ttl the deadline does. */
export type RetryPolicy = {
  /** All attempts, the first included. Default 3; ignored where a ttl gives a deadline, unless named. */
  readonly attempts?: number;
  /** The upper bound of the first delay, milliseconds. Default 1,000. */
  readonly initial_ms?: number;
  /** The upper bound of every delay, milliseconds. Default 60,000. */
  readonly max_ms?: number;
  /** Growth per attempt. Default 2. */
  readonly multiplier?: number;
};

/** At most `limit` attempts with this key are accepted or started at any instant. */
export type ConcurrencyLimit = { readonly key: string; readonly limit: number };

/** At most `limit` attempts with this key start within any window of `per_sec` seconds. */
export type RateLimit = { readonly key: string; readonly limit: number; readonly per_sec: number };

export type CommandCall = { readonly command: string; readonly args: JsonObject };

/** Members and indexes from the top of `args`. */
export type SecretPath = readonly (string | number)[];

/** `attrs` of `action.requested`. */
export type RequestAttrs = CommandCall & {
  /** Seconds from the request's `ts`; not started by then: `ttl_expired`. */
  readonly ttl_sec?: number;
  /** Seconds that one attempt may run; the executor's own default otherwise. */
  readonly timeout_sec?: number;
  readonly retry?: RetryPolicy;
  readonly concurrency?: ConcurrencyLimit;
  readonly rate?: RateLimit;
  /** Requested as a new action where this one fails. */
  readonly compensate?: CommandCall;
  /**
   * Paths in `args` of strings that name the keychain, as written (`Bearer {{ keychain.api.token }}`):
   * rendered in the executor's worker alone, so that no event holds what they stand for.
   */
  readonly secrets?: readonly SecretPath[];
  /** The credential that a name of the keychain stands for, where it has another alias. */
  readonly keychain?: { readonly [name: string]: string };
  /** The failed action that this one makes good. */
  readonly compensates?: ActionId;
  /** The dead-lettered action that a person asked for again. */
  readonly redrive_of?: ActionId;
};

/** A request with what it came from. */
export type ActionRequest = {
  readonly attrs: RequestAttrs;
  readonly idempotencyKey: string;
  readonly entityId: string;
  /** Event time of the request, RFC 3339. */
  readonly ts: string;
  readonly source: EventSource;
  readonly tenant?: string;
  readonly priority?: Priority;
  readonly correlationId?: string;
  readonly causationId?: EventId;
  readonly executionId?: ExecutionId;
  readonly traceparent?: string;
  /** More tags, e.g. `via` (see `viaTag`) or `step`. */
  readonly tags?: Tags;
};

/**
 * `tags.via`: the names of the rules in whose chain of causes an event stands, space-separated, oldest
 * first. A rule never acts on an event that carries its own name; the chain's length is bounded.
 */
export const viaTag = "via";

/** The event that asks for an action; its `action_id` follows from tenant and idempotency key. */
export function requestEvent(request: ActionRequest): NewEvent {
  const tenant = request.tenant ?? defaultTenant;
  return {
    ts: request.ts,
    event_type: "action.requested",
    entity_id: request.entityId,
    ...(request.correlationId === undefined ? {} : { correlation_id: request.correlationId }),
    ...(request.causationId === undefined ? {} : { causation_id: request.causationId }),
    idempotency_key: request.idempotencyKey,
    action_id: actionIdOf(tenant, request.idempotencyKey),
    ...(request.executionId === undefined ? {} : { execution_id: request.executionId }),
    source: request.source,
    tags: {
      ...request.tags,
      tenant,
      priority: request.priority ?? "normal",
      action: request.attrs.command,
    },
    attrs: request.attrs,
    ...(request.traceparent === undefined ? {} : { traceparent: request.traceparent }),
  };
}

/** The limits of a request: the same at the edge (`request-schema.ts`) and in the fold. */
export const requestLimits = {
  /** A year. */
  ttlSecMax: 31_536_000,
  /** A day. */
  timeoutSecMax: 86_400,
  attemptsMax: 1_000,
  /** A day. */
  delayMsMax: 86_400_000,
  multiplierMax: 100,
  concurrencyMax: 1_000_000,
  /** The starts of a window are kept one by one. */
  rateMax: 10_000,
  /** A week. */
  ratePerSecMax: 604_800,
  secretsMax: 1_000,
  /** Parts of the path to one secret, and characters of each. */
  secretPathMax: 64,
  secretNameCharsMax: 512,
} as const;

export const commandPattern = "^[a-z][a-z0-9_]*(\\.[a-z0-9_]+)*$";

const commandName = new RegExp(commandPattern);

/**
 * What keeps the attrs of a request from being processed at all; `undefined` where nothing does.
 *
 * The full check with pointers is `parseRequestAttrs`, at the edge. This one guards the fold against
 * what reached the log by another way: whatever passes it can be folded and decided without a throw.
 */
export function requestProblem(attrs: JsonObject): string | undefined {
  const { command, args, ttl_sec: ttlSec, timeout_sec: timeoutSec } = attrs;
  const problem = callProblem({ command, args });
  if (problem !== undefined) return `Cannot process the request as its ${problem}`;
  if (!isOptional(ttlSec, [0, requestLimits.ttlSecMax])) {
    return unfit("ttl_sec", `must be a number from 0 to ${String(requestLimits.ttlSecMax)}`);
  }
  if (!isOptional(timeoutSec, [0, requestLimits.timeoutSecMax]) || timeoutSec === 0) {
    return unfit(
      "timeout_sec",
      `must be a number > 0, at most ${String(requestLimits.timeoutSecMax)}`,
    );
  }
  const { concurrency, rate, retry, secrets, keychain, compensate } = attrs;
  if (concurrency !== undefined && !isLimit(concurrency, requestLimits.concurrencyMax)) {
    return unfit("concurrency", "is not a limit with a key");
  }
  if (rate !== undefined && !isRate(rate)) return unfit("rate", "is not a limit with a key");
  if (retry !== undefined && !isRetryPolicy(retry)) return unfit("retry", "is not a retry policy");
  if (secrets !== undefined && !areSecretPaths(secrets)) {
    return unfit("secrets", "is not a list of paths");
  }
  if (keychain !== undefined && !isKeychain(keychain)) {
    return unfit("keychain", "does not give an alias to each name");
  }
  if (compensate === undefined) return undefined;
  const undo = isJsonObject(compensate) ? callProblem(compensate) : "form is not {command, args}";
  return undo === undefined ? undefined : unfit("compensate", `cannot be asked for: its ${undo}`);
}

function unfit(member: string, what: string): string {
  return `Cannot process the request as ${member} ${what}`;
}

function callProblem({ command, args }: JsonObject): string | undefined {
  if (typeof command !== "string" || !commandName.test(command)) {
    return `command is not a dotted lower-case name: got ${command === undefined ? "none" : JSON.stringify(command)}`;
  }
  return isJsonObject(args) ? undefined : "args must be an object";
}

function isRetryPolicy(retry: Json): boolean {
  if (!isJsonObject(retry)) return false;
  const { attemptsMax, delayMsMax, multiplierMax } = requestLimits;
  return (
    isOptional(retry["attempts"], [1, attemptsMax]) &&
    isOptional(retry["initial_ms"], [0, delayMsMax]) &&
    isOptional(retry["max_ms"], [0, delayMsMax]) &&
    isOptional(retry["multiplier"], [1, multiplierMax])
  );
}

function isLimit(limit: Json, max: number): limit is JsonObject {
  if (!isJsonObject(limit)) return false;
  return typeof limit["key"] === "string" && isWithin(limit["limit"], [1, max]);
}

function isRate(rate: Json): boolean {
  if (!isLimit(rate, requestLimits.rateMax)) return false;
  const { per_sec: perSec } = rate;
  return isWithin(perSec, [0, requestLimits.ratePerSecMax]) && perSec !== 0;
}

function areSecretPaths(secrets: Json): boolean {
  const { secretsMax } = requestLimits;
  return isList(secrets) && secrets.length <= secretsMax && secrets.every(isSecretPath);
}

function isSecretPath(path: Json): boolean {
  if (!isList(path) || path.length < 1 || path.length > requestLimits.secretPathMax) return false;
  return path.every((part) =>
    typeof part === "number" ? Number.isInteger(part) && part >= 0 : typeof part === "string",
  );
}

function isKeychain(keychain: Json): boolean {
  if (!isJsonObject(keychain)) return false;
  const { secretsMax } = requestLimits;
  const aliases = Object.values(keychain);
  return aliases.length <= secretsMax && aliases.every((alias) => typeof alias === "string");
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function isOptional(value: Json | undefined, range: readonly [number, number]): boolean {
  return value === undefined || isWithin(value, range);
}

function isWithin(value: Json | undefined, [min, max]: readonly [number, number]): boolean {
  return typeof value === "number" && value >= min && value <= max;
}
