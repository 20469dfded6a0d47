/** One query on one session: its rows as they come, within limits. */
import pg from "pg";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { Bound } from "../sql/bind.ts";
import { distinctNames, type StatementResult } from "../sql/result.ts";
import type { Session } from "./sessions.ts";
import { parameterOf, readerOf } from "./values.ts";

export type RunLimits = {
  /** Rows of one statement that are kept. */
  readonly rowsMax: number;
  /** Text of all values, bytes: above it the query is ended. */
  readonly bytesMax: number;
};

/** What the driver makes of one statement. */
type Told = {
  readonly command: string | null;
  readonly rowCount: number | null;
  readonly fields: readonly { readonly name: string }[];
};

/**
 * Without values the text is one batch of statements, with values it is one statement.
 *
 * @param stop called once where the query must be ended: its reason is what the run fails with.
 * @throws what the driver throws.
 */
export function runBatch(
  { client }: Session,
  { text, values }: Bound,
  { rowsMax, bytesMax, stop }: RunLimits & { readonly stop: (reason: Error) => void },
): Promise<readonly StatementResult[]> {
  const kept = new Map<unknown, Json[][]>();
  let bytes = 0;
  let stopped = false;
  const refuse = (reason: Error): void => {
    if (!stopped) stop(reason);
    stopped = true;
  };
  const getTypeParser = (type: number): ((text: string) => Json) => {
    const read = readerOf(type);
    return (value) => {
      bytes += value.length;
      return stopped ? null : read(value);
    };
  };
  const query = new pg.Query<Json[]>({
    text,
    ...(values.length === 0 ? {} : { values: values.map(parameterOf) }),
    rowMode: "array",
    types: { getTypeParser },
  } as pg.QueryArrayConfig);
  const copied = (): void => {
    refuse(
      fault("invalid_args", "Cannot give back what COPY TO STDOUT prints: select the rows instead"),
    );
  };
  client.connection.on("copyOutResponse", copied);
  return new Promise<readonly StatementResult[]>((resolve, reject) => {
    query.on("row", (row, result) => {
      if (bytes > bytesMax) refuse(tooLarge(bytesMax));
      const rows = kept.get(result) ?? [];
      kept.set(result, rows);
      if (!stopped && rows.length < rowsMax) rows.push(row);
    });
    query.on("error", reject);
    query.on("end", (ended: unknown) => {
      const told = (Array.isArray(ended) ? ended : [ended]) as readonly Told[];
      resolve(
        told
          .filter(({ command }) => command !== null)
          .map((one) => statementOf(one, kept.get(one))),
      );
    });
    client.query(query);
  }).finally(() => {
    client.connection.off("copyOutResponse", copied);
  });
}

function tooLarge(bytesMax: number): Error {
  const message = `Cannot take the result of the query as it is larger than ${String(bytesMax)} bytes: select less, or set max_rows`;
  return fault("unprocessable", message);
}

function statementOf({ fields, rowCount }: Told, kept: readonly Json[][] = []): StatementResult {
  const columns = distinctNames(fields.map(({ name }) => name));
  const rows = kept.map((row): JsonObject =>
    Object.fromEntries(columns.map((name, at) => [name, row[at] ?? null])),
  );
  const count = rowCount ?? rows.length;
  const cut = columns.length > 0 && rows.length < count;
  return { columns, rows, row_count: count, ...(cut ? { truncated: true as const } : {}) };
}
