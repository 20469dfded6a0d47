import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "../../test/eventually.ts";
import { noPostgres, startPostgres } from "../../test/postgres.ts";
import { createClient } from "../client/client.ts";
import { startApp, type RunningApp } from "./app.ts";
import { loadConfig } from "./config.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-app-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function start(text: string, env: Record<string, string> = {}): Promise<RunningApp> {
  const file = join(folder, "deed.yaml");
  writeFileSync(file, text);
  const loaded = loadConfig(file, { DEED_LISTEN: "127.0.0.1:0", ...env });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  return startApp(loaded.value, pino({ level: "silent" }));
}

if (noPostgres !== undefined) console.warn(`A test of the node is left out: ${noPostgres}`);

it.skipIf(noPostgres !== undefined)(
  "a node queries PostgreSQL as it is configured, and leaves no session there when it stops",
  async () => {
    const server = await startPostgres();
    try {
      const app = await start("executors: { postgres: { dsn_env: PG } }", { PG: server.dsn });
      const sessions = async (): Promise<unknown> => {
        const query =
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'deed'";
        return (await server.sql(query))[0]?.["n"];
      };
      try {
        const args = { query: "SELECT current_database() AS db" };
        const action = await createClient({ url: app.url }).request(
          { command: "postgres", args },
          { waitSec: 10 },
        );
        expect(action.result).toMatchObject({ rows: [{ db: "demo_noetl" }], row_count: 1 });
        expect(await sessions()).toBe(1);
      } finally {
        await app.stop();
      }
      await eventually(sessions, 0);
    } finally {
      await server.stop();
    }
  },
  60_000,
);

it("a node queries DuckDB on a file of the tenant's folder, where it is configured", async () => {
  const app = await start("executors: { duckdb: {} }");
  try {
    const client = createClient({ url: app.url });
    const args = { query: "CREATE TABLE t AS SELECT 7 AS a; FROM t", database: "a.duckdb" };
    const action = await client.request({ command: "duckdb", args }, { waitSec: 10 });
    expect(action.result).toMatchObject({ rows: [{ a: 7 }] });
    expect(existsSync(join(folder, "data/duckdb/default/a.duckdb"))).toBe(true);
    const off = await client.request(
      { command: "postgres", args: { query: "SELECT 1" } },
      { waitSec: 10 },
    );
    expect(off.error).toMatchObject({
      kind: "permission",
      message:
        "Cannot run SQL on PostgreSQL as it is off: configure executors.postgres, even as {}",
    });
  } finally {
    await app.stop();
  }
});
