/**
 * Sessions of PostgreSQL: opened, kept for reuse, ended.
 *
 * 1. A session is found as a fresh one is: after each run it is rolled back and all that was set in it,
 *    temporary tables and locks included, is discarded. One that cannot be is ended.
 * 2. A session is used by one run at a time. Those that wait are at most `idleMax`, and end after `idleMs`.
 * 3. `close` ends all of them, those that run included.
 */
import pg, { type Client, type ClientConfig } from "pg";
import { keyOf, type Settings } from "./settings.ts";

export type Session = {
  readonly client: Client;
  readonly settings: Settings;
  /** What the server knows it by. */
  readonly pid: number;
};

export type Sessions = {
  /** @throws what the driver throws; nothing was sent by then. */
  readonly take: (settings: Settings, signal: AbortSignal) => Promise<Session>;
  /** After a run that ended, well or not: the session is made ready for the next one. */
  readonly giveBack: (session: Session) => void;
  readonly end: (session: Session) => void;
  /** Asks the server to end what the session runs, until `ended` resolves; then the session itself is ended. */
  readonly cancel: (session: Session, ended: Promise<unknown>) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type SessionsOptions = {
  readonly idleMax: number;
  readonly idleMs: number;
  readonly connectMs: number;
  readonly applicationName: string;
};

/** How the values of results are printed; and the number of the session. */
const prepare =
  "SELECT pg_backend_pid() AS pid, set_config('datestyle', 'ISO', false), set_config('bytea_output', 'hex', false)";

/** Between two requests to end a statement, milliseconds. */
const cancelEveryMs = 100;

/** Requests to end the statement; then the session is terminated. Within what the worker waits for an abort. */
const cancelsMax = 20;

type Waiting = {
  readonly session: Session;
  readonly key: string;
  readonly isReady: Promise<boolean>;
  timer: NodeJS.Timeout | undefined;
};

export function createSessions(options: SessionsOptions): Sessions {
  const open = new Set<Session>();
  const waiting: Waiting[] = [];
  let closed = false;

  const forget = (session: Session): void => {
    open.delete(session);
    const at = waiting.findIndex((one) => one.session === session);
    if (at < 0) return;
    clearTimeout(waiting[at]?.timer);
    waiting.splice(at, 1);
  };

  const end = (session: Session): void => {
    forget(session);
    session.client.end().catch(() => undefined);
    session.client.connection.stream.destroy();
  };

  const connected = async (settings: Settings, signal: AbortSignal): Promise<Session> => {
    const client = await connect(settings, options, signal);
    const pid = await prepared(client, signal);
    const session: Session = { client, settings, pid };
    client.on("end", () => {
      forget(session);
    });
    open.add(session);
    if (closed) end(session);
    return session;
  };

  const take: Sessions["take"] = async (settings, signal) => {
    const key = keyOf(settings);
    for (;;) {
      const at = waiting.findLastIndex((one) => one.key === key);
      const [found] = at < 0 ? [] : waiting.splice(at, 1);
      if (found === undefined) return connected(settings, signal);
      clearTimeout(found.timer);
      if (await found.isReady) return found.session;
    }
  };

  const reset = async (session: Session): Promise<boolean> => {
    try {
      if (session.client.getTransactionStatus() !== "I") await session.client.query("ROLLBACK");
      await session.client.query("DISCARD ALL");
      await session.client.query(prepare);
      return open.has(session);
    } catch {
      end(session);
      return false;
    }
  };

  const giveBack = (session: Session): void => {
    if (closed || !open.has(session)) {
      end(session);
      return;
    }
    const isReady = reset(session);
    const one: Waiting = { session, key: keyOf(session.settings), isReady, timer: undefined };
    waiting.push(one);
    one.timer = setTimeout(() => {
      end(session);
    }, options.idleMs);
    one.timer.unref();
    const [oldest] = waiting;
    if (waiting.length > options.idleMax && oldest !== undefined) end(oldest.session);
  };

  const cancel: Sessions["cancel"] = async (session, ended) => {
    const state = { over: false };
    const done = ended.catch(() => undefined).then(() => (state.over = true));
    try {
      const other = await connect(session.settings, options, AbortSignal.timeout(2_000));
      for (let asked = 0; !state.over && asked <= cancelsMax; asked += 1) {
        const how = asked < cancelsMax ? "pg_cancel_backend" : "pg_terminate_backend";
        await other.query(`SELECT ${how}($1)`, [session.pid]);
        await Promise.race([done, new Promise((resolve) => setTimeout(resolve, cancelEveryMs))]);
      }
      await other.end();
    } catch {
      // Nobody answers: what can be done is to leave.
    }
    end(session);
  };

  return {
    take,
    giveBack,
    end,
    cancel,
    close: () => {
      closed = true;
      for (const session of open) end(session);
      return Promise.resolve();
    },
  };
}

async function prepared(client: Client, signal: AbortSignal): Promise<number> {
  const destroy = (): void => {
    client.connection.stream.destroy();
  };
  signal.addEventListener("abort", destroy, { once: true });
  try {
    const { rows } = await client.query<{ readonly pid: number }>(prepare);
    return rows[0]?.pid ?? 0;
  } catch (thrown) {
    destroy();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", destroy);
  }
}

async function connect(
  settings: Settings,
  options: SessionsOptions,
  signal: AbortSignal,
): Promise<Client> {
  const { tls } = settings;
  if (tls !== "where offered")
    return connectOnce(settings, { options, signal, tls: tls !== "off" });
  try {
    return await connectOnce(settings, { options, signal, tls: true });
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : "";
    if (message !== "The server does not support SSL connections") throw thrown;
    return connectOnce(settings, { options, signal, tls: false });
  }
}

/** Everything is given, as the driver fills in from the environment what is not. */
async function connectOnce(
  { host, port, user, password, database, ca, tls: wanted }: Settings,
  how: { readonly options: SessionsOptions; readonly signal: AbortSignal; readonly tls: boolean },
): Promise<Client> {
  const { options, signal } = how;
  signal.throwIfAborted();
  const rejectUnauthorized = wanted === "checked";
  const config: ClientConfig = {
    host,
    port,
    user,
    password: () => password,
    database,
    ssl: how.tls && { rejectUnauthorized, ...(ca === undefined ? {} : { ca }) },
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectMs,
    keepAlive: true,
  };
  const client = new pg.Client(config);
  client.on("error", () => undefined);
  const destroy = (): void => {
    client.connection.stream.destroy();
  };
  signal.addEventListener("abort", destroy, { once: true });
  try {
    await client.connect();
    return client;
  } catch (thrown) {
    destroy();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", destroy);
  }
}
