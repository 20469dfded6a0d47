import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { loadConfig, type Config, type Environment } from "../app/config.ts";
import { examineLogFile, type LogFile } from "../app/log-file.ts";
import { filesIn } from "../app/definition-files.ts";
import { readSource } from "../app/playbook-closure.ts";
import { findPlaybooks } from "../app/playbook-files.ts";
import { unreachable } from "../base/assert.ts";
import { formatProblem } from "../base/document.ts";
import { parseDefinitions } from "../decider/activation.ts";
import { printable } from "./terminal.ts";

/** One thing that was looked at. */
export type ExaminedThing = {
  readonly ok: boolean;
  readonly what: string;
  readonly wayOut?: string;
};

/** Looks at everything that keeps a node from running. Changes nothing but an empty data folder. */
export async function examine(
  configPath: string,
  env: Environment,
): Promise<readonly ExaminedThing[]> {
  const findings: ExaminedThing[] = [nodeVersion()];
  const config = loadConfig(configPath, env);
  if (!config.ok) {
    const wayOut = config.error.map(formatProblem).join("\n     ");
    return [...findings, { ok: false, what: `configuration ${configPath} is not valid`, wayOut }];
  }
  findings.push({ ok: true, what: `configuration ${configPath}` });
  const log = await examineLogFile(config.value.logPath);
  findings.push(
    ...config.value.warnings.map((warning) => ({ ok: true, what: warning })),
    dataFolder(config.value),
    logFinding(config.value, log),
    await port(config.value, log),
    pythonFinding(config.value),
  );
  return [...findings, ...(await definitions(config.value)), ...(await playbooks(config.value))];
}

function nodeVersion(): ExaminedThing {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  const what = `Node ${process.versions.node}`;
  return ok ? { ok, what } : { ok, what, wayOut: "install Node 20.19 or newer" };
}

function dataFolder({ data }: Config): ExaminedThing {
  try {
    mkdirSync(data, { recursive: true });
    accessSync(data, constants.W_OK);
    return { ok: true, what: `data folder ${data}` };
  } catch (thrown) {
    const wayOut =
      "give the user of the node the right to write there, or set data to another folder";
    return {
      ok: false,
      what: `data folder ${data}: ${thrown instanceof Error ? thrown.message : ""}`,
      wayOut,
    };
  }
}

function logFinding({ logPath }: Config, log: LogFile): ExaminedThing {
  switch (log.state) {
    case "absent":
      return { ok: true, what: `log ${logPath}: will be made at the first start` };
    case "in_use":
      return { ok: true, what: `log ${logPath}: a node is running on it` };
    case "whole":
      return { ok: true, what: `log ${logPath}: whole, newest offset ${String(log.head)}` };
    case "unusable":
      return { ok: false, what: `log ${logPath} cannot be used`, wayOut: log.problem };
    default:
      return unreachable(log);
  }
}

/** A node runs without Python: only its command `python` fails then. */
function pythonFinding({ python }: Config): ExaminedThing {
  if (!python.enabled)
    return { ok: true, what: "python: off, as executors.python is not configured" };
  const interpreter = python.interpreter ?? "python3";
  const asked = spawnSync(interpreter, ["--version"], { encoding: "utf8", timeout: 5_000 });
  const what =
    asked.status === 0
      ? `python: ${interpreter} is ${asked.stdout.trim()}`
      : `python: no ${interpreter} that runs, so the command python fails; name one with executors.python.interpreter`;
  return { ok: true, what };
}

/** Whose the port is follows from the log: a node that runs holds both. */
async function port({ host, port: number }: Config, log: LogFile): Promise<ExaminedThing> {
  if (number === 0) return { ok: true, what: "port: the system chooses one" };
  const taken = await new Promise<boolean>((resolve) => {
    const socket = connect({ host, port: number });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
  const what = `${host}:${String(number)}`;
  if (!taken) return { ok: true, what: `${what} is free` };
  if (log.state === "in_use") return { ok: true, what: `${what}: the running node listens there` };
  const wayOut = "stop what listens there, or choose another with listen or DEED_LISTEN";
  return { ok: false, what: `${what} is taken by another program`, wayOut };
}

async function definitions(config: Config): Promise<readonly ExaminedThing[]> {
  const findings: ExaminedThing[] = [];
  const paths = [
    ...config.rules.map((path) => ({ member: "rules", path })),
    ...config.schedules.map((path) => ({ member: "schedules", path })),
  ];
  for (const { member, path } of paths) {
    const files = await filesIn(path, (message) => {
      findings.push({ ok: false, what: `${member} ${path}`, wayOut: message });
    });
    for (const file of files) {
      const what = `${member} ${file}`;
      const parsed = parseDefinitions(readFileSync(file, "utf8"), file);
      findings.push(
        parsed.ok
          ? { ok: true, what: `${what}: ${parsed.value.map(({ name }) => name).join(", ")}` }
          : { ok: false, what, wayOut: parsed.error.map(formatProblem).join("\n     ") },
      );
    }
  }
  return findings;
}

/** A node starts without a playbook that is not valid: what was registered before stays. It is told all the same. */
async function playbooks(config: Config): Promise<readonly ExaminedThing[]> {
  const { files, problems } = await findPlaybooks(config.playbooks.paths);
  const unread = problems.map((problem) => ({ ok: false, what: `playbooks ${problem}` }));
  const read = files.map((file): ExaminedThing => {
    const what = `playbook ${file.file}`;
    const source = readSource(file);
    if (source.ok) return { ok: true, what: `${what}: ${printable(source.value.path)}` };
    const told = source.error.map((problem) => printable(formatProblem(problem)));
    return { ok: false, what: `${what} cannot be run`, wayOut: told.join("\n     ") };
  });
  return [...unread, ...read];
}
