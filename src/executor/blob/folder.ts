import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fault, fault } from "../../event/error.ts";
import type { BlobRef, BlobStore } from "../executor.ts";

const refPattern = /^blob:sha256:([0-9a-f]{64})$/;

/**
 * Blobs as files named by the SHA-256 of their bytes, in 256 sub-folders.
 *
 * 1. A file appears whole and durable or not at all: written aside, synced, renamed, its folder synced.
 * 2. The same bytes are stored once; a file of another size than its bytes is written again.
 * 3. What is read is checked against its name: damage is an error, never a value.
 * 4. Every failure is a `Fault`; a write that fails leaves nothing behind.
 */
export function createFolderBlobs(folder: string): BlobStore {
  return {
    put: async (bytes) => {
      const sha = createHash("sha256").update(bytes).digest("hex");
      const ref: BlobRef = { $ref: `blob:sha256:${sha}`, size: bytes.length };
      const shelf = join(folder, sha.slice(0, 2));
      try {
        if ((await sizeOf(join(shelf, sha))) !== bytes.length) await write(shelf, sha, bytes);
        return ref;
      } catch (thrown) {
        throw folderFault("written", thrown);
      }
    },
    get: async (ref) => {
      const sha = shaOf(ref);
      return checked(sha, await readOrNone(join(folder, sha.slice(0, 2), sha)));
    },
    getNow: (ref) => {
      const sha = shaOf(ref);
      return checked(sha, readOrNoneNow(join(folder, sha.slice(0, 2), sha)));
    },
  };
}

function shaOf({ $ref: ref }: BlobRef): string {
  const sha = refPattern.exec(ref)?.[1];
  if (sha === undefined) throw fault("invalid_args", `"${ref}" is not a blob reference`);
  return sha;
}

function checked(sha: string, bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined) return undefined;
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual === sha) return bytes;
  throw fault("executor_error", `Blob ${sha} is damaged: its bytes hash to ${actual}`);
}

async function write(shelf: string, sha: string, bytes: Uint8Array): Promise<void> {
  await mkdir(shelf, { recursive: true });
  const aside = join(shelf, `${sha}.${randomUUID()}`);
  try {
    const file = await open(aside, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, join(shelf, sha));
  } catch (thrown) {
    await rm(aside, { force: true });
    throw thrown;
  }
  const names = await open(shelf, "r");
  try {
    await names.sync();
  } finally {
    await names.close();
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw thrown;
  }
}

async function readOrNone(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw folderFault("read", thrown);
  }
}

function readOrNoneNow(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw folderFault("read", thrown);
  }
}

function isAbsent(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
}

function folderFault(done: "read" | "written", thrown: unknown): Fault {
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `The blob folder cannot be ${done}: ${why}`;
  return new Fault({ kind: "unavailable", message, retryable: true }, thrown);
}
