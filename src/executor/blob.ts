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

/**
 * The same at once, for who decides in a commit. What cannot be read stays a reference: a decision must not fail
 * as a disk does.
 */
export function readThroughNow(blobs: Pick<BlobStore, "getNow">, value: Json): Json {
  return holdsRef(value) ? withoutRefs(blobs, value) : value;
}

function holdsRef(value: Json): boolean {
  if (isList(value)) return value.some(holdsRef);
  if (!isJsonObject(value)) return false;
  if (isBlobRef(value)) return true;
  return Object.values(value).some((member) => member !== undefined && holdsRef(member));
}

function withoutRefs(blobs: Pick<BlobStore, "getNow">, value: Json): Json {
  if (isBlobRef(value)) {
    return readNow(blobs, value) ?? value;
  }
  if (isList(value)) return value.map((item) => withoutRefs(blobs, item));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) =>
      member === undefined ? [] : [[name, withoutRefs(blobs, member)]],
    ),
  );
}

function readNow(blobs: Pick<BlobStore, "getNow">, ref: BlobRef): Json | undefined {
  try {
    const bytes = blobs.getNow(ref);
    if (bytes === undefined) return undefined;
    const text = new TextDecoder().decode(bytes);
    const held = JSON.parse(text) as Json;
    // Most hold none, and a large value costs more to walk than to parse.
    return text.includes('"$ref"') ? readThroughNow(blobs, held) : held;
  } catch {
    return undefined;
  }
}

const refPattern = /^blob:sha256:[0-9a-f]{64}$/;

/** True for a reference as {@link storeValue} gives it: these two members and no other. */
export function isBlobRef(value: Json): value is BlobRef {
  if (!isJsonObject(value)) return false;
  const { $ref: ref, size } = value;
  return (
    typeof ref === "string" &&
    refPattern.test(ref) &&
    typeof size === "number" &&
    Object.keys(value).length === 2
  );
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
