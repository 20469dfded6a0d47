import { expect } from "vitest";

/** Waits for a state of the world outside, which tells nobody when it changes. */
export async function eventually<T>(read: () => T | Promise<T>, wanted: T): Promise<void> {
  let last = await read();
  for (let looks = 0; looks < 500 && last !== wanted; looks += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    last = await read();
  }
  expect(last).toBe(wanted);
}
