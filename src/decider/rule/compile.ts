import { canonicalJson } from "../../base/canonical-json.ts";
import type { DocumentProblem, ReadDocument } from "../../base/document.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { Json, JsonObject } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import type { Priority } from "../../action/request.ts";
import {
  durationReader,
  requestProblems,
  requestSettings,
  type ReadMs,
  type RequestSettings,
} from "../request/written.ts";
import { compileExpression, type Expression } from "./cel.ts";
import { patternProblem, typeMatcher } from "./match.ts";
import type { RuleSource } from "./rule-schema.ts";
import { compileTemplate, type Template } from "./template.ts";

export type RuleMode = "live" | "shadow" | "off";

/** A rule that was parsed, checked and compiled. Durations in milliseconds. */
export type Rule = {
  readonly kind: "rule";
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
  readonly settings: RequestSettings;
  readonly priority: Priority | undefined;
  readonly concurrency: { readonly key: Template; readonly limit: number } | undefined;
  readonly rate:
    { readonly key: Template; readonly limit: number; readonly perSec: number } | undefined;
  readonly compensate: { readonly command: string; readonly args: Template } | undefined;
};

const horizonMsDefault = 10 * 60_000;

/**
 * Compiles every expression of a rule, and holds what it will request to the limits of a request.
 *
 * @returns the rule; refused with every problem, each with its place in the file.
 */
export function compileRule(
  document: ReadDocument<RuleSource>,
): Result<Rule, readonly DocumentProblem[]> {
  const source = document.value;
  const { spec } = source;
  const problems: DocumentProblem[] = [];
  const read = reader(document, problems);
  const never = patternProblem(spec.on);
  if (never !== undefined) problems.push(document.problem(["spec", "on"], never));
  const rule: Rule = {
    kind: "rule",
    name: source.metadata.name,
    version: sha256Hex(canonicalJson(source as Json)).slice(0, 16),
    mode: spec.mode ?? "live",
    source,
    matches: typeMatcher(spec.on),
    when: spec.when === undefined ? undefined : read.expression(["when"], spec.when, "bool"),
    per: read.expression(["per"], spec.per ?? "event.entity_id"),
    throttle:
      spec.throttle === undefined
        ? undefined
        : {
            count: spec.throttle.count,
            withinMs: read.ms(["throttle", "within"], spec.throttle.within),
          },
    coolDownMs: spec.cool_down === undefined ? 0 : read.ms(["cool_down"], spec.cool_down),
    horizonMs: spec.horizon === undefined ? horizonMsDefault : read.ms(["horizon"], spec.horizon),
    request: compileRequest(spec.request, read),
  };
  const { command, settings, concurrency, rate, compensate } = rule.request;
  problems.push(
    ...requestProblems(document, {
      command,
      args: {},
      ...settings,
      ...(concurrency && { concurrency: { key: "key", limit: concurrency.limit } }),
      ...(rate && { rate: { key: "key", limit: rate.limit, per_sec: rate.perSec } }),
      ...(compensate && { compensate: { command: compensate.command, args: {} } }),
    }),
  );
  return problems.length > 0 ? err(problems) : ok(rule);
}

/** Reads the parts of a rule; what is wrong with one goes to the problems, and a harmless part comes back. */
type Reader = {
  readonly expression: (
    path: readonly string[],
    text: string,
    wanted?: "any" | "bool",
  ) => Expression;
  readonly template: (path: readonly string[], value: Json) => Template;
  readonly ms: ReadMs;
};

function reader(document: ReadDocument<RuleSource>, problems: DocumentProblem[]): Reader {
  return {
    expression: (path, text, wanted) => {
      const compiled = compileExpression(text, wanted);
      if (compiled.ok) return compiled.value;
      const message = `not a valid CEL expression: ${compiled.error.message}`;
      problems.push(document.problem(["spec", ...path], message, compiled.error.at));
      return { source: text, evaluate: () => ({ kind: "failed", message }) };
    },
    template: (path, value) => {
      const compiled = compileTemplate(value);
      if (compiled.ok) return compiled.value;
      const { path: inner, at } = compiled.error;
      const message = `not a valid template: ${compiled.error.message}`;
      problems.push(document.problem(["spec", ...path, ...inner], message, at));
      return () => ({ kind: "failed", message });
    },
    ms: durationReader(document, problems),
  };
}

function compileRequest(request: RuleSource["spec"]["request"], read: Reader): CompiledRequest {
  const { concurrency, rate, compensate } = request;
  const template = (path: readonly string[], value: Json): Template =>
    read.template(["request", ...path], value);
  return {
    command: request.command,
    entity: read.expression(["request", "entity"], request.entity ?? "event.entity_id"),
    args: template(["args"], (request.args ?? {}) as JsonObject),
    idempotencyKey:
      request.idempotency_key === undefined
        ? undefined
        : read.expression(["request", "idempotency_key"], request.idempotency_key),
    settings: requestSettings(request, read.ms),
    priority: request.priority,
    concurrency: concurrency && {
      key: template(["concurrency", "key"], concurrency.key),
      limit: concurrency.limit,
    },
    rate: rate && {
      key: template(["rate", "key"], rate.key),
      limit: rate.limit,
      perSec: read.ms(["request", "rate", "per"], rate.per) / 1_000,
    },
    compensate: compensate && {
      command: compensate.command,
      args: template(["compensate", "args"], (compensate.args ?? {}) as JsonObject),
    },
  };
}
