/**
 * npm run bench -- history [--events 200000] [--shape cycle|loop]: what one long execution costs, in memory and on
 * a restart.
 *
 * One execution over the SQLite log, of no-ops: `cycle` goes round and round and keeps nothing, so its heap must not
 * grow with its events; `loop` is one parallel loop, which keeps what its items gave and nothing else. The heap is
 * read after a collection. Then the node is closed in the midst of it, and another one takes the execution up again.
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { executionRequestEvent } from "../src/action/execution-request.ts";
import { timestamp } from "../src/base/clock.ts";
import { sha256Hex } from "../src/base/hash.ts";
import { registeredEvent } from "../src/decider/playbook.ts";
import { openNode, type BenchNode } from "./node.ts";

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "200000" },
    shape: { type: "string", default: "cycle" },
  },
});

const events = Number(values.events);

/** Where the heap is read, in parts of all events. */
const shares = [0.125, 0.25, 0.5, 0.75, 1];

const tool = `tool: { kind: noop, result: { n: 1, text: "a result of usual length" } }`;

const shapes: Readonly<Record<string, string>> = {
  cycle: `${tool}
    set: { ctx.rounds: "{{ (ctx.get('rounds') or 0) + 1 }}" }
    next: [{ step: start }]`,
  loop: `loop: { in: "{{ range(100000) | list }}", iterator: i, spec: { mode: parallel } }
    ${tool}`,
};

const text = `apiVersion: deed/v1
kind: Playbook
metadata: { name: round, path: round }
workflow:
  - step: start
    ${shapes[values.shape] ?? ""}
`;

const folder = mkdtempSync(join(tmpdir(), "deed-history-"));
const path = join(folder, "deed.db");
try {
  await measure();
} finally {
  rmSync(folder, { recursive: true });
}

async function measure(): Promise<void> {
  const node = await openNode(folder);
  const ts = timestamp(Date.now());
  const source = { system: "bench", ns: {} };
  const version = { path: "round", digest: sha256Hex(text), text };
  const asked = { playbook: "round", payload: {} };
  const request = executionRequestEvent({ attrs: asked, idempotencyKey: "one", ts, source });
  const startedMs = performance.now();
  const done = heaps(node, startedMs);
  await node.log.append([registeredEvent(version, { ts, replaces: undefined }), request]);
  await done;
  await node.close();
  const before = heapMb();
  console.log(`closed: heap ${before} MB, log ${String(Math.round(statSync(path).size / 1e6))} MB`);

  const openedMs = performance.now();
  const next = await openNode(folder);
  const head = next.log.head();
  const kernelMs = Math.round(performance.now() - openedMs);
  await until(next, (at) => at > head + 100);
  const goesOnMs = Math.round(performance.now() - openedMs);
  console.log(
    `restart behind ${String(head)} events: ready in ${String(kernelMs)} ms, a hundred events on in ${String(goesOnMs)} ms, heap ${heapMb()} MB`,
  );
  await next.close();
}

/** Reads the heap at each mark. */
async function heaps(node: BenchNode, startedMs: number): Promise<void> {
  for (const share of shares) {
    const mark = Math.round(events * share);
    await until(node, (head) => head >= mark);
    const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
    console.log(`${String(mark).padStart(7)} events: heap ${heapMb()} MB, ${seconds} s`);
  }
}

function until(node: BenchNode, reached: (head: number) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const off = node.log.onCommit(() => {
      if (!reached(node.log.head())) return;
      off();
      resolve();
    });
  });
}

function heapMb(): string {
  globalThis.gc?.();
  return (process.memoryUsage().heapUsed / 1e6).toFixed(1);
}
