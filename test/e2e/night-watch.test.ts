/**
 * The example as people run it: real processes that are killed and hang, and what the log says of it.
 *
 * The tests run one after the other on one night-watch, as one night goes. They wait for what the log
 * says, never for a time.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createClient, type Client, type RecordView } from "../../src/client/client.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

vi.setConfig({ testTimeout: 60_000 });

const processes = ["deed", "shop", "search", "pay", "scheduler", "webhook"];

type State = { readonly url: string; readonly webhook: string };

type Notice = { readonly text: string; readonly key: string; readonly event_id: string };

let data: string;
let env: NodeJS.ProcessEnv;
let nightWatch: ChildProcess;
let exited: Promise<number | null>;
let said = "";
let state: State;
let client: Client;
const pidsSeen = new Set<number>();

beforeAll(async () => {
  if (!existsSync(join(root, "dist/deed.mjs"))) spawnSync("node", [join(root, "tools/build.mjs")]);
  data = mkdtempSync(join(tmpdir(), "night-watch-"));
  env = {
    ...process.env,
    NIGHT_WATCH_DATA: data,
    NIGHT_WATCH_PORT: "0",
    NIGHT_WATCH_SPEED: "4",
    NIGHT_WATCH_TROUBLE: "0",
    NIGHT_WATCH_BATCH: "3",
  };
  nightWatch = spawn(process.execPath, ["examples/night-watch/night-watch.mjs"], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  exited = new Promise((resolve) => nightWatch.once("exit", (code) => resolve(code)));
  const listen = (chunk: Buffer): void => {
    said += String(chunk);
  };
  nightWatch.stdout?.on("data", listen);
  nightWatch.stderr?.on("data", listen);
  await until(() => expect(said).toContain("Night-watch runs at"));
  state = JSON.parse(readFileSync(join(data, "run", "night-watch.json"), "utf8")) as State;
  client = createClient({ url: state.url });
});

afterAll(async () => {
  nightWatch.kill("SIGTERM");
  await exited;
  rmSync(data, { recursive: true, force: true });
});

/** Waits for what comes sooner or later. */
function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 25_000, interval: 50 });
}

function pidOf(name: string): number {
  const pid = Number(readFileSync(join(data, "run", `${name}.pid`), "utf8"));
  pidsSeen.add(pid);
  return pid;
}

/** True where it runs: a zombie has ended. */
function lives(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return stdout.trim() !== "" && !stdout.trim().startsWith("Z");
}

function ctl(...args: readonly string[]): string {
  const script = join(root, "examples/night-watch/ctl.mjs");
  const { stdout } = spawnSync(process.execPath, [script, ...args], { env, encoding: "utf8" });
  return stdout.trim();
}

async function eventsOf(entity: string): Promise<readonly RecordView[]> {
  const query = new URLSearchParams({ entity_id: entity, limit: "1000" }).toString();
  const { records } = await client.get(`/v1/events?${query}`);
  return records as unknown as readonly RecordView[];
}

function attrsOf({ event }: RecordView): Readonly<Record<string, unknown>> {
  return event["attrs"] as Readonly<Record<string, unknown>>;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  throw new Error(`not a text: ${JSON.stringify(value)}`);
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`there is no ${what} yet`);
  return value;
}

/** What was seen, decided, done and seen again, of the newest trouble behind an offset. */
async function repairOf(
  entity: string,
  after: number,
): Promise<{
  readonly trouble: RecordView;
  readonly fired: RecordView;
  readonly acted: RecordView;
  readonly well: RecordView;
}> {
  const records = (await eventsOf(entity)).filter(({ offset }) => offset > after);
  const trouble = found(
    records.find(({ event }) => ["probe.down", "probe.degraded"].includes(event.event_type)),
    "trouble",
  );
  const fired = found(
    records.find(
      (record) =>
        record.event.event_type === "rule.fired" && attrsOf(record)["rule"] === "restart-service",
    ),
    "decision",
  );
  const acted = found(
    records.find(
      ({ event }) =>
        event.event_type === "action.succeeded" &&
        event["action_id"] === attrsOf(fired)["action_id"],
    ),
    "action",
  );
  const well = found(
    records.find(({ event, offset }) => event.event_type === "probe.up" && offset > trouble.offset),
    "recovery",
  );
  return { trouble, fired, acted, well };
}

/** The types of an event and of its causes, newest first. */
async function chainOf(record: RecordView): Promise<readonly string[]> {
  const cause = record.event["causation_id"];
  if (typeof cause !== "string") return [record.event.event_type];
  return [record.event.event_type, ...(await chainOf(await client.event(cause)))];
}

async function head(): Promise<number> {
  const metrics = await (await fetch(`${state.url}/metrics`)).text();
  return Number(/^deed_log_head_offset (\d+)$/m.exec(metrics)?.[1]);
}

async function notices(): Promise<readonly Notice[]> {
  const response = await fetch(state.webhook, { headers: { accept: "application/json" } });
  return (await response.json()) as readonly Notice[];
}

test("a service that is killed is seen, restarted and seen again, each step caused by the one before", async () => {
  await until(async () => {
    const up = (await eventsOf("service:shop")).some(
      ({ event }) => event.event_type === "probe.up",
    );
    expect(up).toBe(true);
  });
  const killed = pidOf("shop");
  process.kill(killed, "SIGKILL");

  const { trouble, fired, acted, well } = await until(() => repairOf("service:shop", 0));

  expect(attrsOf(trouble)).toMatchObject({ was: "up", consecutive: 2 });
  expect(String(attrsOf(trouble)["reason"])).toContain("ECONNREFUSED");
  expect(fired.event["causation_id"]).toBe(trouble.event.event_id);
  expect(await chainOf(acted)).toEqual([
    "action.succeeded",
    "action.started",
    "action.requested",
    "probe.down",
  ]);
  expect(acted.event["correlation_id"]).toBe(trouble.event.event_id);
  expect(attrsOf(acted)["result"]).toMatchObject({
    exit_code: 0,
    stdout: `shop runs: pid ${String(pidOf("shop"))}\n`,
  });
  expect(attrsOf(well)).toMatchObject({ was: "down", consecutive: 0 });
  expect(pidOf("shop")).not.toBe(killed);
  expect(lives(pidOf("shop"))).toBe(true);

  const noticeOf = async ({ event }: RecordView): Promise<Notice> =>
    found(
      (await notices()).find(({ event_id: id }) => id === event.event_id),
      "notification",
    );
  const fell = await until(() => noticeOf(trouble));
  expect(fell.text).toMatch(/^service:shop is down: .*ECONNREFUSED/);
  const stands = await until(() => noticeOf(well));
  expect(stands.text).toMatch(/^service:shop is up again: it was down for \d+ ms$/);
});

test("a run of the batch job fails twice and then works, by one action that retries", async () => {
  const results = await until(async () => {
    const job = (await eventsOf("job:export")).filter(({ event }) =>
      event.event_type.startsWith("job."),
    );
    const run = found(job[0], "run").event["correlation_id"];
    const ofRun = job.filter(({ event }) => event["correlation_id"] === run);
    expect(ofRun).toHaveLength(3);
    return ofRun;
  });
  const outcomes = results.map((one) => [one.event.event_type, attrsOf(one)["exit_code"]]);
  expect(outcomes).toEqual([
    ["job.failed", 1],
    ["job.failed", 1],
    ["job.succeeded", 0],
  ]);

  const [first, second] = results;
  const done = await until(async () =>
    found(
      (await eventsOf("job:export")).find(
        ({ event }) => event.event_type === "action.succeeded" && event["attempt"] === 2,
      ),
      "rerun",
    ),
  );
  const actionId = textOf(done.event["action_id"]);
  const life = await client.actionEvents(actionId);
  expect(life.map(({ event }) => event.event_type)).toEqual([
    "action.requested",
    "action.accepted",
    "action.started",
    "action.retrying",
    "timer.fired",
    "action.started",
    "action.succeeded",
  ]);
  expect(life[0]?.event["causation_id"]).toBe(first?.event.event_id);
  expect(done.event["correlation_id"]).toBe(first?.event["correlation_id"]);

  const decisions = (await eventsOf("job:export")).filter(
    ({ event }) => event["causation_id"] === second?.event.event_id,
  );
  expect(decisions.map((one) => [attrsOf(one)["rule"], attrsOf(one)["reason"]])).toEqual([
    ["page-for-failed-job", "cool_down"],
    ["rerun-job", "cool_down"],
  ]);
});

test("a rule in shadow records what it would have asked for, and nobody is asked", async () => {
  const shadow = await until(async () =>
    found(
      (await eventsOf("job:export")).find((one) => attrsOf(one)["rule"] === "page-for-failed-job"),
      "shadow decision",
    ),
  );
  expect(shadow.event.event_type).toBe("rule.fired");
  expect(attrsOf(shadow)).toMatchObject({
    mode: "shadow",
    would_request: { command: "http.request" },
  });
  expect(attrsOf(shadow)).not.toHaveProperty("action_id");
  expect((await notices()).filter(({ text }) => text.startsWith("PAGE"))).toEqual([]);
});

test("a service that hangs is killed and started anew", async () => {
  const hanging = pidOf("search");
  const from = await head();
  process.kill(hanging, "SIGSTOP");

  const { trouble, acted } = await until(() => repairOf("service:search", from));

  expect(attrsOf(trouble)["reason"]).toBe("no answer within 1000 ms");
  expect(attrsOf(acted)["result"]).toMatchObject({
    stdout: `search runs: pid ${String(pidOf("search"))} in place of ${String(hanging)}\n`,
  });
  expect(lives(hanging)).toBe(false);
});

test("a node that is killed goes on from its log: it sees what fell meanwhile", async () => {
  const from = await head();
  const before = pidOf("deed");
  process.kill(before, "SIGKILL");
  process.kill(pidOf("scheduler"), "SIGKILL");

  await until(() => {
    expect(existsSync(join(data, "run", "deed.pid"))).toBe(true);
    expect(pidOf("deed")).not.toBe(before);
  });
  const { trouble } = await until(() => repairOf("service:scheduler", from));

  expect(attrsOf(trouble)["reason"]).toMatch(/^(no process|process) \d+/);
  expect(lives(pidOf("scheduler"))).toBe(true);
  const [first] = await eventsOf("service:shop");
  expect(first?.event.event_type).toBe("probe.up");
});

test("a notification that cannot be delivered waits for a person, who sends it again", async () => {
  const from = await head();
  expect(ctl("stop", "webhook")).toBe("webhook was stopped");
  process.kill(pidOf("pay"), "SIGKILL");

  const { trouble } = await until(() => repairOf("service:pay", from));
  const dead = await until(async () => {
    const { dead_letters: letters } = await client.deadLetters();
    return found(
      letters.find((letter) => letter["correlation_id"] === trouble.event.event_id),
      "dead letter",
    );
  });
  expect(dead).toMatchObject({ command: "http.request", error_kind: "unavailable" });

  expect(ctl("start", "webhook")).toBe(`webhook runs: pid ${String(pidOf("webhook"))}`);
  const again = await client.redrive(dead.action_id, { by: "tester" });
  await until(async () => {
    expect((await client.action(again.action_id)).status).toBe("succeeded");
  });
  const keys = (await notices()).map(({ key }) => key);
  expect(keys).toContain(again.action_id);
  expect(keys).not.toContain(dead.action_id);
});

test("SIGTERM ends every process, and the story was told", async () => {
  for (const name of processes) pidOf(name);
  nightWatch.kill("SIGTERM");

  expect(await exited).toBe(0);
  expect([...pidsSeen].filter(lives)).toEqual([]);
  expect(said).toContain("All processes have ended.");
  for (const told of [
    /detected +service:shop is down/,
    /decided +restart-service for service:shop: act_[0-9a-f]{32}/,
    /acted +shop runs: pid \d+/,
    /recovered +service:shop is up again/,
    /needs you +act_[0-9a-f]{32} is in the dead-letter queue/,
  ]) {
    expect(said).toMatch(told);
  }
});
