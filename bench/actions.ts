/**
 * Durable no-op actions: throughput with 256 in flight, latency at 100/s, memory over many.
 *
 *     npm run bench -- actions [--count 20000] [--rounds 3] [--memory 1000000]
 *
 * Each action carries a 300-byte payload and puts four events on the log (requested, accepted, started,
 * succeeded), with fsync on. The floor is measured in the same run: the same bytes in the same number
 * of rows, committed to a bare SQLite table in groups of 256 actions, with nothing decided.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { timestamp } from "../src/base/clock.ts";
import { requestEvent } from "../src/action/request.ts";
import type { NewEvent } from "../src/event/envelope.ts";
import { openNode, type BenchNode } from "./node.ts";
import { floorActionsPerSecond } from "./floor.ts";
import { median, percentile } from "./figures.ts";

const inFlightMax = 256;

const payload = "x".repeat(300);

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
    rounds: { type: "string", default: "3" },
    memory: { type: "string", default: "0" },
    json: { type: "boolean", default: false },
  },
});

const count = Number(values.count);
const rounds = Number(values.rounds);
const memoryCount = Number(values.memory);

const throughput: number[] = [];
const floor: number[] = [];
const latenciesMs: number[] = [];

for (let round = 0; round < rounds; round += 1) {
  floor.push(
    await inFolder((folder) => floorActionsPerSecond(join(folder, "floor.db"), count, inFlightMax)),
  );
  await inFolder(async (folder) => {
    const node = await openNode(folder);
    await submit(node, Math.min(2_000, count), `warm-${String(round)}`);
    const startedMs = performance.now();
    await submit(node, count, `run-${String(round)}`);
    throughput.push((count * 1_000) / (performance.now() - startedMs));
    latenciesMs.push(...(await latencyAt100(node, 1_000)));
    await node.close();
  });
}

const actionsPerSecond = median(throughput);
const floorPerSecond = median(floor);
const result: Record<string, number> = {
  actions_per_s: Math.round(actionsPerSecond),
  floor_actions_per_s: Math.round(floorPerSecond),
  share_of_floor_percent: Math.round((1_000 * actionsPerSecond) / floorPerSecond) / 10,
  latency_p50_ms: percentile(latenciesMs, 50),
  latency_p99_ms: percentile(latenciesMs, 99),
};
if (memoryCount > 0) Object.assign(result, await memoryOver(memoryCount));
if (values.json) console.log(JSON.stringify(result));
else
  for (const [name, figure] of Object.entries(result))
    console.log(`${name.padEnd(28)} ${String(figure)}`);

/** Keeps 256 requests in flight until `total` have ended. */
async function submit(node: BenchNode, total: number, run: string): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) {
      const index = next;
      next += 1;
      await one(node, `${run}/${String(index)}`);
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, lane));
}

async function one(node: BenchNode, key: string): Promise<void> {
  const event = request(key);
  const outcome = node.outcomes.wait(event.action_id, { lookBack: false });
  await node.log.append([event]);
  const ended = await outcome;
  if (ended?.event.event_type !== "action.succeeded") throw new Error(`${key} did not succeed`);
}

function request(
  key: string,
): NewEvent & { readonly action_id: NonNullable<NewEvent["action_id"]> } {
  const event = requestEvent({
    attrs: { command: "noop", args: { payload } },
    idempotencyKey: key,
    entityId: `job:${key}`,
    ts: timestamp(Date.now()),
    source: { system: "bench", ns: {} },
  });
  if (event.action_id === undefined) throw new Error("a request has an action id");
  return { ...event, action_id: event.action_id };
}

/** Submits one every 10 ms and gives what each took from submit to terminal. */
async function latencyAt100(node: BenchNode, total: number): Promise<readonly number[]> {
  const taken: number[] = [];
  const running: Promise<void>[] = [];
  const beganMs = performance.now();
  for (let index = 0; index < total; index += 1) {
    const waitMs = beganMs + index * 10 - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const submittedMs = performance.now();
    const done = one(node, `latency/${String(beganMs)}/${String(index)}`).then(() => {
      taken.push(performance.now() - submittedMs);
    });
    running.push(done);
  }
  await Promise.all(running);
  return taken;
}

/** Heap after a tenth and at the end, both after a collection where the runtime offers one. */
async function memoryOver(total: number): Promise<Record<string, number>> {
  return inFolder(async (folder) => {
    const node = await openNode(folder);
    const heapMb: number[] = [];
    const startedMs = performance.now();
    for (let tenth = 0; tenth < 10; tenth += 1) {
      await submit(node, total / 10, `memory-${String(tenth)}`);
      globalThis.gc?.();
      heapMb.push(Math.round(process.memoryUsage().heapUsed / 1e6));
      console.error(
        `${String((tenth + 1) * 10)} %: heap ${String(heapMb.at(-1))} MB, rss ${String(Math.round(process.memoryUsage().rss / 1e6))} MB`,
      );
    }
    const seconds = (performance.now() - startedMs) / 1_000;
    await node.close();
    return {
      memory_actions: total,
      memory_actions_per_s: Math.round(total / seconds),
      heap_mb_at_10_percent: heapMb[0] ?? 0,
      heap_mb_at_100_percent: heapMb.at(-1) ?? 0,
      rss_mb: Math.round(process.memoryUsage().rss / 1e6),
    };
  });
}

async function inFolder<T>(work: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "deed-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
