import type { NewEvent } from "../../event/envelope.ts";
import type { Offset } from "../../event/ids.ts";
import type { ThreadQuery } from "../log.ts";

/** Offsets a bucket; see `schema.ts`. */
export const bucketSize = 16_384;

const hashes = 2 ** 32;

/** Where the offsets of one owner stand in the bucket of `offset`. */
export function slotOf(offset: Offset, hash: number): number {
  return Math.floor(offset / bucketSize) * hashes + hash;
}

/** A row of `threads`. */
export type ThreadRow = {
  readonly slot: number;
  readonly last: Offset;
  readonly earlier: string | null;
};

/** The row that holds some offsets (>= 1, rising, of one bucket) of one owner. */
export function threadRow(
  hash: number,
  offsets: readonly Offset[],
): readonly [slot: number, last: Offset, earlier: string | null] {
  const last = offsets[offsets.length - 1] ?? 0;
  const earlier = offsets.length === 1 ? null : offsets.slice(0, -1).join(",");
  return [slotOf(last, hash), last, earlier];
}

/** The offsets of a row, rising. */
export function offsetsIn({ last, earlier }: ThreadRow): readonly Offset[] {
  return earlier === null ? [last] : [...earlier.split(",").map(Number), last];
}

/** The hash of a thread's owner, 32 bits. Whoever reads by it compares the owner itself afterwards. */
function ownerHash(kind: "a" | "e" | "x", id: string): number {
  let hash = kind.charCodeAt(0) ^ 0x811c9dc5;
  for (let index = 0; index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  }
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}

/** The hashes of all whose thread an event belongs to, each once. */
export function ownersOf(event: NewEvent): readonly number[] {
  const { action_id, execution_id, parent_execution_id, entity_id } = event;
  const owners = [ownerHash("e", entity_id)];
  if (action_id !== undefined) owners.push(ownerHash("a", action_id));
  if (execution_id !== undefined) owners.push(ownerHash("x", execution_id));
  if (parent_execution_id !== undefined) {
    const parent = ownerHash("x", parent_execution_id);
    if (!owners.includes(parent)) owners.push(parent);
  }
  return owners;
}

export function threadHash(thread: ThreadQuery["of"]): number {
  if ("action" in thread) return ownerHash("a", thread.action);
  if ("execution" in thread) return ownerHash("x", thread.execution);
  return ownerHash("e", thread.entity);
}

export function belongsTo(event: NewEvent, thread: ThreadQuery["of"]): boolean {
  if ("action" in thread) return event.action_id === thread.action;
  if ("execution" in thread) {
    const { execution } = thread;
    return event.execution_id === execution || event.parent_execution_id === execution;
  }
  return event.entity_id === thread.entity;
}
