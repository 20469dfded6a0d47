/**
 * What one attempt was told in confidence, and the way back out of all that it reports.
 *
 * 1. Every secret of the attempt is resolved here, so what may not be seen is known, whatever it is called.
 * 2. Where a string holds such a value, or a form of it that programs write (base64 at any offset, URL and
 *    form encoding, JSON, Python, HTML and hexadecimal), the label of its alias stands in its place.
 * 3. Values under 6 characters are left alone: they would be found in texts that have nothing to do with them.
 *
 * Not found: what a program changed in another way (compressed, reversed, cut into pieces).
 */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import type { DeedError } from "../../event/error.ts";
import {
  hiddenValues,
  secretLabel,
  type AttemptCredentials,
  type Credentials,
} from "../credential.ts";
import { formsOf, secretCharsMin } from "./secret-forms.ts";

export type Taint = AttemptCredentials & {
  readonly text: (text: string) => string;
  /** The same value where nothing in it has to be cleared. */
  readonly value: (value: Json) => Json;
  readonly error: (error: DeedError) => DeedError;
};

export function createTaint(credentials: Credentials, tenant: string): Taint {
  /** Each form with the label that takes its place. */
  const labels = new Map<string, string>();
  const hidden: { readonly value: string; readonly label: string }[] = [];

  const learn = (alias: string, value: string): void => {
    if (value.length < secretCharsMin || hidden.some((known) => known.value === value)) return;
    const label = secretLabel(alias);
    hidden.push({ value, label });
    for (const form of formsOf(value)) if (!labels.has(form)) labels.set(form, label);
  };

  const text = (given: string): string => {
    const found = [...labels.keys()].filter((form) => given.includes(form));
    let cleared = given;
    if (found.length > 0) {
      found.sort((a, b) => b.length - a.length);
      const any = new RegExp(found.map(literally).join("|"), "g");
      cleared = given.replace(any, (form) => labels.get(form) ?? "");
    }
    for (const { value: secret, label } of hidden) cleared = withoutEnds(cleared, secret, label);
    return cleared;
  };

  const value = (given: Json): Json => {
    if (labels.size === 0 || given === null || typeof given === "boolean") return given;
    if (typeof given === "string") return text(given);
    if (typeof given === "number") return labels.get(String(given)) ?? given;
    if (isJsonObject(given)) return object(given);
    return given.map(value);
  };

  const object = (given: JsonObject): JsonObject =>
    Object.fromEntries(
      Object.entries(given).map(([name, member]) => [
        text(name),
        member === undefined ? undefined : value(member),
      ]),
    );

  return {
    resolve: async (alias) => {
      const secret = await credentials.resolve(alias, tenant);
      for (const hiddenValue of hiddenValues(secret)) learn(alias, hiddenValue);
      return secret;
    },
    text,
    value,
    error: (error) => {
      const { kind, message, retryable, detail } = error;
      if (labels.size === 0) return error;
      const cleared = { kind, message: text(message), retryable };
      if (detail === undefined) return cleared;
      try {
        return { ...cleared, detail: object(detail) };
      } catch {
        return { ...cleared, detail: { left_out: "not JSON" } };
      }
    },
  };
}

/** A text that somebody cut within a secret: it begins with the end of one, or ends with its beginning. */
function withoutEnds(text: string, secret: string, label: string): string {
  const [ellipsis = ""] = /\s*(?:…|\.{3})?\s*$/.exec(text.slice(-8)) ?? [];
  let kept = text.slice(0, text.length - ellipsis.length);
  if (secret.includes(kept.slice(-secretCharsMin))) {
    const length = longest(secret, (count) => kept.endsWith(secret.slice(0, count)));
    if (length > 0) kept = kept.slice(0, -length) + label;
  }
  if (secret.includes(kept.slice(0, secretCharsMin))) {
    const length = longest(secret, (count) => kept.startsWith(secret.slice(-count)));
    if (length > 0) kept = label + kept.slice(length);
  }
  return kept + ellipsis;
}

/** The largest part of a secret, shorter than all of it, that is there; 0 where none is. */
function longest(secret: string, isThere: (count: number) => boolean): number {
  for (let count = secret.length - 1; count >= secretCharsMin; count -= 1) {
    if (isThere(count)) return count;
  }
  return 0;
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
