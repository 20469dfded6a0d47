/**
 * A PostgreSQL server of this machine for as long as a test or a bench runs: a cluster of its own in a temporary folder.
 *
 * It is found by `PATH` and in `/usr/lib/postgresql`. PostgreSQL refuses to run as root, so that there it
 * runs as the user `postgres`, or else `nobody`.
 */
import { spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import pg from "pg";

export type TestPostgres = {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** `demo_noetl`, empty at first. */
  readonly database: string;
  /** `postgres://…` of all this. */
  readonly dsn: string;
  /** Runs SQL as the superuser, on a connection of its own. */
  readonly sql: (
    text: string,
    database?: string,
  ) => Promise<readonly { readonly [column: string]: unknown }[]>;
  /** Drops the database with all its connections and creates it anew, empty. */
  readonly empty: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

const database = "demo_noetl";
const user = "demo";
const password = "a secret word";

const bin = findBin();

/** Why there is no server here; undefined where there is one. */
export const noPostgres: string | undefined =
  bin === undefined
    ? "PostgreSQL is needed: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin"
    : undefined;

function findBin(): string | undefined {
  const versions = "/usr/lib/postgresql";
  const installed = existsSync(versions)
    ? readdirSync(versions)
        .sort((left, right) => Number(right) - Number(left))
        .map((version) => join(versions, version, "bin"))
    : [];
  const folders = [...installed, ...(process.env["PATH"] ?? "").split(delimiter)];
  return folders.find((folder) =>
    ["initdb", "postgres"].every((name) => existsSync(join(folder, name))),
  );
}

/** Whom the server runs as where root may not. */
function runsAs(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((what) => {
      const { status, stdout } = spawnSync("id", [what, name], { encoding: "utf8" });
      return status === 0 ? Number(stdout) : undefined;
    });
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  return undefined;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @throws where there is none (`noPostgres` says so before), or where it does not start. */
export async function startPostgres(): Promise<TestPostgres> {
  if (bin === undefined) throw new Error(noPostgres);
  const who = runsAs();
  const folder = mkdtempSync(join(tmpdir(), "deed-pg-"));
  const passwords = join(folder, "password");
  writeFileSync(passwords, password);
  if (who !== undefined) for (const path of [folder, passwords]) chownSync(path, who.uid, who.gid);
  const data = join(folder, "data");
  const init = ["-D", data, "-U", user, "--pwfile", passwords, "--auth", "scram-sha-256"];
  const made = spawnSync(
    join(bin, "initdb"),
    [...init, "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"],
    { ...who, cwd: folder, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`);
  const port = await freePort();
  const settings = { fsync: "off", listen_addresses: "127.0.0.1", unix_socket_directories: folder };
  const server = spawn(
    join(bin, "postgres"),
    [
      ...["-D", data, "-p", String(port)],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    { ...who, cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  server.stderr.on("data", (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-4_000)));
  const kill = (): void => {
    server.kill("SIGQUIT");
  };
  process.on("exit", kill);
  const exited = new Promise<void>((resolve) =>
    server.once("exit", () => {
      resolve();
    }),
  );
  const sql: TestPostgres["sql"] = async (text, where = database) => {
    const client = new pg.Client({ host: "127.0.0.1", port, user, password, database: where });
    await client.connect();
    try {
      return (await client.query<{ readonly [column: string]: unknown }>(text)).rows;
    } finally {
      await client.end();
    }
  };
  const stop = async (): Promise<void> => {
    kill();
    await exited;
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true });
  };
  const empty = async (): Promise<void> => {
    await sql(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`, "postgres");
    await sql(`CREATE DATABASE ${database}`, "postgres");
  };
  try {
    await ready(() => sql("SELECT 1", "postgres"));
    await empty();
  } catch (thrown) {
    await stop();
    throw new Error(`PostgreSQL did not start: ${said}`, { cause: thrown });
  }
  const dsn = `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${String(port)}/${database}`;
  return { host: "127.0.0.1", port, user, password, database, dsn, sql, empty, stop };
}

/** Until it takes connections; gives up after about ten seconds. */
async function ready(ask: () => Promise<unknown>): Promise<void> {
  for (let asked = 1; ; asked += 1) {
    try {
      await ask();
      return;
    } catch (thrown) {
      if (asked === 100) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
