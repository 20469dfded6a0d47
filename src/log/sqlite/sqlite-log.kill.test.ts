import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestClock, eventOf, offsetsOf } from "../../../test/log/fixture.ts";
import type { Log, Receipt } from "../log.ts";
import { openSqliteLog } from "./sqlite-log.ts";

type Acknowledged = { readonly key: string; readonly receipts: readonly Receipt[] };

const kills = 10;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-log-kill-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** Runs the appending process and kills it once it has acknowledged so many appends. */
function appendUntilKilled(path: string, run: string, appends: number): Promise<Acknowledged[]> {
  const script = join(import.meta.dirname, "../../../test/log/append-loop.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, path, run], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  let lines = 0;
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    lines += chunk.split("\n").length - 1;
    if (lines >= appends) child.kill("SIGKILL");
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (signal !== "SIGKILL") {
        reject(new Error(`Expected to be killed: ended with ${String(code)}`));
        return;
      }
      const whole = text
        .slice(0, text.lastIndexOf("\n") + 1)
        .split("\n")
        .filter(Boolean);
      resolve(whole.map((line) => JSON.parse(line) as Acknowledged));
    });
  });
}

async function check(log: Log, acknowledged: readonly Acknowledged[]): Promise<void> {
  const records = await log.read({ from: 1, limit: 1_000_000 });
  expect(offsetsOf(records)).toEqual(Array.from({ length: log.head() }, (_, at) => at + 1));
  for (const { key, receipts } of acknowledged) {
    const [seen, request] = receipts.map(({ offset }) => records[offset - 1]);
    expect(seen?.event).toMatchObject({
      idempotency_key: `${key}/seen`,
      event_id: receipts[0]?.eventId,
    });
    expect(request?.event).toMatchObject({
      idempotency_key: `${key}/act`,
      event_id: receipts[1]?.eventId,
    });
  }
  const keys = records.flatMap(({ event }) => event.idempotency_key ?? []);
  expect(new Set(keys).size).toBe(keys.length);
  // What the stage derived, and the rows it wrote, are there for every record of every run, or for none.
  for (const { event, offset } of records.filter(
    ({ event }) => event.event_type === "job.failed",
  )) {
    expect(records[offset]?.event).toMatchObject({
      event_type: "rule.fired",
      causation_id: event.event_id,
    });
  }
  const requests = records.filter(({ event }) => event.event_type === "action.requested");
  expect(log.openActions().map(({ requestOffset }) => requestOffset)).toEqual(offsetsOf(requests));
}

test(`1. after each of ${String(kills)} kills every acknowledged append is there, whole and once`, async () => {
  const path = join(folder, "deed.db");
  const acknowledged: Acknowledged[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const appends = 1 + ((kill * 37) % 120);
    acknowledged.push(...(await appendUntilKilled(path, `run-${String(kill)}`, appends)));
    const log = await openSqliteLog({ path, clock: createTestClock() });
    await check(log, acknowledged);
    const last = acknowledged.at(-1);
    const [again] = await log.append([eventOf({ key: `${last?.key ?? ""}/seen` })]);
    expect(again).toEqual({ ...last?.receipts[0], duplicate: true });
    await log.close();
  }
  expect(acknowledged.length).toBeGreaterThan(kills);
}, 60_000);
