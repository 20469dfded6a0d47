import type { DocumentProblem, ReadDocument } from "../../base/document.ts";
import { err, ok, type Result } from "../../base/result.ts";

/** Compiles each document of a file; a name may occur once for a kind. All problems are reported. */
export function readNamed<D, T extends { readonly kind: string; readonly name: string }>(
  documents: readonly ReadDocument<D>[],
  compile: (document: ReadDocument<D>) => Result<T, readonly DocumentProblem[]>,
): Result<readonly T[], readonly DocumentProblem[]> {
  const read: T[] = [];
  const problems: DocumentProblem[] = [];
  for (const document of documents) {
    const compiled = compile(document);
    if (!compiled.ok) {
      problems.push(...compiled.error);
      continue;
    }
    const { kind, name } = compiled.value;
    if (read.some((other) => other.kind === kind && other.name === name)) {
      const message = `a second ${kind} "${name}": give each ${kind} of a file its own name`;
      problems.push(document.problem(["metadata", "name"], message));
    } else read.push(compiled.value);
  }
  return problems.length > 0 ? err(problems) : ok(read);
}
