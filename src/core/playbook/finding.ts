/**
 * What a playbook's author is told: one finding, its place, and the way out.
 *
 * Every finding that there is stands in this table, and in the reference by the same code.
 */

/** `refuses`: the file has no meaning that could be run, so it is not parsed. */
type Rank = { readonly severity: "error" | "warning"; readonly refuses?: true };

const error: Rank = { severity: "error" };
const refusal: Rank = { severity: "error", refuses: true };
const warning: Rank = { severity: "warning" };

const ranks = {
  "not-yaml": refusal,
  "several-documents": refusal,
  "not-a-playbook": refusal,
  "missing-key": refusal,
  "wrong-value": refusal,
  "missing-start": refusal,
  "duplicate-step": refusal,
  "duplicate-task": refusal,
  "unknown-step": refusal,
  "unknown-task": refusal,
  "unknown-workbook": refusal,
  "step-without-tool": refusal,
  "too-large": refusal,
  "unknown-kind": error,
  "incomplete-tool": error,
  "code-in-spec": error,
  "template-syntax": error,
  "endless-loop": error,
  "kind-not-run": error,
  "unknown-key": warning,
  "ignored-key": warning,
  "not-run": warning,
  "elsewhere-ignored": warning,
  "old-spelling": warning,
  "unknown-root": warning,
  "unreachable-step": warning,
  "never-holds": warning,
  "never-equal": warning,
  "foreign-word": warning,
  "dead-arc": warning,
  "dead-rule": warning,
  "unused-workbook": warning,
} as const satisfies { readonly [code: string]: Rank };

export type FindingCode = keyof typeof ranks;

export const findingCodes: readonly FindingCode[] = Object.keys(ranks) as FindingCode[];

/** What `deed/v1` does not let pass: it is strict where the field's files are not. */
const strictErrors: ReadonlySet<FindingCode> = new Set(["unknown-key", "unknown-root"]);

const strictRefusals: ReadonlySet<FindingCode> = new Set(["unknown-key"]);

/** One finding. Lines and columns count from 1. */
export type Finding = {
  readonly code: FindingCode;
  /** An error: the playbook, or a part of it, cannot run as it is written. */
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong, with the current value. */
  readonly message: string;
  /** What to do about it. */
  readonly help: string;
};

export function severityOf(code: FindingCode, strict: boolean): Finding["severity"] {
  return strict && strictErrors.has(code) ? "error" : ranks[code].severity;
}

/** True where a file with such a finding is not parsed. */
export function refuses(code: FindingCode, strict: boolean): boolean {
  const rank: Rank = ranks[code];
  return rank.refuses === true || (strict && strictRefusals.has(code));
}

/** Findings of one file: who has more corrects these first. */
export const findingsMax = 1_000;

/** In the order of the file, each once: two tools may share one place in the workbook. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  const once = new Map<string, Finding>();
  for (const finding of findings) {
    const key = JSON.stringify([finding.line, finding.column, finding.code, finding.message]);
    if (!once.has(key)) once.set(key, finding);
  }
  return [...once.values()].sort(
    (left, right) => left.line - right.line || left.column - right.column,
  );
}
