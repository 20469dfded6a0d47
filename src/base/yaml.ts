/**
 * YAML 1.2 as plain JSON, with the place of everything in the file.
 *
 * What a file stands for is JSON and nothing else, and never much more than the file itself:
 *
 * 1. No input throws, hangs or fills the memory: text, nesting and what aliases blow up to are bounded.
 * 2. What JSON cannot hold exactly (`.inf`, an integer past 2^53, a tag of another language) is a problem
 *    with its place, never a silent change.
 * 3. An alias is what its anchor held; `<<` fills in what a mapping does not say itself.
 * 4. A place inside a text is exact in every way to write one: plain, quoted, `|` and `>`.
 */
import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
  type Alias,
  type Document,
  type Pair,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { isJsonObject, jsonDepthMax, type Json } from "./json.ts";
import { textOffsets, type OffsetOf } from "./yaml-text.ts";

/** Keys and indexes from the root of a document. */
export type YamlPath = readonly (string | number)[];

/** Lines and columns count from 1. */
export type YamlPlace = { readonly line: number; readonly column: number };

export type YamlProblem = YamlPlace & { readonly message: string };

export type YamlDocument = {
  readonly value: Json;
  /**
   * Where a member stands: a text at its first character, a list or a mapping at its key; what is not there,
   * at the nearest that holds it.
   *
   * @param within characters into the text of the member.
   */
  readonly place: (path: YamlPath, within?: number) => YamlPlace;
  /** Where the key of a member stands. */
  readonly keyPlace: (path: YamlPath) => YamlPlace;
};

export type YamlFile = {
  /** Those that could be read, in the order of the file; an empty one is left out. */
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly YamlProblem[];
};

/** What one file may be: characters of text, and values once every alias is what it stands for. */
export const yamlLimits = { charsMax: 1_048_576, valuesMax: 200_000 } as const;

/** Reads every document of a file; all problems are told, not only the first. */
export function readYaml(text: string): YamlFile {
  const start = { line: 1, column: 1 };
  if (text.length > yamlLimits.charsMax) {
    const message = `cannot be read as a file may hold ${String(yamlLimits.charsMax)} characters: it holds ${String(text.length)}`;
    return { documents: [], problems: [{ ...start, message }] };
  }
  const lines = new LineCounter();
  const parsed = parsedOf(text, lines);
  if (parsed === undefined) {
    return { documents: [], problems: [{ ...start, message: `cannot be read as ${tooDeep}` }] };
  }
  const placeAt = (offset: number): YamlPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const documents: YamlDocument[] = [];
  const problems: YamlProblem[] = [];
  for (const document of parsed) {
    const told = problems.length;
    for (const { offset, message } of syntaxProblems(document)) {
      problems.push({ ...placeAt(offset), message });
    }
    if (problems.length > told || isEmpty(document.contents)) continue;
    const reading = new Reading();
    const { value, origin } = reading.read(document.contents, 0);
    for (const { offset, message } of reading.problems) {
      problems.push({ ...placeAt(offset), message });
    }
    if (problems.length > told) continue;
    const texts = new Map<Scalar, OffsetOf>();
    const inText = (scalar: Scalar, within: number): number => {
      const known = texts.get(scalar) ?? textOffsets(scalar, text);
      texts.set(scalar, known);
      return known(within);
    };
    documents.push({
      value,
      place: (path, within) => placeAt(offsetOf(origin, { path, within, inText })),
      keyPlace: (path) => placeAt(keyOffsetOf(origin, path)),
    });
  }
  return { documents, problems };
}

const tooDeep = `lists and mappings may stand in one another ${String(jsonDepthMax)} times`;

/** Undefined where nesting takes more calls than there may be. */
function parsedOf(text: string, lines: LineCounter): readonly Document[] | undefined {
  try {
    return parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: "silent",
      // Held here, in one pass: the parser compares every key of a mapping with every other.
      uniqueKeys: false,
    });
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

function isEmpty(contents: unknown): boolean {
  if (!isScalar(contents)) return contents === null;
  return contents.value === null && (contents.source ?? "") === "";
}

type Offending = { readonly offset: number; readonly message: string };

function syntaxProblems(document: Document): readonly Offending[] {
  const tags = document.warnings.filter(({ code }) => code === "TAG_RESOLVE_FAILED");
  return [...document.errors, ...tags].map(({ pos, message }) => ({
    offset: pos[0],
    // The parser follows nesting by calls, and says so where it runs out of them.
    message: /stack/i.test(message) ? `cannot be read as ${tooDeep}` : `not valid YAML: ${message}`,
  }));
}

/** Where a value came from: the mirror of the JSON, in offsets. */
type Origin = {
  readonly start: number;
  readonly key?: number;
  readonly scalar?: Scalar;
  readonly members?: ReadonlyMap<string, Origin>;
};

/** `values`: how many it stands for, itself included. */
type Read = { readonly value: Json; readonly origin: Origin; readonly values: number };

/** One document's way to JSON. It stops at the first limit. */
class Reading {
  readonly problems: Offending[] = [];
  readonly #anchors = new Map<string, Read>();
  /** Anchors whose value is being read: an alias of one of them holds itself. */
  readonly #open = new Set<string>();
  #values = 0;
  #stopped = false;

  read(node: unknown, depth: number): Read {
    const start = startOf(node);
    if (isAlias(node)) return this.#alias(node, start);
    this.#count(1, start);
    if (depth > jsonDepthMax) this.#stop(start, tooDeep);
    if (this.#stopped) return nothing(start);
    const anchor = anchorOf(node);
    if (anchor !== undefined) this.#open.add(anchor);
    const before = this.#values;
    const found = this.#plain(node, depth);
    const read = { ...found, values: this.#values - before + 1 };
    if (anchor !== undefined) {
      this.#open.delete(anchor);
      this.#anchors.set(anchor, read);
    }
    return read;
  }

  #plain(node: unknown, depth: number): Read {
    if (isMap(node)) return this.#mapping(node, depth);
    if (isSeq(node)) return this.#list(node, depth);
    return this.#scalar(node);
  }

  #alias(node: Alias, start: number): Read {
    const read = this.#anchors.get(node.source);
    if (this.#open.has(node.source)) {
      this.#tell(start, `not valid YAML: the alias *${node.source} stands inside its own anchor`);
    } else if (read === undefined) {
      this.#tell(
        start,
        `not valid YAML: no anchor &${node.source} stands before the alias *${node.source}`,
      );
    } else {
      this.#count(read.values, start);
      if (!this.#stopped) return { ...read, origin: { ...read.origin, start } };
    }
    return nothing(start);
  }

  #scalar(node: unknown): Read {
    const start = startOf(node);
    if (!isScalar(node)) return nothing(start);
    const { value, source = "" } = node;
    const origin: Origin = { start: start + (isQuoted(node) ? 1 : 0), scalar: node };
    if (typeof value === "number") {
      const exact = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
      if (!exact && !/[.eE]/.test(source)) {
        this.#tell(start, `the number ${source} cannot be held exactly: write it in quotes`);
      } else if (!Number.isFinite(value)) {
        this.#tell(start, `${source} is no number that JSON knows: write it in quotes`);
      }
      return { value, origin, values: 1 };
    }
    const known = typeof value === "string" || typeof value === "boolean" ? value : null;
    return { value: known, origin, values: 1 };
  }

  #list(node: YAMLSeq, depth: number): Read {
    const members = new Map<string, Origin>();
    const items: Json[] = [];
    for (const item of node.items) {
      if (this.#stopped) break;
      const read = this.read(item, depth + 1);
      members.set(String(items.length), read.origin);
      items.push(read.value);
    }
    return { value: items, origin: { start: startOf(node), members }, values: 1 };
  }

  #mapping(node: YAMLMap, depth: number): Read {
    const own = new Map<string, Member>();
    const merged = new Map<string, Member>();
    for (const pair of node.items) {
      if (this.#stopped) break;
      const at = startOf(pair.key);
      if (isMergeKey(pair)) {
        this.#merge(pair, merged, depth);
        continue;
      }
      const key = this.#keyOf(pair.key);
      if (key === undefined) continue;
      if (own.has(key)) {
        this.#tell(at, `not valid YAML: the key "${key}" stands twice in one mapping`);
        continue;
      }
      const read = pair.value === null ? nothing(at) : this.read(pair.value, depth + 1);
      const whole = read.origin.members !== undefined && !isAlias(pair.value);
      const start = whole ? at : read.origin.start;
      own.set(key, { value: read.value, origin: { ...read.origin, start, key: at } });
    }
    const all = [...merged].filter(([key]) => !own.has(key)).concat([...own]);
    return {
      value: Object.fromEntries(all.map(([key, member]) => [key, member.value])),
      origin: {
        start: startOf(node),
        members: new Map(all.map(([key, member]) => [key, member.origin])),
      },
      values: 1,
    };
  }

  #merge(pair: Pair, into: Map<string, Member>, depth: number): void {
    const read = this.read(pair.value, depth + 1);
    const sources = Array.isArray(read.value)
      ? (read.value as readonly Json[]).map((value, index) => ({
          value,
          origin: read.origin.members?.get(String(index)),
        }))
      : [read];
    for (const { value, origin } of sources) {
      if (!isJsonObject(value)) {
        this.#tell(startOf(pair.key), "not valid YAML: << takes a mapping, or a list of mappings");
        return;
      }
      for (const [key, member] of Object.entries(value)) {
        const from = origin?.members?.get(key);
        if (into.has(key) || member === undefined || from === undefined) continue;
        into.set(key, { value: member, origin: from });
      }
    }
  }

  #keyOf(node: unknown): string | undefined {
    const key = isAlias(node) ? this.#alias(node, startOf(node)).value : valueOf(node);
    if (typeof key === "string") return key;
    if (typeof key === "number" || typeof key === "boolean") return String(key);
    this.#tell(startOf(node), "not valid YAML: a key must be a text");
    return undefined;
  }

  #count(values: number, offset: number): void {
    this.#values += values;
    if (this.#values <= yamlLimits.valuesMax) return;
    this.#stop(
      offset,
      `a file may stand for ${String(yamlLimits.valuesMax)} values: here are more`,
    );
  }

  #stop(offset: number, limit: string): void {
    if (!this.#stopped) this.#tell(offset, `cannot be read as ${limit}`);
    this.#stopped = true;
  }

  #tell(offset: number, message: string): void {
    this.problems.push({ offset, message });
  }
}

type Member = { readonly value: Json; readonly origin: Origin };

function nothing(start: number): Read {
  return { value: null, origin: { start }, values: 1 };
}

function isQuoted(node: Scalar): boolean {
  return node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE";
}

function isMergeKey({ key }: Pair): boolean {
  return isScalar(key) && key.value === "<<" && key.type === "PLAIN";
}

function valueOf(node: unknown): unknown {
  return isScalar(node) ? node.value : undefined;
}

function anchorOf(node: unknown): string | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
}

function startOf(node: unknown): number {
  const known = isAlias(node) || isScalar(node) || isMap(node) || isSeq(node);
  return known ? (node.range?.[0] ?? 0) : 0;
}

function offsetOf(
  root: Origin,
  at: {
    readonly path: YamlPath;
    readonly within: number | undefined;
    readonly inText: (scalar: Scalar, within: number) => number;
  },
): number {
  let origin = root;
  for (const step of at.path) {
    const member = origin.members?.get(String(step));
    if (member === undefined) return origin.start;
    origin = member;
  }
  if (at.within === undefined || origin.scalar === undefined) return origin.start;
  return at.inText(origin.scalar, at.within);
}

function keyOffsetOf(root: Origin, path: YamlPath): number {
  let origin = root;
  for (const step of path) {
    const member = origin.members?.get(String(step));
    if (member === undefined) return origin.start;
    origin = member;
  }
  return origin.key ?? origin.start;
}
