import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { request } from "undici";

export type ProbeTarget =
  | {
      readonly kind: "http";
      readonly url: string;
      /** Default: any below 400. */
      readonly expectStatus?: number;
      /** A good answer that takes longer counts for `degraded`, milliseconds. */
      readonly slowMs?: number;
    }
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      /** Sent once connected; then an answer of one byte or more is awaited. */
      readonly send?: string;
    }
  | { readonly kind: "process"; readonly pidFile: string };

/** What one look found. */
export type Finding = {
  readonly ok: boolean;
  /** It is well, but took longer than it should. */
  readonly slow: boolean;
  readonly latencyMs: number;
  /** What was seen, for people: `status 503`, `no answer within 1000 ms`. */
  readonly reason: string;
};

/**
 * Looks once, over a connection of its own, and leaves nothing open.
 *
 * Never throws: whatever goes wrong is what was found.
 */
export async function check(
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Finding> {
  const startedMs = performance.now();
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  const timer = setTimeout(abort, timeoutMs);
  signal.addEventListener("abort", abort, { once: true });
  const taken = (): number => Math.round(performance.now() - startedMs);
  try {
    const reason = await lookAt(target, controller.signal);
    const latencyMs = taken();
    const slowMs = target.kind === "http" ? target.slowMs : undefined;
    if (slowMs === undefined || latencyMs <= slowMs) {
      return { ok: true, slow: false, latencyMs, reason };
    }
    const slowly = `${reason} after ${String(latencyMs)} ms, slow from ${String(slowMs)} ms`;
    return { ok: true, slow: true, latencyMs, reason: slowly };
  } catch (thrown) {
    const reason = controller.signal.aborted
      ? `no answer within ${String(timeoutMs)} ms`
      : spelt(thrown);
    return { ok: false, slow: false, latencyMs: taken(), reason };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

/** The message; where there is none, as with one failure for each address of a name, the code. */
function spelt(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.message !== "") return thrown.message;
  return "code" in thrown ? String(thrown.code) : thrown.name;
}

/** @returns what was seen. Throws where that is not well. */
function lookAt(target: ProbeTarget, signal: AbortSignal): Promise<string> {
  switch (target.kind) {
    case "http":
      return lookAtHttp(target, signal);
    case "tcp":
      return lookAtTcp(target, signal);
    case "process":
      return lookAtProcess(target.pidFile);
  }
}

async function lookAtHttp(
  target: Extract<ProbeTarget, { kind: "http" }>,
  signal: AbortSignal,
): Promise<string> {
  const { statusCode, body } = await request(target.url, {
    signal,
    reset: true,
    headers: { "user-agent": "deed-probe" },
  });
  await body.dump();
  signal.throwIfAborted();
  const good =
    target.expectStatus === undefined ? statusCode < 400 : statusCode === target.expectStatus;
  const seen = `status ${String(statusCode)}`;
  if (!good) throw new Error(seen);
  return seen;
}

function lookAtTcp(
  target: Extract<ProbeTarget, { kind: "tcp" }>,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.host, port: target.port, signal });
    const well = (seen: string): void => {
      socket.destroy();
      resolve(seen);
    };
    socket.once("error", reject);
    socket.once("close", () => {
      reject(new Error("the connection was closed without an answer"));
    });
    socket.once("connect", () => {
      if (target.send === undefined) well("it takes connections");
      else socket.write(target.send);
    });
    if (target.send !== undefined) {
      socket.once("data", () => {
        well("it answers");
      });
    }
  });
}

async function lookAtProcess(pidFile: string): Promise<string> {
  const text = await readFile(pidFile, "utf8").catch(() => "");
  const pid = Number(text.trim());
  if (!Number.isInteger(pid) || pid <= 0) throw new Error(`no pid in ${pidFile}`);
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    const foreign = thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
    if (!foreign) throw new Error(`no process ${String(pid)}`);
  }
  if (await isZombie(pid)) throw new Error(`process ${String(pid)} has ended (a zombie)`);
  return `process ${String(pid)} runs`;
}

/** A process that ended keeps its pid until its parent asks. Only Linux's /proc tells; elsewhere: no. */
async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}
