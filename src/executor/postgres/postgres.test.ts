import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import { noPostgres, startPostgres, type TestPostgres } from "../../../test/postgres.ts";
import type { JsonObject } from "../../base/json.ts";
import { contextOf, errorOf, executorContract } from "../executor-contract.ts";
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

const terminate = "SELECT pg_terminate_backend(pg_backend_pid())";

describe.skipIf(noPostgres !== undefined)("postgres", () => {
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

  executorContract("postgres", async () => {
    await server.sql(
      "CREATE TABLE IF NOT EXISTS once (id int PRIMARY KEY); INSERT INTO once VALUES (1)",
    );
    return {
      executor: executor(),
      works: {
        args: { query: "SELECT $1::int + 1 AS sum", params: [2] },
        result: {
          columns: ["sum"],
          rows: [{ sum: 3 }],
          row_count: 1,
          command_0: { columns: ["sum"], rows: [{ sum: 3 }], row_count: 1 },
        },
      },
      hangs: {
        args: { query: "SELECT pg_sleep(1000)" },
        started: () => eventually(() => sessions("active"), 1),
        held: () => sessions("active"),
      },
      fails: [
        { name: "syntax", args: { query: "SELEC 1" }, kind: "invalid_args", retryable: false },
        {
          name: "no such table",
          args: { query: "TABLE nobody" },
          kind: "invalid_args",
          retryable: false,
        },
        { name: "data", args: { query: "SELECT 1 / 0" }, kind: "unprocessable", retryable: false },
        {
          name: "constraint",
          args: { query: "INSERT INTO once VALUES (1)" },
          kind: "conflict",
          retryable: false,
        },
        {
          name: "raised by the query",
          args: { query: "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$" },
          kind: "executor_error",
          retryable: false,
        },
        {
          name: "serialization",
          args: { query: "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$" },
          kind: "conflict",
          retryable: true,
        },
        {
          name: "serialization after a commit",
          args: { query: "BEGIN; COMMIT; DO $$ BEGIN RAISE SQLSTATE '40001'; END $$" },
          kind: "conflict",
          retryable: false,
        },
        {
          name: "the server's own time-out",
          args: { query: "SET statement_timeout = 20; SELECT pg_sleep(1000)" },
          kind: "timeout",
          retryable: true,
        },
        {
          name: "no room",
          args: { query: "DO $$ BEGIN RAISE SQLSTATE '53300'; END $$" },
          kind: "unavailable",
          retryable: true,
        },
        {
          name: "no such database",
          args: { query: "TABLE t", database: "nowhere" },
          kind: "not_found",
          retryable: false,
        },
        {
          name: "broken off",
          args: { query: terminate },
          kind: "outcome_unknown",
          retryable: false,
        },
        {
          name: "broken off, idempotent",
          args: { query: terminate, idempotent: true },
          kind: "unavailable",
          retryable: true,
        },
        {
          name: "broken off, read only",
          args: { query: terminate, read_only: true },
          kind: "unavailable",
          retryable: true,
        },
      ],
      promises: [
        { args: { query: "SELECT 1" }, idempotent: false },
        { args: { query: "SELECT 1", idempotent: true }, idempotent: true },
        { args: { query: "SELECT 1", read_only: true }, idempotent: true },
      ],
      close: () => server.sql("DROP TABLE once").then(() => undefined),
    };
  });

  describe("1. a query is a batch", () => {
    test("each statement is told by its number, the last one beside", async () => {
      const query =
        "CREATE TABLE t (a int); -- one; two\nINSERT INTO t VALUES (1), (2); DO $$ BEGIN NULL; END $$; SELECT a FROM t";
      const selected = { columns: ["a"], rows: [{ a: 1 }, { a: 2 }], row_count: 2 };
      const none = { columns: [], rows: [], row_count: 0 };
      expect(await run(query)).toEqual({
        ...selected,
        command_0: none,
        command_1: { ...none, row_count: 2 },
        command_2: none,
        command_3: selected,
      });
    });

    test("what fails in it leaves nothing behind", async () => {
      await run("CREATE TABLE t (a int PRIMARY KEY)");
      const error = await errorOf(postgres, {
        query: "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1)",
      });
      expect(error).toEqual({
        kind: "conflict",
        message:
          'The query failed on the default database: duplicate key value violates unique constraint "t_pkey"',
        retryable: false,
        detail: { code: "23505", schema: "public", table: "t", constraint: "t_pkey" },
      });
      expect(await rows("SELECT count(*) AS n FROM t")).toEqual([{ n: 0 }]);
    });

    test("rows that a statement returns and rows that it changes are counted", async () => {
      const result = await run(
        "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y') RETURNING a AS id; UPDATE t SET b = 'z' WHERE a = 2",
      );
      expect(result["command_1"]).toEqual({
        columns: ["id"],
        rows: [{ id: 1 }, { id: 2 }],
        row_count: 2,
      });
      expect(result["row_count"]).toBe(1);
    });

    test("a query without a statement gives nothing, a second column of one name is kept", async () => {
      expect(await run("-- nothing")).toEqual({ columns: [], rows: [], row_count: 0 });
      expect(await rows("SELECT 1 AS id, 2 AS id")).toEqual([{ id: 1, id_2: 2 }]);
    });

    test("of a query that cannot write rows beyond max_rows are counted, not kept, and said to be more", async () => {
      const result = await run("SELECT n FROM generate_series(1, 5) n; SELECT 1 AS one", {
        max_rows: 2,
        read_only: true,
      });
      expect(result["command_0"]).toEqual({
        columns: ["n"],
        rows: [{ n: 1 }, { n: 2 }],
        row_count: 5,
        truncated: true,
      });
      expect(result["command_1"]).toEqual({ columns: ["one"], rows: [{ one: 1 }], row_count: 1 });
    });

    test("what a query may have claimed is kept whole, whatever max_rows says", async () => {
      await run("CREATE TABLE t AS SELECT n, false AS taken FROM generate_series(1, 3) n");
      const query =
        "WITH claimed AS (UPDATE t SET taken = true RETURNING n) SELECT n FROM claimed ORDER BY n";
      expect(await run(query, { max_rows: 1 })).toMatchObject({
        rows: [{ n: 1 }, { n: 2 }, { n: 3 }],
        row_count: 3,
      });
    });

    test("a result that is too large is refused, and its query ended", async () => {
      postgres = executor({ resultBytesMax: 10_000 });
      const error = await errorOf(postgres, {
        query: "CREATE TABLE t (); SELECT repeat('x', 1000) FROM generate_series(1, 10000000)",
      });
      expect(error).toEqual({
        kind: "unprocessable",
        message:
          "Cannot take the result of the query as it is larger than 10000 bytes: select less, or set max_rows",
        retryable: false,
      });
      expect(await rows("SELECT to_regclass('t') AS t")).toEqual([{ t: null }]);
    });

    test("COPY has nothing to read from and nothing to print to", async () => {
      const query = "CREATE TABLE t (a int)";
      await run(query);
      expect(await errorOf(postgres, { query: "COPY t FROM STDIN" })).toMatchObject({
        kind: "invalid_args",
        message:
          "Cannot run the query on the default database as COPY FROM STDIN has nothing to read: insert rows instead",
      });
      expect(await errorOf(postgres, { query: "COPY t TO STDOUT" })).toMatchObject({
        kind: "invalid_args",
        message: "Cannot give back what COPY TO STDOUT prints: select the rows instead",
      });
    });
  });

  describe("2. parameters travel beside the text", () => {
    test("by number and by name, with their types", async () => {
      expect(
        await rows("SELECT $1::int[] AS a, $2::jsonb AS b, $3 AS c", {
          params: [[1, 2], [1, "x"], "it's"],
        }),
      ).toEqual([{ a: [1, 2], b: [1, "x"], c: "it's" }]);
      const params = {
        id: 7,
        doc: { a: [1, null] },
        list: [{ b: 1 }],
        none: null,
        yes: true,
        rest: "unused",
      };
      expect(
        await rows(
          "SELECT :id::int AS id, %(id)s::text AS same, :doc::jsonb AS doc, :list::json AS list, :none::int AS none, :yes::bool AS yes, ':id' AS text",
          { params },
        ),
      ).toEqual([
        {
          id: 7,
          same: "7",
          doc: { a: [1, null] },
          list: [{ b: 1 }],
          none: null,
          yes: true,
          text: ":id",
        },
      ]);
    });

    test("what looks like SQL in a value is a value", async () => {
      await run("CREATE TABLE t (a text)");
      const value = "'); DROP TABLE t; --";
      await run("INSERT INTO t VALUES (:value)", { params: { value } });
      expect(await rows("SELECT a FROM t")).toEqual([{ a: value }]);
    });

    test("with parameters a query is one statement", async () => {
      const error = await errorOf(postgres, { query: "SELECT $1; SELECT 2", params: ["a"] });
      expect([error.kind, error.detail?.["code"]]).toEqual(["invalid_args", "42601"]);
    });
  });

  test("values read as the JSON that says the same, or else as text", async () => {
    const query = `SELECT 9007199254740991::int8 AS int8, 9007199254740993::int8 AS large, 1.50::numeric AS numeric,
      0.1::float4 AS float4, 'NaN'::float8 AS nan, '-Infinity'::float8 AS infinite, 12345678901234567890.5::numeric AS exact,
      '{"a": [1, 12345678901234567890]}'::jsonb AS jsonb, 'null'::json AS json, '\\x00ff'::bytea AS bytea,
      '2024-02-03 04:05:06.789+02'::timestamptz AS instant, '2024-02-03 04:05:06'::timestamp AS local,
      'infinity'::timestamptz AS never, '2024-02-03'::date AS date, '04:05'::time AS time, '1 day 02:00'::interval AS interval,
      ARRAY['a b', 'c"\\d', NULL, 'NULL', '']::text[] AS texts, ARRAY[[1, 2], [3, NULL]] AS lists, '[0:1]={5,6}'::int[] AS bounded,
      '{}'::int[] AS empty, ARRAY[true, false] AS bools, ARRAY['{"a": 1}'::jsonb] AS documents, ARRAY['2024-02-03 04:05:06+00'::timestamptz] AS instants,
      false AS bool, NULL AS none, 'a'::char(3) AS padded, '6ee1f2a4-0000-4000-8000-000000000000'::uuid AS uuid, ROW(1, 'a') AS row, '{1,2}'::text AS text`;
    expect(await rows(query)).toEqual([
      {
        int8: 9007199254740991,
        large: "9007199254740993",
        numeric: 1.5,
        float4: 0.1,
        nan: "NaN",
        infinite: "-Infinity",
        exact: "12345678901234567890.5",
        jsonb: { a: [1, "12345678901234567890"] },
        json: null,
        bytea: "AP8=",
        instant: "2024-02-03T02:05:06.789Z",
        local: "2024-02-03T04:05:06",
        never: "infinity",
        date: "2024-02-03",
        time: "04:05:00",
        interval: "1 day 02:00:00",
        texts: ["a b", 'c"\\d', null, "NULL", ""],
        lists: [
          [1, 2],
          [3, null],
        ],
        bounded: [5, 6],
        empty: [],
        bools: [true, false],
        documents: [{ a: 1 }],
        instants: ["2024-02-03T04:05:06Z"],
        bool: false,
        none: null,
        padded: "a  ",
        uuid: "6ee1f2a4-0000-4000-8000-000000000000",
        row: "(1,a)",
        text: "{1,2}",
      },
    ]);
  });

  describe("6. an error", () => {
    test("says the code and the place in what was written", async () => {
      expect(await errorOf(postgres, { query: "SELECT 1;\nSELECT nothing FROM pg_class" })).toEqual(
        {
          kind: "invalid_args",
          message: 'The query failed on the default database: column "nothing" does not exist',
          retryable: false,
          detail: { code: "42703", position: 18, line: 2 },
        },
      );
      const named = { query: "SELECT :a::int,\n nothing", params: { a: 1 } };
      expect((await errorOf(postgres, named)).detail).toEqual({ code: "42703", line: 2 });
    });

    test("holds no value of a parameter, whoever quotes it", async () => {
      const value = 'sesame "open"';
      await run(
        "CREATE TABLE t (a text PRIMARY KEY); CREATE FUNCTION f(v text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused: %', v USING HINT = v; END $$",
      );
      const queries = [
        "SELECT :value::int",
        "SELECT :value::jsonb",
        "SELECT :value::timestamptz",
        "SELECT f(:value)",
        "INSERT INTO t VALUES (:value), (:value)",
      ];
      const told = [];
      for (const query of queries) {
        const error = await errorOf(postgres, { query, params: { value } });
        expect(JSON.stringify(error)).not.toContain("sesame");
        told.push([error.detail?.["code"], error.message.replace(/^.*database: /, "")]);
      }
      expect(told).toEqual([
        ["22P02", 'invalid input syntax for type integer: "…"'],
        ["22P02", "invalid input syntax for type json"],
        ["22007", 'invalid input syntax for type timestamp with time zone: "…"'],
        ["P0001", "refused: …"],
        ["23505", 'duplicate key value violates unique constraint "t_pkey"'],
      ]);
      const short = await errorOf(postgres, { query: "SELECT :a::int", params: { a: "x" } });
      expect(short.message).toContain('invalid input syntax for type integer: "…"');
    });
  });
});
