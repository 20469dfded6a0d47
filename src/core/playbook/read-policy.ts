/** What follows an outcome: policy rules, in all their spellings, and the older `retry`. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { AdmitRule, Consequence, PolicyRule } from "../playbook.ts";
import { isTemplate, type Member, type Path, type Reader } from "./reader.ts";
import { readSet } from "./read-set.ts";
import { knownKeys } from "./schema.ts";

const directives = ["continue", "retry", "fail", "break", "jump"] as const;
const backoffs = ["none", "fixed", "linear", "exponential"] as const;

/** Attempts of a retry that names none. */
export const retryAttemptsDefault = 3;

/** The rules of a tool: those of `retry` first, as they say when to try again at all. */
export function readRules(
  reader: Reader,
  tool: Member<JsonObject>,
  model: Path,
): readonly PolicyRule[] {
  const rules: PolicyRule[] = [];
  const retry = reader.member(tool, "retry");
  const fromRetry = retry === undefined ? undefined : readRetry(reader, retry);
  if (retry !== undefined && fromRetry !== undefined) {
    reader.origin([...model, 0], retry.path);
    rules.push(fromRetry);
  }
  const spec = reader.object(reader.member(tool, "spec"));
  const policy = spec && reader.object(reader.member(spec, "policy"));
  if (policy === undefined) return rules;
  reader.keys(policy, knownKeys.taskPolicy, "a policy");
  for (const item of reader.list(reader.member(policy, "rules"))) {
    const at: Path = [...model, rules.length];
    const rule = readRule(reader, item, at);
    if (rule !== undefined) rules.push(rule);
  }
  return rules;
}

function readRule(reader: Reader, item: Member, model: Path): PolicyRule | undefined {
  const rule = reader.object(item);
  if (rule === undefined) return undefined;
  reader.keys(rule, knownKeys.rule, "a rule");
  reader.origin(model, rule.path);
  const { when, body } = branchOf(reader, rule);
  reader.origin([...model, "then"], body.path);
  if (body.path !== rule.path) {
    const inElse = body.path.at(-1) === "else";
    const known = inElse ? { ...knownKeys.consequence, then: {} } : knownKeys.consequence;
    reader.keys(body, known, "what a rule does");
  }
  const then = readConsequence(reader, body, [...model, "then"]);
  if (then === undefined) return undefined;
  return when === undefined ? { then } : { when, then };
}

/**
 * The condition of a rule, and what it says. `else` holds what follows itself, in its `then`, or beside it
 * (`- else:` with `then:` on the next line).
 */
function branchOf(
  reader: Reader,
  rule: Member<JsonObject>,
): { readonly when: string | undefined; readonly body: Member<JsonObject> } {
  const nothing = { value: {}, path: rule.path };
  const then = reader.object(reader.member(rule, "then"));
  if (!Object.hasOwn(rule.value, "else")) {
    const when = reader.condition(reader.member(rule, "when"));
    return { when, body: then ?? nothing };
  }
  const given = reader.object(reader.member(rule, "else"));
  if (given !== undefined && Object.hasOwn(given.value, "do")) {
    reader.elsewhere(given.path, 'what stands in "else" without "then"');
  }
  const both = Object.hasOwn(rule.value, "when") || (given !== undefined && then !== undefined);
  if (both) {
    reader.report({
      code: "wrong-value",
      path: [...rule.path, "else"],
      message: 'a rule with "else" has no "when" and one "then"',
      help: 'make them two rules: "- when: … then: …" and "- else: then: …"',
      atKey: true,
    });
  }
  const inner = given && reader.object(reader.member(given, "then"));
  return { when: undefined, body: inner ?? given ?? then ?? nothing };
}

function readConsequence(
  reader: Reader,
  body: Member<JsonObject>,
  model: Path,
): Consequence | undefined {
  const set = readSet(reader, body, [...model, "set"]);
  const given = reader.member(body, "do");
  const directive = given === undefined ? "continue" : reader.word(given, directives);
  switch (directive) {
    case undefined:
      return undefined;
    case "jump": {
      const to = reader.text(
        reader.required(body, "to", "name the task of this step to go on with"),
      );
      return to === undefined ? undefined : { do: "jump", to, set };
    }
    case "retry":
      return { ...readDelays(reader, body), set };
    default:
      return { do: directive, set };
  }
}

type Retry = Extract<Consequence, { readonly do: "retry" }>;

/** `attempts`, `backoff` and the delays, under the names of a rule or of the older `retry`. */
function readDelays(reader: Reader, of: Member<JsonObject>): Omit<Retry, "set"> {
  const attempts = reader.spelled(of, "attempts", "max_attempts");
  const given = reader.word(reader.member(of, "backoff"), backoffs);
  const multiplier = reader.member(of, "backoff_multiplier")?.value;
  const grows = multiplier !== undefined && multiplier !== 1 ? "exponential" : "fixed";
  const backoff = given ?? grows;
  const delay = reader.number(reader.spelled(of, "delay", "initial_delay"), { least: 0 });
  const delayMax = reader.number(reader.member(of, "max_delay"), { least: 0 });
  const delayDefault = backoff === "linear" || backoff === "exponential" ? 1 : 0;
  return {
    do: "retry",
    attempts: reader.number(attempts, { least: 1, whole: true }) ?? retryAttemptsDefault,
    backoff,
    delaySec: delay ?? delayDefault,
    ...(delayMax === undefined ? {} : { delayMaxSec: delayMax }),
  };
}

const errorHolds = "output.status == 'error'";

/** `retry: true`, `retry: 5` or `retry: {max_attempts, …}` as the rule that says the same. */
function readRetry(reader: Reader, member: Member): PolicyRule | undefined {
  const { value, path } = member;
  if (value === false) return undefined;
  if (value === true || typeof value === "number") {
    const attempts = value === true ? undefined : { value, path };
    const then = {
      do: "retry",
      attempts: reader.number(attempts, { least: 1, whole: true }) ?? retryAttemptsDefault,
      backoff: "fixed",
      delaySec: 1,
      set: [],
    } as const;
    return { when: errorHolds, then };
  }
  if (!isJsonObject(value)) return reader.wrong(member, "a mapping, a number or true");
  const retry = { value, path };
  reader.keys(retry, knownKeys.retry, "retry");
  const wanted = reader.condition(reader.member(retry, "retry_when")) ?? errorHolds;
  const stop = reader.condition(reader.member(retry, "stop_when"));
  const when = stop === undefined ? wanted : `(${bare(wanted)}) and not (${bare(stop)})`;
  return { when, then: { ...readDelays(reader, retry), set: [] } };
}

/** The expression of a condition that is written as a template. */
function bare(condition: string): string {
  const trimmed = condition.trim();
  const inner = trimmed.startsWith("{{") && trimmed.endsWith("}}") ? trimmed.slice(2, -2) : trimmed;
  return isTemplate(inner) ? trimmed : inner.trim();
}

/** `when` of a step, and `spec.policy.admit.rules`. */
export function readAdmit(
  reader: Reader,
  step: Member<JsonObject>,
  model: Path,
): readonly AdmitRule[] {
  const rules: AdmitRule[] = [];
  const own = reader.member(step, "when");
  const when = reader.condition(own);
  if (own !== undefined && when !== undefined) {
    reader.origin([...model, 0], step.path);
    rules.push({ when, allow: true });
  }
  const spec = reader.object(reader.member(step, "spec"));
  const policy = spec && reader.object(reader.member(spec, "policy"));
  const admit = policy && reader.object(reader.member(policy, "admit"));
  if (policy !== undefined) reader.keys(policy, knownKeys.stepPolicy, "a step's policy");
  if (admit !== undefined && own !== undefined) {
    reader.report({
      code: "wrong-value",
      path: own.path,
      message: '"when" stands beside "spec.policy.admit", and both say whether the step is entered',
      help: "keep one of them",
      atKey: true,
    });
  }
  if (admit !== undefined) {
    reader.keys(admit, knownKeys.admit, "admit");
    reader.word(reader.member(admit, "mode"), ["exclusive"]);
    for (const item of reader.list(reader.member(admit, "rules"))) {
      const rule = readAdmitRule(reader, item, [...model, rules.length]);
      if (rule !== undefined) rules.push(rule);
    }
  }
  const decided = rules.some((rule) => rule.when === undefined);
  return when !== undefined && !decided ? [...rules, { allow: false }] : rules;
}

function readAdmitRule(reader: Reader, item: Member, model: Path): AdmitRule | undefined {
  const rule = reader.object(item);
  if (rule === undefined) return undefined;
  reader.keys(rule, knownKeys.admitRule, "an admit rule");
  reader.origin(model, rule.path);
  const { when, body } = branchOf(reader, rule);
  const allow =
    reader.boolean(reader.member(body, "allow") ?? reader.member(rule, "allow")) ?? true;
  return when === undefined ? { allow } : { when, allow };
}
