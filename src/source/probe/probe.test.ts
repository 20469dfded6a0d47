import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../../test/eventually.ts";
import { closeServers, deadPort, serve, serveTcp } from "../../../test/servers.ts";
import { sourceBench, type SourceBench } from "../../../test/source-bench.ts";
import type { DeedEvent } from "../../event/envelope.ts";
import type { Source } from "../source.ts";
import { check, type ProbeTarget } from "./check.ts";
import { probeSource, type ProbeOptions } from "./probe.ts";

let bench: SourceBench;
const running = new Set<Source>();

beforeEach(() => {
  bench = sourceBench();
});

afterEach(async () => {
  for (const source of running) await stop(source);
  await closeServers();
});

async function start(target: ProbeTarget, more: Partial<ProbeOptions> = {}): Promise<Source> {
  const source = probeSource({
    name: "web",
    entityId: "service:web",
    target,
    intervalMs: 1_000,
    timeoutMs: 2_000,
    ...more,
  });
  running.add(source);
  await bench.start(source);
  await bench.clock.settle();
  await looked();
  return source;
}

async function stop(source: Source): Promise<void> {
  running.delete(source);
  await source.stop();
}

/** A look is over once the next one is armed. */
async function looked(): Promise<void> {
  await eventually(() => bench.clock.armed() >= running.size, true);
}

async function look(times = 1): Promise<void> {
  for (let index = 0; index < times; index += 1) {
    await bench.clock.advance(1_000);
    await looked();
  }
}

async function changes(): Promise<readonly DeedEvent[]> {
  const events = await bench.events();
  return events.filter(({ event_type: type }) => type !== "probe.heartbeat");
}

async function told(): Promise<string[]> {
  return (await changes()).map(({ event_type: type }) => type);
}

/** A service whose health the test sets. */
async function service(): Promise<{ status: number; target: ProbeTarget }> {
  const state = { status: 200, target: { kind: "http", url: "" } as ProbeTarget };
  const { url } = await serve((response) => response.writeHead(state.status).end());
  state.target = { kind: "http", url };
  return state;
}

describe("1. changes only", () => {
  test("up, down after two failures, up again: each with reason, latency and since", async () => {
    const web = await service();
    await start(web.target);
    await look(3);
    web.status = 503;
    await look();
    expect(await told()).toEqual(["probe.up"]);
    await look(5);
    web.status = 200;
    await look(3);
    const events = await changes();
    expect(events.map(({ event_type: type, attrs }) => [type, attrs])).toEqual([
      [
        "probe.up",
        {
          since: "2026-11-24T05:00:00.000Z",
          consecutive: 0,
          latency_ms: expect.any(Number) as number,
          reason: "status 200",
        },
      ],
      [
        "probe.down",
        {
          since: "2026-11-24T05:00:05.000Z",
          consecutive: 2,
          latency_ms: expect.any(Number) as number,
          reason: "status 503",
          was: "up",
          was_for_ms: 5_000,
        },
      ],
      [
        "probe.up",
        {
          since: "2026-11-24T05:00:10.000Z",
          consecutive: 0,
          latency_ms: expect.any(Number) as number,
          reason: "status 200",
          was: "down",
          was_for_ms: 5_000,
        },
      ],
    ]);
    expect(events[0]).toMatchObject({
      entity_id: "service:web",
      idempotency_key: "probe.up/web/2026-11-24T05:00:00.000Z",
      source: { system: "probe", ns: { component: "web" } },
    });
  });

  test("while it is down a reminder comes now and then, marked as one", async () => {
    await start({ kind: "tcp", host: "127.0.0.1", port: await deadPort() }, { remindMs: 5_000 });
    await look(12);
    const events = await changes();
    expect(
      events.map(({ attrs }) => [attrs["since"], attrs["consecutive"], attrs["reminder"] ?? false]),
    ).toEqual([
      ["2026-11-24T05:00:01.000Z", 2, false],
      ["2026-11-24T05:00:01.000Z", 7, true],
      ["2026-11-24T05:00:01.000Z", 12, true],
    ]);
  });

  test("a service with an error rate is degraded, and says by how much", async () => {
    const web = await service();
    await start(web.target, { failuresToDown: 8, degraded: { share: 0.4, window: 5 } });
    for (const status of [200, 500, 200, 500]) {
      web.status = status;
      await look();
    }
    const [, degraded] = await changes();
    expect(degraded).toMatchObject({
      event_type: "probe.degraded",
      attrs: {
        reason: "2 of the last 5 checks failed or were slow, the newest by status 500",
        was: "up",
      },
    });
  });
});

test("2. a heartbeat tells that the probe lives, and what it sees", async () => {
  const web = await service();
  await start(web.target, { heartbeatMs: 5_000 });
  await look(10);
  const beats = await bench.events("probe.heartbeat");
  expect(beats.map(({ ts, attrs }) => [ts, attrs])).toEqual(
    ["00", "05", "10"].map((second) => [
      `2026-11-24T05:00:${second}.000Z`,
      { health: "up", since: "2026-11-24T05:00:00.000Z", consecutive: 0 },
    ]),
  );
});

describe("3. a restart", () => {
  test("repeats no change", async () => {
    const port = await deadPort();
    const target: ProbeTarget = { kind: "tcp", host: "127.0.0.1", port };
    const source = await start(target);
    await look(3);
    expect(await told()).toEqual(["probe.down"]);
    await stop(source);
    await start(target);
    await look(3);
    expect(await told()).toEqual(["probe.down"]);
  });

  test("goes on where it was: since, and how many failures in a row", async () => {
    const port = await deadPort();
    const target: ProbeTarget = { kind: "tcp", host: "127.0.0.1", port };
    const source = await start(target, { remindMs: 10_000 });
    await look(3);
    await stop(source);
    await bench.clock.advance(60_000);
    await start(target, { remindMs: 10_000 });
    expect((await changes()).at(-1)).toMatchObject({
      event_type: "probe.down",
      attrs: { since: "2026-11-24T05:00:01.000Z", consecutive: 3, reminder: true },
    });
  });

  test("after which it is well tells so, with what it was", async () => {
    const web = await service();
    web.status = 500;
    const source = await start(web.target);
    await look(2);
    await stop(source);
    web.status = 200;
    await start(web.target);
    expect((await changes()).at(-1)).toMatchObject({
      event_type: "probe.up",
      attrs: { was: "down", was_for_ms: 1_000 },
    });
  });

  test("finds its state although everything that tells it is long ago but the heartbeats", async () => {
    const web = await service();
    const source = await start(web.target, { heartbeatMs: 1_000 });
    await stop(source);
    const beat = (await bench.events("probe.heartbeat"))[0]!;
    const beats = Array.from({ length: 1_500 }, (_, index) => ({
      ...beat,
      idempotency_key: `beat/${String(index)}`,
    }));
    await bench.log.append(beats);
    await bench.clock.advance(1_000);
    await start(web.target);
    expect(await told()).toEqual(["probe.up"]);
  });

  test("does not take the state of another probe of the same entity for its own", async () => {
    const web = await service();
    const source = await start(web.target, { name: "http" });
    await stop(source);
    await start(web.target, { name: "other" });
    expect(
      (await changes()).map((event) => [event.event_type, event.source.ns["component"]]),
    ).toEqual([
      ["probe.up", "http"],
      ["probe.up", "other"],
    ]);
  });
});

test("4. one failed check at the start tells nothing", async () => {
  const web = await service();
  web.status = 500;
  await start(web.target);
  expect(await told()).toEqual([]);
  expect((await bench.events("probe.heartbeat"))[0]?.attrs["health"]).toBe("unknown");
  web.status = 200;
  await look();
  expect(await told()).toEqual(["probe.up"]);
});

test("5. what could not be recorded is told by the next look", async () => {
  const web = await service();
  bench.failures.push(new Error("the log is busy"));
  await start(web.target);
  expect(await told()).toEqual([]);
  await look();
  expect(await told()).toEqual(["probe.up"]);
  expect(bench.warnings).toEqual(["Probe web could not record what it found and will look again"]);
});

test("stopped in the middle of a look, it ends at once and leaves nothing", async () => {
  const hung = await serveTcp(() => undefined);
  const source = probeSource({
    name: "web",
    entityId: "service:web",
    target: { kind: "http", url: hung.url },
    intervalMs: 1_000,
    timeoutMs: 1e9,
  });
  await bench.start(source);
  await eventually(hung.connections, 1);
  await source.stop();
  await eventually(hung.connections, 0);
  expect(bench.clock.armed()).toBe(0);
  expect(await bench.events()).toEqual([]);
});

describe("one look", () => {
  const never = new AbortController().signal;

  async function seen(target: ProbeTarget, timeoutMs = 2_000): Promise<unknown> {
    const { ok, slow, reason } = await check(target, timeoutMs, never);
    return { ok, slow, reason };
  }

  test.each([
    [200, undefined, true],
    [302, undefined, true],
    [404, undefined, false],
    [500, undefined, false],
    [401, 401, true],
    [200, 401, false],
  ])("http: status %i where %s is expected: %s", async (status, expectStatus, ok) => {
    const { url } = await serve((response) => response.writeHead(status).end("x".repeat(1_000)));
    const target: ProbeTarget = {
      kind: "http",
      url,
      ...(expectStatus === undefined ? {} : { expectStatus }),
    };
    expect(await seen(target)).toEqual({ ok, slow: false, reason: `status ${String(status)}` });
  });

  test("http: a hang is a failure once the time is over", async () => {
    const { url, connections } = await serveTcp(() => undefined);
    expect(await seen({ kind: "http", url }, 50)).toEqual({
      ok: false,
      slow: false,
      reason: "no answer within 50 ms",
    });
    await eventually(connections, 0);
  });

  test("http: an answer whose body never ends is a hang, too", async () => {
    const { url } = await serve((response) => response.write("a"));
    expect(await seen({ kind: "http", url }, 100)).toMatchObject({ ok: false });
  });

  test("http: a slow answer is well and slow", async () => {
    const { url } = await serve((response) => {
      setTimeout(() => response.end(), 60);
    });
    const finding = await check({ kind: "http", url, slowMs: 20 }, 2_000, never);
    expect(finding).toMatchObject({ ok: true, slow: true });
    expect(finding.reason).toBe(
      `status 200 after ${String(finding.latencyMs)} ms, slow from 20 ms`,
    );
  });

  test("http: over a connection of its own, of which nothing is left", async () => {
    const { url, seen: requests, connections } = await serve((response) => response.end());
    await check({ kind: "http", url }, 2_000, never);
    expect(requests[0]?.headers.connection).toBe("close");
    await eventually(connections, 0);
  });

  test("http and tcp: nobody listens", async () => {
    const port = await deadPort();
    const url = `http://127.0.0.1:${String(port)}`;
    const reason = `connect ECONNREFUSED 127.0.0.1:${String(port)}`;
    expect(await seen({ kind: "http", url })).toEqual({ ok: false, slow: false, reason });
    expect(await seen({ kind: "tcp", host: "127.0.0.1", port })).toEqual({
      ok: false,
      slow: false,
      reason,
    });
  });

  test("tcp: that it takes connections, or that it answers", async () => {
    const { port } = await serveTcp((socket) => socket.write("PONG"));
    const host = "127.0.0.1";
    expect(await seen({ kind: "tcp", host, port })).toMatchObject({
      ok: true,
      reason: "it takes connections",
    });
    expect(await seen({ kind: "tcp", host, port, send: "PING" })).toMatchObject({
      ok: true,
      reason: "it answers",
    });
  });

  test("tcp: connected, but no answer comes", async () => {
    const hung = await serveTcp(() => undefined);
    const target: ProbeTarget = { kind: "tcp", host: "127.0.0.1", port: hung.port, send: "PING" };
    expect(await seen(target, 50)).toMatchObject({ ok: false, reason: "no answer within 50 ms" });
    const rude = await serveTcp((socket) => socket.end());
    expect(await seen({ ...target, port: rude.port })).toMatchObject({
      ok: false,
      reason: "the connection was closed without an answer",
    });
  });

  test("process: runs, killed, and a pid file that says nothing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "deed-probe-"));
    const pidFile = join(folder, "a.pid");
    const target: ProbeTarget = { kind: "process", pidFile };
    expect(await seen(target)).toMatchObject({ ok: false, reason: `no pid in ${pidFile}` });
    for (const nonsense of ["", "x", "-1", "0", "1.5"]) {
      writeFileSync(pidFile, nonsense);
      expect(await seen(target)).toMatchObject({ ok: false, reason: `no pid in ${pidFile}` });
    }
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    writeFileSync(pidFile, `${String(child.pid)}\n`);
    expect(await seen(target)).toMatchObject({
      ok: true,
      reason: `process ${String(child.pid)} runs`,
    });
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await seen(target)).toMatchObject({
      ok: false,
      reason: `no process ${String(child.pid)}`,
    });
    rmSync(folder, { recursive: true });
  });

  test.runIf(existsSync("/proc/self/stat"))(
    "process: one that ended and was not asked for",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "deed-probe-"));
      const pidFile = join(folder, "a.pid");
      // The shell's child ends at once; the program that the shell becomes never asks for it.
      const script = `sleep 0 & echo $! > ${pidFile}; exec sleep 60`;
      const parent = spawn("/bin/sh", ["-c", script]);
      await eventually(async () => {
        const { reason } = await check({ kind: "process", pidFile }, 2_000, never);
        return /^process \d+ has ended \(a zombie\)$/.test(reason);
      }, true);
      parent.kill("SIGKILL");
      rmSync(folder, { recursive: true });
    },
  );
});
