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

/** The same for what the file system says where no database is open yet. */
const fileCodes: { readonly [code: string]: (typeof codes)[number] } = {
  EACCES: codes[8],
  EPERM: codes[8],
  EROFS: codes[8],
  ENOSPC: codes[13],
  ENOENT: codes[14],
  ENOTDIR: codes[14],
  EEXIST: codes[14],
};

/** What SQLite or the file system said, as the port's error: what was attempted, on which file, what to do. */
export function logErrorOf(thrown: unknown, attempted: string, path: string): LogError {
  if (thrown instanceof LogError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const known = knownCause(thrown);
  if (known === undefined)
    return new LogError("io", `Cannot ${attempted} ${path}: ${message}`, thrown);
  return new LogError(known[0], `Cannot ${attempted} ${path} as ${known[1]} (${message})`, thrown);
}

function knownCause(thrown: unknown): (typeof codes)[number] {
  const code = sqliteCode(thrown);
  if (code !== undefined) return codes[code];
  // A stored event that is no JSON any more was damaged where SQLite keeps no checksum.
  if (thrown instanceof SyntaxError) return codes[11];
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? fileCodes[thrown.code] : undefined;
}

/** True where the store itself failed, and not the code above it. */
export function isStoreError(thrown: unknown): boolean {
  return sqliteCode(thrown) !== undefined || thrown instanceof SyntaxError;
}
