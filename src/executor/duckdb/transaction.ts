import { firstWords } from "../sql/lex.ts";

/** Statements that say themselves what a transaction is, or that DuckDB takes outside of one only. */
const ownTransaction = new Set([
  ...["begin", "start", "commit", "end", "rollback", "abort", "attach", "detach", "use"],
  ...["checkpoint", "force", "vacuum", "export", "import", "install", "load"],
]);

/** True where the query runs as one transaction: where a statement fails nothing of it remains. */
export function isOneTransaction(sql: string): boolean {
  return !firstWords(sql).some((word) => ownTransaction.has(word));
}
