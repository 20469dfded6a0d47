import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fault, fault } from "../../event/error.ts";
import type { BlobRef, BlobStore } from "../executor.ts";

const refPattern = /^blob:sha256:([0-9a-f]{64})$/;

/**
 * Blobs as files named by the SHA-256 of their bytes, in 256 sub-folders.
 *
 * A file appears whole and durable or not at all: written aside, synced, then renamed. What is read is
 * checked against its name.
 */
export function createFolderBlobs(folder: string): BlobStore {
  const pathOf = (sha: string): string => join(folder, sha.slice(0, 2), sha);
  return {
    put: async (bytes) => {
      const sha = createHash("sha256").update(bytes).digest("hex");
      const ref: BlobRef = { $ref: `blob:sha256:${sha}`, size: bytes.length };
      const path = pathOf(sha);
      if (await exists(path)) return ref;
      await mkdir(join(folder, sha.slice(0, 2)), { recursive: true });
      const aside = `${path}.${randomUUID()}`;
      const file = await open(aside, "wx");
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(aside, path);
      return ref;
    },
    get: async (ref) => {
      const sha = refPattern.exec(ref.$ref)?.[1];
      if (sha === undefined) throw fault("invalid_args", `"${ref.$ref}" is not a blob reference`);
      const bytes = await readFile(pathOf(sha)).catch(absent);
      if (bytes === undefined) return undefined;
      const actual = createHash("sha256").update(bytes).digest("hex");
      if (actual === sha) return bytes;
      throw fault("executor_error", `Blob ${sha} is damaged: its bytes hash to ${actual}`);
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(absent)) !== undefined;
}

function absent(thrown: unknown): undefined {
  if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
  throw new Fault(
    { kind: "unavailable", message: "The blob folder cannot be read", retryable: true },
    thrown,
  );
}
