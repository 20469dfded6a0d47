/**
 * Finds the playbooks at paths, and the tests beside them.
 *
 * 1. A file that is named counts whatever it holds; in a folder, and in the folders in it, those files count
 *    that say `kind: Playbook`. Tests of playbooks (`*.test.yaml`) never count.
 * 2. What cannot be read, and a folder without a playbook, is told: nothing is passed over in silence.
 * 3. Each file counts once. Files are in the order of the paths, those of a folder by name.
 *
 * Not entered: hidden folders, `node_modules`, and folders behind a link.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { isJsonObject } from "../base/json.ts";
import { readYaml } from "../base/yaml.ts";

export type PlaybookFile = { readonly file: string; readonly text: string };

export type FoundPlaybooks = {
  readonly files: readonly PlaybookFile[];
  readonly problems: readonly string[];
};

export type TestedPlaybook = {
  readonly playbook: PlaybookFile;
  /** `<name>.test.yaml` beside it. */
  readonly test?: PlaybookFile;
};

export type FoundTests = {
  readonly playbooks: readonly TestedPlaybook[];
  readonly problems: readonly string[];
};

/** Folders in folders that are entered. */
const depthMax = 32;

const yamlName = /^[^.].*\.ya?ml$/;
const testName = /\.test\.(ya?ml)$/;

/**
 * @param counts whether a file of a folder is a playbook: by default, what it says itself.
 */
export async function findPlaybooks(
  paths: readonly string[],
  counts: (file: PlaybookFile) => boolean = isPlaybook,
): Promise<FoundPlaybooks> {
  const files = new Map<string, PlaybookFile>();
  const problems: string[] = [];
  for (const path of paths) {
    try {
      const isFolder = (await stat(path)).isDirectory();
      const found = isFolder ? await within(path, { problems, counts }) : [await read(path)];
      if (found.length === 0) {
        problems.push(
          `${path} holds no playbook: no file in it ends in .yaml and says "kind: Playbook"`,
        );
      }
      for (const one of found) {
        const key = resolve(one.file);
        if (!files.has(key)) files.set(key, one);
      }
    } catch (thrown) {
      problems.push(unread(path, thrown));
    }
  }
  return { files: [...files.values()], problems };
}

/** Playbooks with their tests. A file of tests that is named stands for its playbook. */
export async function findPlaybookTests(paths: readonly string[]): Promise<FoundTests> {
  const named = paths.map((path) => path.replace(testName, ".$1"));
  const { files, problems } = await findPlaybooks(named);
  const unreadable: string[] = [];
  const playbooks: TestedPlaybook[] = [];
  for (const playbook of files) {
    try {
      const test = await testOf(playbook.file);
      playbooks.push({ playbook, ...(test === undefined ? {} : { test: await read(test) }) });
    } catch (thrown) {
      unreadable.push(unread(playbook.file, thrown));
    }
  }
  return { playbooks, problems: [...problems, ...unreadable] };
}

async function testOf(file: string): Promise<string | undefined> {
  const folder = dirname(file);
  const stem = basename(file).replace(/\.ya?ml$/, "");
  const names = new Set(await readdir(folder));
  const name = [`${stem}.test.yaml`, `${stem}.test.yml`].find((one) => names.has(one));
  return name === undefined ? undefined : join(folder, name);
}

type Looking = {
  readonly problems: string[];
  readonly counts: (file: PlaybookFile) => boolean;
};

async function within(
  folder: string,
  looking: Looking,
  depth = 0,
): Promise<readonly PlaybookFile[]> {
  const { problems, counts } = looking;
  if (depth > depthMax) {
    problems.push(`${folder} is not entered: it lies more than ${String(depthMax)} folders deep`);
    return [];
  }
  const found: PlaybookFile[] = [];
  const entries = await readdir(folder, { withFileTypes: true });
  for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
    const { name } = entry;
    const path = join(folder, name);
    try {
      if (entry.isDirectory()) {
        if (name.startsWith(".") || name === "node_modules") continue;
        found.push(...(await within(path, looking, depth + 1)));
      } else if (yamlName.test(name) && !testName.test(name) && (await stat(path)).isFile()) {
        const file = await read(path);
        if (counts(file)) found.push(file);
      }
    } catch (thrown) {
      problems.push(unread(path, thrown));
    }
  }
  return found;
}

async function read(file: string): Promise<PlaybookFile> {
  return { file, text: await readFile(file, "utf8") };
}

/** Also where the file is broken, as then it is to be told: as far as a line says so. */
export function isPlaybook({ text }: PlaybookFile): boolean {
  if (!text.includes("Playbook")) return false;
  const { documents, problems } = readYaml(text);
  if (problems.length > 0) return /^kind:\s*["']?Playbook\b/m.test(text);
  return documents.some(({ value }) => isJsonObject(value) && value["kind"] === "Playbook");
}

function unread(path: string, thrown: unknown): string {
  return `${path} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
}
