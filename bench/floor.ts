import { openDatabase } from "../src/log/sqlite/driver.ts";

/** Bytes of the four events of one action as they stand on the log, requested first. */
const bodyBytes = [780, 420, 430, 360];

/**
 * What the device and the driver give at best: four bare rows an action, one fsynced commit a group,
 * no index, nothing decided.
 */
export function floorActionsPerSecond(path: string, actions: number, group: number): number {
  const db = openDatabase(path);
  db.exec("PRAGMA journal_mode=WAL");
  db.exec("PRAGMA synchronous=FULL");
  db.exec(
    "CREATE TABLE events (offset INTEGER PRIMARY KEY, topic INTEGER, ingested_at INTEGER, body TEXT)",
  );
  const insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?)");
  const bodies = bodyBytes.map((bytes) => "x".repeat(bytes));
  let offset = 0;
  const startedMs = performance.now();
  for (let done = 0; done < actions; done += group) {
    db.exec("BEGIN IMMEDIATE");
    for (let index = done; index < Math.min(actions, done + group); index += 1) {
      for (const body of bodies) insert.run((offset += 1), 1, 1_700_000_000_000, body);
    }
    db.exec("COMMIT");
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  db.close();
  return actions / seconds;
}
