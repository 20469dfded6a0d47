/**
 * What an author should know of a playbook before it runs.
 *
 * 1. Every finding has its place, what is wrong, and a way out; each code stands in the reference.
 * 2. Nothing is told that could be right: where a value is known only when it runs, the linter is silent.
 * 3. Deterministic: the same file gives the same findings, in the order of the file.
 */
import type { ParsedPlaybook } from "./parse.ts";
import { readDraft } from "./parse.ts";
import { findingsMax, severityOf, sortFindings, type Finding } from "./playbook/finding.ts";
import { lintGraph, type Tell } from "./playbook/lint-graph.ts";
import { lintTemplates } from "./playbook/lint-templates.ts";
import { lintTools } from "./playbook/lint-tools.ts";

export type LintOptions = {
  /** Kinds of tools that there are beside the field's: those of plugins. */
  readonly kinds?: readonly string[];
};

/** Every finding of a playbook, those of parsing included. */
export function lintPlaybook(
  { playbook, place, findings }: ParsedPlaybook,
  { kinds = [] }: LintOptions = {},
): readonly Finding[] {
  const found: Finding[] = [...findings];
  const strict = playbook.apiVersion === "deed/v1";
  const tell: Tell = ({ code, path, message, help, within }) => {
    if (found.length >= findingsMax) return;
    found.push({ code, severity: severityOf(code, strict), ...place(path, within), message, help });
  };
  lintGraph(playbook, tell);
  lintTools(playbook, tell, kinds);
  lintTemplates(playbook, tell);
  return sortFindings(found);
}

/** Every finding of a file, also of one that is refused: as far as it could be read, all of it is looked at. */
export function lintText(
  text: string,
  file: string,
  options: LintOptions = {},
): readonly Finding[] {
  const { draft, findings } = readDraft(text, file);
  return draft === undefined ? findings : lintPlaybook(draft, options);
}
