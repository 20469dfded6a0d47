/**
 * Registers playbook files: at the start, and when they change.
 *
 * Invariants
 * 1. A file that cannot be run changes nothing: its errors are told once, what was registered before stays.
 * 2. A file is registered where its text is not the newest at its path: so at a start the files count, whatever
 *    was registered beside them. While the node runs, only a file that changes is registered.
 * 3. Of two files with one path the first counts; the other is told.
 * 4. Nothing is forgotten: a file that is gone leaves its versions in the catalog.
 */
import { watch, type FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { timestamp, type Clock } from "../base/clock.ts";
import { sha256Hex } from "../base/hash.ts";
import { formatFinding } from "../core/parse.ts";
import { registeredEvent } from "../decider/playbook.ts";
import type { CatalogEntry } from "../kernel/kernel.ts";
import type { Log } from "../log/log.ts";
import { findPlaybooks, isPlaybook, type PlaybookFile } from "./playbook-files.ts";
import { checkPlaybook } from "./playbooks.ts";

export type RegisteredFiles = {
  /** Looks at all files now. */
  readonly refresh: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

export type RegisteredFilesOptions = {
  /** Files, or folders that are looked through. */
  readonly paths: readonly string[];
  readonly log: Pick<Log, "append">;
  readonly entries: () => readonly CatalogEntry[];
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  readonly info: (message: string) => void;
};

/** The system's hints about changed files are not reliable, and folders in folders give none, milliseconds. */
const lookAgainMs = 5_000;

/** Editors write a file in several steps: a hint is acted upon after this time, milliseconds. */
const settleMs = 50;

/** What is known of a file since its text changed last. */
type Seen = {
  readonly text: string;
  /** In a folder only those count. */
  readonly counts: boolean;
  /** Undefined where it cannot be run. */
  path?: string | undefined;
  /** It was registered, or its text stood there already. */
  settled: boolean;
};

export async function watchPlaybookFiles(
  options: RegisteredFilesOptions,
): Promise<RegisteredFiles> {
  const { paths, clock } = options;
  if (paths.length === 0)
    return { refresh: () => Promise.resolve(), stop: () => Promise.resolve() };
  const look = createLook(options);
  let working = Promise.resolve();
  let cancel: (() => void) | undefined;
  let stopped = false;
  /** One look at most is to come: a new one takes the place of the other. */
  const lookAfter = (delayMs: number): void => {
    cancel?.();
    if (!stopped) cancel = clock.after(delayMs, () => void refresh());
  };
  const refresh = (): Promise<void> => {
    cancel?.();
    working = working.then(look).then(() => {
      lookAfter(lookAgainMs);
    });
    return working;
  };
  const watchers: FSWatcher[] = [];
  for (const path of paths) {
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
      // Looked at all the same, every `lookAgainMs`; what cannot be read is told by the look.
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

/** One look at all files; it does not fail. */
function createLook(options: RegisteredFilesOptions): () => Promise<void> {
  const { paths, warn } = options;
  const seen = new Map<string, Seen>();
  let toldBefore = new Set<string>();
  let toldNow = new Set<string>();
  /** What is wrong for a while is told once, and again when it has been right in between. */
  const tell = (message: string): void => {
    if (!toldBefore.has(message) && !toldNow.has(message)) warn(message);
    toldNow.add(message);
  };

  const known = (file: PlaybookFile): Seen => {
    const before = seen.get(file.file);
    if (before?.text === file.text) return before;
    const now = { text: file.text, counts: isPlaybook(file), settled: false };
    seen.set(file.file, now);
    return now;
  };

  return async () => {
    toldBefore = toldNow;
    toldNow = new Set();
    try {
      const { files, problems } = await findPlaybooks(paths, (file) => known(file).counts);
      for (const problem of problems) tell(problem);
      const taken = new Map<string, string>();
      for (const file of files) {
        const state = known(file);
        if (!state.settled && state.path === undefined) state.path = read(file, warn);
        const { path } = state;
        if (path === undefined) state.settled = true;
        else if (taken.has(path)) {
          tell(
            `${file.file}: playbook "${path}" stands in ${taken.get(path) ?? ""}, too: this one is not used`,
          );
        } else {
          taken.set(path, file.file);
          if (!state.settled) state.settled = await settle(file, path, { ...options, warn: tell });
        }
      }
    } catch (thrown) {
      tell(`Playbook files could not be looked at: ${why(thrown)}`);
    }
  };
}

/** The path that a file says, where it can be run; its errors are told. */
function read({ file, text }: PlaybookFile, warn: (message: string) => void): string | undefined {
  const { path, findings } = checkPlaybook(text, file);
  for (const finding of findings) if (finding.severity === "error") warn(formatFinding(finding));
  if (path === undefined) {
    warn(`${file} is not registered: what was registered from it before stays`);
  }
  return path;
}

/** @returns false where it could not be registered now and is to be tried again. */
async function settle(
  { file, text }: PlaybookFile,
  path: string,
  { entries, log, clock, warn, info }: RegisteredFilesOptions,
): Promise<boolean> {
  const digest = sha256Hex(text);
  const replaces = entries()
    .find((entry) => entry.path === path)
    ?.versions.at(-1)?.digest;
  if (replaces === digest) return true;
  const at = { ts: timestamp(clock.nowMs()), replaces };
  try {
    await log.append([registeredEvent({ path, digest, text, file }, at)]);
  } catch (thrown) {
    warn(`${file} could not be registered and will be tried again: ${why(thrown)}`);
    return false;
  }
  info(`playbook ${path} ${digest.slice(0, 12)} from ${file}`);
  return true;
}

function why(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() === true;
}
