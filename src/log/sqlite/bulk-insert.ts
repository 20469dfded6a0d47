import type { Database, Statement } from "./driver.ts";

export type Value = string | number | null | Uint8Array;

/** Rows a multi-row insert takes: more gain nothing. */
const rowsAtOnce = 32;

/**
 * Inserts rows of `width` values that stand one after the other in a flat list, many with one
 * statement: crossing into SQLite costs more than most rows do.
 */
export function bulkInsert(
  db: Database,
  head: string,
  width: number,
): (values: readonly Value[]) => void {
  const row = `(${Array.from({ length: width }, () => "?").join(", ")})`;
  const one = db.prepare(`${head} ${row}`);
  const many: Statement = db.prepare(
    `${head} ${Array.from({ length: rowsAtOnce }, () => row).join(", ")}`,
  );
  const step = width * rowsAtOnce;
  return (values) => {
    let at = 0;
    for (; at + step <= values.length; at += step) many.run(...values.slice(at, at + step));
    for (; at < values.length; at += width) one.run(...values.slice(at, at + width));
  };
}
