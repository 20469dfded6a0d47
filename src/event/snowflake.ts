import { assert } from "../base/assert.ts";
import type { EventId } from "./ids.ts";

/** 2024-01-01T00:00:00Z: 41 bits of milliseconds reach to 2093 from here. */
export const snowflakeEpochMs = 1_704_067_200_000;

const sequenceMax = 4_095;

/** Mints event ids; see {@link createSnowflake}. */
export type Snowflake = {
  /** The next id at this time. Ids of one generator rise strictly, even where the clock steps back. */
  readonly next: (nowMs: number) => EventId;
};

/**
 * Ids of 63 bits in decimal: 41 of milliseconds, 10 of node, 12 of sequence.
 *
 * More than 4,096 ids in one millisecond borrow from the next one. A clock that stands before the epoch
 * is taken to stand at it.
 *
 * @param node 0 to 1023, unique among the nodes that mint for one log.
 * @param lastMs the time of the newest id already on the log, so that a restart never repeats one.
 */
export function createSnowflake(node: number, lastMs = 0): Snowflake {
  assert(
    Number.isInteger(node) && node >= 0 && node < 1024,
    `Node must be 0 to 1023: got ${String(node)}`,
  );
  const nodeBits = BigInt(node) << 12n;
  let currentMs = Math.max(lastMs, snowflakeEpochMs);
  let sequence = lastMs < snowflakeEpochMs ? -1 : sequenceMax;
  let base = 0n;
  const rebase = (): void => {
    base = (BigInt(currentMs - snowflakeEpochMs) << 22n) | nodeBits;
  };
  rebase();
  return {
    next: (nowMs) => {
      sequence += 1;
      if (nowMs > currentMs) {
        currentMs = nowMs;
        sequence = 0;
        rebase();
      } else if (sequence > sequenceMax) {
        currentMs += 1;
        sequence = 0;
        rebase();
      }
      return (base + BigInt(sequence)).toString() as EventId;
    },
  };
}

/** The millisecond (Unix epoch) at which an id was minted. */
export function snowflakeMs(id: EventId): number {
  return Number(BigInt(id) >> 22n) + snowflakeEpochMs;
}
