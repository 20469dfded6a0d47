/** A file that an older version of the program made opens as if this one had made it. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventOf, requestOf, rowStage } from "../../../test/log/fixture.ts";
import {
  folder,
  inFile,
  openLog,
  path,
  refusal,
  rowOf,
  useLogFile,
} from "../../../test/log/log-file.ts";
import { executionId } from "../../event/ids.ts";
import { keyHashOf } from "../commit/key.ts";
import { applicationId, schemaVersion } from "./schema.ts";

/** As version 1 made a new file. Never changed: such files are on disks. */
const version1 = `
CREATE TABLE events (offset INTEGER PRIMARY KEY, topic INTEGER NOT NULL, ingested_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX events_rare ON events (topic) WHERE topic >= 4;
CREATE TABLE keys (hash BLOB PRIMARY KEY, offset INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE threads (slot INTEGER NOT NULL, last INTEGER NOT NULL, earlier TEXT, PRIMARY KEY (slot, last)) WITHOUT ROWID;
CREATE TABLE index_state (upto INTEGER NOT NULL);
INSERT INTO index_state VALUES (0);
CREATE TABLE actions (
  request_offset INTEGER PRIMARY KEY, action_id TEXT NOT NULL, last_offset INTEGER NOT NULL,
  terminal_offset INTEGER, tenant TEXT NOT NULL, command TEXT NOT NULL, entity_id TEXT NOT NULL,
  correlation_id TEXT, status INTEGER NOT NULL, attempt INTEGER NOT NULL, requested_at INTEGER NOT NULL,
  accepted_at INTEGER, started_at INTEGER, ended_at INTEGER, error_kind TEXT, dead_letter INTEGER
);
CREATE INDEX actions_open ON actions (request_offset) WHERE terminal_offset IS NULL;
CREATE INDEX actions_ended_badly ON actions (status) WHERE status >= 5;
CREATE INDEX actions_dead ON actions (dead_letter) WHERE dead_letter IS NOT NULL;
CREATE TABLE timers (decider TEXT, instance TEXT, name TEXT, due_at INTEGER NOT NULL, PRIMARY KEY (decider, instance, name)) WITHOUT ROWID;
CREATE TABLE snapshots (decider TEXT, instance TEXT, offset INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (decider, instance)) WITHOUT ROWID;
`;

const request = requestOf("open", { execution: "run-1" });

/** A file of version 1 with the request of an open action and an observation, as that version left it. */
function makeVersion1(): void {
  inFile((db) => {
    db.exec("PRAGMA journal_mode = WAL");
    db.exec(version1);
    db.exec(`PRAGMA application_id = ${String(applicationId)}`);
    db.exec("PRAGMA user_version = 1");
    const event = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?)");
    event.run(1, 1, 1_000, JSON.stringify({ event_id: "4194304000", ...request }));
    event.run(2, 0, 2_000, JSON.stringify({ event_id: "8388608000", ...eventOf() }));
    const key = db.prepare("INSERT INTO keys VALUES (?, 1)");
    key.run(Buffer.from(keyHashOf(request) ?? expect.fail("a request has a key"), "hex"));
    db.prepare(
      `INSERT INTO actions VALUES (1, ?, 1, NULL, 'default', 'noop', 'job:nightly', NULL, 0, 1, 1000,
        NULL, NULL, NULL, NULL, NULL)`,
    ).run(request.action_id ?? null);
  });
}

const tables = (file = path): unknown =>
  inFile(
    (db): unknown =>
      db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").all(),
    file,
  );

useLogFile();

describe("a file of version 1", () => {
  test("opens as one of this version, and has all that it had", async () => {
    makeVersion1();
    const log = await openLog();
    expect(rowOf("PRAGMA user_version")).toEqual({ user_version: schemaVersion });
    expect(log.head()).toBe(2);
    expect(log.openActions()).toMatchObject([{ actionId: request.action_id, requestOffset: 1 }]);
    expect(await log.append([request])).toMatchObject([{ offset: 1, duplicate: true }]);
    const of = { execution: executionId("run-1") };
    expect(await log.readThread({ of, limit: 9 })).toMatchObject([{ offset: 1, event: request }]);
    expect(log.openExecutions()).toEqual([]);
  });

  test("takes executions from then on, and is not upgraded twice", async () => {
    makeVersion1();
    const log = await openLog();
    log.attach(rowStage(log));
    await log.append([eventOf({ type: "execution.requested", execution: "run-2" })]);
    await log.close();
    const again = await openLog();
    expect(again.openExecutions()).toMatchObject([{ executionId: "run-2", requestOffset: 3 }]);
  });

  test("has the same tables and indexes as a file that this version made", async () => {
    makeVersion1();
    await (await openLog()).close();
    const made = join(folder, "new.db");
    await (await openLog({ path: made })).close();
    expect(tables()).toEqual(tables(made));
  });

  test("stays of version 1, whole, where there is no room for the new tables", async () => {
    makeVersion1();
    const before = tables();
    const pages = rowOf("PRAGMA page_count") as { page_count: number };
    expect(await refusal({ fileBytesMax: pages.page_count * 4_096 })).toMatchObject({
      code: "full",
    });
    expect(rowOf("PRAGMA user_version")).toEqual({ user_version: 1 });
    expect(tables()).toEqual(before);
    expect((await openLog()).head()).toBe(2);
  });
});
