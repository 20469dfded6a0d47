// Starts and ends the services: real processes, each with a pid file, a log file and a session of its own.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { here } from "./settings.mjs";

export const services = ["shop", "search", "pay", "scheduler", "webhook"];

/** What a service may take to listen, or to end by itself before it is killed, milliseconds. */
const startMsMax = 8_000;
const endMsMax = 1_000;

export const runFolder = (data) => join(data, "run");

const pidFile = (data, name) => join(runFolder(data), `${name}.pid`);

/** What the running night-watch wrote down of itself; undefined where none runs. */
export function runningState(data) {
  const pid = pidOf(data, "night-watch");
  if (pid === undefined) return undefined;
  return JSON.parse(readFileSync(join(runFolder(data), "night-watch.json"), "utf8"));
}

export function writePid(data, name, pid) {
  mkdirSync(runFolder(data), { recursive: true });
  writeFileSync(pidFile(data, name), `${pid}\n`);
}

export function forgetPid(data, name) {
  rmSync(pidFile(data, name), { force: true });
}

/** The pid of a process of ours that lives; undefined where there is none. */
export function pidOf(data, name) {
  let pid;
  try {
    pid = Number(readFileSync(pidFile(data, name), "utf8"));
  } catch {
    return undefined;
  }
  return Number.isInteger(pid) && pid > 0 && isOurs(pid) ? pid : undefined;
}

/** A pid is given to other programs again: only a Node process that is no zombie is one of ours. */
function isOurs(pid) {
  const { stdout } = spawnSync("ps", ["-o", "stat=,command=", "-p", String(pid)], {
    encoding: "utf8",
  });
  const [stat = "", ...command] = (stdout ?? "").trim().split(/\s+/);
  return stat !== "" && !stat.startsWith("Z") && /node|deed|npm/.test(command.join(" "));
}

/**
 * Starts a service, and waits until it listens.
 *
 * @param state of the night-watch that it belongs to: see `runningState`.
 * @returns its pid. @throws where it ends at once, or does not listen in time.
 */
export async function start(name, state) {
  const { data, ports } = state;
  const port = ports[name];
  mkdirSync(runFolder(data), { recursive: true });
  const output = openSync(join(runFolder(data), `${name}.log`), "a");
  const child = spawn(process.execPath, [join(here, "services", `${name}.mjs`)], {
    cwd: here,
    detached: true,
    stdio: ["ignore", output, output],
    env: {
      ...process.env,
      NIGHT_WATCH_SUPERVISOR: String(state.pid),
      NIGHT_WATCH_DATA: data,
      NIGHT_WATCH_SERVICE_PORT: String(port ?? 0),
      NIGHT_WATCH_TROUBLE: String(state.trouble),
      NIGHT_WATCH_BATCH: String(state.batch),
    },
  });
  closeSync(output);
  writePid(data, name, child.pid);
  child.unref();
  let ended = false;
  child.once("exit", () => (ended = true));
  const deadlineMs = Date.now() + startMsMax;
  while (Date.now() < deadlineMs && !ended) {
    if (port === undefined || (await listens(port))) return child.pid;
    await sleep(30);
  }
  const why = ended ? "it ended at once" : `it did not listen within ${startMsMax} ms`;
  throw new Error(`${name} did not start as ${why}: see ${join(runFolder(data), `${name}.log`)}`);
}

function listens(port) {
  return new Promise((settle) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      settle(true);
    });
    socket.once("error", () => settle(false));
  });
}

/** Ends a process of ours: asked first, then killed, as one that hangs hears nothing. @returns its pid. */
export async function stop(name, data, endMs = endMsMax) {
  const pid = pidOf(data, name);
  if (pid !== undefined) {
    send(pid, "SIGTERM");
    if (!(await gone(data, name, endMs))) {
      send(pid, "SIGKILL");
      await gone(data, name, endMsMax);
    }
  }
  forgetPid(data, name);
  return pid;
}

async function gone(data, name, withinMs) {
  const deadlineMs = Date.now() + withinMs;
  while (pidOf(data, name) !== undefined) {
    if (Date.now() > deadlineMs) return false;
    await sleep(50);
  }
  return true;
}

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in between, which is what was wanted.
  }
}
