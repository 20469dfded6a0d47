import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  createTestClock,
  eventOf,
  offsetsOf,
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
  rowOf,
  useLogFile,
} from "../../../test/log/log-file.ts";
import type { Log, LogError } from "../log.ts";
import { backUpSqliteLog } from "./sqlite-log.ts";

useLogFile();

describe("a full disk", () => {
  test("appends are refused as full, nothing is lost, and they go on when space is back", async () => {
    const clock = createTestClock();
    const log = await openLog({ clock, fileBytesMax: 1_000_000 });
    log.attach(rowStage(log));
    const acknowledged: number[] = [];
    const attrs = { text: "x".repeat(20_000) };
    const first = await fillUp(log, { attrs, acknowledged });
    expect(first).toMatchObject({ code: "full", retryable: true });
    expect(first.message).toContain(
      "no space is left on the device. Free some: appends go on by themselves then",
    );
    expect(acknowledged.length).toBeGreaterThan(20);
    expect(log.head()).toBe(acknowledged.length);
    expect(offsetsOf(await log.read({ from: 1, limit: 1_000 }))).toEqual(acknowledged);
    clock.move(1_000);
    expect(await log.retain({ "events.normalized": 1 })).toBe(acknowledged.length - 1);
    const [receipt] = await log.append([eventOf({ attrs })]);
    expect(receipt?.offset).toBe(acknowledged.length + 1);
    await fillUp(log, { attrs, acknowledged });
    expect(rowOf("PRAGMA quick_check")).toEqual({ quick_check: "ok" });
    expect(statSync(path).size).toBeLessThanOrEqual(1_000_000);
  });

  test("a log that was full opens again with more room and has all that was acknowledged", async () => {
    const log = await openLog({ fileBytesMax: 300_000 });
    const acknowledged: number[] = [];
    await fillUp(log, { attrs: { text: "x".repeat(20_000) }, acknowledged });
    await log.close();
    const roomy = await openLog();
    expect(offsetsOf(await roomy.read({ from: 1, limit: 1_000 }))).toEqual(acknowledged);
    expect(await roomy.append([eventOf()])).toMatchObject([{ offset: acknowledged.length + 1 }]);
  });

  const fillUp = async (
    log: Log,
    { attrs, acknowledged }: { attrs: { text: string }; acknowledged: number[] },
  ): Promise<LogError> => {
    for (;;) {
      try {
        for (const { offset } of await log.append([eventOf({ attrs })])) acknowledged.push(offset);
      } catch (thrown) {
        return thrown as LogError;
      }
    }
  };
});

describe("backup", () => {
  test("a copy made while appends go on is whole, opens, and holds all up to its head", async () => {
    const log = await filled(3_000);
    const target = join(folder, "copy.db");
    let ended = false;
    const copying = log.backup(target).then(() => (ended = true));
    let during = 0;
    while (!ended) {
      await log.append([requestOf(`during-${String(during)}`), eventOf()]);
      during += 1;
    }
    await copying;
    expect(during).toBeGreaterThan(0);
    expect(existsSync(`${target}.partial`)).toBe(false);
    const copy = await openLog({ path: target });
    const head = copy.head();
    expect(head).toBeGreaterThanOrEqual(3_000);
    expect(head).toBeLessThanOrEqual(log.head());
    const query = { from: 1, limit: head };
    expect(await copy.read(query)).toEqual(await log.read(query));
    const [again, fresh] = await copy.append([eventOf({ key: "k7" }), eventOf()]);
    expect(again).toMatchObject({ offset: 8, duplicate: true });
    expect(fresh).toMatchObject({ offset: head + 1, duplicate: false });
  });

  test("a target that is there is not touched", async () => {
    const log = await filled(10);
    const target = join(folder, "copy.db");
    writeFileSync(target, "mine");
    const thrown = await rejectionOf(log.backup(target));
    expect(thrown).toMatchObject({ code: "exists", retryable: false });
    expect(readFileSync(target, "utf8")).toBe("mine");
  });

  test("a target that cannot be written is named, and leaves nothing behind", async () => {
    const log = await filled(10);
    const target = join(folder, "missing", "copy.db");
    const thrown = await rejectionOf(log.backup(target));
    expect(thrown).toMatchObject({ code: "io" });
    expect((thrown as LogError).message).toContain(`Cannot back up ${path} to ${target}`);
    expect(existsSync(target)).toBe(false);
  });

  test("a copy can be made beside a running log by somebody who does not hold its lock", async () => {
    await filled(200);
    const target = join(folder, "copy.db");
    await backUpSqliteLog(path, target);
    expect((await openLog({ path: target })).head()).toBe(200);
  });

  test("a file that is no log is not backed up", async () => {
    inFile((db) => {
      db.exec("CREATE TABLE diary (day TEXT)");
    });
    const thrown = await rejectionOf(backUpSqliteLog(path, join(folder, "copy.db")));
    expect(thrown).toMatchObject({ code: "corrupt" });
    expect(existsSync(join(folder, "copy.db"))).toBe(false);
  });
});

describe("long work", () => {
  test("an append does not wait for retention to end", async () => {
    const clock = createTestClock();
    const log = await filled(3_500, { clock, dedupWindowMs: 0 });
    clock.move(1_000);
    const order: string[] = [];
    const removing = log.retain({ "events.normalized": 1 }).then(() => order.push("retain"));
    await log.append([eventOf()]).then(() => order.push("append"));
    await removing;
    expect(order).toEqual(["append", "retain"]);
  });

  test("an append does not wait for a scan of the whole log, and the scan misses nothing", async () => {
    const log = await openLog();
    log.attach(rowStage(log));
    const others = Array.from({ length: 1_000 }, () => eventOf());
    await log.append([requestOf("first", { entity: "job:rare" })]);
    for (let at = 0; at < 45; at += 1) await log.append(others);
    await log.append([requestOf("last", { entity: "job:rare" }), eventOf()]);
    const scans = [
      () => log.read({ from: 1, limit: 10, topics: ["actions.requested"] }),
      () => log.listActions({ entityId: "job:rare", limit: 10 }),
    ];
    const found = [];
    for (const scan of scans) {
      const order: string[] = [];
      const scanning = scan();
      void scanning.then(() => order.push("scan"));
      await log.append([eventOf()]).then(() => order.push("append"));
      found.push(await scanning);
      expect(order).toEqual(["append", "scan"]);
    }
    expect(found[0]).toMatchObject([{ offset: 1 }, { offset: 45_002 }]);
    expect(found[1]).toMatchObject([{ requestOffset: 45_002 }, { requestOffset: 1 }]);
  });
});
