/**
 * Queries on instances of DuckDB.
 *
 * An instance serves the queries on one file, and closes with the last of them; in memory each query has its
 * own. The package is handed in, as it is loaded with the first query only.
 */
import type * as Api from "@duckdb/node-api";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { Bound } from "../sql/bind.ts";
import { distinctNames, type StatementResult } from "../sql/result.ts";
import { isOneTransaction } from "./transaction.ts";
import { bindValue, createReader, type ReadValue } from "./values.ts";

export type EngineOptions = {
  /** Files outside, the network and extensions too. */
  readonly externalAccess: boolean;
  readonly memoryLimit: string;
  readonly threads: number;
};

/** One query: where it runs, and what of its result is kept. */
export type Work = {
  readonly bound: Bound;
  /** Absolute; in memory where there is none. */
  readonly file: string | undefined;
  /** The folder whose files the query may read and write; it is there. */
  readonly folder: string;
  readonly rowsMax: number;
  readonly bytesMax: number;
};

export type Engine = {
  /** @throws what DuckDB throws, or a fault. */
  readonly run: (work: Work, signal: AbortSignal) => Promise<readonly StatementResult[]>;
};

/** How often a query that was aborted is interrupted: between two statements nothing hears it, milliseconds. */
const interruptMs = 50;

type Opened = { readonly instance: Promise<Api.DuckDBInstance>; users: number };

export function createEngine(api: typeof Api, options: EngineOptions): Engine {
  const kit: Kit = { api, read: createReader(api) };
  const files = new Map<string, Opened>();

  const open = async ({ file, folder }: Work): Promise<Api.DuckDBInstance> => {
    const instance = await api.DuckDBInstance.create(file ?? ":memory:", {
      threads: String(options.threads),
      memory_limit: options.memoryLimit,
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
    });
    const connection = await instance.connect();
    try {
      const quoted = folder.replaceAll("'", "''");
      await connection.run(`SET temp_directory = '${quoted}/.tmp'; SET TimeZone = 'UTC'`);
      if (options.externalAccess) return instance;
      await connection.run(`SET allowed_directories = ['${quoted}']`);
      await connection.run("SET enable_external_access = false; SET lock_configuration = true");
      return instance;
    } catch (thrown) {
      instance.closeSync();
      throw thrown;
    } finally {
      connection.closeSync();
    }
  };

  /** @returns the instance, and what lets go of it. */
  const take = async (work: Work): Promise<readonly [Api.DuckDBInstance, () => void]> => {
    const { file } = work;
    if (file === undefined) {
      const own = await open(work);
      return [
        own,
        () => {
          own.closeSync();
        },
      ];
    }
    const opened = files.get(file) ?? { instance: open(work), users: 0 };
    files.set(file, opened);
    opened.users += 1;
    const leave = (): boolean => {
      opened.users -= 1;
      return opened.users === 0 && files.delete(file);
    };
    try {
      const instance = await opened.instance;
      return [
        instance,
        () => {
          if (leave()) instance.closeSync();
        },
      ];
    } catch (thrown) {
      leave();
      throw thrown;
    }
  };

  return {
    run: async (work, signal) => {
      signal.throwIfAborted();
      const [instance, letGo] = await take(work);
      try {
        const connection = await instance.connect();
        const stop = interruptOn(connection, signal);
        try {
          return await runAll({ ...kit, connection, signal }, work);
        } finally {
          stop();
          connection.closeSync();
        }
      } finally {
        letGo();
      }
    },
  };
}

function interruptOn(connection: Api.DuckDBConnection, signal: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const interrupt = (): void => {
    connection.interrupt();
    timer = setTimeout(interrupt, interruptMs);
  };
  if (signal.aborted) interrupt();
  else signal.addEventListener("abort", interrupt, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", interrupt);
  };
}

type Kit = { readonly api: typeof Api; readonly read: ReadValue };

type Running = Kit & { readonly connection: Api.DuckDBConnection; readonly signal: AbortSignal };

async function runAll(running: Running, work: Work): Promise<readonly StatementResult[]> {
  const { connection, signal } = running;
  const { text, values } = work.bound;
  const statements = await connection.extractStatements(text);
  if (statements.count > 1 && values.length > 0) {
    throw fault(
      "invalid_args",
      "Cannot run more than one statement with params: give them one query each",
    );
  }
  const one = isOneTransaction(text);
  const results: StatementResult[] = [];
  const left = { bytes: work.bytesMax };
  if (one) await connection.run("BEGIN TRANSACTION");
  try {
    for (let index = 0; index < statements.count; index += 1) {
      signal.throwIfAborted();
      const prepared = await statements.prepare(index);
      results.push(await runOne(prepared, work, { ...running, left }));
    }
    if (one) await connection.run("COMMIT");
    else if (await rolledBack(connection)) throw leftOpen();
  } catch (thrown) {
    await rolledBack(connection);
    throw thrown;
  }
  return results;
}

/** True where a transaction was open. */
async function rolledBack(connection: Api.DuckDBConnection): Promise<boolean> {
  return connection.run("ROLLBACK").then(
    () => true,
    () => false,
  );
}

function leftOpen(): Error {
  const message =
    "The query left a transaction open, which was rolled back: end it with COMMIT in the same query";
  return fault("invalid_args", message);
}

type Reading = Running & { readonly left: { bytes: number } };

async function runOne(
  prepared: Api.DuckDBPreparedStatement,
  { bound: { values }, rowsMax, bytesMax }: Work,
  { api, read, left, signal }: Reading,
): Promise<StatementResult> {
  if (prepared.parameterCount !== values.length) {
    const message = `Cannot run the query as it takes ${String(prepared.parameterCount)} parameters: given are ${String(values.length)}`;
    throw fault("invalid_args", message);
  }
  values.forEach(({ value }, index) => {
    bindValue(prepared, index + 1, value);
  });
  const streams = prepared.statementType === api.StatementType.SELECT;
  const result: Api.DuckDBResult = streams ? await prepared.stream() : await prepared.run();
  if (result.returnType !== api.ResultReturnType.QUERY_RESULT) {
    return { columns: [], rows: [], row_count: result.rowsChanged };
  }
  const columns = distinctNames(result.columnNames());
  const types = result.columnTypes();
  const rows: JsonObject[] = [];
  let count = 0;
  for (let chunk = await result.fetchChunk(); chunk !== null; chunk = await result.fetchChunk()) {
    if (chunk.rowCount === 0) break;
    signal.throwIfAborted();
    count += chunk.rowCount;
    for (const row of chunk.getRows().slice(0, streams ? rowsMax - rows.length : undefined)) {
      const cells = columns.map((name, at): readonly [string, Json] => {
        const type = types[at];
        return [name, type === undefined ? null : read(row[at] ?? null, type)];
      });
      left.bytes -= bytesOf(cells);
      if (left.bytes < 0) throw tooLarge(bytesMax);
      rows.push(Object.fromEntries(cells));
    }
  }
  const cut = rows.length < count;
  return { columns, rows, row_count: count, ...(cut ? { truncated: true as const } : {}) };
}

function bytesOf(cells: readonly (readonly [string, Json])[]): number {
  return cells.reduce((sum, [, value]) => {
    if (typeof value === "string") return sum + value.length;
    return sum + (typeof value === "object" && value !== null ? JSON.stringify(value).length : 8);
  }, 0);
}

function tooLarge(bytesMax: number): Error {
  const message = `Cannot take the result of the query as it is larger than ${String(bytesMax)} bytes: select less, or set max_rows`;
  return fault("unprocessable", message);
}
