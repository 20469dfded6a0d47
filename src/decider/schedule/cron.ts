/**
 * When a cron expression falls due, in a time zone. The one place that knows the cron library.
 *
 * 1. Pure: every search is given its time. The library reads the system's clock while it searches, too, and
 *    uses it only where it was given no time; `cron.test.ts` holds it to that under moved clocks.
 * 2. A slot is an instant in UTC, to the second. Going forward and going back give the same slots.
 * 3. Where the clocks go forward, an expression of fixed times (no `*` or step in its seconds, minutes and
 *    hours) whose time is skipped falls due at the first instant after the gap, on that day; one with a `*`
 *    or a step passes over the gap. Where they go back, fixed times fall due at the first of the two
 *    instants only; with a `*` or a step both of them are slots, as they are two instants.
 *
 * What a time zone says is the runtime's: its rules change with its version of the tz database.
 * Source: croner 11, "DST rules", with `fixedTimeRule: "no-wildcard"`, which is Vixie cron's own rule.
 */
import { Cron } from "croner";
import { err, ok, type Result } from "../../base/result.ts";

/** Instants in ms since the Unix epoch. */
export type Slots = {
  readonly cron: string;
  readonly timezone: string;
  /** The first slot after this instant; `undefined` where there is none. */
  readonly next: (afterMs: number) => number | undefined;
  /** The last slot before this instant. */
  readonly previous: (beforeMs: number) => number | undefined;
};

/** @returns refused with the part of the schedule that is wrong, and why. */
export function readSlots(
  cron: string,
  timezone: string,
): Result<Slots, { readonly part: "cron" | "timezone"; readonly message: string }> {
  if (!isTimezone(timezone)) {
    return err({
      part: "timezone",
      message: `"${timezone}" is no time zone: write a name of the IANA database, as in Europe/Berlin`,
    });
  }
  const fields = cron.trim().split(/\s+/).length;
  if (fields !== 5 && fields !== 6) {
    return err({
      part: "cron",
      message: `"${cron}" has ${String(fields)} fields: write 5 (minute hour day month weekday), or 6 with the second in front`,
    });
  }
  try {
    const slots = slotsOf(cron, timezone);
    if (slots.next(0) !== undefined) return ok(slots);
    return err({ part: "cron", message: `"${cron}" never falls due: no date is like that` });
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const reason = message.replace(/^Cron\w*: /, "");
    return err({ part: "cron", message: `"${cron}" is no cron expression: ${reason}` });
  }
}

function slotsOf(cron: string, timezone: string): Slots {
  const job = createJob(cron, timezone);
  return {
    cron,
    timezone,
    next: (afterMs) => job.nextRun(new Date(afterMs))?.getTime(),
    previous: (beforeMs) => job.previousRuns(1, new Date(beforeMs))[0]?.getTime(),
  };
}

function createJob(cron: string, timezone: string): Cron {
  return new Cron(cron, { timezone, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" });
}

/** The library looks at a zone only when it searches, and then calls the date wrong. */
function isTimezone(timezone: string): boolean {
  try {
    return createJob("0 0 * * *", timezone).nextRun(new Date(0)) !== null;
  } catch {
    return false;
  }
}
