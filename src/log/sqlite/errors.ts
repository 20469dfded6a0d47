import { LogError, type LogErrorCode } from "../log.ts";
import { sqliteCode } from "./driver.ts";

/** SQLite's primary result codes that mean something to whoever runs the program. */
const codes: { readonly [sqlite: number]: readonly [LogErrorCode, string] | undefined } = {
  5: [
    "locked",
    "another process writes it. Stop that process, or give this one another data folder",
  ],
  6: [
    "locked",
    "another connection writes it. Stop that process, or give this one another data folder",
  ],
  8: [
    "io",
    "the file or its folder is read-only. Give the user of this process the right to write there",
  ],
  10: [
    "io",
    "the device failed to read or write. Check the disk; nothing that was acknowledged is affected",
  ],
  11: ["corrupt", "the file is damaged. Stop, keep a copy of it, and restore the newest backup"],
  13: ["full", "no space is left on the device. Free some: appends go on by themselves then"],
  14: ["io", "the file cannot be opened. Check that its folder exists and may be written"],
  26: [
    "corrupt",
    "the file is not a log of this program. Give another path, or restore the newest backup",
  ],
};

/** What SQLite said, as the port's error: what was attempted, on which file, what to do. */
export function logErrorOf(thrown: unknown, attempted: string, path: string): LogError {
  if (thrown instanceof LogError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const known = codes[sqliteCode(thrown) ?? -1];
  if (known === undefined)
    return new LogError("io", `Cannot ${attempted} ${path}: ${message}`, thrown);
  return new LogError(known[0], `Cannot ${attempted} ${path} as ${known[1]} (${message})`, thrown);
}

/** True where SQLite itself refused, and not the code above it. */
export function isSqliteError(thrown: unknown): boolean {
  return sqliteCode(thrown) !== undefined;
}
