/**
 * Credentials: what an executor needs to enter a target system, by alias, and opaque until it is used.
 *
 * Invariants
 * 1. A {@link Secret} printed in any way (a template literal, `JSON.stringify`, `util.inspect`, the log, an
 *    error) says `[secret <alias>]` and nothing of what it holds; a structured clone of it holds nothing.
 * 2. `reveal` is called in executors alone, at the moment of use.
 * 3. What is secret is told by its type, never by the name of a member.
 */
import type { JsonObject } from "../base/json.ts";

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

/** Hides the values behind their alias. */
export function createSecret(alias: string, values: JsonObject): Secret {
  return new HiddenValues(alias, values);
}

/** What stands where a value of this alias was. */
export function secretLabel(alias: string): string {
  return `[secret ${alias}]`;
}

/** Of a class, as a private member is out of the reach of `inspect`, of a clone and of a spread. */
class HiddenValues implements Secret {
  readonly #alias: string;
  readonly #values: JsonObject;

  constructor(alias: string, values: JsonObject) {
    this.#alias = alias;
    this.#values = values;
    Object.freeze(this);
  }

  reveal(): JsonObject {
    return this.#values;
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
