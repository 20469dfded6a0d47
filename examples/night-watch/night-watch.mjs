// The night-watch: starts the services and the node, tells what happens, and ends all of it on Ctrl-C.
//
// It repairs nothing itself. It keeps one promise: a node that dies is started again, and goes on from
// its log.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { forgetPid, pidOf, runFolder, runningState } from "./processes.mjs";
import { services, start, stop, writePid } from "./processes.mjs";
import { choosePorts, dataDefault, here, Refusal, settingsOf, writeConfig } from "./settings.mjs";
import { createStory, follow } from "./story.mjs";

const program = fileURLToPath(new URL("../../dist/deed.mjs", import.meta.url));

/** What a node may take to become ready, and to end, milliseconds. */
const readyMsMax = 30_000;
const endMsMax = 15_000;

/** How often it is looked whether the parent still lives, milliseconds. */
const orphanedMs = 200;

/** A node that falls more often than this within a minute is not started again. */
const fallsMax = 5;

const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;

const bold = (text) => (colours ? `\u001b[1m${text}\u001b[0m` : text);

const print = (line) => console.log(line);

/** What the node itself has to say, among the lines of the story. */
const note = (text) => {
  const time = new Date().toLocaleTimeString("en-GB");
  print(colours ? `\u001b[90m${time}  node       ${text}\u001b[0m` : `${time}  node       ${text}`);
};

/**
 * Runs until SIGINT, SIGTERM or SIGHUP.
 *
 * @param parent the process that must live as long as this one does; undefined: none. `npm start` puts a
 *   shell in between, which does not hand on the SIGTERM that ends it.
 * @returns the exit code.
 */
export async function nightWatch({ env = process.env, parent } = {}) {
  const ended = new AbortController();
  let hurry = false;
  const onSignal = () => {
    if (!ended.signal.aborted) return void ended.abort();
    hurry = true;
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, onSignal);
  const orphaned = setInterval(() => {
    if (parent !== undefined && process.ppid !== parent) ended.abort();
  }, orphanedMs);
  // Nobody reads any more, as after `| head`: that is no reason to leave processes behind.
  process.stdout.on("error", () => ended.abort());
  let watch;
  try {
    watch = await prepare(settingsOf(env));
    await run(watch, ended);
    return 0;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    console.error(`night-watch: ${thrown.message}`);
    return 1;
  } finally {
    if (watch !== undefined) await endAll(watch, () => hurry);
    clearInterval(orphaned);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, onSignal);
  }
}

/** Looks for what stands in the way, ends what a killed night-watch left, chooses ports, writes files. */
async function prepare(settings) {
  const { data } = settings;
  if (!existsSync(program)) throw new Refusal(`there is no ${program}: npm run build`);
  const other = runningState(data);
  if (other !== undefined && other.pid !== process.pid) {
    throw new Refusal(
      `one runs already, pid ${other.pid}, ${other.url}. Stop it, or give this one another folder: NIGHT_WATCH_DATA=/tmp/night npm start`,
    );
  }
  for (const name of ["deed", ...services]) {
    const left = await stop(name, data, endMsMax);
    if (left !== undefined) print(`Ended ${name} (pid ${left}), which an earlier run left behind.`);
  }
  const { ports, taken } = await choosePorts(settings.port);
  const config = writeConfig({ ...settings, ports });
  const url = `http://127.0.0.1:${ports.api}`;
  const webhook = `http://127.0.0.1:${ports.webhook}/`;
  const state = { ...settings, pid: process.pid, url, webhook, ports };
  mkdirSync(runFolder(data), { recursive: true });
  writeFileSync(join(runFolder(data), "night-watch.json"), `${JSON.stringify(state, null, 2)}\n`);
  writePid(data, "night-watch", process.pid);
  if (taken.length > 0) {
    print(
      `Port ${taken.join(", ")} is taken by something else: this run uses ${ports.api} to ${ports.webhook}.`,
    );
  }
  return { ...state, config };
}

async function run(watch, ended) {
  const { signal } = ended;
  const goesOn = existsSync(join(watch.data, "deed.db"));
  for (const name of services) await start(name, watch);
  let failure;
  const node = keepNode(watch, signal).catch((thrown) => {
    failure = thrown;
    ended.abort();
  });
  await Promise.race([watch.ready, node]);
  if (!signal.aborted) {
    print(welcome(watch, goesOn));
    const tell = createStory({ print, colours });
    await follow(watch.url, { signal, record: tell });
  }
  await node;
  if (failure !== undefined) throw failure;
}

/** Runs the node, again where it dies, until `signal` is aborted and it has ended. */
async function keepNode(watch, signal) {
  let becameReady;
  watch.ready = new Promise((resolve) => (becameReady = resolve));
  let fellMs = [];
  while (!signal.aborted) {
    const { code, ready, said } = await runNode(watch, { signal, becameReady });
    if (signal.aborted) return;
    if (!ready) throw new Refusal(`the node did not start:\n${said.join("\n")}`);
    fellMs = [...fellMs.filter((ms) => ms > Date.now() - 60_000), Date.now()];
    if (fellMs.length > fallsMax)
      throw new Refusal(`the node fell ${fellMs.length} times a minute`);
    note(`the node ended (${code}): it is started again and goes on from its log`);
    await sleep(300);
  }
}

/** One life of the node. A process group of its own, so that Ctrl-C reaches it once and by us only. */
async function runNode({ config, data }, { signal, becameReady }) {
  const child = spawn(process.execPath, [program, "start", "--json", "--config", config.file], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NIGHT_WATCH_DATA: data },
  });
  writePid(data, "deed", child.pid);
  const said = [];
  let ready = false;
  const tooLate = setTimeout(() => {
    if (!ready) child.kill("SIGKILL");
  }, readyMsMax);
  const end = () => child.kill("SIGTERM");
  signal.addEventListener("abort", end, { once: true });
  createInterface(child.stdout).once("line", () => {
    ready = true;
    becameReady();
  });
  createInterface(child.stderr).on("line", (line) => {
    appendFileSync(join(runFolder(data), "deed.log"), `${line}\n`);
    said.push(line);
    if (said.length > 20) said.shift();
    const message = messageOf(line);
    if (ready && message !== undefined) note(message);
  });
  const code = await new Promise((resolve) => {
    child.once("close", (status, killedBy) => resolve(killedBy ?? `exit code ${status}`));
  });
  clearTimeout(tooLate);
  signal.removeEventListener("abort", end);
  forgetPid(data, "deed");
  return { code, ready, said };
}

/** The node's own log lines are JSON: people read the message. */
function messageOf(line) {
  try {
    const { msg, thrown } = JSON.parse(line);
    return thrown === undefined ? msg : `${msg}: ${thrown}`;
  } catch {
    return undefined;
  }
}

async function endAll(watch, hurry) {
  const { data } = watch;
  print("Stopping: the node first, so that it repairs nothing of what ends now.");
  for (const name of ["deed", ...services]) if (hurry()) await stop(name, data, 0);
  await stop("deed", data, endMsMax);
  await Promise.all(services.map((name) => stop(name, data)));
  forgetPid(data, "night-watch");
  rmSync(join(runFolder(data), "night-watch.json"), { force: true });
  const left = ["deed", ...services].filter((name) => pidOf(data, name) !== undefined);
  print(left.length === 0 ? "All processes have ended." : `Still running: ${left.join(", ")}`);
}

function welcome(watch, goesOn) {
  const { data, url, webhook, ports, config } = watch;
  const path = (file) => {
    const near = relative(process.cwd(), file);
    return near.startsWith("..") ? file : near;
  };
  const run = path(runFolder(data));
  const deed = "node dist/deed.mjs";
  const elsewhere = [
    ...(ports.api === 7333 ? [] : [`export DEED_URL=${url}`]),
    ...(data === dataDefault ? [] : [`export NIGHT_WATCH_DATA=${path(data)}`]),
  ];
  const tries = [
    ...elsewhere.map((line) => [line, "first: this run has its own place"]),
    [`kill $(cat ${run}/shop.pid)`, "the shop is gone"],
    [`kill -STOP $(cat ${run}/search.pid)`, "the search hangs"],
    [`kill -9 $(cat ${run}/deed.pid)`, "even the node: it goes on from its log"],
    [`${deed} tail`, "everything, as it happens"],
    [`${deed} actions`, "what was asked for"],
    [`${deed} action <id>`, "one action: its cause and its timeline"],
    [`node ${path(join(here, "ctl.mjs"))} stop webhook`, "then kill the shop, and look at:"],
    [`${deed} dlq`, "what needs a person; … start webhook, then dlq redrive <id>"],
    [`curl -s ${webhook}`, "what the webhook got"],
  ];
  const width = Math.max(...tries.map(([command]) => command.length));
  return [
    "",
    `${bold("Night-watch runs")} at ${bold(url)}${goesOn ? ", and goes on from its earlier log" : ""}.`,
    `It watches ${services.slice(0, 4).join(", ")} and the export job; the rules are in ${path(config.rules)}.`,
    "",
    "Try in another terminal:",
    ...tries.map(([command, what]) => `  ${command.padEnd(width)}  # ${what}`),
    "",
    "Ctrl-C stops everything. From here on, what happens:",
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await nightWatch();
