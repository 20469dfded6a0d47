/**
 * Credentials: what an executor needs to enter a target system, by alias, and opaque until it is used.
 *
 * Invariants
 * 1. A {@link Secret} printed in any way (a template literal, `JSON.stringify`, `util.inspect`, the log, an
 *    error) says `[secret <alias>]` and nothing of what it holds; a structured clone of it holds nothing.
 * 2. `reveal` is called in executors alone, at the moment of use.
 * 3. What is secret is told by its type, never by the name of a member.
 */
import type { Json, JsonObject } from "../base/json.ts";
import { fault, type Fault } from "../event/error.ts";

/** An opaque handle. `toJSON` gives its label, `[secret <alias>]`. */
export type Secret = {
  /** What it holds: strings that no event, log line, error or answer may hold. */
  readonly reveal: () => JsonObject;
  readonly toJSON: () => string;
};

export type Credentials = {
  /**
   * What the alias stands for, as it is now: a rotated secret is seen once the cached one is too old.
   *
   * @throws {Fault} `not_found` where nothing is configured under this alias, `permission` where this
   * tenant may not use it, `unavailable` where its source does not answer. No message holds a value.
   */
  readonly resolve: (alias: string, tenant: string) => Promise<Secret>;
};

/** {@link Credentials} of one tenant, for one attempt. */
export type AttemptCredentials = {
  /** @throws {Fault} as {@link Credentials} does. */
  readonly resolve: (alias: string) => Promise<Secret>;
};

/**
 * Hides the values behind their alias.
 *
 * @param open members that are no secret, as a host or a database: part of what `reveal` gives, where
 *   `values` has no member of that name, and left alone where reports are cleared of secrets.
 */
export function createSecret(alias: string, values: JsonObject, open: JsonObject = {}): Secret {
  return new HiddenValues(alias, values, open);
}

/** What of a secret may be seen nowhere: all strings and numbers in it, but those that are open. */
export function hiddenValues(secret: Secret): readonly string[] {
  const hidden = new Set<string>();
  gather(secret instanceof HiddenValues ? HiddenValues.hidden(secret) : secret.reveal(), hidden);
  return [...hidden];
}

/** Where no credential is configured: every alias is unknown. */
export const noCredentials: Credentials = {
  resolve: (alias) => Promise.reject(unknownCredential(alias)),
};

/** Says what to write where. */
export function unknownCredential(alias: string): Fault {
  return fault(
    "not_found",
    `There is no credential "${alias}": configure it in deed.yaml, as in credentials: {"${alias}": {from: env, names: {password: VARIABLE}}}`,
  );
}

/** What stands where a value of this alias was. */
export function secretLabel(alias: string): string {
  return `[secret ${alias}]`;
}

/** Of a class, as a private member is out of the reach of `inspect`, of a clone and of a spread. */
class HiddenValues implements Secret {
  readonly #alias: string;
  readonly #values: JsonObject;
  readonly #open: JsonObject;

  constructor(alias: string, values: JsonObject, open: JsonObject) {
    this.#alias = alias;
    this.#values = values;
    this.#open = open;
    Object.freeze(this);
  }

  static hidden(secret: HiddenValues): JsonObject {
    return secret.#values;
  }

  reveal(): JsonObject {
    return { ...this.#open, ...this.#values };
  }

  toJSON(): string {
    return secretLabel(this.#alias);
  }

  toString(): string {
    return this.toJSON();
  }

  [Symbol.toPrimitive](): string {
    return this.toJSON();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toJSON();
  }
}

function gather(value: Json | undefined, into: Set<string>): void {
  if (typeof value === "string" || typeof value === "number") into.add(String(value));
  else if (typeof value === "object" && value !== null) {
    for (const member of Object.values(value) as (Json | undefined)[]) gather(member, into);
  }
}
