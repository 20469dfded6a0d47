import { expect, it } from "vitest";
import { LogError } from "../log/log.ts";
import { createReadiness } from "./readiness.ts";

it("a node is not ready right after its log could not take events, nor while it stops", async () => {
  let nowMs = 0;
  let failure: LogError | undefined;
  const readiness = createReadiness(
    { append: () => (failure === undefined ? Promise.resolve([]) : Promise.reject(failure)) },
    { nowMs: () => nowMs, after: () => () => undefined, soon: () => undefined },
  );
  expect(readiness.notReady()).toBeUndefined();
  failure = new LogError("full", "no space");
  await expect(readiness.append([])).rejects.toBe(failure);
  expect(readiness.notReady()).toBe("no space");
  nowMs = 9_999;
  expect(readiness.notReady()).toBe("no space");
  nowMs = 10_000;
  expect(readiness.notReady()).toBeUndefined();
  await expect(readiness.append([])).rejects.toBe(failure);
  failure = undefined;
  await readiness.append([]);
  expect(readiness.notReady()).toBeUndefined();
  failure = new LogError("too_large", "one event is too large");
  await expect(readiness.append([])).rejects.toBe(failure);
  expect(readiness.notReady()).toBeUndefined();
  readiness.stopping();
  expect(readiness.notReady()).toBe("the program is stopping");
});
