/**
 * What a rule does with a record.
 *
 * Invariants
 * 1. A rule fires at most once for one event, at most `throttle.count` times within its window and
 *    never within its cool-down, per key. Its own `rule.fired` records are what it remembers.
 * 2. An event older than the horizon never acts: a backfill pages nobody.
 * 3. An event in whose chain of causes the rule already stands never triggers it again, and no chain is
 *    longer than `viaMax`.
 * 4. Where it would have acted and did not, the reason is recorded: once for a key, until it fires or
 *    another reason holds it back, so that a stream of events is not answered by a second one.
 * 5. `when` that reaches for a missing member does not match; anything else that cannot be evaluated is
 *    recorded as `rule.failed`.
 */
import { timestamp } from "../../base/clock.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { requestEvent, viaTag, type RequestAttrs } from "../../action/request.ts";
import { anomalyTag, tenantOf, type LogRecord, type NewEvent } from "../../event/envelope.ts";
import type { Decider } from "../decider.ts";
import type { Evaluated } from "./cel.ts";
import type { Rule } from "./compile.ts";

/** What a rule remembers of one key. */
export type RuleState = {
  /** When it fired, as far as throttle and cool-down look back; oldest first, ms since the epoch. */
  readonly firedMs: readonly number[];
  /** Why it last held back, until it fires again. */
  readonly heldBack: string | undefined;
};

/** Rules in one chain of causes at most. */
export const viaMax = 8;

type Suppression = "horizon" | "loop" | "depth" | "cool_down" | "throttle";

const nothing: readonly NewEvent[] = [];

const noKeys: readonly string[] = [];

export function decideByRule(rule: Rule): Decider<RuleState> {
  const windowMs = Math.max(rule.coolDownMs, rule.throttle?.withinMs ?? 0);
  const firesMax = Math.max(1, rule.throttle?.count ?? 1);
  return {
    name: `rule/${rule.name}`,
    version: rule.version,
    keysOf: (record) => keysOf(rule, record),
    initial: () => ({ firedMs: [], heldBack: undefined }),
    evolve: (state, record) => {
      const { event_type: type, attrs } = record.event;
      if (attrs["rule"] !== rule.name) return state;
      if (type === "rule.suppressed") return { ...state, heldBack: String(attrs["reason"]) };
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
  const fired = isJsonObject(snapshot) ? snapshot["firedMs"] : undefined;
  if (!isJsonObject(snapshot) || !Array.isArray(fired)) return err("not the state of a rule");
  const { heldBack } = snapshot;
  const firedMs = fired.filter((one) => typeof one === "number");
  return ok({ firedMs, heldBack: typeof heldBack === "string" ? heldBack : undefined });
}

function isOwn({ event }: LogRecord): boolean {
  return event.event_type.startsWith("rule.");
}

function keysOf(rule: Rule, record: LogRecord): readonly string[] {
  const { event } = record;
  if (isOwn(record)) {
    const { rule: name, key } = event.attrs;
    return name === rule.name && typeof key === "string" ? [key] : noKeys;
  }
  if (rule.mode === "off" || !rule.matches(event.event_type)) return noKeys;
  if (event.tags[anomalyTag] !== undefined) return noKeys;
  const when = rule.when?.evaluate(event);
  if (
    when !== undefined &&
    when.kind !== "failed" &&
    !(when.kind === "value" && when.value === true)
  ) {
    return noKeys;
  }
  const key = rule.per.evaluate(event);
  return [key.kind === "value" ? keyText(key.value) : event.entity_id];
}

function keyText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function decide(rule: Rule, state: RuleState, record: LogRecord): readonly NewEvent[] {
  const { event } = record;
  const failed = [rule.when?.evaluate(event), rule.per.evaluate(event)].find(
    (one) => one !== undefined && one.kind !== "value",
  );
  if (failed !== undefined) return [failedEvent(rule, record, failed.message)];
  const key = keysOf(rule, record)[0] ?? event.entity_id;
  const reason = suppression(rule, state, record);
  if (reason !== undefined) {
    return state.heldBack === reason ? nothing : [suppressedEvent(rule, record, { key, reason })];
  }
  const request = requestOf(rule, record);
  if (!request.ok) return [failedEvent(rule, record, request.error)];
  const attrs: JsonObject = {
    ...about(rule, record, key),
    ...(rule.mode === "live"
      ? { action_id: request.value.action_id ?? null }
      : { would_request: request.value.attrs }),
  };
  const fired = ruleEvent("rule.fired", rule, record, attrs);
  return rule.mode === "live" ? [fired, request.value] : [fired];
}

function suppression(rule: Rule, state: RuleState, record: LogRecord): Suppression | undefined {
  const { event, ingestedAtMs: nowMs } = record;
  if (nowMs - Date.parse(event.ts) > rule.horizonMs) return "horizon";
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
      : text(request.idempotencyKey.evaluate(event), "request.idempotency_key");
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
    ...(request.ttlSec === undefined ? {} : { ttl_sec: request.ttlSec }),
    ...(request.timeoutSec === undefined ? {} : { timeout_sec: request.timeoutSec }),
    ...(request.retry === undefined ? {} : { retry: request.retry }),
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

function text(evaluated: Evaluated, where: string): Result<string, string> {
  if (evaluated.kind !== "value") return err(`${where}: ${evaluated.message}`);
  return ok(keyText(evaluated.value));
}

function limitKey(evaluated: Evaluated | undefined, where: string): Result<string, string> {
  return evaluated === undefined ? ok("") : text(evaluated, where);
}

function about(rule: Rule, record: LogRecord, key: string): JsonObject {
  const { name, version, mode } = rule;
  const { event_id: trigger, event_type: type } = record.event;
  return { rule: name, version, mode, key, trigger, trigger_type: type };
}

function suppressedEvent(
  rule: Rule,
  record: LogRecord,
  held: { readonly key: string; readonly reason: Suppression },
): NewEvent {
  const attrs = { ...about(rule, record, held.key), reason: held.reason };
  return ruleEvent("rule.suppressed", rule, record, attrs);
}

function failedEvent(rule: Rule, record: LogRecord, reason: string): NewEvent {
  const key = record.event.entity_id;
  return ruleEvent("rule.failed", rule, record, { ...about(rule, record, key), reason });
}

function ruleEvent(
  type: "rule.fired" | "rule.suppressed" | "rule.failed",
  rule: Rule,
  record: LogRecord,
  attrs: JsonObject,
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
