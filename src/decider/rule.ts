/**
 * Rules: `kind: Rule` documents. How they become active: `activation.ts`.
 */
import { readDocuments, type DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { DeedEvent } from "../event/envelope.ts";
import type { Decider } from "./decider.ts";
import { readNamed } from "./request/named.ts";
import { compileExpression } from "./rule/cel.ts";
import { compileRule, type Rule } from "./rule/compile.ts";
import { decideByRule, type RuleState } from "./rule/decide.ts";
import { typeMatcher, watchedPatternProblem } from "./rule/match.ts";
import { ruleSchema } from "./rule/rule-schema.ts";

export type { Rule, RuleMode } from "./rule/compile.ts";
export type { RuleState } from "./rule/decide.ts";
export { ruleSchema } from "./rule/rule-schema.ts";

/** Reads all rules of a file. A name may occur once. */
export function parseRules(
  text: string,
  file: string,
): Result<readonly Rule[], readonly DocumentProblem[]> {
  const documents = readDocuments(text, file, ruleSchema);
  return documents.ok ? readNamed(documents.value, compileRule) : documents;
}

/** The decider of a rule. */
export function ruleDecider(rule: Rule): Decider<RuleState> {
  return decideByRule(rule);
}

/** A pattern of event types, as `on` of a rule has it, for one who only watches. */
export function watchedTypes(pattern: string): Result<(eventType: string) => boolean, string> {
  const problem = watchedPatternProblem(pattern);
  return problem === undefined ? ok(typeMatcher(pattern)) : err(problem);
}

/**
 * A condition as `when` of a rule has it: CEL over `event`.
 *
 * @returns a function that says whether it holds. What reaches for a member that is not there does not
 *   hold; what cannot be evaluated, or gives neither true nor false, is refused with a sentence.
 */
export function watchedCondition(
  source: string,
): Result<(event: DeedEvent) => Result<boolean, string>, string> {
  const compiled = compileExpression(source, "bool");
  if (!compiled.ok) return err(`not a valid CEL expression: ${compiled.error.message}`);
  return ok((event) => {
    const given = compiled.value.evaluate(event);
    if (given.kind === "missing") return ok(false);
    if (given.kind === "failed") return err(given.message);
    if (typeof given.value === "boolean") return ok(given.value);
    return err("it must give true or false");
  });
}
