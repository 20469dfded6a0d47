// What all processes of the example have in common: how they end, and when their trouble begins.
import { setTimeout as sleep } from "node:timers/promises";

const supervisor = Number(process.env.NIGHT_WATCH_SUPERVISOR ?? 0);

export const port = Number(process.env.NIGHT_WATCH_SERVICE_PORT ?? 0);

export const data = process.env.NIGHT_WATCH_DATA ?? "";

/** True where the night-watch itself is gone, say by `kill -9`: then nothing of it stays behind. */
export function isOrphan() {
  if (supervisor === 0) return false;
  try {
    process.kill(supervisor, 0);
    return false;
  } catch {
    return true;
  }
}

/** Ends on SIGTERM, and soon after the night-watch is gone; `last` runs before. */
export function live(last = () => undefined) {
  const end = () => {
    last();
    process.exit(0);
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  setInterval(() => {
    if (isOrphan()) end();
  }, 500);
}

/** Resolves when the trouble of this process begins; never where no trouble is wanted. */
export async function trouble(factor) {
  const seconds = Number(process.env.NIGHT_WATCH_TROUBLE ?? 60);
  if (seconds <= 0) return new Promise(() => undefined);
  await sleep(seconds * factor * (0.7 + 0.6 * Math.random()) * 1_000);
}

export function say(message) {
  console.log(`${new Date().toISOString()} ${message}`);
}
