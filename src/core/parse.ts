/**
 * A playbook from its YAML: every spelling of both versions of the format as the one model.
 *
 * 1. No text throws: what cannot be read is a finding with its place and the way out.
 * 2. What is parsed can be run: the entry, every arc and every jump lead somewhere, names are unique, and
 *    each step has at least one task.
 * 3. Nothing is dropped in silence: a key that nobody reads is a finding.
 *
 * Templates are not looked into here; `lint.ts` does that.
 */
import { formatProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import { readYaml, type YamlFile } from "../base/yaml.ts";
import type { Playbook } from "./playbook.ts";
import { refuses, severityOf, sortFindings, type Finding } from "./playbook/finding.ts";
import { readPlaybook } from "./playbook/read-playbook.ts";
import { Reader, type Path } from "./playbook/reader.ts";

export type { Finding, FindingCode } from "./playbook/finding.ts";
export { findingCodes } from "./playbook/finding.ts";
export { playbookSchema } from "./playbook/schema.ts";

/** A place in a file. Lines and columns count from 1. */
export type Place = { readonly file: string; readonly line: number; readonly column: number };

/** A playbook, and the way back from it to its file. */
export type ParsedPlaybook = {
  readonly playbook: Playbook;
  /**
   * Where a member of the model stands in the file.
   *
   * @param path members and indexes from the top of the model: `["steps", 2, "tasks", 0, "config", "url"]`.
   * @param within characters into its text.
   */
  readonly place: (path: Path, within?: number) => Place;
  /** What reading found and did not refuse. */
  readonly findings: readonly Finding[];
};

/** What could be read of a file. `playbook` may be incomplete where a finding refuses the file. */
export type Draft = ParsedPlaybook & { readonly refused: boolean };

/**
 * Parses a file that holds one playbook.
 *
 * @param file the name that findings carry.
 * @returns refused with every finding, not only the first.
 */
export function parsePlaybook(
  text: string,
  file: string,
): Result<ParsedPlaybook, readonly Finding[]> {
  const { draft, findings } = readDraft(text, file);
  if (draft === undefined || draft.refused) return err(findings);
  const { playbook, place } = draft;
  return ok({ playbook, place, findings });
}

/** `file:line:column: severity code: message; help`, as editors and terminals link it. */
export function formatFinding(finding: Finding): string {
  const { severity, code, message, help } = finding;
  return formatProblem({ ...finding, message: `${severity} ${code}: ${message}; ${help}` });
}

/** Reads as much as there is, also of a file that is refused: so the linter can tell all of it. */
export function readDraft(
  text: string,
  file: string,
): { readonly draft: Draft | undefined; readonly findings: readonly Finding[] } {
  const yaml = readYaml(text);
  const [document] = yaml.documents;
  const broken = brokenFile(yaml, file);
  if (document === undefined || broken.length > 0) return { draft: undefined, findings: broken };
  const reader = new Reader(file, document);
  const playbook = readPlaybook(reader, document.value);
  const findings = sortFindings(reader.findings);
  if (playbook === undefined) return { draft: undefined, findings };
  const strict = playbook.apiVersion === "deed/v1";
  const draft = {
    playbook,
    place: (path: Path, within?: number) => ({
      file,
      ...document.place(reader.sourceOf(path), within),
    }),
    findings,
    refused: findings.some(({ code }) => refuses(code, strict)),
  };
  return { draft, findings };
}

function brokenFile({ documents, problems }: YamlFile, file: string): readonly Finding[] {
  const found = problems.map(({ line, column, message }): Finding => ({
    ...{ code: "not-yaml", severity: severityOf("not-yaml", false), file, line, column, message },
    help: "correct it there",
  }));
  if (found.length > 0) return found;
  const [first, second] = documents;
  const place = { file, line: 1, column: 1 };
  if (first === undefined) {
    return [
      {
        ...{ code: "not-a-playbook", severity: "error", ...place, message: "the file is empty" },
        help: 'begin with "apiVersion: noetl.io/v2" (or deed/v1) and "kind: Playbook"',
      },
    ];
  }
  if (second === undefined) return [];
  return [
    {
      code: "several-documents",
      severity: "error",
      ...{ file, ...second.place([]) },
      message: `the file holds ${String(documents.length)} documents`,
      help: 'put each playbook into a file of its own, without "---" between',
    },
  ];
}
