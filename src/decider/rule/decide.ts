/**
 * What a rule does with a record.
 *
 * Invariants
 * 1. A rule fires at most once for one event, at most `throttle.count` times within any window and never
 *    within its cool-down, per tenant and key. Its own `rule.fired` records are what it remembers.
 * 2. An event older than the horizon never acts: a backfill pages nobody. Age is the time between the
 *    event and its arrival at the log; one whose time cannot be read is too old.
 * 3. An event in whose chain of causes the rule already stands never triggers it again, and no chain is
 *    longer than `viaMax`.
 * 4. Where it would have acted and did not, the reason is recorded: once for a key, until it fires or
 *    another reason holds it back, so that a stream of events is not answered by a second one.
 * 5. `when` that reaches for a missing member does not match. Anything else that cannot be evaluated, or
 *    gives what no request can hold, is recorded as `rule.failed`, once for a key and a part of the rule, like a suppression.
 * 6. The request's key is derived from the rule's name and the event: deciding again asks for nothing new.
 */
import { parseTimestampMs, timestamp } from "../../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { requestEvent, viaTag, type RequestAttrs } from "../../action/request.ts";
import {
  anomalyTag,
  tenantOf,
  type DeedEvent,
  type LogRecord,
  type NewEvent,
} from "../../event/envelope.ts";
import { defaultTenant } from "../../event/ids.ts";
import type { Decider } from "../decider.ts";
import { attrsCharsMax } from "../request/written.ts";
import type { Evaluated } from "./cel.ts";
import type { Rule } from "./compile.ts";
import { spell } from "./template.ts";

/** What a rule remembers of one key. What it would have done in shadow is remembered apart: it holds nothing back. */
export type RuleState = {
  /** When it fired, as far as throttle and cool-down look back; oldest first, ms since the epoch. */
  readonly firedMs: readonly number[];
  /** Why it last held back or failed, until it fires again. */
  readonly heldBack: string | undefined;
};

/** Rules in one chain of causes at most. */
export const viaMax = 8;

/** Longest text that names an entity, a key or a limit, in characters. */
const nameCharsMax = 512;

/** The rule's name comes in front of it. */
const idempotencyCharsMax = 400;

type Suppression = "horizon" | "loop" | "depth" | "cool_down" | "throttle";

const nothing: readonly NewEvent[] = [];

const noKeys: readonly string[] = [];

export function decideByRule(rule: Rule): Decider<RuleState> {
  const windowMs = Math.max(rule.coolDownMs, rule.throttle?.withinMs ?? 0);
  const firesMax = Math.max(1, rule.throttle?.count ?? 1);
  return {
    name: rule.mode === "live" ? `rule/${rule.name}` : `rule/${rule.name}/${rule.mode}`,
    version: rule.version,
    keysOf: (record) => keysOf(rule, record),
    initial: () => ({ firedMs: [], heldBack: undefined }),
    evolve: (state, record) => {
      const { event_type: type, attrs } = record.event;
      if (attrs["rule"] !== rule.name || attrs["mode"] !== rule.mode) return state;
      if (type === "rule.suppressed" || type === "rule.failed") {
        const { reason } = attrs;
        return { ...state, heldBack: heldBackBy(type, typeof reason === "string" ? reason : "") };
      }
      if (type !== "rule.fired") return state;
      const kept = state.firedMs.filter((firedMs) => firedMs > record.ingestedAtMs - windowMs);
      return { firedMs: [...kept, record.ingestedAtMs].slice(-firesMax), heldBack: undefined };
    },
    decide: (state, record) => (isOwn(record) ? nothing : decide(rule, state, record)),
    due: () => [],
    encode: (state) => ({
      firedMs: state.firedMs,
      ...(state.heldBack === undefined ? {} : { heldBack: state.heldBack }),
    }),
    decode,
  };
}

function decode(snapshot: Json): Result<RuleState, string> {
  const { firedMs, heldBack } = isJsonObject(snapshot) ? snapshot : {};
  const valid = isNumbers(firedMs) && (heldBack === undefined || typeof heldBack === "string");
  return valid ? ok({ firedMs, heldBack }) : err("not the state of a rule");
}

function isNumbers(value: Json | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => typeof one === "number");
}

/** A failure is known by its part (`when`, `request.args`): what the events hold there differs from one to the next. */
function heldBackBy(type: "rule.suppressed" | "rule.failed", reason: string): string {
  return type === "rule.failed" ? `failed ${reason.slice(0, reason.indexOf(":"))}` : reason;
}

function isOwn({ event }: LogRecord): boolean {
  return event.event_type.startsWith("rule.");
}

function keysOf(rule: Rule, record: LogRecord): readonly string[] {
  const { event } = record;
  if (isOwn(record)) {
    const { rule: name, key } = event.attrs;
    return name === rule.name && typeof key === "string" ? [instanceOf(event, key)] : noKeys;
  }
  const concern = look(rule, event);
  return concern === undefined ? noKeys : [instanceOf(event, concern.key)];
}

/**
 * Tenants share rules, never what a rule remembers. The default tenant's key stands alone; where it could
 * be taken for another one's, and for all others, the tenant and its length stand in front.
 */
function instanceOf(event: DeedEvent, key: string): string {
  const tenant = tenantOf(event);
  if (tenant === defaultTenant && !/^\d+:/.test(key)) return key;
  return `${String(tenant.length)}:${tenant}:${key}`;
}

/** A rule's interest in an event: the key it counts by, and why it could not find out more. */
type Concern = { readonly key: string; readonly failure: string | undefined };

function look(rule: Rule, event: DeedEvent): Concern | undefined {
  if (rule.mode === "off" || !rule.matches(event.event_type)) return undefined;
  if (event.tags[anomalyTag] !== undefined) return undefined;
  const when = rule.when?.evaluate(event) ?? always;
  if (when.kind === "missing" || (when.kind === "value" && when.value === false)) return undefined;
  const key = text(rule.per.evaluate(event), "per");
  const failure = whenFailure(when) ?? (key.ok ? undefined : key.error);
  return { key: key.ok ? key.value : event.entity_id, failure };
}

const always: Evaluated = { kind: "value", value: true };

function whenFailure(when: Evaluated): string | undefined {
  if (when.kind !== "value") return `when: ${when.message}`;
  return when.value === true
    ? undefined
    : `when: it must give true or false: got ${spell(when.value).slice(0, 80)}`;
}

function decide(rule: Rule, state: RuleState, record: LogRecord): readonly NewEvent[] {
  const concern = look(rule, record.event);
  if (concern === undefined) return nothing;
  const { key, failure } = concern;
  const held = (type: "rule.suppressed" | "rule.failed", reason: string): readonly NewEvent[] =>
    state.heldBack === heldBackBy(type, reason)
      ? nothing
      : [ruleEvent(type, record, { rule, attrs: { ...about(rule, record, key), reason } })];
  if (failure !== undefined) return held("rule.failed", failure);
  const reason = suppression(rule, state, record);
  if (reason !== undefined) return held("rule.suppressed", reason);
  const request = requestOf(rule, record);
  if (!request.ok) return held("rule.failed", request.error);
  const attrs: JsonObject = {
    ...about(rule, record, key),
    ...(rule.mode === "live"
      ? { action_id: request.value.action_id ?? null }
      : { would_request: request.value.attrs }),
  };
  const fired = ruleEvent("rule.fired", record, { rule, attrs });
  return rule.mode === "live" ? [fired, request.value] : [fired];
}

function suppression(rule: Rule, state: RuleState, record: LogRecord): Suppression | undefined {
  const { event, ingestedAtMs: nowMs } = record;
  const atMs = parseTimestampMs(event.ts);
  if (atMs === undefined || nowMs - atMs > rule.horizonMs) return "horizon";
  const chain = chainOf(record);
  if (chain.includes(rule.name)) return "loop";
  if (chain.length >= viaMax) return "depth";
  const lastMs = state.firedMs.at(-1);
  if (lastMs !== undefined && nowMs < lastMs + rule.coolDownMs) return "cool_down";
  if (rule.throttle !== undefined) {
    const sinceMs = nowMs - rule.throttle.withinMs;
    const fires = state.firedMs.filter((firedMs) => firedMs > sinceMs).length;
    if (fires >= rule.throttle.count) return "throttle";
  }
  return undefined;
}

function chainOf({ event }: LogRecord): readonly string[] {
  const via = event.tags[viaTag];
  return typeof via === "string" && via !== "" ? via.split(" ") : [];
}

/** The request with everything evaluated; refused with what could not be. */
function requestOf(rule: Rule, record: LogRecord): Result<NewEvent, string> {
  const { event } = record;
  const { request } = rule;
  const entity = text(request.entity.evaluate(event), "request.entity");
  const args = request.args(event);
  const key =
    request.idempotencyKey === undefined
      ? ok(event.event_id as string)
      : text(
          request.idempotencyKey.evaluate(event),
          "request.idempotency_key",
          idempotencyCharsMax,
        );
  const concurrency = limitKey(request.concurrency?.key(event), "request.concurrency.key");
  const rate = limitKey(request.rate?.key(event), "request.rate.key");
  const undo = request.compensate?.args(event);
  if (!entity.ok) return entity;
  if (!key.ok) return key;
  if (!concurrency.ok) return concurrency;
  if (!rate.ok) return rate;
  if (args.kind !== "value") return err(`request.args: ${args.message}`);
  if (undo !== undefined && undo.kind !== "value")
    return err(`request.compensate: ${undo.message}`);
  const attrs: RequestAttrs = {
    command: request.command,
    args: isJsonObject(args.value) ? args.value : {},
    ...request.settings,
    ...(request.concurrency === undefined
      ? {}
      : { concurrency: { key: concurrency.value, limit: request.concurrency.limit } }),
    ...(request.rate === undefined
      ? {}
      : { rate: { key: rate.value, limit: request.rate.limit, per_sec: request.rate.perSec } }),
    ...(request.compensate === undefined || undo === undefined || !isJsonObject(undo.value)
      ? {}
      : { compensate: { command: request.compensate.command, args: undo.value } }),
  };
  const chars = JSON.stringify(attrs).length;
  if (chars > attrsCharsMax) {
    return err(
      `request: ${String(chars)} characters are too many: at most ${String(attrsCharsMax)}. Refer to the event instead of copying it`,
    );
  }
  return ok(
    requestEvent({
      attrs,
      idempotencyKey: `rule/${rule.name}/${key.value}`,
      entityId: entity.value,
      ts: timestamp(record.ingestedAtMs),
      source: { system: "deed", ns: { component: "rules", rule: rule.name } },
      tenant: tenantOf(event),
      correlationId: event.correlation_id ?? event.event_id,
      causationId: event.event_id,
      ...(request.priority === undefined ? {} : { priority: request.priority }),
      ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
      tags: { [viaTag]: [...chainOf(record), rule.name].join(" "), rule: rule.name },
    }),
  );
}

/** What names something: not empty, and no longer than the log takes. */
function text(
  evaluated: Evaluated,
  where: string,
  charsMax = nameCharsMax,
): Result<string, string> {
  if (evaluated.kind !== "value") return err(`${where}: ${evaluated.message}`);
  const given = spell(evaluated.value);
  if (given.length >= 1 && given.length <= charsMax) return ok(given);
  return err(
    `${where}: it must give 1 to ${String(charsMax)} characters: got ${String(given.length)}`,
  );
}

function limitKey(evaluated: Evaluated | undefined, where: string): Result<string, string> {
  return evaluated === undefined ? ok("") : text(evaluated, where);
}

function about(rule: Rule, record: LogRecord, key: string): JsonObject {
  const { name, version, mode } = rule;
  const { event_id: trigger, event_type: type } = record.event;
  return { rule: name, version, mode, key, trigger, trigger_type: type };
}

function ruleEvent(
  type: "rule.fired" | "rule.suppressed" | "rule.failed",
  record: LogRecord,
  { rule, attrs }: { readonly rule: Rule; readonly attrs: JsonObject },
): NewEvent {
  const { event } = record;
  return {
    ts: timestamp(record.ingestedAtMs),
    event_type: type,
    entity_id: event.entity_id,
    correlation_id: event.correlation_id ?? event.event_id,
    causation_id: event.event_id,
    idempotency_key: `${type}/${rule.name}/${event.event_id}`,
    source: { system: "deed", ns: { component: "rules", rule: rule.name } },
    tags: { tenant: tenantOf(event), [viaTag]: chainOf(record).join(" ") },
    attrs,
  };
}
