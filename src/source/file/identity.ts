/** Which file is which: a path says nothing, as files are renamed, copied and cut. */
import { open, readdir, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sha256Hex } from "../../base/hash.ts";

/** The first line up to here tells a file from another with the same inode. */
const headBytes = 1_024;

/** Files beside it that are looked at for where a rotation has put it. */
const siblingsMax = 1_000;

/**
 * A file's identity: its inode and how it begins, as inodes are used again.
 *
 * @param complete nothing will follow what is there now.
 * @returns `undefined` until its first line is written: only then it is known how it begins.
 */
export async function identityOf(file: FileHandle, complete = false): Promise<string | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  const newline = buffer.subarray(0, bytesRead).indexOf(10);
  if (newline < 0 && bytesRead < headBytes && !complete) return undefined;
  if (bytesRead === 0) return undefined;
  const head = buffer.subarray(0, newline < 0 ? bytesRead : newline);
  const { ino } = await file.stat();
  return `${String(ino)}-${sha256Hex(head.toString("hex")).slice(0, 8)}`;
}

/** True where the path leads to another file by now. */
export async function hasLeft(path: string, file: FileHandle): Promise<boolean> {
  const there = await stat(path).catch(absent);
  return there !== undefined && there.ino !== (await file.stat()).ino;
}

/** Opens a file for reading; `undefined` where there is none. */
export async function openFile(path: string): Promise<FileHandle | undefined> {
  return open(path, "r").catch(absent);
}

/**
 * Finds what a rotation has made of a file, in the same folder: the same file under another name, or else
 * the one copy that begins as it did.
 *
 * @param former its identity, and how many bytes of it were read: what is shorter is not it.
 */
export async function openFormer(
  path: string,
  former: { readonly inode: string; readonly bytes: number },
): Promise<FileHandle | undefined> {
  const folder = dirname(path);
  const names = await readdir(folder);
  const copies: string[] = [];
  for (const name of names.slice(0, siblingsMax)) {
    if (name === basename(path)) continue;
    const found = await compare(join(folder, name), former);
    if (found === "same") return openFile(join(folder, name));
    if (found === "copy") copies.push(name);
  }
  const [only] = copies;
  return only === undefined || copies.length > 1 ? undefined : openFile(join(folder, only));
}

async function compare(
  path: string,
  former: { readonly inode: string; readonly bytes: number },
): Promise<"same" | "copy" | "other"> {
  const there = await stat(path).catch(absent);
  if (there?.isFile() !== true || there.size < former.bytes) return "other";
  const file = await openFile(path);
  if (file === undefined) return "other";
  try {
    const identity = await identityOf(file, true);
    if (identity === former.inode) return "same";
    return identity?.split("-")[1] === former.inode.split("-")[1] ? "copy" : "other";
  } finally {
    await file.close();
  }
}

function absent(thrown: unknown): undefined {
  if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
  throw thrown;
}
