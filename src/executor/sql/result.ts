/** What the executors of SQL give back, and how the numbers in it stay exact. */
import { jsonDepthMax, nestsDeeperThan, type Json, type JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";

/** What one statement gave. */
export type StatementResult = {
  readonly columns: readonly string[];
  readonly rows: readonly JsonObject[];
  /** Rows that it gave or changed, also those that were not kept. */
  readonly row_count: number;
  /** There where `max_rows` kept rows back. */
  readonly truncated?: true;
};

/** The last statement's own members, and each statement as `command_0` to `command_n`. */
export function sqlResult(statements: readonly StatementResult[]): JsonObject {
  const last = statements.at(-1) ?? { columns: [], rows: [], row_count: 0 };
  const each = statements.map((one, index) => [`command_${String(index)}`, one] as const);
  const result: JsonObject = { ...last, ...Object.fromEntries(each) };
  if (nestsDeeperThan(result, jsonDepthMax)) {
    const message = `Cannot keep the result of the query as a value in it nests deeper than ${String(jsonDepthMax)}`;
    throw fault("unprocessable", message);
  }
  return result;
}

/** A name that is there already gets a number: `id`, `id_2`. */
export function distinctNames(names: readonly string[]): readonly string[] {
  const seen = new Set<string>();
  return names.map((name) => {
    let own = name;
    for (let n = 2; seen.has(own); n += 1) own = `${name}_${String(n)}`;
    seen.add(own);
    return own;
  });
}

/** A decimal as a number where a JSON number says exactly the same value, as text otherwise. */
export function exactNumber(text: string): number | string {
  const value = Number(text);
  if (/^-?\d{1,15}$/.test(text)) return value;
  if (!Number.isFinite(value)) return text;
  return decimalOf(text) === decimalOf(String(value)) ? value : text;
}

/** Sign, digits without zeros around them, and the exponent of the first. */
function decimalOf(text: string): string {
  const [, sign = "", whole = "", part = "", exponent = "0"] =
    /^([-+]?)(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?$/.exec(text.trim()) ?? [];
  const digits = `${whole}${part}`;
  const leading = /^0*/.exec(digits)?.[0].length ?? 0;
  const significant = digits.slice(leading).replace(/0+$/, "");
  if (significant === "") return "0";
  const place = whole.length - leading + Number(exponent);
  return `${sign === "-" ? "-" : ""}${significant}e${String(place)}`;
}

/** A number that may be none of JSON's: `NaN` and infinities are text. */
export function finiteNumber(value: number): number | string {
  if (!Number.isFinite(value)) return String(value);
  return value === 0 ? 0 : value;
}

/** Numbers of this length or with an exponent may be more than a JSON number holds. */
const mayBeInexact = /\d{16}|\d[eE][-+]?\d|\.\d{15}/;

/** JSON text as its value: a number that a JSON number cannot hold exactly is text, as elsewhere. */
export function exactJson(text: string): Json {
  if (!mayBeInexact.test(text)) return JSON.parse(text) as Json;
  const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g, (token) =>
    token.startsWith('"') || typeof exactNumber(token) === "number" ? token : `"${token}"`,
  );
  return JSON.parse(quoted) as Json;
}

/** ISO 8601 in UTC; what the calendar of ISO cannot say (before Christ, infinity) stays as it is. */
export function isoInstant(text: string): string {
  const [, day = "", time = "", fraction = "", hours = "", rest = ""] =
    /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?([-+]\d\d)(:\d\d)?$/.exec(text) ?? [];
  if (day === "") return text;
  const utc = new Date(`${day}T${time}${hours}${rest === "" ? ":00" : rest}`);
  return `${utc.toISOString().slice(0, 19)}${fraction}Z`;
}

/** A date and a time that lie in no zone. */
export function isoLocal(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\d) (\d\d:)/, "$1T$2");
}
