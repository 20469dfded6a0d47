import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient } from "../client/client.ts";
import { Fault } from "../event/error.ts";
import { LogError } from "../log/log.ts";
import { startApp, type RunningApp } from "./app.ts";
import { loadConfig, type Config } from "./config.ts";

let folder: string;
let logged: string[];
let running: RunningApp[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-app-"));
  logged = [];
  running = [];
});

afterEach(async () => {
  for (const app of running) await app.stop();
  rmSync(folder, { recursive: true });
});

function config(text: string, env: Record<string, string> = {}): Config {
  const file = join(folder, "deed.yaml");
  writeFileSync(file, text);
  const loaded = loadConfig(file, { DEED_LISTEN: "127.0.0.1:0", ...env });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  return loaded.value;
}

async function start(of: Config): Promise<RunningApp> {
  const app = await startApp(
    of,
    pino({ level: "debug" }, { write: (line) => void logged.push(line) }),
  );
  running.push(app);
  return app;
}

async function stop(app: RunningApp): Promise<void> {
  running = running.filter((one) => one !== app);
  await app.stop();
}

describe("one node", () => {
  it("observes, decides, acts and records, over the API", async () => {
    writeFileSync(
      join(folder, "rule.yaml"),
      `apiVersion: deed/v1
kind: Rule
metadata: { name: failed-job }
spec:
  on: job.failed
  per: event.entity_id
  horizon: 10000d
  request: { command: noop, args: { result: "{{ event.entity_id }}" } }
`,
    );
    writeFileSync(join(folder, "jobs.jsonl"), "");
    const app = await start(
      config(`
rules: [rule.yaml]
sources:
  - { kind: file, name: jobs, path: jobs.jsonl, interval: 20ms, mapping: { event_type: "job.\${status}", entity_id: "job:\${job}", ts: $.ts } }
`),
    );
    const client = createClient({ url: app.url });
    const line = { ts: new Date().toISOString(), status: "failed", job: "export" };
    writeFileSync(join(folder, "jobs.jsonl"), `${JSON.stringify(line)}\n`);
    await expect
      .poll(async () => (await client.actions({ status: "succeeded" })).actions, {
        timeout: 10_000,
      })
      .toEqual([expect.objectContaining({ command: "noop", entity_id: "job:export" })]);
  });

  it("goes on where it was: the log outlives it, and nothing else is left", async () => {
    const settings = config("data: d");
    const first = await start(settings);
    const { action_id: id } = await createClient({ url: first.url }).request(
      { command: "noop", args: { result: 1 } },
      { waitSec: 5 },
    );
    const { port } = new URL(first.url);
    await stop(first);
    await expect(fetch(first.url)).rejects.toThrow("fetch failed");
    const second = await start({ ...settings, port: Number(port) });
    expect(second.url).toBe(first.url);
    expect(await createClient({ url: second.url }).action(id)).toMatchObject({ result: 1 });
  });
});

describe("a start that fails says what to do, and leaves nothing behind", () => {
  it("a port that is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const settings = config("data: d", { DEED_LISTEN: `127.0.0.1:${String(port)}` });
    const failed = startApp(settings, pino({ level: "silent" }));
    await expect(failed).rejects.toThrow(Fault);
    await expect(failed).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${String(port)} as another program does: stop it, or choose another with listen in deed.yaml, or with DEED_LISTEN`,
    );
    await new Promise((resolve) => taken.close(resolve));
    const again = await start(settings);
    expect(again.url).toBe(`http://127.0.0.1:${String(port)}`);
  });

  it("a log that another node writes", async () => {
    const settings = config("data: d");
    await start(settings);
    const second = startApp(settings, pino({ level: "silent" }));
    await expect(second).rejects.toThrow(LogError);
    await expect(second).rejects.toMatchObject({ code: "locked" });
  });

  it("beyond loopback without a token", async () => {
    const settings = { ...config("data: d"), host: "0.0.0.0" };
    await expect(startApp(settings, pino({ level: "silent" }))).rejects.toThrow(
      "set api.token_env or api.token_file",
    );
    await start(config("data: d"));
  });
});

it("a token is never logged", async () => {
  const app = await start(config("data: d", { DEED_TOKEN: "s3cret" }));
  const client = createClient({ url: app.url, token: "s3cret" });
  await client.request({ command: "noop" }, { waitSec: 5 });
  await fetch(`${app.url}/v1/actions`, { headers: { authorization: "Bearer wr0ng" } });
  writeFileSync(join(folder, "x"), "");
  await stop(app);
  expect(logged.join("\n")).not.toMatch(/s3cret|wr0ng/);
});
