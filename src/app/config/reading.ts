import { parseDurationMs } from "../../base/duration.ts";
import type { ConfigFile } from "./shape.ts";

/** A configuration on its way from what people write to what the program uses. */
export type Reading = {
  readonly config: ConfigFile;
  /** A path of the file, absolute. */
  readonly at: (path: string) => string;
  /** Notes a problem with a member; reading goes on, so that all problems are told at once. */
  readonly problem: (path: readonly (string | number)[], message: string) => void;
};

/**
 * A duration in milliseconds; `undefined` where none is written or it cannot be read.
 *
 * @param leastMs what is shorter is refused.
 */
export function durationMs(
  { problem }: Reading,
  member: { readonly path: readonly (string | number)[]; readonly written: string | undefined },
  leastMs = 1,
): number | undefined {
  if (member.written === undefined) return undefined;
  const read = parseDurationMs(member.written);
  if (!read.ok) problem(member.path, read.error);
  else if (read.value < leastMs)
    problem(member.path, `"${member.written}" is too short: at least ${String(leastMs)}ms`);
  else return read.value;
  return undefined;
}
