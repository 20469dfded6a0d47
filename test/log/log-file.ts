/** A file for each case of a test of the SQLite log, and ways to look at it from outside. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { LogError, type Log } from "../../src/log/log.ts";
import { openDatabase, type Database } from "../../src/log/sqlite/driver.ts";
import { openSqliteLog, type SqliteLogOptions } from "../../src/log/sqlite/sqlite-log.ts";
import { createTestClock, eventOf, rejectionOf } from "./fixture.ts";

/** The folder of the case that runs, and the log file in it. */
export let folder: string;
export let path: string;

let opened: Log[];

/** Makes the folder before each case; closes what was opened and removes it behind it. */
export function useLogFile(): void {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "deed-log-"));
    path = join(folder, "deed.db");
    opened = [];
  });
  afterEach(async () => {
    for (const log of opened) await log.close();
    chmodSync(folder, 0o755);
    rmSync(folder, { recursive: true });
  });
}

export async function openLog(options: Partial<SqliteLogOptions> = {}): Promise<Log> {
  const log = await openSqliteLog({ path, clock: createTestClock(), ...options });
  opened.push(log);
  return log;
}

export async function refusal(options: Partial<SqliteLogOptions> = {}): Promise<LogError> {
  const thrown = await rejectionOf(openSqliteLog({ path, clock: createTestClock(), ...options }));
  expect(thrown).toBeInstanceOf(LogError);
  return thrown as LogError;
}

/** Looks into the file beside the log, as a person with the sqlite3 command does. */
export function inFile<T>(work: (db: Database) => T, file = path): T {
  const db = openDatabase(file);
  try {
    return work(db);
  } finally {
    db.close();
  }
}

export function rowOf(sql: string): unknown {
  return inFile((db): unknown => db.prepare(sql).get());
}

export async function filled(
  events: number,
  options: Partial<SqliteLogOptions> = {},
): Promise<Log> {
  const log = await openLog(options);
  const attrs = { text: "x".repeat(300) };
  for (let at = 0; at < events; at += 100) {
    const batch = Array.from({ length: Math.min(100, events - at) }, (_, index) =>
      eventOf({ key: `k${String(at + index)}`, attrs }),
    );
    await log.append(batch);
  }
  return log;
}
