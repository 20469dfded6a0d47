import type { Offset } from "../../event/ids.ts";
import type { Database } from "./driver.ts";

/** Offsets that a scan for few matches looks at in one turn. */
export const sliceOffsets = 20_000;

/** Lets what waits for the process have its turn. */
export function othersFirst(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** What rows must be, as SQL; `indexed` where looking for them touches few others. */
export type Filter = {
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
  readonly indexed: boolean;
};

export type Page = {
  readonly head: Offset;
  readonly before?: Offset | undefined;
  readonly limit: number;
};

/**
 * Rows of a table that has a row a request, newest first: slices of the log from its end on, but all at
 * once where an index has the rows.
 */
export async function listNewestFirst(
  db: Database,
  { table, where, values, indexed }: Filter & { readonly table: "actions" | "executions" },
  { head, before, limit }: Page,
): Promise<readonly unknown[]> {
  const select = db.prepare(
    `SELECT * FROM ${table} WHERE ${[...where, "request_offset <= ?", "request_offset >= ?"].join(" AND ")}
      ORDER BY request_offset DESC LIMIT ?`,
  );
  const found: unknown[] = [];
  for (let to = Math.min(head, (before ?? head + 1) - 1); to >= 1;) {
    const from = indexed ? 1 : Math.max(1, to - sliceOffsets + 1);
    const rows: unknown[] = select.all(...values, to, from, limit - found.length);
    found.push(...rows);
    to = from - 1;
    if (found.length >= limit || to < 1) break;
    await othersFirst();
  }
  return found;
}
