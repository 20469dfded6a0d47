import { isJsonObject, type Json } from "../base/json.ts";
import { fault } from "../event/error.ts";
import type { BlobRef, BlobStore } from "./executor.ts";

/** Stores the JSON text of `value`: what every blob of this system holds. */
export async function storeValue(blobs: BlobStore, value: Json): Promise<BlobRef> {
  return blobs.put(new TextEncoder().encode(JSON.stringify(value)));
}

/**
 * Puts the values in the place of all references in `value`, at any depth.
 *
 * @returns exactly what would have stood inline.
 * @throws {Fault} `not_found` where a blob is gone, `executor_error` where it is damaged.
 */
export async function readThrough(blobs: BlobStore, value: Json): Promise<Json> {
  if (isBlobRef(value)) {
    const bytes = await blobs.get(value);
    if (bytes === undefined) throw fault("not_found", `There is no blob ${value.$ref}`);
    return readThrough(blobs, JSON.parse(new TextDecoder().decode(bytes)) as Json);
  }
  if (isList(value)) return Promise.all(value.map((item) => readThrough(blobs, item)));
  if (!isJsonObject(value)) return value;
  const members: [string, Json][] = [];
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) members.push([name, await readThrough(blobs, member)]);
  }
  return Object.fromEntries(members);
}

const refPattern = /^blob:sha256:[0-9a-f]{64}$/;

/** True for a reference as {@link storeValue} gives it: these two members and no other. */
export function isBlobRef(value: Json): value is BlobRef {
  if (!isJsonObject(value)) return false;
  const { $ref: ref, size, ...rest } = value;
  return (
    typeof ref === "string" &&
    refPattern.test(ref) &&
    typeof size === "number" &&
    Object.keys(rest).length === 0
  );
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
