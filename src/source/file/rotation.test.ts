import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createSystemClock } from "../../app/system-clock.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { Source } from "../source.ts";
import { fileSource } from "./file.ts";

let folder: string;
let source: Source;
let taken: NewEvent[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "deed-file-"));
  taken = [];
  source = fileSource({
    name: "jobs",
    path: join(folder, "jobs.jsonl"),
    intervalMs: 20,
    mapping: { event_type: "job.${status}", entity_id: "job:${job}", ts: "$.ts" },
  });
});

afterEach(async () => {
  await source.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Longer than what a file is recognised by. */
function line(status: string): string {
  const ts = "2026-01-01T00:00:00.000Z";
  return `${JSON.stringify({ ts, job: "export", status, message: "x".repeat(100) })}\n`;
}

function types(): readonly string[] {
  return taken.map(({ event_type: type }) => type).filter((type) => type !== "source.position");
}

test("3. a rotated file with long lines is read to its end, then the new one from its beginning", async () => {
  const path = join(folder, "jobs.jsonl");
  await writeFile(path, line("first"));
  await source.start({
    append: (events) => Promise.resolve(taken.push(...events)),
    newest: () => Promise.resolve(undefined),
    clock: createSystemClock(),
    warn: (message) => expect.unreachable(message),
  });
  await vi.waitFor(() => expect(types()).toEqual(["job.first"]), { timeout: 5_000 });

  await appendFile(path, line("second"));
  await rename(path, `${path}.1`);
  await writeFile(path, line("third"));

  await vi.waitFor(() => expect(types()).toEqual(["job.first", "job.second", "job.third"]), {
    timeout: 5_000,
  });
  const positions = taken.filter(({ event_type: type }) => type === "source.position");
  expect(positions.map(({ attrs }) => attrs["inode"])).not.toContain("");
});
