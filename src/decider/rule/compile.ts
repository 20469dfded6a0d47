import { parseDurationMs } from "../../base/duration.ts";
import { canonicalJson } from "../../base/canonical-json.ts";
import type { DocumentProblem, ReadDocument } from "../../base/document.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { Priority, RetryPolicy } from "../../action/request.ts";
import { compileExpression, type Expression } from "./cel.ts";
import { typeMatcher } from "./match.ts";
import type { RuleSource } from "./rule-schema.ts";
import { compileTemplate, type Template } from "./template.ts";

export type RuleMode = "live" | "shadow" | "off";

/** A rule that was parsed, checked and compiled. Durations in milliseconds. */
export type Rule = {
  readonly name: string;
  /** The first 16 hex digits of the canonical source's SHA-256. */
  readonly version: string;
  readonly mode: RuleMode;
  readonly source: RuleSource;
  readonly matches: (eventType: string) => boolean;
  readonly when: Expression | undefined;
  readonly per: Expression;
  readonly throttle: { readonly count: number; readonly withinMs: number } | undefined;
  readonly coolDownMs: number;
  readonly horizonMs: number;
  readonly request: CompiledRequest;
};

export type CompiledRequest = {
  readonly command: string;
  readonly entity: Expression;
  readonly args: Template;
  readonly idempotencyKey: Expression | undefined;
  readonly ttlSec: number | undefined;
  readonly timeoutSec: number | undefined;
  readonly priority: Priority | undefined;
  readonly retry: RetryPolicy | undefined;
  readonly concurrency: { readonly key: Template; readonly limit: number } | undefined;
  readonly rate:
    { readonly key: Template; readonly limit: number; readonly perSec: number } | undefined;
  readonly compensate: { readonly command: string; readonly args: Template } | undefined;
};

const horizonMsDefault = 10 * 60_000;

/** Compiles every expression of a rule; each problem has its place in the file. */
export function compileRule(
  document: ReadDocument<RuleSource>,
): Result<Rule, readonly DocumentProblem[]> {
  const source = document.value;
  const { spec } = source;
  const problems: DocumentProblem[] = [];
  const spot = ["spec"] as const;

  const expression = (path: readonly string[], text: string): Expression => {
    const compiled = compileExpression(text);
    if (compiled.ok) return compiled.value;
    const message = `not a valid CEL expression: ${compiled.error.message}`;
    problems.push(document.problem([...spot, ...path], message, compiled.error.at));
    return { source: text, evaluate: () => ({ kind: "failed", message }) };
  };
  const maybe = (path: readonly string[], text: string | undefined): Expression | undefined =>
    text === undefined ? undefined : expression(path, text);
  const template = (path: readonly string[], value: Json): Template => {
    const compiled = compileTemplate(value);
    if (compiled.ok) return compiled.value;
    const message = `not a valid CEL expression: ${compiled.error.message}`;
    problems.push(
      document.problem([...spot, ...path, ...compiled.error.path], message, compiled.error.at),
    );
    return () => ({ kind: "failed", message });
  };

  const { request } = spec;
  const rule: Rule = {
    name: source.metadata.name,
    version: sha256Hex(canonicalJson(source as Json)).slice(0, 16),
    mode: spec.mode ?? "live",
    source,
    matches: typeMatcher(spec.on),
    when: maybe(["when"], spec.when),
    per: expression(["per"], spec.per ?? "event.entity_id"),
    throttle:
      spec.throttle === undefined
        ? undefined
        : { count: spec.throttle.count, withinMs: msOf(spec.throttle.within) },
    coolDownMs: spec.cool_down === undefined ? 0 : msOf(spec.cool_down),
    horizonMs: spec.horizon === undefined ? horizonMsDefault : msOf(spec.horizon),
    request: {
      command: request.command,
      entity: expression(["request", "entity"], request.entity ?? "event.entity_id"),
      args: template(["request", "args"], (request.args ?? {}) as JsonObject),
      idempotencyKey: maybe(["request", "idempotency_key"], request.idempotency_key),
      ttlSec: secOf(request.ttl),
      timeoutSec: secOf(request.timeout),
      priority: request.priority,
      retry: retryOf(request.retry),
      concurrency:
        request.concurrency === undefined
          ? undefined
          : {
              key: template(["request", "concurrency", "key"], request.concurrency.key),
              limit: request.concurrency.limit,
            },
      rate:
        request.rate === undefined
          ? undefined
          : {
              key: template(["request", "rate", "key"], request.rate.key),
              limit: request.rate.limit,
              perSec: msOf(request.rate.per) / 1_000,
            },
      compensate:
        request.compensate === undefined
          ? undefined
          : {
              command: request.compensate.command,
              args: template(
                ["request", "compensate", "args"],
                (request.compensate.args ?? {}) as JsonObject,
              ),
            },
    },
  };
  return problems.length > 0 ? err(problems) : ok(rule);
}

/** The schema let only durations through. */
function msOf(text: string): number {
  const read = parseDurationMs(text);
  return read.ok ? read.value : 0;
}

function secOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : msOf(text) / 1_000;
}

function retryOf(retry: RuleSource["spec"]["request"]["retry"]): RetryPolicy | undefined {
  if (retry === undefined) return undefined;
  return {
    ...(retry.attempts === undefined ? {} : { attempts: retry.attempts }),
    ...(retry.initial === undefined ? {} : { initial_ms: msOf(retry.initial) }),
    ...(retry.max === undefined ? {} : { max_ms: msOf(retry.max) }),
    ...(retry.multiplier === undefined ? {} : { multiplier: retry.multiplier }),
  };
}
