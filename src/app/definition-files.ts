/**
 * Keeps the active rules and schedules the same as the files that hold them.
 *
 * Invariants
 * 1. A file that cannot be read as rules and schedules changes nothing: its problems are told once, what it
 *    held before stays.
 * 2. A change becomes active by an event, at that event's offset.
 * 3. What no file holds any more is deactivated. A file or folder that is there and cannot be read is not gone.
 */
import { watch, type FSWatcher } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { timestamp, type Clock } from "../base/clock.ts";
import { formatProblem } from "../base/document.ts";
import {
  activationEvent,
  deactivationEvent,
  parseDefinitions,
  type Definition,
} from "../decider/activation.ts";
import type { NewEvent } from "../event/envelope.ts";
import type { ActiveDecider } from "../kernel/kernel.ts";
import type { Log } from "../log/log.ts";

export type DefinitionFiles = {
  /** Looks at all files now. */
  readonly refresh: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type DefinitionFilesOptions = {
  /** Files, or folders whose `.yaml` and `.yml` files count. */
  readonly paths: readonly string[];
  readonly log: Pick<Log, "append">;
  /** Of every kind that files hold. */
  readonly active: () => readonly ActiveDecider[];
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  readonly info: (message: string) => void;
};

/** The system's hints about changed files are not reliable: without one, they are looked at this often. */
const lookAgainMs = 5_000;

/** Editors write a file in several steps: a hint is acted upon after this time. */
const settleMs = 50;

type Loaded = { readonly definition: Definition; readonly file: string; readonly text: string };

export async function watchDefinitionFiles(
  options: DefinitionFilesOptions,
): Promise<DefinitionFiles> {
  const { clock, warn, info } = options;
  const seen = new Map<string, { readonly text: string; readonly held: readonly Loaded[] }>();
  const watchers: FSWatcher[] = [];
  /** Files that were broken from the start: what the log holds of them stays. */
  const keptFiles = new Set<string>();
  const told = createTold(warn);
  let working = Promise.resolve();
  let cancel: (() => void) | undefined;
  let stopped = false;

  const look = async (): Promise<void> => {
    told.begin();
    const found = await Promise.all(options.paths.map((path) => findDefinitionFiles(path)));
    const files = found.flatMap((one) => one.files);
    const unread = found.flatMap((one) => (one.unread === undefined ? [] : [one.path]));
    for (const { problem } of found) if (problem !== undefined) told.warn(problem);
    for (const known of [...seen.keys(), ...keptFiles]) {
      if (files.includes(known) || unread.some((path) => isWithin(known, path))) continue;
      seen.delete(known);
      keptFiles.delete(known);
    }
    for (const file of files) await load(file);
    await settle(
      [...seen.values()].flatMap(({ held }) => held),
      unread,
    );
  };

  const load = async (file: string): Promise<void> => {
    const before = seen.get(file);
    const text = await readFile(file, "utf8").catch((thrown: unknown) => {
      told.warn(`${file} cannot be read and what it held before stays active: ${why(thrown)}`);
      if (before === undefined) keptFiles.add(file);
      return undefined;
    });
    if (text === undefined || before?.text === text) return;
    const parsed = parseDefinitions(text, file);
    if (parsed.ok) {
      seen.set(file, {
        text,
        held: parsed.value.map((definition) => ({ definition, file, text })),
      });
      keptFiles.delete(file);
      return;
    }
    for (const problem of parsed.error) warn(formatProblem(problem));
    const kept = before === undefined && !isActive(file);
    warn(`${file} is not used: ${kept ? "it brings nothing" : "what it held before stays active"}`);
    seen.set(file, { text, held: before?.held ?? [] });
    if (before === undefined) keptFiles.add(file);
  };

  const isActive = (file: string): boolean => options.active().some((one) => one.file === file);

  const settle = async (loaded: readonly Loaded[], unread: readonly string[]): Promise<void> => {
    const active = new Map(options.active().map((one) => [idOf(one), one]));
    const events: NewEvent[] = [];
    const wanted = new Set<string>();
    const now = timestamp(clock.nowMs());
    for (const { definition, file, text } of loaded) {
      const { version, mode } = definition;
      const id = idOf(definition);
      if (wanted.has(id)) {
        told.warn(`${file}: a ${id} stands in another file, too: this one is not used`);
        continue;
      }
      wanted.add(id);
      const current = active.get(id);
      if (current?.version === version) continue;
      const change = { file, ts: now, replaces: current?.version };
      events.push(activationEvent(definition, text, change));
      info(`${id} ${version} (${mode}) from ${file}`);
    }
    for (const [id, one] of active) {
      const { file } = one;
      const kept = keptFiles.has(file) || unread.some((path) => isWithin(file, path));
      if (wanted.has(id) || kept) continue;
      events.push(deactivationEvent(one, { file, ts: now, replaces: undefined }));
      info(`${id} is no longer active: ${file} does not hold it`);
    }
    if (events.length > 0) await options.log.append(events);
  };

  /** One look at most is to come: a new one takes the place of the other. */
  const lookAfter = (delayMs: number): void => {
    cancel?.();
    if (!stopped) cancel = clock.after(delayMs, () => void refresh());
  };

  const refresh = (): Promise<void> => {
    cancel?.();
    working = working
      .then(look)
      .catch((thrown: unknown) => {
        told.warn(`The files of rules and schedules could not be looked at: ${why(thrown)}`);
      })
      .then(() => {
        lookAfter(lookAgainMs);
      });
    return working;
  };

  for (const path of options.paths) {
    const folder = (await isFolder(path)) ? path : dirname(path);
    try {
      const watcher = watch(folder, () => {
        lookAfter(settleMs);
      });
      watcher.on("error", () => {
        watcher.close();
      });
      watchers.push(watcher);
    } catch {
      warn(`${folder} cannot be watched: it is looked at every ${String(lookAgainMs)} ms`);
    }
  }
  await refresh();
  return {
    refresh,
    stop: async () => {
      stopped = true;
      cancel?.();
      for (const watcher of watchers) watcher.close();
      await working;
    },
  };
}

function idOf({ kind, name }: Pick<Definition, "kind" | "name">): string {
  return `${kind} "${name}"`;
}

/** What is wrong for a while is told once, and again when it has been right in between. */
function createTold(warn: (message: string) => void): {
  readonly begin: () => void;
  readonly warn: (message: string) => void;
} {
  let before = new Set<string>();
  let now = new Set<string>();
  return {
    begin: () => {
      before = now;
      now = new Set();
    },
    warn: (message) => {
      if (!before.has(message) && !now.has(message)) warn(message);
      now.add(message);
    },
  };
}

type Found = {
  readonly path: string;
  readonly files: readonly string[];
  readonly problem?: string;
  /** It is there, or may be, but what it holds is not known. */
  readonly unread?: true;
};

async function findDefinitionFiles(path: string): Promise<Found> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return { path, files: [path] };
    const names = (await readdir(path)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort();
    return { path, files: names.map((name) => join(path, name)) };
  } catch (thrown) {
    const problem = `${path} cannot be read: ${why(thrown)}`;
    const gone = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    return gone ? { path, files: [], problem } : { path, files: [], problem, unread: true };
  }
}

/** The files at a path: itself, or those in the folder, by name. */
export async function filesIn(
  path: string,
  warn: (message: string) => void,
): Promise<readonly string[]> {
  const { files, problem } = await findDefinitionFiles(path);
  if (problem !== undefined) warn(problem);
  return files;
}

function isWithin(file: string, path: string): boolean {
  return file === path || dirname(file) === path;
}

function why(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}
