import { describe, expect, test } from "vitest";
import { createTestClock, eventOf, rejectionOf } from "../../../test/log/fixture.ts";
import { logContract } from "../log-contract.ts";
import { LogError } from "../log.ts";
import { createMemoryDisk, createMemoryLog } from "./memory-log.ts";

logContract("memory", () => {
  const disk = createMemoryDisk();
  return {
    open: ({ small = false, ...options }) =>
      Promise.resolve(
        createMemoryLog({
          ...options,
          disk,
          beforeCommit: ({ events }) => {
            if (small && events >= 4) throw new LogError("full", "Cannot append as it is full");
          },
        }),
      ),
    remove: () => undefined,
  };
});

describe("the log in memory", () => {
  test("a log that goes without being closed leaves what was committed, and nothing else", async () => {
    const disk = createMemoryDisk();
    const clock = createTestClock();
    const first = createMemoryLog({ clock, disk });
    await first.append([eventOf({ key: "k" })]);
    void first.append([eventOf()]);
    const second = createMemoryLog({ clock, disk });
    expect(second.head()).toBe(1);
    expect(await second.append([eventOf({ key: "k" })])).toMatchObject([{ duplicate: true }]);
  });

  test("it cannot be backed up", async () => {
    const log = createMemoryLog({ clock: createTestClock() });
    expect(await rejectionOf(log.backup("/nowhere"))).toMatchObject({ code: "invalid" });
  });
});
