// What a person may choose, by the environment, and the files that follow from it.
//
//   NIGHT_WATCH_DATA     the data folder                                    default: data, beside this file
//   NIGHT_WATCH_PORT     the first of five ports in a row; 0: any free ones  default: 7333
//   NIGHT_WATCH_SPEED    how much faster intervals and cool-downs pass       default: 1
//   NIGHT_WATCH_TROUBLE  seconds until a service's trouble, 0: none          default: 60
//   NIGHT_WATCH_BATCH    seconds between two runs of the batch job           default: 25
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments, stringify } from "yaml";

export const here = fileURLToPath(new URL(".", import.meta.url));

export const dataDefault = join(here, "data");

/** Who listens, in the order of their ports; deed.yaml and the rules name the default ones. */
const listeners = ["api", "shop", "search", "pay", "webhook"];

const portDefault = 7333;

const portStep = 10;

const stepsMax = 20;

export class Refusal extends Error {}

export function settingsOf(env) {
  return {
    data: resolve(env.NIGHT_WATCH_DATA ?? dataDefault),
    port: numberOf(env, "NIGHT_WATCH_PORT", undefined),
    speed: numberOf(env, "NIGHT_WATCH_SPEED", 1) || 1,
    trouble: numberOf(env, "NIGHT_WATCH_TROUBLE", 60),
    batch: numberOf(env, "NIGHT_WATCH_BATCH", 25),
  };
}

function numberOf(env, name, without) {
  const text = env[name];
  if (text === undefined || text === "") return without;
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0) return number;
  throw new Refusal(`${name} must be a number >= 0: it is "${text}"`);
}

/**
 * @param first the port that was asked for; undefined: the default one, or the next that are free.
 * @returns a port for each listener, and what was found taken on the way.
 */
export async function choosePorts(first) {
  if (first === 0) return { ports: named(await anyFree()), taken: [] };
  const taken = [];
  for (let step = 0; step < stepsMax; step += 1) {
    const base = (first ?? portDefault) + step * portStep;
    const ports = listeners.map((_, index) => base + index);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return { ports: named(ports), taken };
    taken.push(...ports.filter((_, index) => !free[index]));
    if (first !== undefined) break;
  }
  const which = taken.map((port) => `127.0.0.1:${port}`).join(", ");
  throw new Refusal(
    `Something else listens on ${which}. Stop it, or choose five other ports in a row: NIGHT_WATCH_PORT=7400 npm start`,
  );
}

function named(ports) {
  return Object.fromEntries(listeners.map((name, index) => [name, ports[index]]));
}

function isFree(port) {
  return new Promise((settle) => {
    const server = createServer();
    server.once("error", () => settle(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => settle(true));
    });
  });
}

/** All are held at once, so that no two are the same. */
async function anyFree() {
  const servers = await Promise.all(
    listeners.map(
      () =>
        new Promise((settle, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen({ port: 0, host: "127.0.0.1" }, () => settle(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((settle) => server.close(settle))));
  return ports;
}

/**
 * Writes data/deed.yaml: deed.yaml with these ports, this data folder and this pace. The rules stay where
 * they are, so that they can be edited while all runs; only other ports or another pace need a copy.
 *
 * @returns the file, and the folder that the rules are read from.
 */
export function writeConfig({ data, ports, speed }) {
  const adapt = (value) => adapted(value, { data, ports, speed });
  const config = adapt(parse(readFileSync(join(here, "deed.yaml"), "utf8")));
  const asTheyAre = speed === 1 && ports.api === portDefault;
  const rules = join(asTheyAre ? here : data, "rules");
  config.data = data;
  config.rules = [rules];
  config.executors.shell.cwd_root = here;
  if (!asTheyAre) copyRules(rules, adapt);
  const file = join(data, "deed.yaml");
  mkdirSync(data, { recursive: true });
  writeFileSync(file, `# Written by night-watch: change ../deed.yaml.\n${stringify(config)}`);
  return { file, rules };
}

function copyRules(folder, adapt) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(join(here, "rules"))) {
    const documents = parseAllDocuments(readFileSync(join(here, "rules", name), "utf8"));
    const adaptedOnes = documents.map((document) => stringify(adapt(document.toJS())));
    writeFileSync(join(folder, name), adaptedOnes.join("---\n"));
  }
}

/** Durations under these names pass faster; a time-out does not, as the machine gets no faster. */
const paced = ["interval", "remind", "cool_down", "initial", "max"];

function adapted(value, chosen, key = "") {
  if (Array.isArray(value)) return value.map((item) => adapted(item, chosen));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, adapted(member, chosen, name)]),
    );
  }
  if (key === "port") return moved(value, chosen.ports);
  if (typeof value !== "string") return value;
  if (paced.includes(key)) return hastened(value, chosen.speed);
  if (value.startsWith("./data/")) return join(chosen.data, value.slice("./data/".length));
  return value.replace(/127\.0\.0\.1:(\d+)/, (_, port) => `127.0.0.1:${moved(port, chosen.ports)}`);
}

function moved(port, ports) {
  return ports[listeners[Number(port) - portDefault]] ?? port;
}

function hastened(duration, speed) {
  if (speed === 1) return duration;
  const [, number, unit] = /^([\d.]+)(ms|s|m)$/.exec(duration) ?? [];
  const unitMs = { ms: 1, s: 1_000, m: 60_000 }[unit];
  return unitMs === undefined
    ? duration
    : `${Math.max(1, Math.round((Number(number) * unitMs) / speed))}ms`;
}
