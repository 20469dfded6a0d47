/**
 * `duckdb`: SQL in this process, in memory or on a file.
 *
 * 1. A query sees the files of its tenant's folder, named by their whole path, and no others; no network, and
 *    no extension that is not built in, unless the configuration gives external access.
 * 2. In memory each query has a database of its own, which is gone when the query ends.
 * 3. A query is one transaction, unless it has words of its own for transactions or attaches a database.
 * 4. DuckDB is loaded by the first query; a node that runs none never loads it.
 * 5. An abort interrupts the query.
 */
import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { createHash } from "node:crypto";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import Type, { type Static } from "typebox";
import { fault, Fault } from "../../event/error.ts";
import type { Executor } from "../executor.ts";
import type { Scripts } from "../script.ts";
import { queryMembers, queryOf } from "../sql/query.ts";
import { sqlResult } from "../sql/result.ts";
import { createEngine, type Engine, type Work } from "./engine.ts";
import { duckdbFault } from "./failure.ts";
import { isOneTransaction } from "./transaction.ts";

const argsSchema = Type.Object(
  {
    ...queryMembers,
    /** A file below the tenant's folder; without it, or as `:memory:`, the query has a database of its own. */
    database: Type.Optional(Type.String({ minLength: 1 })),
    /** Rows of one SELECT that are kept; more are counted and marked as `truncated`. */
    max_rows: Type.Optional(Type.Integer({ minimum: 0 })),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type DuckdbArgs = Static<typeof argsSchema>;

export type DuckdbOptions = {
  /** False: every call is refused. Default true. */
  readonly enabled?: boolean;
  /** What loads `script`; where it is left out, only `query` runs. */
  readonly scripts?: Scripts;
  /** Each tenant has a folder of its own in it. It is created when the first query runs. */
  readonly root: string;
  /** Any file, the network and extensions. Default false. */
  readonly externalAccess?: boolean;
  /** Of one database, as DuckDB writes it. Default `1GiB`. */
  readonly memoryLimit?: string;
  /** Of one database. Default 2. */
  readonly threads?: number;
  /** Default 4. */
  readonly concurrency?: number;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** A larger result ends its query, bytes of the values' text. Default 16 MiB. */
  readonly resultBytesMax?: number;
};

export function createDuckdb(options: DuckdbOptions): Executor {
  const { externalAccess = false, memoryLimit = "1GiB", threads = 2 } = options;
  const bytesMax = options.resultBytesMax ?? 16 * 1024 * 1024;
  let loaded: Promise<Engine> | undefined;
  const load = async (): Promise<Engine> => {
    try {
      const api = await import("@duckdb/node-api");
      return createEngine(api, { externalAccess, memoryLimit, threads });
    } catch (thrown) {
      throw notLoaded(thrown);
    }
  };
  return {
    command: "duckdb",
    description: "Runs SQL in DuckDB, in memory or on a file, and gives back each statement's rows",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true,
    concurrency: options.concurrency ?? 4,
    timeoutMs: options.timeoutMs ?? 60_000,
    execute: async (args, context) => {
      if (options.enabled === false) {
        throw fault(
          "permission",
          "Cannot run SQL in DuckDB as it is off: configure executors.duckdb, even as {}",
        );
      }
      const call = args as DuckdbArgs;
      const { scripts } = options;
      const { bound } = await queryOf(call, { scripts, signal: context.signal });
      const rowsMax = call.max_rows ?? Number.MAX_SAFE_INTEGER;
      const work: Work = {
        bound,
        ...placeOf(call, options.root, context.tenant),
        rowsMax,
        bytesMax,
      };
      const engine = await (loaded ??= load());
      try {
        return sqlResult(await engine.run(work, context.signal));
      } catch (thrown) {
        if (context.signal.aborted) throw fault("cancelled", "The query was ended");
        if (thrown instanceof Fault) throw thrown;
        const undone = call.idempotent === true || isOneTransaction(bound.text);
        throw duckdbFault({ bound, undone }, thrown);
      }
    },
  };
}

function placeOf(
  { database }: DuckdbArgs,
  root: string,
  tenant: string,
): Pick<Work, "file" | "folder"> {
  const folder = folderOf(root, tenant);
  if (database === undefined || database === ":memory:") return { file: undefined, folder };
  const written = resolve(folder, database);
  const file = realFile(written);
  if (file === undefined) {
    throw fault("not_found", `Cannot open the database "${database}" as its folder is not there`);
  }
  const inside = relative(folder, file);
  if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    const message = `Cannot open the database "${database}" as it lies outside the tenant's folder of executors.duckdb.root`;
    throw fault("permission", message);
  }
  return { file, folder };
}

/** Links followed; undefined where the folder is not there, or a link leads nowhere. */
function realFile(path: string): string | undefined {
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return realpathSync(path);
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return undefined;
  }
}

/** Names that are safe as they are, and differ where letter case does not count; others by their hash. */
function folderOf(root: string, tenant: string): string {
  const safe = /^[a-z0-9][a-z0-9_-]{0,63}$/.test(tenant);
  const name = safe ? tenant : `.${createHash("sha256").update(tenant).digest("hex")}`;
  try {
    mkdirSync(join(root, name), { recursive: true });
    return realpathSync(join(root, name));
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";
    throw fault("unavailable", `Cannot make a folder below executors.duckdb.root: ${code}`);
  }
}

function notLoaded(thrown: unknown): Fault {
  const why = thrown instanceof Error ? thrown.message.split("\n")[0] : String(thrown);
  const message = `Cannot load DuckDB: ${String(why)}; install the package @duckdb/node-api, which has builds for Linux, macOS and Windows`;
  return new Fault({ kind: "not_found", message, retryable: false }, thrown);
}
