import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JsonObject } from "../../base/json.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import type { Executor } from "../executor.ts";
import { createDuckdb, type DuckdbOptions } from "./duckdb.ts";

let root: string;
let folder: string;
let duckdb: Executor;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "deed-duckdb-")));
  folder = join(root, "files", "default");
  mkdirSync(folder, { recursive: true });
  duckdb = executor();
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function executor(options: Partial<DuckdbOptions> = {}): Executor {
  return createDuckdb({ root: join(root, "files"), ...options });
}

async function run(query: string, args: JsonObject = {}): Promise<JsonObject> {
  return (await duckdb.execute({ query, ...args }, contextOf())) as JsonObject;
}

async function rows(query: string, args: JsonObject = {}): Promise<unknown> {
  return (await run(query, args))["rows"];
}

const none = { columns: [], rows: [], row_count: 0 };

/** Counts for longer than anybody waits. */
const endless = "SELECT count(*) FROM range(10000000000) a, range(1000000) b";

executorContract("duckdb", () => {
  let running = 0;
  const real = executor();
  const counted: Executor = {
    ...real,
    execute: async (args, context) => {
      running += context.signal.aborted ? 0 : 1;
      try {
        return await real.execute(args, context);
      } finally {
        running = 0;
      }
    },
  };
  return Promise.resolve({
    executor: counted,
    works: {
      args: { query: "SELECT $1 + 1 AS sum", params: [2] },
      result: {
        columns: ["sum"],
        rows: [{ sum: 3 }],
        row_count: 1,
        command_0: { columns: ["sum"], rows: [{ sum: 3 }], row_count: 1 },
      },
    },
    hangs: {
      args: { query: endless },
      started: () => new Promise((resolve) => setTimeout(resolve, 100)),
      held: () => running,
    },
    fails: [
      { name: "syntax", args: { query: "SELEC 1" }, kind: "invalid_args", retryable: false },
      { name: "table", args: { query: "FROM nobody" }, kind: "invalid_args", retryable: false },
      { name: "data", args: { query: "SELECT 'a'::INT" }, kind: "unprocessable", retryable: false },
      {
        name: "constraint",
        args: {
          query:
            "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)",
        },
        kind: "conflict",
        retryable: false,
      },
      {
        name: "outside",
        args: { query: "FROM read_text('/etc/passwd')" },
        kind: "permission",
        retryable: false,
      },
      {
        name: "no such file",
        args: { query: `FROM '${folder}/none.csv'` },
        kind: "not_found",
        retryable: false,
      },
      {
        name: "two statements with params",
        args: { query: "SELECT $1; SELECT 2", params: [1] },
        kind: "invalid_args",
        retryable: false,
      },
      {
        name: "too many params",
        args: { query: "SELECT $1", params: [1, 2] },
        kind: "invalid_args",
        retryable: false,
      },
    ],
    promises: [
      { args: { query: "SELECT 1" }, idempotent: false },
      { args: { query: "SELECT 1", idempotent: true }, idempotent: true },
    ],
    close: () => Promise.resolve(),
  });
});

describe("what a query gives", () => {
  test("each statement by its number, the last one beside", async () => {
    const query =
      "CREATE TABLE t AS SELECT 1 AS a; -- one; two\nINSERT INTO t VALUES (2), (3); UPDATE t SET a = 4 WHERE a > 1; DELETE FROM t WHERE a = 1 RETURNING a; SELECT count(*) AS n, min(a) AS a FROM t";
    const deleted = { columns: ["a"], rows: [{ a: 1 }], row_count: 1 };
    const selected = { columns: ["n", "a"], rows: [{ n: 2, a: 4 }], row_count: 1 };
    const result = await run(query);
    expect(result).toEqual({
      ...selected,
      command_0: none,
      command_1: { ...none, row_count: 2 },
      command_2: { ...none, row_count: 2 },
      command_3: deleted,
      command_4: selected,
    });
  });

  test("values as the JSON that says the same, or else as text", async () => {
    const query = `SELECT 9007199254740991::BIGINT AS bigint, 9007199254740993::BIGINT AS large,
      170141183460469231731687303715884105727::HUGEINT AS huge, 1.50::DECIMAL(10,2) AS decimal, 0.1::FLOAT AS float,
      0.1::DOUBLE AS double, 'nan'::DOUBLE AS nan, '-inf'::FLOAT AS infinite, true AS yes, NULL AS none, DATE '2024-02-03' AS date,
      TIME '04:05:06' AS time, TIMESTAMP '2024-02-03 04:05:06.789' AS local, TIMESTAMPTZ '2024-02-03 04:05:06+02' AS instant,
      INTERVAL 1 DAY AS interval, '\\x00\\xFF'::BLOB AS blob, '{"a": [1, 12345678901234567890]}'::JSON AS json, '[1]' AS text,
      [1, NULL] AS list, [[1.5], []] AS lists, [1, 2]::INT[2] AS array, {'a': 1, 'b': ['{"c": 1}'::JSON]} AS struct,
      MAP {'k': 1} AS map, MAP {1: 'x'} AS pairs, union_value(n := 2) AS union, 'x'::ENUM('x', 'y') AS enum,
      '6ee1f2a4-0000-4000-8000-000000000000'::UUID AS uuid, '101'::BIT AS bit`;
    expect(await rows(query)).toEqual([
      {
        bigint: 9007199254740991,
        large: "9007199254740993",
        huge: "170141183460469231731687303715884105727",
        decimal: 1.5,
        float: 0.1,
        double: 0.1,
        nan: "NaN",
        infinite: "-Infinity",
        yes: true,
        none: null,
        date: "2024-02-03",
        time: "04:05:06",
        local: "2024-02-03T04:05:06.789",
        instant: "2024-02-03T02:05:06Z",
        interval: "1 day",
        blob: "AP8=",
        json: { a: [1, "12345678901234567890"] },
        text: "[1]",
        list: [1, null],
        lists: [[1.5], []],
        array: [1, 2],
        struct: { a: 1, b: [{ c: 1 }] },
        map: { k: 1 },
        pairs: [{ key: 1, value: "x" }],
        union: 2,
        enum: "x",
        uuid: "6ee1f2a4-0000-4000-8000-000000000000",
        bit: "101",
      },
    ]);
  });

  test("rows beyond max_rows are counted, not kept, and said to be more", async () => {
    expect(await run("SELECT range AS n FROM range(5000)", { max_rows: 2 })).toMatchObject({
      rows: [{ n: 0 }, { n: 1 }],
      row_count: 5000,
      truncated: true,
    });
    expect((await run("FROM range(5000)"))["rows"]).toHaveLength(5000);
    const claim = "CREATE TABLE t AS FROM range(3); DELETE FROM t RETURNING range AS n";
    expect((await run(claim, { max_rows: 1 }))["rows"]).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  });

  test("a result that is too large is refused", async () => {
    duckdb = executor({ resultBytesMax: 10_000 });
    const error = await errorOf(duckdb, { query: "SELECT repeat('x', 1000) FROM range(1000000)" });
    expect([error.kind, error.message]).toEqual([
      "unprocessable",
      "Cannot take the result of the query as it is larger than 10000 bytes: select less, or set max_rows",
    ]);
  });

  test("parameters travel beside the text, with their types", async () => {
    const params = {
      n: 7,
      large: 2 ** 40,
      part: 1.5,
      list: [1, 2],
      doc: { a: [1] },
      none: null,
      yes: true,
      text: "it's ; --",
    };
    const query =
      "SELECT :n AS n, :n AS again, :large AS large, :part AS part, :list::INT[] AS list, :doc::JSON AS doc, :none AS none, :yes AS yes, %(text)s AS text";
    expect(await rows(query, { params })).toEqual([{ ...params, again: 7 }]);
  });

  test("an error says the kind and the line, but no value of a parameter", async () => {
    expect(await errorOf(duckdb, { query: "SELECT 1,\n nothing" })).toEqual({
      kind: "invalid_args",
      message:
        'The query failed on DuckDB: Binder Error: Referenced column "nothing" was not found because the FROM clause is missing',
      retryable: false,
      detail: { type: "Binder Error", line: 2 },
    });
    const quoted = await errorOf(duckdb, { query: "SELECT :a::INT", params: { a: "sesame" } });
    expect(quoted.message).toBe(
      "The query failed on DuckDB: Conversion Error: Could not convert string '…' to INT32",
    );
    const database = "a.duckdb";
    await run("CREATE TABLE t (a TEXT PRIMARY KEY)", { database });
    const query = "INSERT INTO t VALUES (:a), (:a)";
    const twice = await errorOf(duckdb, { query, params: { a: "no" }, database });
    expect(twice.message).toMatch(/duplicate key "…"$/);
    expect(twice.kind).toBe("conflict");
  });
});

describe("1. what a query may touch", () => {
  test("the files of its tenant's folder", async () => {
    writeFileSync(join(folder, "in.csv"), "a,b\n1,x\n");
    expect(await rows(`SELECT * FROM '${folder}/in.csv'`)).toEqual([{ a: 1, b: "x" }]);
    await run(`COPY (SELECT 2 AS a) TO '${folder}/out.csv'`);
    expect(await rows(`FROM '${folder}/out.csv'`)).toEqual([{ a: 2 }]);
  });

  test.each([
    ["another tenant's file", () => `FROM '${root}/files/other/in.csv'`],
    ["a file above", () => `FROM '${folder}/../../in.csv'`],
    ["what a link leads to", () => `FROM '${folder}/link/in.csv'`],
    ["a file to write", () => `COPY (SELECT 1) TO '${root}/out.csv'`],
    ["a database to attach", () => `ATTACH '${root}/other.duckdb'`],
    ["an address", () => "FROM 'http://localhost/in.csv'"],
    ["an extension", () => "INSTALL httpfs"],
    ["a library", () => `LOAD '${root}/in.csv'`],
  ])("not %s", async (_, query) => {
    mkdirSync(join(root, "files", "other"));
    for (const at of ["in.csv", "files/other/in.csv"]) writeFileSync(join(root, at), "a\n1\n");
    symlinkSync(root, join(folder, "link"));
    expect((await errorOf(duckdb, { query: query() })).kind).toBe("permission");
    expect(existsSync(join(root, "out.csv"))).toBe(false);
    duckdb = executor({ externalAccess: true });
    if (query().startsWith("FROM '/")) expect(await rows(query())).toEqual([{ a: 1 }]);
  });

  test("nor take the limits off", async () => {
    for (const query of [
      "SET enable_external_access = true",
      "SET allowed_directories = ['/']",
      "SET memory_limit = '1TB'",
    ]) {
      const error = await errorOf(duckdb, { query });
      expect([query, error.kind]).toEqual([query, "unprocessable"]);
      expect(error.message).toMatch(/configuration has been locked|enable_external_access/);
    }
  });

  test("a database outside is refused, however it is named", async () => {
    symlinkSync(root, join(folder, "link"));
    symlinkSync(join(root, "nothing.duckdb"), join(folder, "dangling.duckdb"));
    const names = [
      "../a.duckdb",
      `${root}/a.duckdb`,
      "link/a.duckdb",
      ".",
      "dangling.duckdb",
      "none/a.duckdb",
    ];
    const kinds = [];
    for (const database of names)
      kinds.push((await errorOf(duckdb, { query: "SELECT 1", database })).kind);
    expect(kinds).toEqual([...Array<string>(4).fill("permission"), "not_found", "not_found"]);
  });
});

describe("2. databases", () => {
  test("in memory each query has its own", async () => {
    await run("CREATE TABLE t AS SELECT 1 AS a");
    expect((await errorOf(duckdb, { query: "FROM t" })).kind).toBe("invalid_args");
  });

  test("a file lasts, is shared by queries at one time, and belongs to its tenant", async () => {
    const database = "a.duckdb";
    await run("CREATE TABLE t (a INT)", { database });
    await Promise.all(
      [1, 2, 3].map((a) => run(`INSERT INTO t VALUES (${String(a)})`, { database })),
    );
    expect(await rows("SELECT sum(a) AS sum FROM t", { database })).toEqual([{ sum: 6 }]);
    expect(existsSync(join(folder, "a.duckdb"))).toBe(true);
    const other = { ...contextOf(), tenant: "../default" };
    const error = await faultOf(duckdb.execute({ query: "FROM t", database }, other));
    expect(error.kind).toBe("invalid_args");
  });
});

describe("3. a query is one transaction", () => {
  const database = "a.duckdb";

  test("what fails in it leaves nothing behind", async () => {
    await run("CREATE TABLE t (a INT PRIMARY KEY)", { database });
    await errorOf(duckdb, {
      query: "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)",
      database,
    });
    expect(await rows("SELECT count(*) AS n FROM t", { database })).toEqual([{ n: 0 }]);
  });

  test("unless it has words of its own for that; one that is left open is an error", async () => {
    await run("CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1); COMMIT", { database });
    const error = await errorOf(duckdb, { query: "BEGIN; INSERT INTO t VALUES (2)", database });
    expect([error.kind, error.message]).toEqual([
      "invalid_args",
      "The query left a transaction open, which was rolled back: end it with COMMIT in the same query",
    ]);
    expect(await rows("FROM t", { database })).toEqual([{ a: 1 }]);
  });

  test("an abort undoes it", async () => {
    await run("CREATE TABLE t (a INT)", { database });
    const controller = new AbortController();
    const query = `INSERT INTO t VALUES (1); ${endless}`;
    const call = duckdb.execute({ query, database }, contextOf(controller.signal));
    setTimeout(() => {
      controller.abort();
    }, 50);
    expect((await faultOf(call)).kind).toBe("cancelled");
    expect(await rows("SELECT count(*) AS n FROM t", { database })).toEqual([{ n: 0 }]);
  });
});

test("4. it is off until it is configured, and makes nothing before the first query", async () => {
  const off = createDuckdb({ root: join(root, "later"), enabled: false });
  const error = await errorOf(off, { query: "SELECT 1" });
  expect([error.kind, error.message]).toEqual([
    "permission",
    "Cannot run SQL in DuckDB as it is off: configure executors.duckdb, even as {}",
  ]);
  expect(existsSync(join(root, "later"))).toBe(false);
});
