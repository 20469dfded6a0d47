import { describe, expect, test } from "vitest";
import { eventOf } from "../../../test/log/fixture.ts";
import { filled, openLog, rowOf, useLogFile } from "../../../test/log/log-file.ts";

useLogFile();

const upto = (): unknown => rowOf("SELECT upto FROM index_state");
const rowsIn = (table: string): unknown => rowOf(`SELECT count(*) AS n FROM ${table}`);

describe("the index tail", () => {
  test("1. entries wait in memory until there are enough of them, then all are in the tables", async () => {
    const log = await filled(300, { tailEventsMax: 250 });
    expect(upto()).toEqual({ upto: 300 });
    expect(rowsIn("keys")).toEqual({ n: 300 });
    expect(rowOf("SELECT count(*) AS n, max(last) AS last FROM threads")).toEqual({
      n: 1,
      last: 300,
    });
    await log.append([eventOf({ key: "later" })]);
    expect(upto()).toEqual({ upto: 300 });
    expect(rowsIn("keys")).toEqual({ n: 300 });
  });

  test("1. what the tables do not have is read from the events at open", async () => {
    await (await filled(300, { tailEventsMax: 1_000 })).close();
    expect(upto()).toEqual({ upto: 0 });
    expect(rowsIn("keys")).toEqual({ n: 0 });
    const log = await openLog();
    const [receipt] = await log.append([eventOf({ key: "k250" })]);
    expect(receipt).toMatchObject({ duplicate: true, offset: 251 });
    const thread = await log.readThread({ of: { entity: "job:nightly" }, limit: 1_000 });
    expect(thread.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 300 }, (_, index) => index + 1),
    );
  });

  test("3. a commit that fails gives its keys back", async () => {
    const log = await openLog();
    log.attach({
      step: ({ event }) => {
        if (event.idempotency_key === "poison") throw new Error("cannot decide");
        return { events: [] };
      },
      settle: () => [],
      writes: () => ({ actions: [], executions: [], timers: [], snapshots: [] }),
      committed: () => undefined,
      rolledBack: () => undefined,
    });
    const batch = [eventOf({ key: "good" }), eventOf({ key: "poison" })];
    await expect(log.append(batch)).rejects.toMatchObject({ code: "invalid" });
    const [receipt] = await log.append([eventOf({ key: "good" })]);
    expect(receipt).toMatchObject({ duplicate: false, offset: 1 });
  });

  test("a thread runs through the tables and the tail, from either end", async () => {
    const log = await filled(300, { tailEventsMax: 200 });
    await log.append([eventOf({ key: "a" }), eventOf({ key: "b" })]);
    expect(rowOf("SELECT max(last) AS last FROM threads")).toEqual({
      last: 200,
    });
    const of = { entity: "job:nightly" };
    const newest = await log.readThread({ of, limit: 103, order: "newest" });
    expect(newest.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 103 }, (_, index) => 302 - index),
    );
    const oldest = await log.readThread({ of, from: 199, limit: 4 });
    expect(oldest.map(({ offset }) => offset)).toEqual([199, 200, 201, 202]);
  });
});
