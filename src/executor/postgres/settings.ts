/** Where a database is and who enters it: read from a credential or from a DSN. */
import { createHash } from "node:crypto";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";

export type Settings = {
  /** What errors call it: neither host nor user. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: "off" | "where offered" | "unchecked" | "checked";
  /** A certificate authority of its own, PEM. */
  readonly ca: string | undefined;
};

/** The members of a credential, and older words for them. */
const words = {
  dsn: ["dsn", "url", "connection_string"],
  host: ["host", "db_host"],
  port: ["port", "db_port"],
  user: ["user", "username", "db_user"],
  password: ["password", "db_password"],
  database: ["database", "dbname", "db_name"],
  sslmode: ["sslmode"],
  sslrootcert: ["sslrootcert"],
} as const;

type Given = { readonly [K in keyof typeof words]?: string };

const tlsOf: ReadonlyMap<string, Settings["tls"]> = new Map([
  ["disable", "off"],
  ["allow", "where offered"],
  ["prefer", "where offered"],
  ["require", "unchecked"],
  ["verify-ca", "checked"],
  ["verify-full", "checked"],
]);

/**
 * @param label the alias, or what stands for it where there is none.
 * @throws {Fault} `invalid_args`: its message names members, never what they hold.
 */
export function settingsOf(label: string, values: JsonObject, database?: string): Settings {
  const own = membersOf(values);
  const given: Given = { ...(own.dsn === undefined ? {} : readDsn(label, own.dsn)), ...own };
  const host = given.host ?? "";
  const user = given.user ?? "";
  const port = Number(given.port ?? 5432);
  if (host === "" || user === "") {
    throw unfit(label, `it has no ${host === "" ? "host" : "user"}`);
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw unfit(label, "its port is none");
  }
  const tls = tlsOf.get(given.sslmode ?? (host.startsWith("/") ? "disable" : "prefer"));
  if (tls === undefined) {
    throw unfit(label, `its sslmode is none of ${[...tlsOf.keys()].join(", ")}`);
  }
  const chosen = database ?? given.database ?? user;
  return {
    label,
    host,
    port,
    user,
    password: given.password ?? "",
    database: chosen,
    tls,
    ca: given.sslrootcert,
  };
}

/** Two settings with one key lead to the same sessions. */
export function keyOf(settings: Settings): string {
  return createHash("sha256").update(JSON.stringify(settings)).digest("hex");
}

function membersOf(values: JsonObject): Given {
  const found = Object.entries(words).flatMap(([ours, theirs]) => {
    const value = theirs.map((name) => values[name]).find((one) => one !== undefined);
    return typeof value === "string" || typeof value === "number"
      ? [[ours, String(value)] as const]
      : [];
  });
  return Object.fromEntries(found);
}

function readDsn(label: string, dsn: string): Given {
  if (!/^postgres(ql)?:\/\//.test(dsn) || !URL.canParse(dsn)) {
    throw unfit(label, "its DSN is none: write postgres://user:password@host:port/database");
  }
  const url = new URL(dsn);
  const part = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw unfit(label, "its DSN has a % that begins no encoded character");
    }
  };
  const members = {
    host: part(url.hostname.replace(/^\[|\]$/g, "")),
    port: url.port,
    user: part(url.username),
    password: part(url.password),
    database: part(url.pathname.slice(1)),
    ...Object.fromEntries(url.searchParams),
  };
  return membersOf(Object.fromEntries(Object.entries(members).filter(([, value]) => value !== "")));
}

function unfit(label: string, why: string): Error {
  return fault("invalid_args", `Cannot use ${label} for PostgreSQL as ${why}`);
}
