/**
 * A playbook file with those that it runs: its sub-playbooks, theirs, and so on.
 *
 * 1. A sub-playbook is found by its path in the catalog (`metadata.path`, else its name), in a folder and the
 *    folders in it. Only what can be reached is given; each once, the file itself first.
 * 2. Where a path is a template, nobody knows which playbook it names: then every one of the folder counts.
 * 3. What names no file is told, and is no problem here: the catalog of a log may know it.
 */
import { dirname } from "node:path";
import { sha256Hex } from "../base/hash.ts";
import type { DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import { parsePlaybook, type Finding } from "../core/parse.ts";
import type { Playbook } from "../core/playbook.ts";
import { compileProgram } from "../core/program.ts";
import { findPlaybooks, type PlaybookFile } from "./playbook-files.ts";

/** A version of a playbook, as it is registered. */
export type PlaybookSource = PlaybookFile & {
  readonly path: string;
  readonly digest: string;
  readonly playbook: Playbook;
};

export type Closure = {
  readonly root: PlaybookSource;
  /** Those that can be reached, without the root. */
  readonly children: readonly PlaybookSource[];
  /** Paths that are named and that no file has. */
  readonly missing: readonly string[];
};

export type ClosureProblem = Finding | DocumentProblem;

/**
 * @param folder where sub-playbooks are looked for; that of the file, where it is left out.
 * @returns refused with all that keeps the file, or one that it runs, from being run.
 */
export async function readClosure(
  file: string,
  folder = dirname(file),
): Promise<Result<Closure, readonly ClosureProblem[]>> {
  const named = await findPlaybooks([file]);
  const [own, another] = named.files;
  if (own === undefined || another !== undefined) {
    const why = named.problems[0] ?? `${file} is a folder: name one file`;
    return err([{ file, line: 1, column: 1, message: why }]);
  }
  const root = readSource(own);
  if (!root.ok) return root;
  return reach(root.value, await candidates(root.value, folder));
}

/** A playbook of a file, ready to be registered; refused with every finding that keeps it from being run. */
export function readSource(file: PlaybookFile): Result<PlaybookSource, readonly ClosureProblem[]> {
  const parsed = parsePlaybook(file.text, file.file);
  if (!parsed.ok) return err(parsed.error.filter(({ severity }) => severity === "error"));
  const { playbook, place } = parsed.value;
  const program = compileProgram(playbook);
  if (!program.ok) {
    return err(program.error.map(({ path, message, at }) => ({ ...place(path, at), message })));
  }
  return ok({ ...file, path: playbook.path, digest: sha256Hex(file.text), playbook });
}

type Candidates = {
  readonly byPath: ReadonlyMap<string, readonly PlaybookFile[]>;
};

/** The files of the folder by the path that each has; those that cannot be read have none. */
async function candidates(root: PlaybookSource, folder: string): Promise<Candidates> {
  const byPath = new Map<string, PlaybookFile[]>();
  if (subPaths(root.playbook).length === 0) return { byPath };
  const { files } = await findPlaybooks([folder]);
  for (const file of files) {
    const parsed = parsePlaybook(file.text, file.file);
    if (!parsed.ok) continue;
    const { path } = parsed.value.playbook;
    byPath.set(path, [...(byPath.get(path) ?? []), file]);
  }
  return { byPath };
}

function reach(
  root: PlaybookSource,
  { byPath }: Candidates,
): Result<Closure, readonly ClosureProblem[]> {
  const sources = new Map([[root.path, root]]);
  const missing: string[] = [];
  const problems: ClosureProblem[] = [];
  const open = [root];
  for (let source = open.shift(); source !== undefined; source = open.shift()) {
    const paths = subPaths(source.playbook);
    const wanted = paths.some(isTemplate) ? [...byPath.keys()] : paths;
    for (const path of wanted) {
      if (sources.has(path) || missing.includes(path)) continue;
      const [file, ...others] = byPath.get(path) ?? [];
      if (file === undefined) {
        missing.push(path);
        continue;
      }
      const other = others.find(({ text }) => text !== file.text);
      if (other !== undefined) problems.push(ambiguous(path, file, other));
      const read = readSource(file);
      if (read.ok) {
        sources.set(path, read.value);
        open.push(read.value);
      } else problems.push(...read.error);
    }
  }
  if (problems.length > 0) return err(problems);
  return ok({ root, children: [...sources.values()].slice(1), missing });
}

function ambiguous(path: string, one: PlaybookFile, other: PlaybookFile): DocumentProblem {
  const message = `the playbook "${path}" stands here and in ${other.file}, and they differ: remove one of them`;
  return { file: one.file, line: 1, column: 1, message };
}

/** The paths of the playbooks that a playbook's steps run, as written. */
function subPaths({ steps }: Playbook): readonly string[] {
  const paths = steps
    .flatMap(({ tasks }) => tasks)
    .filter(({ kind }) => kind === "playbook")
    .map(({ config }) => config["path"])
    .filter((path) => typeof path === "string");
  return [...new Set(paths)];
}

function isTemplate(path: string): boolean {
  return /\{[{%]/.test(path);
}
