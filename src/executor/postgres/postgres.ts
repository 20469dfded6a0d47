/**
 * `postgres`: SQL on a PostgreSQL server.
 *
 * 1. Without `params` a query is one batch of statements and, unless it has words of its own for
 *    transactions, one transaction: where a statement fails nothing of it remains.
 * 2. Parameters travel beside the text, never in it.
 * 3. On an abort the server is asked to end the statement, and the session ends.
 * 4. Each run finds a fresh session. A transaction that a query leaves open is rolled back and is an error.
 * 5. Where the connection breaks off under a statement the outcome is unknown, unless the call is idempotent.
 * 6. An error says the SQLSTATE and where, but no value of a parameter, no host and no password.
 */
import Type, { type Static } from "typebox";
import { fault, Fault } from "../../event/error.ts";
import type { ExecutionContext, Executor } from "../executor.ts";
import type { Scripts } from "../script.ts";
import { queryMembers, queryOf } from "../sql/query.ts";
import { sqlResult, type StatementResult } from "../sql/result.ts";
import { connectFault, queryFault, type Asked } from "./failure.ts";
import { runBatch, type RunLimits } from "./run.ts";
import { createSessions, type Session, type Sessions } from "./sessions.ts";
import { settingsOf, type Settings } from "./settings.ts";

const argsSchema = Type.Object(
  {
    ...queryMembers,
    /** The alias of a credential; without it the default DSN of the configuration. */
    auth: Type.Optional(Type.String({ minLength: 1 })),
    /** Instead of the credential's own. */
    database: Type.Optional(Type.String({ minLength: 1 })),
    /** Of the origin: sessions are kept as the configuration says. */
    pool: Type.Optional(Type.Unknown()),
    /**
     * With `read_only`: rows of one statement that are kept; more are counted and marked as `truncated`.
     * A query that may write gives all of its rows, as they may be what it claimed.
     */
    max_rows: Type.Optional(Type.Integer({ minimum: 0 })),
    /** Transactions may not write, and so the query may run again. */
    read_only: Type.Optional(Type.Boolean()),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type PostgresArgs = Static<typeof argsSchema>;

export type PostgresOptions = {
  /** False: every call is refused. Default true. */
  readonly enabled?: boolean;
  /** What loads `script`; where it is left out, only `query` runs. */
  readonly scripts?: Scripts;
  /** Where a query without `auth` goes: `postgres://user:password@host:port/database`. */
  readonly dsn?: string;
  /** Queries at one time, and sessions that wait for the next one. Default 16. */
  readonly concurrency?: number;
  /** Default 60,000. */
  readonly timeoutMs?: number;
  /** A larger result ends its query, bytes of the values' text. Default 16 MiB. */
  readonly resultBytesMax?: number;
  /** A session that waits longer ends, milliseconds. Default 30,000. */
  readonly idleMs?: number;
  /** To connect and log in, milliseconds. Default 10,000. */
  readonly connectMs?: number;
};

const defaultLabel = "the default database";

export function createPostgres(
  options: PostgresOptions = {},
): Executor & Required<Pick<Executor, "close">> {
  const concurrency = options.concurrency ?? 16;
  const sessions = createSessions({
    idleMax: concurrency,
    idleMs: options.idleMs ?? 30_000,
    connectMs: options.connectMs ?? 10_000,
    applicationName: "deed",
  });
  const bytesMax = options.resultBytesMax ?? 16 * 1024 * 1024;
  return {
    command: "postgres",
    description: "Runs SQL on a PostgreSQL server and gives back the rows of each statement",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true || args["read_only"] === true,
    concurrency,
    timeoutMs: options.timeoutMs ?? 60_000,
    close: sessions.close,
    execute: async (args, context) => {
      if (options.enabled === false) {
        throw fault(
          "permission",
          "Cannot run SQL on PostgreSQL as it is off: configure executors.postgres, even as {}",
        );
      }
      const call = args as PostgresArgs;
      const { scripts } = options;
      const { bound, written } = await queryOf(call, { scripts, signal: context.signal });
      const settings = await settingsFor(call, options, context);
      const readOnly = call.read_only === true;
      const idempotent = call.idempotent === true || readOnly;
      const asked: Asked = { label: settings.label, bound, query: written, idempotent };
      const rowsMax = (readOnly ? call.max_rows : undefined) ?? Number.MAX_SAFE_INTEGER;
      const session = await sessionFor(sessions, settings, context.signal);
      const turn: Turn = { sessions, session, asked, readOnly, signal: context.signal };
      return sqlResult(await runOn(turn, { rowsMax, bytesMax }));
    },
  };
}

async function settingsFor(
  { auth, database }: PostgresArgs,
  { dsn }: PostgresOptions,
  { credentials }: ExecutionContext,
): Promise<Settings> {
  if (auth === undefined) {
    if (dsn !== undefined) return settingsOf(defaultLabel, { dsn }, database);
    throw fault(
      "invalid_args",
      "Cannot run SQL without auth: name the alias of a credential, or configure executors.postgres.dsn_env",
    );
  }
  const secret = await credentials.resolve(auth);
  return settingsOf(`"${auth}"`, secret.reveal(), database);
}

async function sessionFor(
  sessions: Sessions,
  settings: Settings,
  signal: AbortSignal,
): Promise<Session> {
  try {
    signal.throwIfAborted();
    return await sessions.take(settings, signal);
  } catch (thrown) {
    if (signal.aborted) throw fault("cancelled", "The query was ended before it began");
    throw connectFault(settings.label, thrown);
  }
}

/** One query on its way. */
type Turn = {
  readonly sessions: Sessions;
  readonly session: Session;
  readonly asked: Asked;
  readonly readOnly: boolean;
  readonly signal: AbortSignal;
};

async function runOn(turn: Turn, limits: RunLimits): Promise<readonly StatementResult[]> {
  const { sessions, session, asked, signal } = turn;
  const stopped: { reason?: Error; done?: Promise<void> } = {};
  const stop = (reason: Error): void => {
    stopped.reason ??= reason;
    stopped.done ??= sessions.cancel(session, running);
  };
  const aborted = (): void => {
    stop(fault("cancelled", `The query on ${asked.label} was ended`));
  };
  const begin = async (): Promise<readonly StatementResult[]> => {
    if (turn.readOnly) await session.client.query("SET default_transaction_read_only = on");
    if (stopped.reason !== undefined) throw stopped.reason;
    return runBatch(session, asked.bound, { ...limits, stop });
  };
  const running = begin();
  signal.addEventListener("abort", aborted, { once: true });
  if (signal.aborted) aborted();
  try {
    const results = await running;
    if (stopped.reason !== undefined) throw stopped.reason;
    if (session.client.getTransactionStatus() !== "I") throw leftOpen(asked.label);
    return results;
  } catch (thrown) {
    if (stopped.reason !== undefined) throw stopped.reason;
    throw thrown instanceof Fault ? thrown : queryFault(asked, thrown);
  } finally {
    signal.removeEventListener("abort", aborted);
    if (stopped.done === undefined) sessions.giveBack(session);
    else await stopped.done;
  }
}

function leftOpen(label: string): Fault {
  const message = `The query left a transaction open on ${label}, which was rolled back: end it with COMMIT in the same query`;
  return fault("invalid_args", message);
}
