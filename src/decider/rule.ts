/**
 * Rules: `kind: Rule` files, and the events by which they become active.
 *
 * A rule becomes active by `rule.activated`, which carries its text: the log alone says which rule
 * decided what, and a kernel that starts again builds its rules from there.
 */
import { formatProblem, readDocuments, type DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { LogRecord, NewEvent } from "../event/envelope.ts";
import { untyped, type Decider } from "./decider.ts";
import { compileRule, type Rule } from "./rule/compile.ts";
import { decideByRule, type RuleState } from "./rule/decide.ts";
import { ruleSchema } from "./rule/rule-schema.ts";

export type { Rule, RuleMode } from "./rule/compile.ts";
export type { RuleState } from "./rule/decide.ts";
export { ruleSchema } from "./rule/rule-schema.ts";

/** A problem in a rule file; see `formatProblem`. */
export type RuleProblem = DocumentProblem;

/** Reads all rules of a file. A name may occur once. */
export function parseRules(
  text: string,
  file: string,
): Result<readonly Rule[], readonly RuleProblem[]> {
  const documents = readDocuments(text, file, ruleSchema);
  if (!documents.ok) return documents;
  const rules: Rule[] = [];
  const problems: RuleProblem[] = [];
  for (const document of documents.value) {
    const compiled = compileRule(document);
    if (!compiled.ok) problems.push(...compiled.error);
    else if (rules.some((rule) => rule.name === compiled.value.name)) {
      const message = `a second rule "${compiled.value.name}": give each rule of a file its own name`;
      problems.push(document.problem(["metadata", "name"], message));
    } else rules.push(compiled.value);
  }
  return problems.length > 0 ? err(problems) : ok(rules);
}

/** The decider of a rule. */
export function ruleDecider(rule: Rule): Decider<RuleState> {
  return decideByRule(rule);
}

/** What a change of rules is recorded with. */
export type RuleChange = {
  readonly file: string;
  /** RFC 3339. */
  readonly ts: string;
  /** The version that was active until now; so that going back to an old version is a change, too. */
  readonly replaces: string | undefined;
};

/** `text` is the one YAML document of this rule, or the file that holds it. */
export function activationEvent(rule: Rule, text: string, change: RuleChange): NewEvent {
  const { name, version, mode } = rule;
  const { file, replaces = "none" } = change;
  return ruleEvent("rule.activated", name, {
    change,
    key: `${version}/after/${replaces}/${change.ts}`,
    attrs: { name, version, mode, file, text, replaces },
  });
}

export function deactivationEvent(name: string, version: string, change: RuleChange): NewEvent {
  return ruleEvent("rule.deactivated", name, {
    change,
    key: `${version}/${change.ts}`,
    attrs: { name, version, file: change.file },
  });
}

/** Builds the decider that an activation stands for. */
export function deciderFromActivation(record: LogRecord): Result<Decider<unknown>, string> {
  const { name, text, file } = record.event.attrs;
  if (typeof name !== "string" || typeof text !== "string") {
    return err("rule.activated must carry the rule's name and text");
  }
  const parsed = parseRules(text, typeof file === "string" ? file : name);
  if (!parsed.ok) return err(parsed.error.map(formatProblem).join("; "));
  const rule = parsed.value.find((one) => one.name === name);
  if (rule === undefined) return err(`its text holds no rule "${name}"`);
  return ok(untyped(ruleDecider(rule)));
}

function ruleEvent(
  type: "rule.activated" | "rule.deactivated",
  name: string,
  what: {
    readonly change: RuleChange;
    readonly key: string;
    readonly attrs: NewEvent["attrs"];
  },
): NewEvent {
  return {
    ts: what.change.ts,
    event_type: type,
    entity_id: `rule:${name}`,
    idempotency_key: `${type}/${name}/${what.key}`,
    source: { system: "deed", ns: { component: "rules" } },
    tags: {},
    attrs: what.attrs,
  };
}
