/**
 * The built command line against a built node, both as processes.
 *
 * The tests of one `describe` share a node and run in order; at the end what the API shows of every
 * action must equal a refold of all events (I10).
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evolve, type ActionState } from "../../src/action/lifecycle.ts";
import { timestamp } from "../../src/base/clock.ts";
import type { JsonObject } from "../../src/base/json.ts";
import type { LogRecord } from "../../src/event/envelope.ts";
import {
  deed,
  deedRunning,
  eventually,
  program,
  startNode,
  type Node,
  type Ran,
} from "../program.ts";

type Shown = JsonObject & { readonly action_id: string; readonly status: string };

type ShownRecord = {
  readonly topic: string;
  readonly offset: number;
  readonly ingested_at: string;
  readonly event: LogRecord["event"];
};

const root = mkdtempSync(join(tmpdir(), "deed-cli-"));

afterAll(() => {
  rmSync(root, { recursive: true });
});

function folderNamed(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

function jsonOf(ran: Ran): JsonObject {
  expect(ran.stderr).toBe("");
  return JSON.parse(ran.stdout) as JsonObject;
}

async function publish(url: string, event: JsonObject): Promise<void> {
  const response = await fetch(`${url}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(event),
  });
  expect(response.status).toBe(202);
}

describe("deed", () => {
  const folder = folderNamed("node");
  const env = { DEED_LISTEN: "127.0.0.1:0" };
  let node: Node;
  let url = "";
  const run = (...args: string[]): Promise<Ran> => deed(args, { folder, env: { DEED_URL: url } });
  const runJson = async (...args: string[]): Promise<JsonObject> =>
    jsonOf(await run("--json", ...args));

  beforeAll(async () => {
    const made = await deed(["--json", "init"], { folder });
    expect(jsonOf(made)).toEqual({ folder, files: ["deed.yaml", "rules/failed-job.yaml"] });
    node = startNode({ folder, env });
    ({ url } = await node.ready);
  });

  afterAll(async () => {
    await node.kill();
  });

  test("init writes nothing over a file that is there", async () => {
    const before = readFileSync(join(folder, "deed.yaml"), "utf8");
    const again = await deed(["init"], { folder });
    expect(again.code).toBe(2);
    expect(again.stderr).toBe(
      `deed: ${join(folder, "deed.yaml")} is there already: nothing was written\n`,
    );
    expect(readFileSync(join(folder, "deed.yaml"), "utf8")).toBe(before);
  });

  test("start prints one ready line with the URL, the process and the log", () => {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(JSON.parse(node.stdout())).toEqual({
      ready: true,
      url,
      pid: node.pid,
      log: join(folder, "data", "deed.db"),
    });
  });

  test("a second start on the same data folder is refused and says what to do", async () => {
    const second = await deed(["start"], { folder, env });
    expect(second.code).toBe(1);
    expect(second.stdout).toBe("");
    expect(second.stderr).toContain(
      `deed: Cannot open ${join(folder, "data", "deed.db")} as another process writes it. Stop that process, or give this one another data folder`,
    );
  });

  test("request --wait prints the outcome; exit code 0 where it succeeded, 1 where it failed", async () => {
    const done = await run("request", "noop", "--arg", "result=5", "--wait", "20");
    expect(done.code).toBe(0);
    expect(done.stdout).toMatch(/^act_[0-9a-f]{32} succeeded\nresult: 5\n$/);
    const failed = await run("request", "shell.run", "--args", '{"argv":["true"]}', "--wait", "20");
    expect(failed.code).toBe(1);
    expect(failed.stdout).toMatch(/^act_[0-9a-f]{32} failed\nerror: \{"kind":"permission",/);
    const args = await deed(
      ["--json", "request", "noop", "--args", "-", "--entity", "job:1", "--wait", "20"],
      { folder, env: { DEED_URL: url }, input: '{"result":{"from":"stdin"}}' },
    );
    expect(jsonOf(args)).toMatchObject({
      status: "succeeded",
      command: "noop",
      entity_id: "job:1",
      attempt: 1,
      duplicate: false,
      result: { from: "stdin" },
    });
  });

  test("3. a repeated key is answered with the first action", async () => {
    const first = await runJson("request", "noop", "--key", "k1", "--wait", "20");
    const second = await runJson("request", "noop", "--key", "k1", "--wait", "20");
    expect(first["duplicate"]).toBe(false);
    expect(second).toEqual({ ...first, duplicate: true });
    const other = await run("request", "noop", "--key", "k1", "--arg", "result=2");
    expect(other.code).toBe(2);
    expect(other.stderr).toContain('the idempotency key "k1" was used for another request');
  });

  test("actions lists newest first, filters, and pages with a cursor", async () => {
    const { actions } = await runJson("actions");
    const shown = actions as unknown as readonly Shown[];
    expect(shown.map((one) => [one["command"], one.status])).toEqual([
      ["noop", "succeeded"],
      ["noop", "succeeded"],
      ["shell.run", "failed"],
      ["noop", "succeeded"],
    ]);
    const failed = await runJson("actions", "--status", "failed");
    expect((failed["actions"] as unknown as Shown[]).map((one) => one["error_kind"])).toEqual([
      "permission",
    ]);
    const page = JSON.parse((await run("--json", "actions", "--limit", "3")).stdout) as JsonObject;
    const cursor = page["next_cursor"] as string;
    const rest = await runJson("actions", "--limit", "3", "--cursor", cursor);
    expect(
      [page, rest].flatMap((one) => (one["actions"] as unknown as Shown[]).map((a) => a.action_id)),
    ).toEqual(shown.map((one) => one.action_id));
    expect(rest["next_cursor"]).toBeUndefined();
  });

  test("action <id> tells the timeline with its cause: observation, rule, request, outcome", async () => {
    await publish(url, {
      ts: new Date().toISOString(),
      event_type: "job.failed",
      entity_id: "job:export",
      idempotency_key: "seen-1",
      source: { system: "test", ns: {} },
      tags: {},
      attrs: { exit_code: 3 },
    });
    const { action_id: id } = await eventually(async () => {
      const { actions } = await runJson("actions", "--entity", "job:export");
      return (actions as unknown as Shown[]).find((one) => one.status === "succeeded");
    });
    const shown = await runJson("action", id);
    const types = (records: unknown): string[] =>
      (records as ShownRecord[]).map(({ event }) => event.event_type);
    expect(types(shown["cause"])).toEqual(["job.failed", "rule.fired"]);
    expect(types(shown["events"])).toEqual([
      "action.requested",
      "action.accepted",
      "action.started",
      "action.succeeded",
    ]);
    expect(shown["action"]).toMatchObject({ action_id: id, result: "job:export ended with 3" });
    const { stdout } = await run("action", id);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toBe(`${id}  noop  job:export  succeeded`);
    expect(lines.slice(1).map((line) => line.trim().split(/\s{2,}/)[1])).toHaveLength(6);
    expect(lines[2]).toMatch(/rule\.fired .* rule failed-job [0-9a-f]{16} \(live\)$/);
    expect(lines[6]).toMatch(/action\.succeeded .*#1 +job:export ended with 3$/);
  });

  test("tail follows the log from an offset, filtered, until it is interrupted", async () => {
    const tail = deedRunning(
      ["--json", "--url", url, "tail", "--from", "1", "--type", "action.*"],
      folder,
    );
    const asked = await runJson("request", "noop", "--key", "tailed", "--wait", "20");
    const records = await eventually(() => {
      const lines = tail.stdout().split("\n").slice(0, -1);
      const all = lines.map((line) => JSON.parse(line) as ShownRecord);
      const last = all.at(-1);
      if (last?.event.event_type !== "action.succeeded") return undefined;
      return last.event.action_id === asked["action_id"] ? all : undefined;
    });
    const offsets = records.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
    expect(new Set(offsets).size).toBe(offsets.length);
    expect(records.every(({ event }) => event.event_type.startsWith("action."))).toBe(true);
    expect(records[0]?.event.event_type).toBe("action.requested");
    expect((await tail.stop()).code).toBe(0);
  });

  test("cancel ends what waits, at once and for good", async () => {
    const waits = await runJson("request", "nobody.home", "--ttl", "600");
    expect(waits).toMatchObject({ status: "requested", deferred: { reason: "no_executor" } });
    const id = waits["action_id"] as string;
    const cancelled = await run("cancel", id, "--reason", "not needed");
    expect([cancelled.code, cancelled.stdout]).toEqual([
      0,
      `${id} cancelled: cancel was asked for\n`,
    ]);
    const again = await run("cancel", id);
    expect([again.code, again.stderr]).toEqual([
      2,
      `deed: Cannot cancel ${id} as it has ended: cancelled\n`,
    ]);
  });

  test("dlq lists what needs a person; redrive asks again, discard settles with who and why", async () => {
    const { dead_letters: letters } = await runJson("dlq", "list");
    const [letter] = letters as unknown as Shown[];
    expect(letters).toHaveLength(1);
    expect(letter).toMatchObject({ reason: "failed", attempts: 1, dead_letter: "pending" });
    const dead = letter!.action_id;
    const again = await runJson("dlq", "redrive", dead, "--by", "ann");
    expect(again["action_id"]).not.toBe(dead);
    expect(await runJson("action", dead)).toMatchObject({ action: { dead_letter: "redriven" } });
    const second = await eventually(async () => {
      const { dead_letters: now } = await runJson("dlq", "list");
      return (now as unknown as Shown[])[0];
    });
    expect(second.action_id).toBe(again["action_id"]);
    const reasonless = await run("dlq", "discard", second.action_id);
    expect(reasonless.code).toBe(2);
    await runJson("dlq", "discard", second.action_id, "--by", "ann", "--reason", "known");
    expect(await runJson("dlq", "list")).toEqual({ dead_letters: [] });
    const { events } = await runJson("action", second.action_id);
    const last = (events as unknown as ShownRecord[]).at(-1)?.event;
    expect([last?.event_type, last?.attrs]).toEqual([
      "action.discarded",
      { by: "ann", reason: "known" },
    ]);
    const settled = await run("dlq", "redrive", dead);
    expect([settled.code, settled.stderr]).toEqual([
      2,
      `deed: Cannot settle ${dead} as it is redriven\n`,
    ]);
  });

  test("rules list shows what is active; rules check names file, line and column", async () => {
    const { rules } = await runJson("rules", "list");
    expect(rules).toMatchObject([{ name: "failed-job", mode: "live" }]);
    const bad = readFileSync(join(folder, "rules/failed-job.yaml"), "utf8").replace(
      "when: event.attrs.exit_code != 0",
      "when: event.attrs. ==",
    );
    writeFileSync(join(folder, "bad.yaml"), bad);
    const checked = await run("rules", "check", "bad.yaml", "rules");
    const line = bad.split("\n").findIndex((one) => one.includes("when:")) + 1;
    expect(checked.code).toBe(2);
    expect(checked.stdout.split("\n")[0]).toMatch(
      new RegExp(`^bad\\.yaml:${String(line)}:\\d+: not a valid CEL expression`),
    );
    expect(checked.stdout).toContain("rules/failed-job.yaml: failed-job");
    const good = await runJson("rules", "check", "rules");
    expect(good).toMatchObject({ files: [{ problems: [], rules: [{ name: "failed-job" }] }] });
    const missing = await run("rules", "check", "nowhere.yaml");
    expect([missing.code, missing.stdout]).toEqual([2, ""]);
  });

  test("doctor finds nothing on a sound folder, and names the place of what is wrong", async () => {
    const { findings } = await runJson("doctor");
    const found = findings as unknown as readonly { ok: boolean; what: string }[];
    expect(found.every(({ ok }) => ok)).toBe(true);
    expect(found.map(({ what }) => what)).toContain(
      `log ${join(folder, "data", "deed.db")}: a node is running on it`,
    );
    writeFileSync(join(folder, "bad-config.yaml"), "listen: 127.0.0.1:0\nexecutor: {}\n");
    const bad = await run("--config", "bad-config.yaml", "doctor");
    expect(bad.code).toBe(1);
    expect(bad.stdout).toContain("FAIL configuration bad-config.yaml is not valid");
    expect(bad.stdout).toContain("bad-config.yaml:2:1: ");
  });

  test("backup copies the log beside the running node; a node starts from the copy with the same actions", async () => {
    const { backup } = (await runJson("backup", "copy.db")) as { backup: string };
    expect(backup).toBe(join(folder, "copy.db"));
    const again = await run("backup", "copy.db");
    expect([again.code, again.stderr]).toEqual([
      1,
      `deed: Cannot back up to ${join(folder, "copy.db")} as it is there already. Give another path\n`,
    ]);
    const restored = startNode({
      folder: folderNamed("restored"),
      args: ["--config", join(folder, "deed.yaml")],
      env: { ...env, DEED_DATA: join(root, "restored"), DEED_LOG: `sqlite:${backup}` },
    });
    const { url: copyUrl } = await restored.ready;
    const actions = async (of: string): Promise<unknown> =>
      jsonOf(await deed(["--json", "--url", of, "actions", "--limit", "100"], { folder }));
    expect(await actions(copyUrl)).toEqual(await actions(url));
    expect((await restored.stop()).code).toBe(0);
  });

  test("a wrong command line exits with 2 and a node out of reach with 3", async () => {
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [["frobnicate"], "error: unknown command 'frobnicate'\n"],
      [["request"], "error: missing required argument 'command'\n"],
      [["request", "noop", "--arg", "x"], "deed: --arg x must be name=value\n"],
      [["request", "noop", "--args", "[1]"], "deed: --args must be a JSON object\n"],
      [["action", "act_1"], 'deed: "act_1" is not an action id: it is act_ and 32 hex digits\n'],
      [["actions", "--limit", "0"], "deed: limit must be 1 to 500: got 0\n"],
      [
        ["actions", "--cursor", "zzz"],
        'deed: "zzz" is not a cursor of this list: take one from next_cursor\n',
      ],
      [
        ["request", "noop", "--arg", "x=1"],
        "deed: Cannot request noop with these args as /x is not known\n  /x: is not known\n",
      ],
    ];
    for (const [args, message] of wrong) {
      const ran = await run(...args);
      expect([args, ran.code, ran.stdout, ran.stderr]).toEqual([args, 2, "", message]);
    }
    const away = await deed(["--url", "http://127.0.0.1:1", "actions"], { folder });
    expect(away.code).toBe(3);
    expect(away.stderr).toContain("deed: Cannot reach http://127.0.0.1:1: ");
    expect(away.stderr).toContain("Start it with `deed start`");
  });

  test.each([
    ["stderr", "actions --url http://127.0.0.1:1", "2>&1 >/dev/null", "3"],
    ["stdout", "--help", "", "0"],
  ])("a reader of %s that goes away changes no exit code", (_, words, redirect, code) => {
    const line = `{ "${process.execPath}" "${program}" ${words}; echo $? >&3; } ${redirect} 3>code | true`;
    const { stderr } = spawnSync("sh", ["-c", line], { cwd: folder, encoding: "utf8" });
    expect(readFileSync(join(folder, "code"), "utf8").trim()).toBe(code);
    expect(stderr).toBe("");
  });

  test("I10: every row that the API shows equals a refold of all events", async () => {
    const { actions } = (await (await fetch(`${url}/v1/actions?limit=500`)).json()) as {
      actions: Shown[];
    };
    const records = await allRecords(url);
    const states = refold(records);
    expect(actions.length).toBe(8);
    expect(actions).toEqual([...states.values()].reverse().map(viewOf));
  });

  test("SIGTERM stops the node: exit code 0, and nothing answers any more", async () => {
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    expect(node.stderr()).toBe("");
    expect((await run("actions")).code).toBe(3);
  });
});

async function allRecords(url: string): Promise<readonly ShownRecord[]> {
  const records: ShownRecord[] = [];
  for (let query = "limit=20"; ;) {
    const page = (await (await fetch(`${url}/v1/events?${query}`)).json()) as {
      records: ShownRecord[];
      next_cursor?: string;
    };
    records.push(...page.records);
    if (page.next_cursor === undefined) return records;
    query = `limit=20&cursor=${page.next_cursor}`;
  }
}

/** In the order of the requests. */
function refold(records: readonly ShownRecord[]): ReadonlyMap<string, ActionState> {
  const states = new Map<string, ActionState>();
  for (const { topic, offset, ingested_at: ingestedAt, event } of records) {
    if (event.action_id === undefined) continue;
    const moved = evolve(states.get(event.action_id), {
      topic: topic as LogRecord["topic"],
      partition: 0,
      offset,
      ingestedAtMs: Date.parse(ingestedAt),
      event,
    });
    expect(moved.ok).toBe(event.tags["anomaly"] === undefined);
    if (moved.ok) states.set(event.action_id, moved.value);
  }
  return states;
}

/** The API's view of a folded action, spelt out here once more: a view that is wrong must not agree. */
function viewOf(state: ActionState): JsonObject {
  const at = (name: string, ms: number | undefined): JsonObject =>
    ms === undefined ? {} : { [name]: timestamp(ms) };
  const { identity } = state;
  return {
    action_id: identity.action_id,
    status: state.phase,
    command: state.attrs.command,
    entity_id: identity.entity_id,
    tenant: "default",
    ...(identity.correlation_id === undefined ? {} : { correlation_id: identity.correlation_id }),
    attempt: state.attempt,
    requested_at: timestamp(state.requestedAtMs),
    ...at("accepted_at", state.acceptedAtMs),
    ...at("started_at", state.startedAtMs),
    ...at("ended_at", "endedAtMs" in state ? state.endedAtMs : undefined),
    ...(state.phase === "failed" ? { error_kind: state.errorKind } : {}),
    ...(state.phase === "failed" && state.deadLetter !== undefined
      ? { dead_letter: state.deadLetter }
      : {}),
    offset: state.requestOffset,
  };
}
