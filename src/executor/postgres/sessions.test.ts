import { createServer, type AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import { noPostgres, startPostgres, type TestPostgres } from "../../../test/postgres.ts";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { AttemptCredentials } from "../credential.ts";
import { contextOf, errorOf, faultOf } from "../executor-contract.ts";
import { createPostgres, type PostgresOptions } from "./postgres.ts";

if (noPostgres !== undefined)
  console.warn(`The tests of the postgres executor are left out: ${noPostgres}`);

let server: TestPostgres;
let postgres: ReturnType<typeof createPostgres>;

const opened: ReturnType<typeof createPostgres>[] = [];

function executor(options: PostgresOptions = {}): ReturnType<typeof createPostgres> {
  const one = createPostgres({ dsn: server.dsn, ...options });
  opened.push(one);
  return one;
}

async function run(query: string, args: JsonObject = {}): Promise<JsonObject> {
  return (await postgres.execute({ query, ...args }, contextOf())) as JsonObject;
}

async function rows(query: string, args: JsonObject = {}): Promise<unknown> {
  return (await run(query, args))["rows"];
}

/** Sessions of executors, by what they do. */
async function sessions(state = "%"): Promise<number> {
  const [row] = await server.sql(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'deed' AND state LIKE '${state}'`,
    "postgres",
  );
  return Number(row?.["n"]);
}

/** Takes connections, and breaks each off at once. */
async function breaking(): Promise<{ readonly port: number; readonly close: () => void }> {
  const closing = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => closing.listen(0, "127.0.0.1", resolve));
  const { port } = closing.address() as AddressInfo;
  return { port, close: () => closing.close() };
}

describe.skipIf(noPostgres !== undefined)("postgres and its sessions", () => {
  beforeAll(async () => {
    server = await startPostgres();
  }, 60_000);

  afterAll(async () => {
    await server.stop();
  });

  beforeEach(async () => {
    await server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    postgres = executor();
  });

  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  describe("3. an abort", () => {
    test("ends the statement on the server and leaves no session", async () => {
      const controller = new AbortController();
      const call = postgres.execute(
        { query: "CREATE TABLE t (); SELECT pg_sleep(1000)" },
        contextOf(controller.signal),
      );
      await eventually(() => sessions("active"), 1);
      controller.abort();
      expect(await faultOf(call)).toEqual({
        kind: "cancelled",
        message: "The query on the default database was ended",
        retryable: false,
      });
      await eventually(() => sessions(), 0);
      expect(await rows("SELECT to_regclass('t') AS t")).toEqual([{ t: null }]);
    });

    test("ends what waits for a lock, and what catches its own cancellation", async () => {
      const stubborn = `DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$`;
      const controller = new AbortController();
      const call = postgres.execute({ query: stubborn }, contextOf(controller.signal));
      await eventually(() => sessions("active"), 1);
      controller.abort();
      expect((await faultOf(call)).kind).toBe("cancelled");
      await eventually(() => sessions(), 0);
    });
  });

  describe("4. sessions", () => {
    test("are used again, and found as fresh ones are", async () => {
      const pid = "SELECT pg_backend_pid() AS pid";
      const [first] = (await rows(pid)) as readonly JsonObject[];
      await run(
        "SET search_path = nowhere; CREATE TEMP TABLE kept (); SET datestyle = 'German'; SELECT pg_advisory_lock(1); PREPARE p AS SELECT 1",
      );
      const query =
        "SELECT current_setting('search_path') AS path, to_regclass('pg_temp.kept') AS temp, '2024-02-03'::date AS day, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks, pg_backend_pid() AS pid";
      expect(await rows(query)).toEqual([
        { path: '"$user", public', temp: null, day: "2024-02-03", locks: 0, pid: first?.["pid"] },
      ]);
      expect(await sessions()).toBe(1);
    });

    test("a transaction that is left open is an error and rolled back", async () => {
      await run("CREATE TABLE t (a int)");
      const error = await errorOf(postgres, { query: "BEGIN; INSERT INTO t VALUES (1)" });
      expect(error).toEqual({
        kind: "invalid_args",
        message:
          "The query left a transaction open on the default database, which was rolled back: end it with COMMIT in the same query",
        retryable: false,
      });
      expect(await rows("SELECT count(*) AS n FROM t")).toEqual([{ n: 0 }]);
      await run("BEGIN; INSERT INTO t VALUES (1); COMMIT");
      expect(await rows("SELECT count(*) AS n FROM t")).toEqual([{ n: 1 }]);
    });

    test("a read-only query cannot write, not even after a commit of its own; the next one can", async () => {
      await run("CREATE TABLE t (a int)");
      for (const query of ["INSERT INTO t VALUES (1)", "COMMIT; INSERT INTO t VALUES (1)"]) {
        const error = await errorOf(postgres, { query, read_only: true });
        expect([error.kind, error.detail?.["code"]]).toEqual(["invalid_args", "25006"]);
      }
      expect(await rows("INSERT INTO t VALUES (1) RETURNING a")).toEqual([{ a: 1 }]);
    });

    test("waiting ones are bounded, one for a place of its own, and end when the executor closes", async () => {
      postgres = executor({ concurrency: 2 });
      await Promise.all(
        ["a", "b", "c", "d"].map((name) => run(`SELECT '${name}', pg_sleep(0.05)`)),
      );
      await eventually(() => sessions(), 2);
      expect(await rows("SELECT current_database() AS db", { database: "postgres" })).toEqual([
        { db: "postgres" },
      ]);
      await eventually(() => sessions(), 2);
      await postgres.close();
      await eventually(() => sessions(), 0);
    });

    test("one that the server ended while it waited is not used again", async () => {
      await run("SELECT 1");
      await server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'deed'",
      );
      await eventually(() => sessions(), 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await rows("SELECT 1 AS one")).toEqual([{ one: 1 }]);
    });
  });

  describe("who may enter", () => {
    const credentials: AttemptCredentials = {
      resolve: (alias) => {
        if (alias === "nobody") return Promise.reject(fault("not_found", "no such credential"));
        const { host, port, user, password, database } = server;
        const values = { host, port: String(port), user, password, database };
        const own: JsonObject = alias === "wrong" ? { ...values, password: "no-way-in" } : values;
        return Promise.resolve({ reveal: () => own, toJSON: () => "[secret]" });
      },
    };

    test("the credential of the alias does, on the database that is named", async () => {
      postgres = executor({ dsn: "postgres://nobody@127.0.0.1:1/none" });
      const query = "SELECT current_user AS who, current_database() AS db";
      const entered = async (args: JsonObject): Promise<unknown> => {
        const context = { ...contextOf(), credentials };
        return ((await postgres.execute({ query, ...args }, context)) as JsonObject)["rows"];
      };
      expect(await entered({ auth: "pg" })).toEqual([{ who: "demo", db: "demo_noetl" }]);
      expect(await entered({ auth: "pg", database: "postgres" })).toEqual([
        { who: "demo", db: "postgres" },
      ]);
    });

    test("a wrong password is told without it", async () => {
      const context = { ...contextOf(), credentials };
      const error = await faultOf(
        executor().execute({ query: "SELECT 1", auth: "wrong" }, context),
      );
      expect(error).toEqual({
        kind: "permission",
        message: 'Cannot enter "wrong": password authentication failed for user "demo"',
        retryable: false,
        detail: { code: "28P01" },
      });
    });

    test("what is not configured is refused with what to configure", async () => {
      expect((await errorOf(createPostgres(), { query: "SELECT 1" })).message).toBe(
        "Cannot run SQL without auth: name the alias of a credential, or configure executors.postgres.dsn_env",
      );
      const off = await errorOf(createPostgres({ enabled: false }), { query: "SELECT 1" });
      expect([off.kind, off.message]).toEqual([
        "permission",
        "Cannot run SQL on PostgreSQL as it is off: configure executors.postgres, even as {}",
      ]);
      const unknown = await errorOf(executor(), { query: "SELECT 1", auth: "nobody" });
      expect(unknown.kind).toBe("not_found");
    });

    test("a server that is not there, or breaks off, is unavailable: nothing was sent", async () => {
      const gone = await breaking();
      const dsn = `postgres://u:p@127.0.0.1:${String(gone.port)}/d`;
      expect(await errorOf(executor({ dsn }), { query: "SELECT 1" })).toMatchObject({
        kind: "unavailable",
        retryable: true,
      });
      gone.close();
      expect(await errorOf(executor({ dsn }), { query: "SELECT 1" })).toEqual({
        kind: "unavailable",
        message: "Cannot reach the default database: ECONNREFUSED",
        retryable: true,
        detail: { code: "ECONNREFUSED" },
      });
    });

    test("a server that never answers is given up, and an abort ends the waiting at once", async () => {
      const silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
      const { port } = silent.address() as AddressInfo;
      const dsn = `postgres://u:p@127.0.0.1:${String(port)}/d`;
      expect(await errorOf(executor({ dsn, connectMs: 50 }), { query: "SELECT 1" })).toMatchObject({
        kind: "timeout",
        retryable: true,
      });
      const controller = new AbortController();
      const call = executor({ dsn }).execute({ query: "SELECT 1" }, contextOf(controller.signal));
      setTimeout(() => {
        controller.abort();
      }, 20);
      expect((await faultOf(call)).kind).toBe("cancelled");
      silent.close();
    });
  });
});
