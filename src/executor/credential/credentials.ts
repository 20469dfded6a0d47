/**
 * Credentials by alias, from the places that the configuration names.
 *
 * Invariants
 * 1. A source is read when its alias is used, at most once in `cacheMs`, and once for all who ask meanwhile.
 *    What failed is not remembered: the next one who asks tries again.
 * 2. What was read stands in memory alone. No message holds a value, the text of a file, what a command
 *    printed, or more of its arguments than its name.
 * 3. A tenant that may not use an alias does not make its source be read.
 */
import type { Clock } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { createSecret, unknownCredential, type Credentials, type Secret } from "../credential.ts";
import { readCommand, type CommandSource } from "./command.ts";
import { readEnvironment, type EnvironmentSource } from "./environment.ts";
import { readFileSource, type FileSource } from "./file.ts";
import type { World } from "./world.ts";

export type CredentialSource = EnvironmentSource | FileSource | CommandSource;

export type CredentialEntry = {
  readonly source: CredentialSource;
  /** Who may use it; all where it is left out. */
  readonly tenants?: readonly string[];
  /** Members that are no secret, as a host; what the source gives of the same name comes before. */
  readonly fields: JsonObject;
  /** Members of the source that are no secret. */
  readonly open: readonly string[];
  /** How long what was read is used, milliseconds. */
  readonly cacheMs: number;
};

export type CredentialsOptions = {
  readonly entries: ReadonlyMap<string, CredentialEntry>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly warn: (message: string) => void;
};

export type ConfiguredCredentials = Credentials & {
  /** Ends the commands that run. */
  readonly close: () => void;
};

/** What was read, and from when to when it is used. While it is read, it is the one for all who ask. */
type Kept = { readonly secret: Promise<Secret>; fromMs: number; toMs: number };

export function createCredentials(options: CredentialsOptions): ConfiguredCredentials {
  const { entries, clock } = options;
  const kept = new Map<string, Kept>();
  const told = new Set<string>();
  const ending = new AbortController();
  const world: World = {
    env: options.env,
    signal: ending.signal,
    warn: (message) => {
      if (!told.has(message)) options.warn(message);
      told.add(message);
    },
  };

  const read = (alias: string, entry: CredentialEntry): Promise<Secret> => {
    const nowMs = clock.nowMs();
    const known = kept.get(alias);
    if (known !== undefined && nowMs >= known.fromMs && nowMs < known.toMs) return known.secret;
    const secret = secretOf(alias, entry, world);
    const one: Kept = { secret, fromMs: -Infinity, toMs: Infinity };
    kept.set(alias, one);
    secret.then(
      () => {
        one.fromMs = clock.nowMs();
        one.toMs = one.fromMs + entry.cacheMs;
      },
      () => {
        if (kept.get(alias) === one) kept.delete(alias);
      },
    );
    return secret;
  };

  return {
    resolve: async (alias, tenant) => {
      const entry = entries.get(alias);
      if (entry === undefined) throw unknownCredential(alias);
      if (entry.tenants?.includes(tenant) === false) {
        throw fault(
          "permission",
          `Cannot use the credential "${alias}" for the tenant "${tenant}": name it in credentials.${alias}.tenants of the configuration`,
        );
      }
      return read(alias, entry);
    },
    close: () => {
      ending.abort();
    },
  };
}

async function secretOf(alias: string, entry: CredentialEntry, world: World): Promise<Secret> {
  const { source, fields, open } = entry;
  const values = await valuesOf(alias, source, world);
  const members = Object.entries(values);
  const isOpen = ([name]: [string, unknown]): boolean => open.includes(name);
  return createSecret(alias, Object.fromEntries(members.filter((member) => !isOpen(member))), {
    ...fields,
    ...Object.fromEntries(members.filter(isOpen)),
  });
}

async function valuesOf(
  alias: string,
  source: CredentialSource,
  world: World,
): Promise<JsonObject> {
  switch (source.from) {
    case "env":
      return readEnvironment(alias, source, world);
    case "file":
      return readFileSource(alias, source, world);
    case "command":
      return readCommand(alias, source, world);
  }
}
