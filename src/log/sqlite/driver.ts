import { createRequire } from "node:module";
import type { DatabaseSync, backup } from "@photostructure/sqlite";

export type Database = InstanceType<typeof DatabaseSync>;

export type Statement = ReturnType<Database["prepare"]>;

type Driver = {
  readonly DatabaseSync: new (path: string, options?: object) => Database;
  readonly backup: typeof backup;
};

/** Opens a SQLite database with whichever of the two equal drivers there is; see {@link driver}. */
export function openDatabase(
  path: string,
  options: { readonly readOnly?: boolean } = {},
): Database {
  const { DatabaseSync: Open } = driver();
  return new Open(path, options);
}

/** More pages than a file has: the copy is one step, so no writer can make it start again. */
const allPages = 2 ** 31 - 1;

/** Copies a database as of now into a new file, on a thread of its own. */
export async function copyDatabase(from: Database, target: string): Promise<void> {
  await driver().backup(from, target, { rate: allPages });
}

let loaded: Driver | undefined;

/**
 * The driver built into Node where it has all that is needed (`backup` and `isTransaction`: from 22.16
 * and from 24), else the package with the same API and a prebuilt binary.
 */
function driver(): Driver {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const builtIn = major >= 24 || (major === 22 && minor >= 16);
  loaded = require(builtIn ? "node:sqlite" : "@photostructure/sqlite") as Driver;
  return loaded;
}

/** What SQLite says for a code: the package's `all` and `iterate` give the text without the number. */
const codeOfMessage: ReadonlyMap<string, number> = new Map([
  ["database is locked", 5],
  ["database table is locked", 6],
  ["attempt to write a readonly database", 8],
  ["disk I/O error", 10],
  ["database disk image is malformed", 11],
  ["database or disk is full", 13],
  ["unable to open database file", 14],
  ["file is not a database", 26],
]);

const genericError = 1;

/** The primary result code of an error that SQLite gave; `undefined` for any other. */
export function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  if (thrown.code !== "ERR_SQLITE_ERROR") return undefined;
  if ("errcode" in thrown && typeof thrown.errcode === "number") return thrown.errcode & 0xff;
  return codeOfMessage.get(thrown.message) ?? genericError;
}
