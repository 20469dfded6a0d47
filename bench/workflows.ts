/**
 * Playbooks of no-op steps: throughput, latency of a hop on an idle node, fan-out and join.
 *
 *     npm run bench -- workflows [--count 1000] [--rounds 3]
 *
 * Every step is a durable action of its own, run by the worker, with fsync on: requested, accepted, started,
 * succeeded, and the step's decision, five events. The floor is measured in the same run: rows of that size,
 * committed to a bare SQLite table in groups, with nothing decided and nothing run.
 *
 * - a hop: from the commit of one step's completion to that of the next one's, one playbook at a time.
 * - finalisation: the terminal event stands in the same commit as the last completion; counted, must be all.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { executionRequestEvent } from "../src/action/execution-request.ts";
import { timestamp } from "../src/base/clock.ts";
import { sha256Hex } from "../src/base/hash.ts";
import { registeredEvent } from "../src/decider/playbook.ts";
import type { LogRecord, NewEvent } from "../src/event/envelope.ts";
import type { ExecutionId } from "../src/event/ids.ts";
import { openNode, type BenchNode } from "./node.ts";
import { floorActionsPerSecond } from "./floor.ts";
import { median, percentile } from "./figures.ts";

const stepsEach = 10;

const eventsPerAction = 4;

const inFlightMax = 256;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000" },
    rounds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});

const count = Number(values.count);
const rounds = Number(values.rounds);

const sequence = playbook(
  "sequence",
  Array.from({ length: stepsEach }, (_, index) => {
    const next = index + 1 < stepsEach ? `\n    next: [{ step: s${String(index + 1)} }]` : "";
    const name = index === 0 ? "start" : `s${String(index)}`;
    return `  - step: ${name}\n    tool: { kind: noop }${next}`;
  }).join("\n"),
);

type Figures = Record<string, number[]>;

const figures: Figures = {};
const hopsMs: number[] = [];
let together = 0;
let ended = 0;

for (let round = 0; round < rounds; round += 1) {
  const floor = await inFolder((folder) =>
    floorActionsPerSecond(join(folder, "floor.db"), 20_000, inFlightMax),
  );
  add("floor_rows_per_s", floor * eventsPerAction);
  await inFolder(async (folder) => {
    const node = await openNode(folder);
    const ends = watchEnds(node);
    await node.log.append([sequence]);
    await runMany(node, ends, { total: 100, run: `warm-${String(round)}` });
    const before = node.log.head();
    const startedMs = performance.now();
    await runMany(node, ends, { total: count, run: `run-${String(round)}` });
    const seconds = (performance.now() - startedMs) / 1_000;
    add("workflows_per_s", count / seconds);
    add("steps_per_s", (count * stepsEach) / seconds);
    add("events_per_s", (node.log.head() - before) / seconds);
    for (let index = 0; index < 200; index += 1) {
      hopsMs.push(...(await hops(node, `hop-${String(round)}-${String(index)}`)));
    }
    for (const items of [1_000, 10_000]) {
      const path = `fan-${String(items)}`;
      await node.log.append([playbook(path, fanOut(items))]);
      const fanStartedMs = performance.now();
      await runOne(node, ends, { path, key: `${path}-${String(round)}` });
      add(`fan_out_${String(items)}_ms`, performance.now() - fanStartedMs);
    }
    together += ends.together();
    ended += ends.total();
    await node.close();
  });
}

const result: Record<string, number> = {};
for (const [name, all] of Object.entries(figures)) result[name] = Math.round(median(all));
result["share_of_floor_percent"] =
  Math.round((1_000 * (result["events_per_s"] ?? 0)) / (result["floor_rows_per_s"] ?? 1)) / 10;
result["hop_p50_ms"] = percentile(hopsMs, 50);
result["hop_p99_ms"] = percentile(hopsMs, 99);
result["ended_in_the_commit_of_the_last_step_percent"] = Math.round((100 * together) / ended);
if (values.json) console.log(JSON.stringify(result));
else
  for (const [name, figure] of Object.entries(result))
    console.log(`${name.padEnd(46)} ${String(figure)}`);

function add(name: string, figure: number): void {
  (figures[name] ??= []).push(figure);
}

function playbook(path: string, workflow: string): NewEvent {
  const text = `apiVersion: deed/v1\nkind: Playbook\nmetadata: { name: ${path}, path: ${path} }\nworkflow:\n${workflow}\n`;
  const version = { path, digest: sha256Hex(text), text };
  return registeredEvent(version, { ts: timestamp(Date.now()), replaces: undefined });
}

function fanOut(items: number): string {
  const loop = `{ in: "{{ range(${String(items)}) | list }}", iterator: i, spec: { mode: parallel, max_in_flight: 1000 } }`;
  return `  - step: start\n    loop: ${loop}\n    tool: { kind: noop }\n    next: [{ step: end }]\n  - step: end\n    tool: { kind: noop }`;
}

type Ends = {
  readonly wait: (id: ExecutionId) => Promise<void>;
  /** Executions that ended in the commit of their last step. */
  readonly together: () => number;
  readonly total: () => number;
};

function watchEnds(node: BenchNode): Ends {
  const waiting = new Map<string, () => void>();
  let same = 0;
  let total = 0;
  node.log.onCommit((records) => {
    const completed = new Set<string>();
    for (const { event } of records) {
      const id = event.execution_id;
      if (id === undefined) continue;
      if (event.event_type === "step.completed") completed.add(id);
      if (!isEnd(event.event_type)) continue;
      if (event.event_type !== "execution.completed") throw new Error(JSON.stringify(event.attrs));
      total += 1;
      if (completed.has(id)) same += 1;
      waiting.get(id)?.();
      waiting.delete(id);
    }
  });
  return {
    wait: (id) =>
      new Promise((resolve) => {
        waiting.set(id, resolve);
      }),
    together: () => same,
    total: () => total,
  };
}

function isEnd(type: string): boolean {
  return /^execution\.(completed|failed|cancelled)$/.test(type);
}

async function runMany(
  node: BenchNode,
  ends: Ends,
  { total, run }: { readonly total: number; readonly run: string },
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) {
      const key = `${run}/${String(next)}`;
      next += 1;
      await runOne(node, ends, { path: "sequence", key });
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, lane));
}

async function runOne(
  node: BenchNode,
  ends: Ends,
  { path, key }: { readonly path: string; readonly key: string },
): Promise<void> {
  const event = request(path, key);
  if (event.execution_id === undefined) throw new Error("a request has an execution id");
  const end = ends.wait(event.execution_id);
  await node.log.append([event]);
  await end;
}

function request(path: string, key: string): NewEvent {
  return executionRequestEvent({
    attrs: { playbook: path, payload: {} },
    idempotencyKey: key,
    ts: timestamp(Date.now()),
    source: { system: "bench", ns: {} },
  });
}

/** Milliseconds between the commits of a playbook's steps, while nothing else runs. */
async function hops(node: BenchNode, key: string): Promise<readonly number[]> {
  const taken: number[] = [];
  let lastMs: number | undefined;
  await new Promise<void>((resolve, reject) => {
    const stop = node.log.onCommit((records: readonly LogRecord[]) => {
      for (const { event } of records) {
        if (event.event_type === "step.completed") {
          const nowMs = performance.now();
          if (lastMs !== undefined) taken.push(nowMs - lastMs);
          lastMs = nowMs;
        }
        if (isEnd(event.event_type)) {
          stop();
          resolve();
        }
      }
    });
    node.log.append([request("sequence", key)]).catch(reject);
  });
  return taken;
}

async function inFolder<T>(work: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "deed-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
