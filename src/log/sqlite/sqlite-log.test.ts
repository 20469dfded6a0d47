import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  createTestClock,
  eventOf,
  rejectionOf,
  requestOf,
  rowStage,
} from "../../../test/log/fixture.ts";
import {
  filled,
  folder,
  inFile,
  openLog,
  path,
  refusal,
  rowOf,
  useLogFile,
} from "../../../test/log/log-file.ts";
import { logContract } from "../log-contract.ts";
import type { LogError } from "../log.ts";
import { openLogFile } from "./file.ts";
import { applicationId, pragma, schemaVersion } from "./schema.ts";
import { openSqliteLog } from "./sqlite-log.ts";

/** Index entries wait in memory for long, for a few events, or not at all: nobody must notice. */
for (const tailEventsMax of [4_096, 7, 1]) {
  logContract(`sqlite, ${String(tailEventsMax)} events in the index tail`, () => {
    const folder = mkdtempSync(join(tmpdir(), "deed-log-"));
    return {
      open: ({ small = false, ...options }) =>
        openSqliteLog({
          ...options,
          path: join(folder, "deed.db"),
          tailEventsMax,
          ...(small ? { fileBytesMax: 300_000 } : {}),
        }),
      remove: () => {
        rmSync(folder, { recursive: true });
      },
    };
  });
}

useLogFile();

describe("durability", () => {
  test("1. a commit is synced before it counts: WAL and synchronous=FULL", () => {
    const file = openLogFile({ path });
    try {
      const mode: unknown = file.db.prepare("PRAGMA journal_mode").get();
      expect(mode).toEqual({ journal_mode: "wal" });
      // 2 is FULL: the WAL is synced at each commit. 1 (NORMAL) would sync at checkpoints only.
      expect(pragma(file.db, "synchronous")).toBe(2);
    } finally {
      file.close();
    }
  });

  test("1. appends that wait together cost one commit of the file", async () => {
    const log = await openLog();
    await log.append([eventOf()]);
    const before = commitsInWal();
    await log.append([eventOf()]);
    expect(commitsInWal() - before).toBe(1);
    await Promise.all(Array.from({ length: 200 }, () => log.append([eventOf()])));
    expect(commitsInWal() - before).toBe(2);
    expect(log.head()).toBe(202);
  });

  test("a log that was closed is one file", async () => {
    await (await filled(100)).close();
    const copy = join(folder, "copy.db");
    copyFileSync(path, copy);
    expect((await openLog({ path: copy })).head()).toBe(100);
  });
});

describe("one writer", () => {
  test("a second log on the file is refused as locked, and the first goes on", async () => {
    const log = await openLog();
    await log.append([eventOf()]);
    const thrown = await refusal();
    expect(thrown).toMatchObject({ code: "locked", retryable: true });
    expect(thrown.message).toBe(
      `Cannot open ${path} as another process writes it. Stop that process, or give this one another data folder (database is locked)`,
    );
    expect(await log.append([eventOf()])).toMatchObject([{ offset: 2 }]);
  });

  test("another name of the same file does not get round the lock", async () => {
    await openLog();
    const other = join(folder, "other.db");
    symlinkSync(path, other);
    expect(await refusal({ path: other })).toMatchObject({ code: "locked" });
  });

  test("the lock is let go by close, and by an open that failed", async () => {
    const log = await openLog();
    await log.close();
    inFile((db) => {
      db.exec("PRAGMA user_version = 99");
    });
    expect(await refusal()).toMatchObject({ code: "newer_version" });
    inFile((db) => {
      db.exec(`PRAGMA user_version = ${String(schemaVersion)}`);
    });
    expect((await openLog()).head()).toBe(0);
  });
});

describe("what cannot be opened", () => {
  const contents = () => readFileSync(path).toString("hex");

  test("a file that is no database", async () => {
    writeFileSync(path, "this is a diary, not a log\n".repeat(300));
    const before = contents();
    const thrown = await refusal();
    expect(thrown).toMatchObject({ code: "corrupt", retryable: false });
    expect(thrown.message).toContain("is not a log of this program");
    expect(contents()).toBe(before);
  });

  test("a log whose header is garbage", async () => {
    await (await filled(100)).close();
    overwrite(path, { at: 0, bytes: 100 });
    expect(await refusal()).toMatchObject({ code: "corrupt", retryable: false });
  });

  test("a log with a damaged page in the middle, found by the check at open", async () => {
    await (await filled(3_000)).close();
    const pages = Math.floor(statSync(path).size / 4_096);
    overwrite(path, { at: Math.floor(pages / 2) * 4_096, bytes: 4_096 });
    const thrown = await refusal();
    expect(thrown).toMatchObject({ code: "corrupt", retryable: false });
    expect(thrown.message).toContain("Stop, keep a copy of it, and restore the newest backup");
  });

  test("a damaged page that the check at open left out is reported by whoever reads it", async () => {
    await (await filled(3_000, { tailEventsMax: 1 })).close();
    const pages = Math.floor(statSync(path).size / 4_096);
    for (let page = 20; page < pages - 20; page += 1) {
      overwrite(path, { at: page * 4_096, bytes: 4_096 });
    }
    const log = await openLog({ checkBytesMax: 1_000 });
    const thrown = await rejectionOf(log.read({ from: 1, limit: 3_000 }));
    expect(thrown).toMatchObject({ code: "corrupt", retryable: false });
    expect((thrown as LogError).message).toContain("restore the newest backup");
  });

  test("an event whose text was damaged is reported as corrupt", async () => {
    await (await filled(10, { tailEventsMax: 1 })).close();
    inFile((db) => {
      db.exec("UPDATE events SET body = substr(body, 1, 40) WHERE offset = 5");
    });
    const log = await openLog();
    const thrown = await rejectionOf(log.read({ from: 1, limit: 10 }));
    expect(thrown).toMatchObject({ code: "corrupt", retryable: false });
    expect((thrown as LogError).message).toContain("the file is damaged");
  });

  test.each([0, 1, 7])("a SQLite file of something else, at its version %i", async (version) => {
    inFile((db) => {
      db.exec(`CREATE TABLE diary (day TEXT); PRAGMA user_version = ${String(version)}`);
    });
    const before = contents();
    const thrown = await refusal();
    expect(thrown).toMatchObject({ code: "corrupt", retryable: false });
    expect(thrown.message).toContain("it is a SQLite file of something else");
    expect(contents()).toBe(before);
  });

  test("a log that a newer version wrote, and nothing in it is changed", async () => {
    await (await filled(10)).close();
    inFile((db) => {
      db.exec(`PRAGMA user_version = ${String(schemaVersion + 1)}`);
    });
    const before = contents();
    const thrown = await refusal();
    expect(thrown).toMatchObject({ code: "newer_version", retryable: false });
    expect(thrown.message).toContain("schema 3, this program knows 2");
    expect(contents()).toBe(before);
  });

  test("a folder where the file should be, and a file where the folder should be", async () => {
    const thrown = await refusal({ path: folder });
    expect(thrown).toMatchObject({ code: "io" });
    writeFileSync(join(folder, "file"), "");
    const below = await refusal({ path: join(folder, "file", "deed.db") });
    expect(below).toMatchObject({ code: "io", retryable: true });
    expect(below.message).toContain("Check that its folder exists and may be written");
  });

  test("a folder that may not be written", async () => {
    chmodSync(folder, 0o555);
    const thrown = await unprivileged(() => refusal());
    expect(thrown).toMatchObject({ code: "io", retryable: true });
    expect(thrown.message).toContain(`Cannot open ${path} as the file cannot be opened`);
    const made = await unprivileged(() => refusal({ path: join(folder, "data", "deed.db") }));
    expect(made.message).toContain("Give the user of this process the right to write there");
  });

  test("a file that may not be written, where nothing was appended yet", async () => {
    await (await filled(10)).close();
    const copy = join(folder, "copy.db");
    copyFileSync(path, copy);
    chmodSync(copy, 0o444);
    chmodSync(folder, 0o777);
    const thrown = await unprivileged(() => refusal({ path: copy }));
    expect(thrown).toMatchObject({ code: "io" });
    expect(thrown.message).toContain("read-only");
  });

  test("a folder that is missing is made", async () => {
    const log = await openLog({ path: join(folder, "a", "b", "deed.db") });
    expect(await log.append([eventOf()])).toMatchObject([{ offset: 1 }]);
  });
});

describe("the file", () => {
  test("says whose it is and in which version", async () => {
    await openLog();
    expect(rowOf("PRAGMA application_id")).toEqual({ application_id: applicationId });
    expect(rowOf("PRAGMA user_version")).toEqual({ user_version: 2 });
  });

  test("retention leaves nothing behind of what it removed", async () => {
    const clock = createTestClock();
    const log = await openLog({ clock, dedupWindowMs: 0 });
    log.attach(rowStage(log));
    for (let at = 0; at < 20; at += 1) {
      const request = requestOf(`r${String(at)}`);
      await log.append([request, eventOf({ key: `k${String(at)}`, execution: "run-1" })]);
      const execution = `exe-${String(at)}`;
      const parent = "run-1";
      await log.append([
        eventOf({ type: "execution.requested", execution, parent }),
        eventOf({ type: "execution.completed", execution, parent }),
      ]);
      const action = request.action_id ?? expect.fail("a request has an action");
      await log.append([eventOf({ type: "action.succeeded", action })]);
    }
    clock.move(1_000);
    const removed = await log.retain({
      "events.normalized": 1,
      "actions.requested": 1,
      "actions.result": 1,
      decisions: 1,
    });
    expect(removed).toBe(99);
    const count = (table: string) => rowOf(`SELECT count(*) AS n FROM ${table}`);
    expect(count("events")).toEqual({ n: 1 });
    expect(count("keys")).toEqual({ n: 0 });
    expect(count("actions")).toEqual({ n: 0 });
    expect(count("executions")).toEqual({ n: 0 });
    expect(count("threads")).toEqual({ n: 2 });
  });
});

/** Commits that stand in the WAL: the last frame of each carries the size of the database after it. */
function commitsInWal(): number {
  const wal = readFileSync(`${path}-wal`);
  const headerBytes = 32;
  const frameBytes = 24 + wal.readUInt32BE(8);
  let commits = 0;
  for (let at = headerBytes; at + frameBytes <= wal.length; at += frameBytes) {
    if (wal.readUInt32BE(at + 4) !== 0) commits += 1;
  }
  return commits;
}

/** Damages a file: every byte of a range is turned over. */
function overwrite(file: string, { at, bytes }: { at: number; bytes: number }): void {
  const content = readFileSync(file).subarray(at, at + bytes);
  const handle = openSync(file, "r+");
  writeSync(handle, Buffer.from(content.map((byte) => byte ^ 0xa5)), 0, content.length, at);
  closeSync(handle);
}

/** Runs as a user without rights, also where the tests run as root. The work opens at once, then waits. */
function unprivileged<T>(work: () => T): T {
  if (process.getuid?.() !== 0) return work();
  process.seteuid?.(65_534);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
  }
}
