/** What PostgreSQL refused, in the words of the error taxonomy: by SQLSTATE, without values. */
import { DatabaseError } from "pg";
import type { JsonObject } from "../../base/json.ts";
import { Fault, type ErrorKind } from "../../event/error.ts";
import type { Bound } from "../sql/bind.ts";
import { firstWords } from "../sql/lex.ts";
import { masked } from "../sql/mask.ts";

/** The query that failed, with all that its failures are judged by. */
export type Asked = {
  readonly label: string;
  readonly bound: Bound;
  /** As it was written: lines are counted in it. */
  readonly query: string;
  /** Twice does no more than once. */
  readonly idempotent: boolean;
};

type Meaning = readonly [kind: ErrorKind, retryable?: boolean];

/** The whole code wins over its class, the first two characters. Retryable: the batch was rolled back. */
const meanings: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ["08", ["unavailable", true]],
  ["0A", ["invalid_args"]],
  ["21", ["invalid_args"]],
  ["22", ["unprocessable"]],
  ["23", ["conflict"]],
  ["25", ["invalid_args"]],
  ["26", ["invalid_args"]],
  ["28", ["permission"]],
  ["3D", ["not_found"]],
  ["3F", ["not_found"]],
  ["40", ["conflict", true]],
  ["40002", ["conflict"]],
  ["42", ["invalid_args"]],
  ["42501", ["permission"]],
  ["44", ["conflict"]],
  ["53", ["unavailable", true]],
  ["54", ["unprocessable"]],
  ["55", ["conflict"]],
  ["55006", ["conflict", true]],
  ["55P03", ["conflict", true]],
  ["57", ["unavailable", true]],
  ["57014", ["timeout", true]],
  ["57P04", ["not_found"]],
  ["58", ["unavailable", true]],
]);

/** The session ended under the statement, which may have been committed by then. */
const brokenCodes = new Set(["40003", "57P01", "57P02", "57P05"]);

/** Refused before anything was sent: another attempt does no harm. */
export function connectFault(label: string, thrown: unknown): Fault {
  if (thrown instanceof DatabaseError) {
    const [kind, retryable = false] = meaningOf(thrown.code);
    const message = `Cannot enter ${label}: ${thrown.message}`;
    return new Fault({ kind, message, retryable, detail: { code: thrown.code ?? null } }, thrown);
  }
  const code = codeOf(thrown);
  const why = code ?? (thrown instanceof Error ? thrown.message : "unknown error");
  const kind = why === "timeout expired" ? "timeout" : "unavailable";
  const message = `Cannot reach ${label}: ${why}`;
  const detail = code === undefined ? {} : { detail: { code } };
  return new Fault({ kind, message, retryable: true, ...detail }, thrown);
}

/** What went wrong while the query ran. */
export function queryFault(asked: Asked, thrown: unknown): Fault {
  if (!(thrown instanceof DatabaseError) || brokenCodes.has(thrown.code ?? "")) {
    return brokenFault(asked, thrown);
  }
  if (thrown.message.startsWith("COPY from stdin failed")) {
    const message = `Cannot run the query on ${asked.label} as COPY FROM STDIN has nothing to read: insert rows instead`;
    return new Fault({ kind: "invalid_args", message, retryable: false });
  }
  const [kind, rolledBack = false] = meaningOf(thrown.code);
  return new Fault(
    {
      kind,
      message: `The query failed on ${asked.label}: ${withoutValues(thrown, asked.bound)}`,
      retryable: rolledBack && (asked.idempotent || !mayHaveCommitted(asked.query)),
      detail: detailOf(thrown, asked),
    },
    thrown,
  );
}

function brokenFault({ label, idempotent }: Asked, thrown: unknown): Fault {
  const code = thrown instanceof DatabaseError ? thrown.code : codeOf(thrown);
  const message = `The connection to ${label} broke off while the query ran`;
  const detail = code === undefined ? {} : { detail: { code } };
  if (idempotent) {
    return new Fault({ kind: "unavailable", message, retryable: true, ...detail }, thrown);
  }
  const unknown = `${message}: whether it was carried out is not known`;
  return new Fault(
    { kind: "outcome_unknown", message: unknown, retryable: false, ...detail },
    thrown,
  );
}

function meaningOf(code = ""): Meaning {
  return meanings.get(code) ?? meanings.get(code.slice(0, 2)) ?? ["executor_error"];
}

function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string"
    ? thrown.code
    : undefined;
}

/** A batch without words of its own for transactions is one: what fails in it undoes all of it. */
function mayHaveCommitted(query: string): boolean {
  const words = firstWords(query);
  if (words.some((word) => ["commit", "end", "call", "prepare"].includes(word))) return true;
  return words.includes("do") && /\bcommit\b/i.test(query);
}

/** The server's `detail` is left out: it quotes the row. */
function detailOf(error: DatabaseError, { bound, query }: Asked): JsonObject {
  const position = Number(error.position);
  const placed = Number.isInteger(position) && position > 0;
  const line = placed ? bound.text.slice(0, position).split("\n").length : undefined;
  const members = {
    code: error.code,
    position: placed && bound.text === query ? position : undefined,
    line,
    schema: error.schema,
    table: error.table,
    column: error.column,
    constraint: error.constraint,
    hint: error.hint === undefined ? undefined : masked(error.hint, bound),
  };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** The messages of data exceptions (class 22) quote the value; others may hold one that a trigger put there. */
function withoutValues({ message, code = "" }: DatabaseError, bound: Bound): string {
  if (bound.values.length === 0) return message;
  const quoted = code.startsWith("22") ? message.replace(/".*"/s, '"…"') : message;
  return masked(quoted, bound);
}
