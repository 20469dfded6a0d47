import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { request } from "undici";

export type ProbeTarget =
  | {
      readonly kind: "http";
      readonly url: string;
      /** Default: any below 400. */
      readonly expectStatus?: number;
      /** An answer that takes longer counts as failed for `degraded`, milliseconds. */
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
  readonly slow: boolean;
  readonly latencyMs: number;
  readonly reason: string | undefined;
};

/** Looks once. Never throws: whatever goes wrong is what was found. */
export async function check(
  target: ProbeTarget,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Finding> {
  const startedMs = performance.now();
  const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const taken = (): number => Math.round(performance.now() - startedMs);
  try {
    await lookAt(target, limited);
    const latencyMs = taken();
    const slow = target.kind === "http" && target.slowMs !== undefined && latencyMs > target.slowMs;
    return { ok: true, slow, latencyMs, reason: undefined };
  } catch (thrown) {
    const reason = limited.aborted
      ? `no answer within ${String(timeoutMs)} ms`
      : thrown instanceof Error
        ? thrown.message
        : String(thrown);
    return { ok: false, slow: false, latencyMs: taken(), reason };
  }
}

function lookAt(target: ProbeTarget, signal: AbortSignal): Promise<void> {
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
): Promise<void> {
  const { statusCode, body } = await request(target.url, {
    signal,
    headers: { "user-agent": "deed-probe" },
  });
  await body.dump();
  const good =
    target.expectStatus === undefined ? statusCode < 400 : statusCode === target.expectStatus;
  if (!good) throw new Error(`status ${String(statusCode)}`);
}

function lookAtTcp(
  target: Extract<ProbeTarget, { kind: "tcp" }>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: target.host, port: target.port, signal });
    socket.once("error", reject);
    socket.once("close", () => {
      reject(new Error("the connection was closed without an answer"));
    });
    const well = (): void => {
      socket.destroy();
      resolve();
    };
    socket.once("connect", () => {
      if (target.send === undefined) well();
      else socket.write(target.send);
    });
    if (target.send !== undefined) socket.once("data", well);
  });
}

async function lookAtProcess(pidFile: string): Promise<void> {
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
}

/** A process that ended keeps its pid until its parent asks. Only Linux's /proc tells; elsewhere: no. */
async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}
