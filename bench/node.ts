import { join } from "node:path";
import { createSystemClock } from "../src/app/system-clock.ts";
import { workerId } from "../src/event/ids.ts";
import { createMemoryBlobs } from "../src/executor/blob/memory.ts";
import { createNoop } from "../src/executor/noop/noop.ts";
import { createWorker } from "../src/executor/worker.ts";
import { createKernel } from "../src/kernel/kernel.ts";
import type { Log } from "../src/log/log.ts";
import { createOutcomes, type Outcomes } from "../src/log/outcomes.ts";
import { openSqliteLog } from "../src/log/sqlite/sqlite-log.ts";

/** One node in the process, without HTTP: what the figures are about. */
export type BenchNode = {
  readonly log: Log;
  readonly outcomes: Outcomes;
  readonly close: () => Promise<void>;
};

export async function openNode(folder: string): Promise<BenchNode> {
  const clock = createSystemClock();
  const log = await openSqliteLog({ path: join(folder, "deed.db"), clock });
  const warn = (message: string, detail?: unknown): void => {
    console.error(message, detail);
  };
  const worker = createWorker({
    id: workerId(`bench-${String(process.pid)}-${String(clock.nowMs())}`),
    executors: [createNoop()],
    report: log.append,
    clock,
    blobs: createMemoryBlobs(),
    leaseMs: 30_000,
    warn,
  });
  const kernel = createKernel({ log, worker, clock, warn });
  await kernel.start();
  return {
    log,
    outcomes: createOutcomes(log),
    close: async () => {
      await kernel.stop(1_000);
      await log.close();
    },
  };
}
