import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import { sourceBench, type SourceBench } from "../../../test/source-bench.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import type { Source } from "../source.ts";
import { fileSource, type FileSourceOptions } from "./file.ts";

let folder: string;
let path: string;
let bench: SourceBench;
let running: Source | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-file-"));
  path = join(folder, "jobs.jsonl");
  bench = sourceBench();
});

afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

const mapping = { event_type: "job.done", entity_id: "job:${id}", ts: "2026-11-24T05:00:00Z" };

async function start(more: Partial<FileSourceOptions> = {}): Promise<void> {
  running = fileSource({ name: "jobs", path, mapping, ...more });
  await bench.start(running);
}

async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}

function line(id: string | number): string {
  return `${JSON.stringify({ id: String(id) })}\n`;
}

async function read(): Promise<readonly unknown[]> {
  return (await bench.events("job.done")).map(({ attrs }) => attrs["id"]);
}

function rawOf(parts: readonly DeedEvent[]): string {
  return parts.map(({ attrs }) => attrs["raw"] as string).join("");
}

async function readsTo(...ids: (string | number)[]): Promise<void> {
  await eventually(async () => {
    await bench.clock.advance(1_000);
    return (await read()).length >= ids.length;
  }, true);
  // One more look, which finds nothing more.
  await bench.clock.advance(1_000);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await read()).toEqual(ids.map(String));
}

describe("1. every line becomes an event", () => {
  test("an observation, with a key that follows from where it stood", async () => {
    writeFileSync(path, line("a"));
    await start();
    await readsTo("a");
    const [event] = await bench.events("job.done");
    expect(event).toMatchObject({
      entity_id: "job:a",
      source: { system: "file", ns: { component: "jobs", path } },
      attrs: { id: "a" },
    });
    expect(event?.idempotency_key).toMatch(/^file\/jobs\/0\/\d+-[0-9a-f]{8}\/0$/);
  });

  test("bad lines stand whole in events.dlq with the reason, and the next line is read", async () => {
    writeFileSync(path, `not json\n{"id":1\n\n  \r\n{"no":"id"}\n${line("good")}`);
    await start();
    await readsTo("good");
    const rejected = await bench.events("event.rejected");
    expect(
      rejected.map(({ attrs }) => [attrs["raw"], attrs["byte_offset"], attrs["line_offset"]]),
    ).toEqual([
      ["not json", 0, 0],
      ['{"id":1', 9, 9],
      ['{"no":"id"}', 22, 22],
    ]);
    expect(rejected[2]?.attrs["reason"]).toBe("the line has no id, which entity_id is made of");
    const topics = await bench.log.read({ from: 1, limit: 100, topics: ["events.dlq"] });
    expect(topics).toHaveLength(3);
  });

  test("a line that is too long stands whole there, in parts", async () => {
    const long = JSON.stringify({ id: "x".repeat(100_000) });
    writeFileSync(path, `${line(1)}${long}\n${line(2)}`);
    await start();
    await readsTo(1, 2);
    const parts = await bench.events("event.rejected");
    expect(rawOf(parts)).toBe(long);
    expect(parts.map(({ attrs }) => attrs["byte_offset"])).toEqual([11, 32_779, 65_547, 98_315]);
    expect(new Set(parts.map(({ attrs }) => attrs["line_offset"]))).toEqual(new Set([11]));
    expect(parts[0]?.attrs["reason"]).toBe("the line is longer than 65536 bytes");
  });

  test("a line longer than what is read at once stands whole there, also over a restart", async () => {
    const long = JSON.stringify({ id: "x".repeat(700_000) });
    writeFileSync(path, line(1) + long.slice(0, 690_000));
    await start();
    await readsTo(1);
    await eventually(async () => (await bench.events("event.rejected")).length > 10, true);
    await stop();
    appendFileSync(path, `${long.slice(690_000)}\n${line(2)}`);
    await start();
    await readsTo(1, 2);
    const parts = await bench.events("event.rejected");
    expect(rawOf(parts)).toBe(long);
    expect(new Set(parts.map(({ attrs }) => attrs["line_offset"]))).toEqual(new Set([11]));
  });

  test("what is no text is kept byte for byte", async () => {
    writeFileSync(path, Buffer.from([0xff, 0x00, 0xfe, 0x0a]));
    await start();
    await eventually(async () => (await bench.events("event.rejected")).length, 1);
    const [rejected] = await bench.events("event.rejected");
    expect(rejected?.attrs).toMatchObject({ raw: "/wD+", encoding: "base64" });
  });

  test("a line at the limit is read, one byte more is rejected", async () => {
    const lineBytesMax = Buffer.byteLength(line("abc")) - 1;
    writeFileSync(path, line("abc") + line("abcd"));
    await start({ lineBytesMax });
    await readsTo("abc");
    expect(await bench.events("event.rejected")).toHaveLength(1);
  });

  test("a line that the log refuses is told of, and holds up nobody", async () => {
    bench = sourceBench({ eventBytesMax: 2_000 });
    writeFileSync(path, line(1) + line("x".repeat(3_000)) + line(2) + line(3));
    await start();
    await readsTo(1, 2, 3);
    const [rejected] = await bench.events("event.rejected");
    expect(rejected?.attrs).toMatchObject({ left_out_bytes: 3_009, byte_offset: 11 });
    expect(rejected?.attrs["reason"]).toMatch(/^the log refused the line: /);
  });
});

describe("2. it resumes where the log says", () => {
  test("after a restart nothing is lost and nothing is told twice", async () => {
    writeFileSync(path, line(1) + line(2));
    await start();
    await readsTo(1, 2);
    await stop();
    appendFileSync(path, line(3));
    await start();
    await readsTo(1, 2, 3);
    expect((await bench.events("source.position")).at(-1)?.attrs).toMatchObject({
      path,
      bytes: 33,
      generation: 0,
    });
  });

  test("what could not be appended is read again", async () => {
    bench.failures.push(new Error("the log is busy"), new Error("the log is busy"));
    writeFileSync(path, line(1) + line(2));
    await start();
    await readsTo(1, 2);
    expect(bench.warnings).toEqual(
      Array.from({ length: 2 }, () => `Source jobs cannot read ${path} and will try again`),
    );
  });

  test("lines and position are appended together", async () => {
    writeFileSync(path, Array.from({ length: 1_200 }, (_, id) => line(id)).join(""));
    await start();
    await readsTo(...Array.from({ length: 1_200 }, (_, id) => id));
    const types = (await bench.events()).map(({ event_type: type }) => type);
    const batches = types
      .join(" ")
      .split("source.position")
      .map((batch) => batch.trim().split(" "));
    expect(batches.slice(0, -1).map((batch) => batch.length)).toEqual([500, 500, 200]);
  });
});

describe("3. rotation", () => {
  test("by rename: the old file is read to its end, then the new one", async () => {
    writeFileSync(path, line(1));
    await start();
    await readsTo(1);
    appendFileSync(path, line(2));
    renameSync(path, `${path}.1`);
    appendFileSync(`${path}.1`, line(3));
    writeFileSync(path, line(4));
    await readsTo(1, 2, 3, 4);
  });

  test("its end ends the last line of the old file", async () => {
    writeFileSync(path, line(1) + line(2).trimEnd());
    await start();
    await readsTo(1);
    renameSync(path, `${path}.1`);
    writeFileSync(path, line(3));
    await readsTo(1, 2, 3);
  });

  test("by rename while the program was not running", async () => {
    writeFileSync(path, line(1));
    await start();
    await readsTo(1);
    await stop();
    appendFileSync(path, line(2));
    renameSync(path, join(folder, "jobs-2026.jsonl"));
    writeFileSync(path, line(3));
    await start();
    await readsTo(1, 2, 3);
    await stop();
    await start();
    await readsTo(1, 2, 3);
    expect(bench.warnings).toEqual([]);
  });

  test("by copy and truncation", async () => {
    writeFileSync(path, line(1) + line(2));
    await start();
    await readsTo(1, 2);
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, line(3));
    await readsTo(1, 2, 3);
  });

  test("by copy and truncation while the program was not running", async () => {
    writeFileSync(path, line(1));
    await start();
    await readsTo(1);
    await stop();
    appendFileSync(path, line(2));
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, line(3));
    await start();
    await readsTo(1, 2, 3);
  });

  test("equal lines of the new file are new lines", async () => {
    writeFileSync(path, line(1) + line(2));
    await start();
    await readsTo(1, 2);
    truncateSync(path);
    await bench.clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    appendFileSync(path, line(1));
    await readsTo(1, 2, 1);
    await stop();
    await start();
    await readsTo(1, 2, 1);
  });

  test("files with long first lines are told apart", async () => {
    const long = (id: number): string =>
      `${JSON.stringify({ fill: "x".repeat(5_000), id: String(id) })}\n`;
    writeFileSync(path, long(1));
    await start();
    await readsTo(1);
    renameSync(path, `${path}.1`);
    writeFileSync(path, long(2));
    await readsTo(1, 2);
  });

  test("a former file that is gone is told of, and the new one is read", async () => {
    writeFileSync(path, line(1) + line(2));
    await start();
    await readsTo(1, 2);
    await stop();
    rmSync(path);
    writeFileSync(path, line(3));
    await start();
    await readsTo(1, 2, 3);
    expect(bench.warnings).toEqual([
      `Source jobs begins ${path} again: the former file is not beside it any more`,
    ]);
  });
});

describe("4. the last line waits", () => {
  test("until its end is written", async () => {
    writeFileSync(path, line(1) + '{"id":');
    await start();
    await readsTo(1);
    appendFileSync(path, '"2"');
    await readsTo(1);
    appendFileSync(path, "}\n");
    await readsTo(1, 2);
    expect(await bench.events("event.rejected")).toEqual([]);
  });

  test("also where it is the first", async () => {
    writeFileSync(path, '{"id":');
    await start();
    await readsTo();
    appendFileSync(path, '"1"}\n');
    await readsTo(1);
  });
});

describe("5. when it looks", () => {
  test("a file that is not there yet is read once it is", async () => {
    await start();
    await readsTo();
    expect(bench.warnings).toEqual([]);
    writeFileSync(path, line(1));
    await readsTo(1);
  });

  test("a folder that is not there yet is no failure either", async () => {
    path = join(folder, "later", "jobs.jsonl");
    await start();
    await readsTo();
    mkdirSync(join(folder, "later"));
    writeFileSync(path, line(1));
    await readsTo(1);
    expect(bench.warnings).toEqual([
      `Source jobs cannot watch ${join(folder, "later")}: it looks at an interval only`,
    ]);
  });

  test("a change is seen without waiting for the interval", async () => {
    writeFileSync(path, line(1));
    await start({ intervalMs: 1e9 });
    await eventually(async () => (await read()).length, 1);
    appendFileSync(path, line(2));
    await eventually(async () => (await read()).length, 2);
  });

  test("stopped, it leaves no timer and reads no more", async () => {
    writeFileSync(path, line(1));
    await start();
    await readsTo(1);
    for (let index = 0; index < 20; index += 1) appendFileSync(path, "\n");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(bench.clock.armed()).toBeLessThanOrEqual(1);
    await stop();
    expect(bench.clock.armed()).toBe(0);
    appendFileSync(path, line(2));
    await readsTo(1);
  });
});
