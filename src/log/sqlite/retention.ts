import { topics } from "../../event/topic.ts";
import type { RetentionPolicy } from "../log.ts";
import type { Database } from "./driver.ts";
import { bucketSize } from "./threads.ts";

/** Rows one transaction removes: bounds how long appends wait. */
const rowsAtOnce = 5_000;

/**
 * Removes events older than their topic's time, oldest first, and what pointed at them.
 *
 * Nothing of an open action goes, and never the newest event: offsets go on from it. A key goes with its event once the window is over, so that the id of
 * a kept action can always be looked up.
 */
export function retainEvents(
  db: Database,
  policy: RetentionPolicy,
  limits: { readonly nowMs: number; readonly dedupWindowMs: number },
): number {
  const first = "SELECT min(request_offset) AS offset FROM actions WHERE terminal_offset IS NULL";
  const oldestOpen = db.prepare(first).get() as { offset: number | null };
  const newest = db.prepare("SELECT max(offset) AS offset FROM events").get() as {
    offset: number | null;
  };
  const below = Math.min(oldestOpen.offset ?? Number.MAX_SAFE_INTEGER, newest.offset ?? 0);
  let removed = 0;
  for (const [number, topic] of topics.entries()) {
    const keptMs = policy[topic];
    if (keptMs !== undefined)
      removed += removeTopic(db, number, { below, beforeMs: limits.nowMs - keptMs });
  }
  sweepOrphans(db, limits.nowMs - limits.dedupWindowMs);
  return removed;
}

function removeTopic(
  db: Database,
  topic: number,
  range: { readonly below: number; readonly beforeMs: number },
): number {
  const remove = db.prepare(
    `DELETE FROM events WHERE offset IN
      (SELECT offset FROM events WHERE topic = ? AND offset < ? AND ingested_at < ? ORDER BY offset LIMIT ?)`,
  );
  let removed = 0;
  for (;;) {
    const changes = Number(remove.run(topic, range.below, range.beforeMs, rowsAtOnce).changes);
    removed += changes;
    if (changes < rowsAtOnce) return removed;
  }
}

/** Actions whose request is gone, keys past the window that point at nothing, buckets that are empty. */
function sweepOrphans(db: Database, windowStartMs: number): void {
  const oldest = db.prepare("SELECT min(offset) AS offset FROM events").get() as {
    offset: number | null;
  };
  const windowStart = db
    .prepare("SELECT min(offset) AS offset FROM events WHERE ingested_at >= ?")
    .get(windowStartMs) as { offset: number | null };
  db.exec(
    "DELETE FROM actions WHERE NOT EXISTS (SELECT 1 FROM events WHERE offset = request_offset)",
  );
  db.prepare(
    "DELETE FROM keys WHERE offset < ? AND NOT EXISTS (SELECT 1 FROM events WHERE events.offset = keys.offset)",
  ).run(windowStart.offset ?? Number.MAX_SAFE_INTEGER);
  const firstBucket = Math.floor((oldest.offset ?? 0) / bucketSize);
  db.prepare("DELETE FROM threads WHERE slot < ?").run(firstBucket * 2 ** 32);
}
