/** Compiles the templates of one playbook, and gathers what is wrong and which names are read. */
import { isJsonObject, type Json } from "../../base/json.ts";
import { ok } from "../../base/result.ts";
import type { ProgramProblem } from "./model.ts";
import {
  compileCondition,
  compileTemplate,
  compileValue,
  type Condition,
  type Template,
  type ValueTemplate,
} from "../template.ts";

export type Path = readonly (string | number)[];

export class Compiler {
  readonly problems: ProgramProblem[] = [];
  readonly reads = new Set<string>();
  private readonly mode: "strict" | "lenient";

  constructor(mode: "strict" | "lenient") {
    this.mode = mode;
  }

  problem(path: Path, message: string, at?: number): void {
    this.problems.push({ path, message, ...(at === undefined ? {} : { at }) });
  }

  condition(source: string | undefined, path: Path): Condition | undefined {
    if (source === undefined) return undefined;
    const compiled = compileCondition(source, this.mode);
    if (compiled.ok) return this.read(compiled.value);
    this.problem(path, compiled.error.message, compiled.error.at);
    return undefined;
  }

  value(value: Json, path: Path): ValueTemplate {
    const compiled = compileValue(value, this.mode);
    if (compiled.ok) return this.read(compiled.value);
    this.problem([...path, ...compiled.error.path], compiled.error.message, compiled.error.at);
    return nothing;
  }

  /**
   * Templates of a tool's arguments. A string that names the keychain stays as it is written: only an
   * executor may know what it says. One that names something else as well could not be rendered by either.
   */
  withSecrets(value: Json, path: Path): { value: ValueTemplate; secrets: Path[] } {
    const secrets: Path[] = [];
    const quoted = this.quoteSecrets(value, { path, inner: [], secrets });
    return { value: this.value(quoted, path), secrets };
  }

  /** A number as it stands; else what gives one when it is needed. */
  number(value: number | string, path: Path): number | Template {
    if (typeof value === "number") return value;
    const compiled = compileTemplate(value, this.mode);
    if (compiled.ok) return this.read(compiled.value);
    this.problem(path, compiled.error.message, compiled.error.at);
    return 0;
  }

  private quoteSecrets(value: Json, at: SecretSearch): Json {
    if (typeof value === "string") return this.quoteSecret(value, at);
    if (isList(value)) {
      return value.map((item, index) => this.quoteSecrets(item, deeper(at, index)));
    }
    if (!isJsonObject(value)) return value;
    const members = Object.entries(value).map(([name, member]): [string, Json | undefined] => [
      name,
      member === undefined ? undefined : this.quoteSecrets(member, deeper(at, name)),
    ]);
    return Object.fromEntries(members);
  }

  private quoteSecret(text: string, { path, inner, secrets }: SecretSearch): Json {
    if (!text.includes("keychain")) return text;
    const compiled = compileTemplate(text, this.mode);
    if (!compiled.ok || !compiled.value.roots.has("keychain")) return text;
    if (compiled.value.roots.size > 1) {
      const others = [...compiled.value.roots].filter((root) => root !== "keychain").join(", ");
      this.problem(
        [...path, ...inner],
        `a string that names the keychain can name nothing else, as only executors read the keychain: it names ${others}`,
      );
    }
    secrets.push(inner);
    return `{% raw %}${text}{% endraw %}`;
  }

  private read<T extends { readonly roots: ReadonlySet<string> }>(compiled: T): T {
    for (const root of compiled.roots) this.reads.add(root);
    return compiled;
  }
}

type SecretSearch = { readonly path: Path; readonly inner: Path; readonly secrets: Path[] };

function deeper(at: SecretSearch, name: string | number): SecretSearch {
  return { ...at, inner: [...at.inner, name] };
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Stands where a template could not be compiled; a program with problems is never run. */
const nothing: ValueTemplate = { roots: new Set(), render: () => ok(null) };
