import { createRequire } from "node:module";
import type { DatabaseSync } from "@photostructure/sqlite";

export type Database = InstanceType<typeof DatabaseSync>;

export type Statement = ReturnType<Database["prepare"]>;

type Driver = { readonly DatabaseSync: new (path: string, options?: object) => Database };

/**
 * Opens a SQLite database with whichever of the two equal drivers there is: the one built into Node
 * (from 22.13), else the package with the same API and a prebuilt binary.
 */
export function openDatabase(
  path: string,
  options: { readonly readOnly?: boolean } = {},
): Database {
  const { DatabaseSync: Open } = driver();
  return new Open(path, options);
}

let loaded: Driver | undefined;

function driver(): Driver {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  loaded = require(builtIn ? "node:sqlite" : "@photostructure/sqlite") as Driver;
  return loaded;
}

/** The primary result code of an error that SQLite gave; `undefined` for any other. */
export function sqliteCode(thrown: unknown): number | undefined {
  if (typeof thrown !== "object" || thrown === null || !("errcode" in thrown)) return undefined;
  return typeof thrown.errcode === "number" ? thrown.errcode & 0xff : undefined;
}
