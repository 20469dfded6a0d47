/**
 * Rules: `kind: Rule` documents. How they become active: `activation.ts`.
 */
import { readDocuments, type DocumentProblem } from "../base/document.ts";
import type { Result } from "../base/result.ts";
import type { Decider } from "./decider.ts";
import { readNamed } from "./request/named.ts";
import { compileRule, type Rule } from "./rule/compile.ts";
import { decideByRule, type RuleState } from "./rule/decide.ts";
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
