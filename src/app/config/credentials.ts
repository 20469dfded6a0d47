import type { CredentialEntry, CredentialSource } from "../../executor/credential/credentials.ts";
import type { ConfigFile } from "./shape.ts";
import { durationMs, type Reading } from "./reading.ts";

type Written = NonNullable<ConfigFile["credentials"]>[string];

const cacheMsDefault = 60_000;

const timeoutMsDefault = 10_000;

/** Where each credential comes from: nothing of what it holds is read here. */
export function credentialsOf(reading: Reading): ReadonlyMap<string, CredentialEntry> {
  const entries = Object.entries(reading.config.credentials ?? {});
  return new Map(
    entries.flatMap(([alias, written]) => {
      const source = sourceOf(reading, alias, written);
      if (source === undefined) return [];
      const cache = { path: ["credentials", alias, "cache"], written: written.cache };
      const { tenants, fields = {}, open = [] } = written;
      const entry: CredentialEntry = {
        source,
        fields,
        open,
        cacheMs: durationMs(reading, cache, 0) ?? cacheMsDefault,
        ...(tenants === undefined ? {} : { tenants }),
      };
      return [[alias, entry]];
    }),
  );
}

/** The members that say where a credential comes from, and which of them each kind of place has. */
const placeMembers = {
  env: ["names", "prefix"],
  file: ["path", "format"],
  command: ["argv", "env_pass", "timeout", "format"],
} as const;

function sourceOf(reading: Reading, alias: string, written: Written): CredentialSource | undefined {
  const { problem } = reading;
  const { from } = written;
  const own: readonly string[] = placeMembers[from];
  const others = new Set(Object.values(placeMembers).flat());
  for (const name of others) {
    if (own.includes(name) || written[name] === undefined) continue;
    const message = `"from: ${from}" has no "${name}": it has ${own.join(", ")}`;
    problem(["credentials", alias, name], message);
  }
  const source = placeOf(reading, alias, written);
  if (source === undefined)
    problem(["credentials", alias], `a credential without a place to read it from: ${hints[from]}`);
  return source;
}

const hints = {
  env: "give names, as {password: PG_PASSWORD}, or a prefix",
  file: "give the path of the file",
  command: "give argv, the program and its arguments",
} as const;

function placeOf(reading: Reading, alias: string, written: Written): CredentialSource | undefined {
  const { from, names = {}, prefix, path, argv, env_pass: envPass = [] } = written;
  const format = written.format === undefined ? {} : { format: written.format };
  if (from === "env") {
    if (Object.keys(names).length === 0 && prefix === undefined) return undefined;
    return { from, names, ...(prefix === undefined ? {} : { prefix }) };
  }
  if (from === "file")
    return path === undefined ? undefined : { from, path: reading.at(path), ...format };
  const [program, ...rest] = argv ?? [];
  if (program === undefined) return undefined;
  const timeout = { path: ["credentials", alias, "timeout"], written: written.timeout };
  return {
    from,
    argv: [program.includes("/") ? reading.at(program) : program, ...rest],
    cwd: reading.at("."),
    envPass,
    timeoutMs: durationMs(reading, timeout) ?? timeoutMsDefault,
    ...format,
  };
}

/** The variables that credentials are read from; what a prefix takes is among those of `env`. */
export function credentialVariables(
  { credentials = {} }: ConfigFile,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  return Object.values(credentials).flatMap(({ names = {}, prefix, env_pass: passed = [] }) => {
    const taken = Object.keys(env).filter(
      (name) => prefix !== undefined && name.startsWith(prefix),
    );
    return [...Object.values(names), ...taken, ...passed];
  });
}
