/** The log as a file: what commands do with it beside a node. */
import { existsSync } from "node:fs";
import { LogError } from "../log/log.ts";
import { backUpSqliteLog, openSqliteLog } from "../log/sqlite/sqlite-log.ts";
import { createSystemClock } from "./system-clock.ts";

export type LogFile =
  | { readonly state: "absent" }
  /** A node writes it, and has checked it when it began. */
  | { readonly state: "in_use" }
  | { readonly state: "whole"; readonly head: number }
  | { readonly state: "unusable"; readonly problem: string };

/** Opens the log, checks all of it, and lets it go. */
export async function examineLogFile(path: string): Promise<LogFile> {
  if (!existsSync(path)) return { state: "absent" };
  try {
    const clock = createSystemClock();
    const log = await openSqliteLog({ path, clock, checkBytesMax: Number.MAX_SAFE_INTEGER });
    const head = log.head();
    await log.close();
    return { state: "whole", head };
  } catch (thrown) {
    if (thrown instanceof LogError && thrown.code === "locked") return { state: "in_use" };
    return {
      state: "unusable",
      problem: thrown instanceof Error ? thrown.message : String(thrown),
    };
  }
}

/** Copies the log as of now, also while a node writes it. @throws {LogError} */
export function backUpLogFile(path: string, target: string): Promise<void> {
  return backUpSqliteLog(path, target);
}
