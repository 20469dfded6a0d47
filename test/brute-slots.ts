/**
 * The slots of a cron expression by another way, for tests: every minute of a range is looked at on the
 * wall clock of its zone. Fields are `*`, `*` with a step, numbers, ranges and lists; no seconds.
 */
import fc from "fast-check";

export const timezones = fc.constantFrom(
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
);

const field = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant("*") },
    { weight: 2, arbitrary: fc.integer({ min: 2, max: 20 }).map((step) => `*/${String(step)}`) },
    { weight: 3, arbitrary: fc.integer({ min, max }).map(String) },
    {
      weight: 1,
      arbitrary: fc
        .uniqueArray(fc.integer({ min, max }), { minLength: 2, maxLength: 3 })
        .map((all) => all.sort((left, right) => left - right).join(",")),
    },
  );

/** Expressions with a liking for the hours in which clocks change. */
export const crons: fc.Arbitrary<string> = fc
  .tuple(
    field(0, 59),
    fc.oneof(field(0, 23), fc.constantFrom("1", "2", "3", "2,3", "1-3", "2,14")),
    fc.constantFrom("*", "*", "*", "1,28,29"),
    fc.constantFrom("*", "*", "2,3,10,11"),
    fc.constantFrom("*", "*", "0,6", "1-5"),
  )
  .map((fields) => fields.join(" "))
  .filter((cron) => !/^\S+ \S+ \S*\d\S* \S+ \S*\d/.test(cron));

/** The slots in `(fromMs, toMs]`. */
export function bruteSlots(
  cron: string,
  timezone: string,
  range: { readonly fromMs: number; readonly toMs: number },
): readonly number[] {
  const [minutes = "", hours = "", days = "", months = "", weekdays = ""] = cron.split(" ");
  const isFixed = ![minutes, hours].some((text) => text.includes("*"));
  const wallOf = createWall(timezone);
  const matches = (wallMs: number): boolean => {
    const wall = new Date(wallMs);
    return (
      holds(minutes, wall.getUTCMinutes()) &&
      holds(hours, wall.getUTCHours()) &&
      holds(days, wall.getUTCDate()) &&
      holds(months, wall.getUTCMonth() + 1) &&
      holds(weekdays, wall.getUTCDay())
    );
  };
  const found: number[] = [];
  const startMs = Math.floor(range.fromMs / minuteMs) * minuteMs - 4 * hourMs;
  const seen = new Set<number>();
  let beforeMs = wallOf(startMs - minuteMs);
  for (let atMs = startMs; atMs <= range.toMs; atMs += minuteMs) {
    const wallMs = wallOf(atMs);
    let due = matches(wallMs) && !(isFixed && seen.has(wallMs));
    // What the clock jumped over falls due where it landed, on the same day.
    for (let gapMs = beforeMs + minuteMs; isFixed && gapMs < wallMs; gapMs += minuteMs) {
      if (sameDay(gapMs, wallMs) && matches(gapMs)) due = true;
    }
    if (due && atMs > range.fromMs) found.push(atMs);
    seen.add(wallMs);
    beforeMs = wallMs;
  }
  return found;
}

const minuteMs = 60_000;

const hourMs = 60 * minuteMs;

const dayMs = 24 * hourMs;

function sameDay(left: number, right: number): boolean {
  return Math.floor(left / dayMs) === Math.floor(right / dayMs);
}

function holds(text: string, value: number): boolean {
  return text.split(",").some((part) => {
    const [span = "", step = "1"] = part.split("/");
    if (span === "*") return value % Number(step) === 0;
    const [from = "", to = from] = span.split("-");
    return value >= Number(from) && value <= Number(to);
  });
}

/** The wall clock of a zone, as if it stood in UTC. */
function createWall(timezone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    hourCycle: "h23",
  });
  return (atMs) => {
    const parts = new Map(format.formatToParts(atMs).map(({ type, value }) => [type, value]));
    const of = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
    return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"));
  };
}
