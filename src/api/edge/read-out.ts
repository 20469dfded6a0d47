import type { FastifyReply, FastifyRequest } from "fastify";
import type { Clock } from "../../base/clock.ts";

/** More than this of a refused body is not read, bytes. */
const leftBytesMax = 64 * 1024 * 1024;

/** Nor for longer than this, milliseconds. */
const leftMsMax = 10_000;

/**
 * Reads on and throws away what is left of a body that was refused for its size, before the answer goes.
 *
 * Who still writes when the connection is closed sees it break and never reads the answer: most clients
 * would report a broken pipe instead of the 413.
 */
export function readOut(
  clock: Clock,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async ({ raw }, { statusCode }) => {
    if (statusCode !== 413 || raw.readableEnded || raw.destroyed) return;
    await new Promise<void>((resolve) => {
      let leftBytes = leftBytesMax;
      const giveUp = clock.after(leftMsMax, resolve);
      const done = (): void => {
        giveUp();
        resolve();
      };
      raw.on("data", (chunk: Buffer) => {
        leftBytes -= chunk.length;
        if (leftBytes < 0) done();
      });
      raw.once("end", done);
      raw.once("close", done);
      raw.resume();
    });
  };
}
