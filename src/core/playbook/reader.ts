/**
 * Reads the members of a playbook file one by one: what has the wrong form is told and left out, so that
 * one mistake does not hide the next.
 */
import { nearest } from "../../base/nearest.ts";
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";
import { parseDurationMs } from "../../base/duration.ts";
import type { YamlDocument, YamlPath } from "../../base/yaml.ts";
import { findingsMax, refuses, severityOf, type Finding, type FindingCode } from "./finding.ts";
import type { Known } from "./tool-schema.ts";

export type Path = YamlPath;

/** A member of the file, with the way to it. */
export type Member<T extends Json = Json> = { readonly value: T; readonly path: Path };

export type Report = {
  readonly code: FindingCode;
  readonly path: Path;
  readonly message: string;
  readonly help: string;
  /** The key is meant, not what it holds. */
  readonly atKey?: boolean;
  /** Characters into the text. */
  readonly within?: number;
};

export class Reader {
  readonly findings: Finding[] = [];
  strict = false;
  readonly #file: string;
  readonly #document: Pick<YamlDocument, "place" | "keyPlace">;
  /** Where a member of the model was read from, by its path. */
  readonly #origins = new Map<string, Path>();

  constructor(file: string, document: Pick<YamlDocument, "place" | "keyPlace">) {
    this.#file = file;
    this.#document = document;
  }

  report({ code, path, message, help, atKey, within }: Report): void {
    if (this.findings.length >= findingsMax && !refuses(code, this.strict)) return;
    const { line, column } =
      atKey === true ? this.#document.keyPlace(path) : this.#document.place(path, within);
    const severity = severityOf(code, this.strict);
    this.findings.push({ code, severity, file: this.#file, line, column, message, help });
  }

  /** Remembers that a member of the model, and all below it, stands there in the file. */
  origin(model: Path, source: Path): void {
    this.#origins.set(JSON.stringify(model), source);
  }

  /** Where a member of the model stands in the file; where it stands nowhere, what holds it. */
  sourceOf(model: Path): Path {
    for (let length = model.length; length > 0; length -= 1) {
      const source = this.#origins.get(JSON.stringify(model.slice(0, length)));
      if (source !== undefined) return [...source, ...model.slice(length)];
    }
    return model;
  }

  member(of: Member<JsonObject>, key: string): Member | undefined {
    const value = Object.hasOwn(of.value, key) ? of.value[key] : undefined;
    return value === undefined || value === null ? undefined : { value, path: [...of.path, key] };
  }

  /** The first of several spellings of one key that is there; the first is the one we write. */
  spelled(of: Member<JsonObject>, ...keys: readonly string[]): Member | undefined {
    const [ours = ""] = keys;
    let found: Member | undefined;
    for (const key of keys) {
      const member = this.member(of, key);
      if (member === undefined) continue;
      if (key !== ours) this.#oldSpelling(member.path, key, ours);
      if (found === undefined) found = member;
      else this.#double(found.path, member.path);
    }
    return found;
  }

  #oldSpelling(path: Path, key: string, ours: string): void {
    if (!this.strict) return;
    this.report({
      code: "old-spelling",
      path,
      message: `"${key}" is an older word`,
      help: `write "${ours}"`,
      atKey: true,
    });
  }

  /** Tells what the field's engine passes over and we do not: one file, two outcomes. */
  elsewhere(path: Path, what: string): void {
    if (this.strict) return;
    this.report({
      code: "elsewhere-ignored",
      path,
      message: `the field's engine passes over ${what}; here it holds`,
      help: "nothing to do, unless the file also runs there",
      atKey: true,
    });
  }

  #double(first: Path, second: Path): void {
    this.report({
      code: "wrong-value",
      path: second,
      message: `"${String(second.at(-1))}" says the same as "${String(first.at(-1))}", which is also here`,
      help: "keep one of them",
      atKey: true,
    });
  }

  object(member: Member | undefined): Member<JsonObject> | undefined {
    if (member === undefined) return undefined;
    const { value, path } = member;
    return isJsonObject(value) ? { value, path } : this.wrong(member, "a mapping");
  }

  list(member: Member | undefined): readonly Member[] {
    if (member === undefined) return [];
    const items = member.value;
    if (!isList(items)) {
      this.wrong(member, "a list");
      return [];
    }
    return items.map((value, index) => ({ value, path: [...member.path, index] }));
  }

  text(member: Member | undefined): string | undefined {
    if (member === undefined) return undefined;
    const { value } = member;
    if (typeof value === "string" && value.trim() !== "") return value;
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    return this.wrong(member, "a text");
  }

  boolean(member: Member | undefined): boolean | undefined {
    if (member === undefined) return undefined;
    return typeof member.value === "boolean" ? member.value : this.wrong(member, "true or false");
  }

  word<T extends string>(member: Member | undefined, words: readonly T[]): T | undefined {
    if (member === undefined) return undefined;
    const found = words.find((word) => word === member.value);
    if (found !== undefined) return found;
    const near = typeof member.value === "string" ? nearest(member.value, words) : undefined;
    return this.wrong(member, `one of ${words.join(", ")}`, near);
  }

  /** A condition as text; `true` and numbers are conditions, too. */
  condition(member: Member | undefined): string | undefined {
    return this.text(member);
  }

  /** A number, or a text with a template that gives one. */
  number(
    member: Member | undefined,
    { least, whole = false }: { readonly least: number; readonly whole?: boolean },
  ): number | string | undefined {
    if (member === undefined) return undefined;
    const { value } = member;
    if (typeof value === "string" && isTemplate(value)) return value;
    const given = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    const fits = typeof given === "number" && given >= least && Number.isFinite(given);
    if (fits && (!whole || Number.isInteger(given))) return given;
    const what = whole ? "a whole number" : "a number";
    return this.wrong(member, `${what} of ${String(least)} or more, or a template`);
  }

  /** Seconds, or a duration as people write it. */
  durationMs(member: Member | undefined): number | undefined {
    const value = this.seconds(member);
    if (typeof value === "number") return value * 1_000;
    if (value === undefined || member === undefined) return undefined;
    return this.wrong(member, "more than 0 seconds or a duration as 10m, without templates");
  }

  /** Seconds, a duration as people write it, or a template that gives seconds. */
  seconds(member: Member | undefined): number | string | undefined {
    if (member === undefined) return undefined;
    const { value } = member;
    if (typeof value === "string" && isTemplate(value)) return value;
    const duration = typeof value === "string" ? parseDurationMs(value) : undefined;
    const blank = typeof value === "string" && value.trim() === "";
    const seconds = duration?.ok === true ? duration.value / 1_000 : Number(blank ? NaN : value);
    const isNumber = typeof value === "number" || typeof value === "string";
    if (isNumber && seconds > 0 && Number.isFinite(seconds)) return seconds;
    return this.wrong(member, "more than 0 seconds, a duration as 10m, or a template");
  }

  /** Tells a value of the wrong form. */
  wrong<T>(member: Member, expected: string, near?: string): T | undefined {
    const key = member.path.at(-1);
    const name = typeof key === "string" ? `"${key}"` : "this";
    this.report({
      code: "wrong-value",
      path: member.path,
      message: `${name} must be ${expected}: it is ${said(member.value)}`,
      help: near === undefined ? `write ${expected}` : `did you mean "${near}"?`,
    });
    return undefined;
  }

  /** What must be there. */
  required(of: Member<JsonObject>, key: string, help: string): Member | undefined {
    const member = this.member(of, key);
    if (member !== undefined) return member;
    const code = "missing-key";
    this.report({ code, path: of.path, message: `"${key}" is missing`, help });
    return undefined;
  }

  /** Tells keys that nobody reads, and those that have no effect. */
  keys(of: Member<JsonObject>, known: Known, where: string): void {
    for (const key of Object.keys(of.value)) {
      const path = [...of.path, key];
      const schema = Object.hasOwn(known, key) ? known[key] : undefined;
      if (schema === undefined) {
        const words = Object.keys(known).filter((word) => findingOf(known[word]) === undefined);
        const near = nearest(key, words);
        this.report({
          code: "unknown-key",
          path,
          message: `nobody reads the key "${key}" of ${where}`,
          help: near === undefined ? `known here: ${words.join(", ")}` : `did you mean "${near}"?`,
          atKey: true,
        });
        continue;
      }
      const code = findingOf(schema);
      if (code === undefined) continue;
      const what = code === "not-run" ? "is read, but not run" : "has no effect";
      this.report({
        code,
        path,
        message: `"${key}" of ${where} ${what}: ${String(Reflect.get(schema, "description"))}`,
        help: "leave it out",
        atKey: true,
      });
    }
  }
}

function findingOf(schema: object | undefined): "ignored-key" | "not-run" | undefined {
  const code: unknown = schema === undefined ? undefined : Reflect.get(schema, "x-finding");
  return code === "ignored-key" || code === "not-run" ? code : undefined;
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isTemplate(text: string): boolean {
  return text.includes("{{") || text.includes("{%");
}

const saidMax = 60;

function said(value: Json): string {
  const text = JSON.stringify(value);
  if (text.length <= saidMax) return text;
  if (isList(value)) return "a list";
  return isJsonObject(value) ? "a mapping" : `${text.slice(0, saidMax)}…`;
}
