/** What DuckDB refused, in the words of the error taxonomy: by the kind that begins its message. */
import { Fault, type ErrorKind } from "../../event/error.ts";
import type { Bound } from "../sql/bind.ts";
import { masked } from "../sql/mask.ts";

/** The query that failed, with all that its failures are judged by. */
export type Asked = {
  readonly bound: Bound;
  /** What failed undid all that the query had done, or twice does no more than once. */
  readonly undone: boolean;
};

type Meaning = readonly [kind: ErrorKind, retryable?: boolean];

const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["Parser Error", ["invalid_args"]],
  ["Syntax Error", ["invalid_args"]],
  ["Binder Error", ["invalid_args"]],
  ["Catalog Error", ["invalid_args"]],
  ["Not implemented Error", ["invalid_args"]],
  ["Parameter Not Resolved Error", ["invalid_args"]],
  ["Expression Error", ["invalid_args"]],
  ["Dependency Error", ["conflict"]],
  ["Constraint Error", ["conflict"]],
  ["Conversion Error", ["unprocessable"]],
  ["Out of Range Error", ["unprocessable"]],
  ["Out of Memory Error", ["unprocessable"]],
  ["Divide by Zero Error", ["unprocessable"]],
  ["Mismatch Type Error", ["unprocessable"]],
  ["Invalid Input Error", ["unprocessable"]],
  ["Permission Error", ["permission"]],
  ["TransactionContext Error", ["invalid_args"]],
  ["HTTP Error", ["unavailable", true]],
  ["IO Error", ["unavailable", true]],
]);

/** Words within a message that say more than its kind. */
const special: readonly (readonly [RegExp, Meaning])[] = [
  [/No files found that match|No such file or directory|does not exist$/m, ["not_found"]],
  [/Could not set lock on file/, ["unavailable", true]],
  [/\bconflict\b/i, ["conflict", true]],
];

/** The message's first part: below it stands the line of the query that it is about. */
export function duckdbFault({ bound, undone }: Asked, thrown: unknown): Fault {
  const given = thrown instanceof Error ? thrown.message : String(thrown);
  const message = given.replace(/^Failed to extract statements: /, "");
  const type = /^[\w ]+ Error(?=:)/i.exec(message)?.[0] ?? "Error";
  const [kind, again = false] = meaningOf(type, message);
  const [said = "", line] = message.split(/\n\nLINE (\d+):/);
  return new Fault(
    {
      kind,
      message: `The query failed on DuckDB: ${withoutValues(said, bound)}`,
      retryable: again && undone,
      detail: { type, ...(line === undefined ? {} : { line: Number(line) }) },
    },
    thrown,
  );
}

function meaningOf(type: string, message: string): Meaning {
  if (type === "IO Error" || type === "TransactionContext Error") {
    const found = special.find(([pattern]) => pattern.test(message));
    if (found !== undefined) return found[1];
  }
  return meanings.get(type) ?? ["executor_error"];
}

/** Errors of conversions and constraints quote the value. */
function withoutValues(said: string, bound: Bound): string {
  if (bound.values.length === 0) return said;
  const quoted = /^(Conversion|Constraint) Error/.test(said)
    ? said.replace(/'.*'/s, "'…'").replace(/(duplicate key )".*"/is, '$1"…"')
    : said;
  return masked(quoted, bound);
}
