/**
 * The playbooks that a node knows, by path and content: a fold of `playbook.registered`, `playbook.pinned` and
 * `playbook.unpinned`.
 *
 * 1. A version is its text; its digest names it for ever. A text that is no playbook is not registered.
 * 2. At a path stands the pinned version, else the one that was registered last.
 * 3. Texts lie in the store and are compiled when they are needed; a bounded number stays compiled.
 */
import { isJsonObject, type Json } from "../../base/json.ts";
import { sha256Hex } from "../../base/hash.ts";
import { parsePlaybook } from "../../core/parse.ts";
import { compileProgram, type Program } from "../../core/program.ts";
import type { LogRecord } from "../../event/envelope.ts";
import type { Snapshot, SnapshotWrite, StageReads } from "../../log/log.ts";

/** The decider under whose name the versions of each path are kept, one instance a path. */
export const catalogRegistry = "playbooks";

/** The decider under whose name the texts are kept, one instance a digest. */
export const textRegistry = "playbook-texts";

export type PlaybookVersion = {
  readonly digest: string;
  /** Where it was registered last. */
  readonly offset: number;
  readonly registeredAtMs: number;
  readonly file?: string;
};

export type CatalogEntry = {
  readonly path: string;
  /** The one that was registered last comes last. */
  readonly versions: readonly PlaybookVersion[];
  readonly pinned?: string;
};

export type Catalog = {
  /** @returns why the record changes nothing, where it does not. */
  readonly step: (record: LogRecord) => string | undefined;
  readonly writes: () => readonly SnapshotWrite[];
  readonly committed: () => void;
  readonly rolledBack: () => void;
  readonly restore: (snapshot: Snapshot & { readonly instance: string }) => void;
  readonly entries: () => readonly CatalogEntry[];
  readonly current: (path: string) => string | undefined;
  readonly text: (digest: string) => string | undefined;
  readonly program: (digest: string) => Program | undefined;
};

const programsMax = 256;

export function createCatalog(snapshot: StageReads["snapshot"]): Catalog {
  const entries = new Map<string, CatalogEntry>();
  const before = new Map<string, CatalogEntry | undefined>();
  /** Texts that this commit brought. */
  const texts = new Map<string, string>();
  const programs = new Map<string, Program>();

  const put = (entry: CatalogEntry): void => {
    if (!before.has(entry.path)) before.set(entry.path, entries.get(entry.path));
    entries.set(entry.path, entry);
  };

  const register = (record: LogRecord): string | undefined => {
    const { path, digest, text, file } = record.event.attrs;
    if (typeof path !== "string" || typeof text !== "string") return "malformed";
    if (digest !== sha256Hex(text)) return "malformed";
    const program = programOf(text);
    if (program === undefined) return "unprocessable";
    texts.set(digest, text);
    keepProgram(digest, program);
    const { versions = [], pinned } = entries.get(path) ?? {};
    const version: PlaybookVersion = {
      digest,
      offset: record.offset,
      registeredAtMs: record.ingestedAtMs,
      ...(typeof file === "string" ? { file } : {}),
    };
    const others = versions.filter((one) => one.digest !== digest);
    put({ path, versions: [...others, version], ...(pinned === undefined ? {} : { pinned }) });
    return undefined;
  };

  const pin = (record: LogRecord): string | undefined => {
    const { path, digest } = record.event.attrs;
    const entry = typeof path === "string" ? entries.get(path) : undefined;
    if (entry === undefined) return "unknown_playbook";
    const { versions } = entry;
    if (record.event.event_type === "playbook.unpinned") {
      put({ path: entry.path, versions });
      return undefined;
    }
    const known = versions.find((one) => one.digest === digest);
    if (known === undefined) return "unknown_playbook";
    put({ path: entry.path, versions, pinned: known.digest });
    return undefined;
  };

  const keepProgram = (digest: string, program: Program): void => {
    programs.delete(digest);
    programs.set(digest, program);
    for (const oldest of programs.keys()) {
      if (programs.size <= programsMax) break;
      programs.delete(oldest);
    }
  };

  const textOf = (digest: string): string | undefined => {
    const here = texts.get(digest);
    if (here !== undefined) return here;
    const stored = snapshot(textRegistry, digest)?.state;
    const text = stored !== undefined && isJsonObject(stored) ? stored["text"] : undefined;
    return typeof text === "string" ? text : undefined;
  };

  return {
    step: (record) => {
      switch (record.event.event_type) {
        case "playbook.registered":
          return register(record);
        case "playbook.pinned":
        case "playbook.unpinned":
          return pin(record);
        default:
          return undefined;
      }
    },
    writes: () => [
      ...[...before.keys()].map((path) => ({
        decider: catalogRegistry,
        instance: path,
        offset: 0,
        state: savedOf(entries.get(path)),
      })),
      ...[...texts].map(([digest, text]) => ({
        decider: textRegistry,
        instance: digest,
        offset: 0,
        state: { text },
      })),
    ],
    committed: forget,
    rolledBack: () => {
      for (const [path, entry] of before) {
        if (entry === undefined) entries.delete(path);
        else entries.set(path, entry);
      }
      for (const digest of texts.keys()) programs.delete(digest);
      forget();
    },
    restore: ({ instance, state }) => {
      const entry = entryOf(instance, state);
      if (entry !== undefined) entries.set(instance, entry);
    },
    entries: () => [...entries.values()].sort((left, right) => (left.path < right.path ? -1 : 1)),
    current: (path) => {
      const entry = entries.get(path);
      return entry?.pinned ?? entry?.versions.at(-1)?.digest;
    },
    text: textOf,
    program: (digest) => {
      const compiled = programs.get(digest);
      if (compiled !== undefined) {
        keepProgram(digest, compiled);
        return compiled;
      }
      const text = textOf(digest);
      const program = text === undefined ? undefined : programOf(text);
      if (program !== undefined) keepProgram(digest, program);
      return program;
    },
  };

  function forget(): void {
    before.clear();
    texts.clear();
  }
}

function programOf(text: string): Program | undefined {
  const parsed = parsePlaybook(text, "playbook.yaml");
  const program = parsed.ok ? compileProgram(parsed.value.playbook) : undefined;
  return program?.ok === true ? program.value : undefined;
}

function savedOf(entry: CatalogEntry | undefined): Json | undefined {
  if (entry === undefined) return undefined;
  const { versions, pinned } = entry;
  return { versions, ...(pinned === undefined ? {} : { pinned }) };
}

function entryOf(path: string, state: Json): CatalogEntry | undefined {
  if (!isJsonObject(state) || !Array.isArray(state["versions"])) return undefined;
  const versions = state["versions"].filter(isVersion);
  const { pinned } = state;
  return { path, versions, ...(typeof pinned === "string" ? { pinned } : {}) };
}

function isVersion(value: Json): value is PlaybookVersion {
  return (
    isJsonObject(value) &&
    typeof value["digest"] === "string" &&
    typeof value["offset"] === "number" &&
    typeof value["registeredAtMs"] === "number"
  );
}
