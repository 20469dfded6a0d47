/**
 * Time as an input. The process has one clock; a simulation moves its own.
 *
 * `after` is the only way code outside the adapters may wait: it makes every timer of the
 * kernel, the worker and the sources visible to the simulator.
 */
export type Clock = {
  /** Milliseconds since the Unix epoch, UTC. May step backwards: it is data, never order. */
  readonly nowMs: () => number;
  /** Calls `task` once, `delayMs` (>= 0) from now. The returned function cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Calls `task` as soon as what runs now has ended: what was asked meanwhile shares one turn. */
  readonly soon: (task: () => void) => void;
};

/** RFC 3339, UTC, milliseconds: `2026-11-24T05:00:00.000Z`. */
export function timestamp(atMs: number): string {
  if (atMs !== lastWritten.atMs) lastWritten = { atMs, text: new Date(atMs).toISOString() };
  return lastWritten.text;
}

let lastWritten = { atMs: 0, text: "1970-01-01T00:00:00.000Z" };

const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:[Zz]|[+-](\d{2}):(\d{2}))$/;

/**
 * Reads an RFC 3339 time with its zone; fractions are cut to milliseconds.
 *
 * @returns milliseconds since the Unix epoch; `undefined` for any other form, for a day that the
 *   calendar does not have (2026-02-30), for a leap second, and for what leaves the years 0 to 9999 in UTC.
 *   Source: RFC 3339, section 5.6.
 */
export function parseTimestampMs(text: string): number | undefined {
  if (text !== lastRead.text) lastRead = { text, atMs: readTimestamp(text) };
  return lastRead.atMs;
}

/** The events of one commit carry one time: the text that was read last is not read again. */
let lastRead: { readonly text: string; readonly atMs: number | undefined } = {
  text: "",
  atMs: undefined,
};

function readTimestamp(text: string): number | undefined {
  const parts = rfc3339.exec(text);
  if (parts === null) return undefined;
  const [year, month, day, hour, minute, second, zoneHour, zoneMinute] = parts
    .slice(1)
    .map((part) => Number(part || 0));
  const inRange =
    within(month, 1, 12) &&
    within(day, 1, daysOf(year ?? 0, month ?? 0)) &&
    within(hour, 0, 23) &&
    within(minute, 0, 59) &&
    within(second, 0, 59) &&
    within(zoneHour, 0, 23) &&
    within(zoneMinute, 0, 59);
  if (!inRange) return undefined;
  const atMs = Date.parse(text.toUpperCase());
  return atMs >= yearZeroMs && atMs < yearTenThousandMs ? atMs : undefined;
}

const yearZeroMs = -62_167_219_200_000;

const yearTenThousandMs = 253_402_300_800_000;

function within(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most;
}

function daysOf(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}
