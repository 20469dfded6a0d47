/**
 * What one attempt was told in confidence, and the way back out of all that it reports.
 *
 * 1. Every secret of the attempt is resolved here, so what may not be seen is known, whatever it is called.
 * 2. Where a string holds such a value, bare, escaped as in JSON, Python, a URL or HTML, up to five times over, or in
 *    base64 or hexadecimal, the label of its alias stands in its place.
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
import { formsOf, secretCharsMin, type SecretForm } from "./secret-forms.ts";

export type Taint = AttemptCredentials & {
  readonly text: (text: string) => string;
  /** The same value where nothing in it has to be cleared. */
  readonly value: (value: Json) => Json;
  readonly error: (error: DeedError) => DeedError;
};

type Known = SecretForm & { readonly label: string };

export function createTaint(credentials: Credentials, tenant: string): Taint {
  /** The longest first: it is what a text is taken to hold. */
  const forms: Known[] = [];
  const hidden = new Map<string, string>();
  /** Finds quickly that a text holds none of them: most hold none. */
  let anyProbe = /[]/;
  /** All that a text may begin or end with which was cut within a form. */
  const pieces = new Set<string>();

  const learn = (alias: string, value: string): void => {
    if (value.length < secretCharsMin || hidden.has(value)) return;
    const label = secretLabel(alias);
    hidden.set(value, label);
    for (const form of formsOf(value)) {
      forms.push({ ...form, label });
      const last = form.text.length - secretCharsMin;
      for (let at = 0; at <= last; at += 1) pieces.add(form.text.slice(at, at + secretCharsMin));
    }
    forms.sort((a, b) => b.text.length - a.text.length);
    anyProbe = new RegExp([...new Set(forms.map(({ probe }) => probe))].join("|"));
  };

  const text = (given: string): string =>
    withoutEnds(anyProbe.test(given) ? withoutForms(given) : given);

  const withoutForms = (given: string): string => {
    const found = forms.filter(({ probe }) => given.includes(probe));
    const any = new RegExp(found.map(({ pattern }) => `(${pattern})`).join("|"), "gu");
    return given.replace(any, (_, ...groups: unknown[]) => {
      const which = groups.findIndex((group) => group !== undefined);
      return found[which]?.label ?? "";
    });
  };

  /** A text that somebody cut within a secret: it begins with the end of one, or ends with its beginning. */
  const withoutEnds = (given: string): string => {
    const [ellipsis = ""] = /\s*(?:…|\.{3})?\s*$/.exec(given.slice(-8)) ?? [];
    let kept = given.slice(0, given.length - ellipsis.length);
    if (pieces.has(kept.slice(-secretCharsMin))) {
      const { length, label } = longest(forms, (form, count) =>
        kept.endsWith(form.slice(0, count)),
      );
      if (length > 0) kept = kept.slice(0, -length) + label;
    }
    if (pieces.has(kept.slice(0, secretCharsMin))) {
      const { length, label } = longest(forms, (form, count) =>
        kept.startsWith(form.slice(-count)),
      );
      if (length > 0) kept = label + kept.slice(length);
    }
    return kept + ellipsis;
  };

  const value = (given: Json): Json => {
    if (hidden.size === 0 || given === null || typeof given === "boolean") return given;
    if (typeof given === "string") return text(given);
    if (typeof given === "number") return hidden.get(String(given)) ?? given;
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
      if (hidden.size === 0) return error;
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

/** The largest part of a form, shorter than all of it, that is there; of length 0 where none is. */
function longest(
  forms: readonly Known[],
  isThere: (form: string, count: number) => boolean,
): { readonly length: number; readonly label: string } {
  let found = { length: 0, label: "" };
  for (const { text, label } of forms) {
    for (
      let count = text.length - 1;
      count >= Math.max(secretCharsMin, found.length + 1);
      count -= 1
    )
      if (isThere(text, count)) found = { length: count, label };
  }
  return found;
}
