import { sha256HexOfBytes } from "../../base/hash.ts";
import type { BlobStore } from "../executor.ts";

/** Blobs in memory: for tests and the simulation. */
export function createMemoryBlobs(): BlobStore {
  const blobs = new Map<string, Uint8Array>();
  return {
    put: (bytes) => {
      const ref = `blob:sha256:${sha256HexOfBytes(bytes)}` as const;
      blobs.set(ref, bytes.slice());
      return Promise.resolve({ $ref: ref, size: bytes.length });
    },
    get: (ref) => Promise.resolve(blobs.get(ref.$ref)),
    getNow: (ref) => blobs.get(ref.$ref),
  };
}
