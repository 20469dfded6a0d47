import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { createSystemClock } from "../app/system-clock.ts";
import { loadConfig, type Config, type Environment } from "../app/config.ts";
import { filesIn } from "../app/rule-files.ts";
import { formatProblem } from "../base/document.ts";
import { parseRules } from "../decider/rule.ts";
import { LogError } from "../log/log.ts";
import { openSqliteLog } from "../log/sqlite/sqlite-log.ts";

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
  findings.push(dataFolder(config.value), await logFile(config.value), await port(config.value));
  return [...findings, ...(await rules(config.value))];
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

async function logFile({ logPath }: Config): Promise<ExaminedThing> {
  if (!existsSync(logPath))
    return { ok: true, what: `log ${logPath}: will be made at the first start` };
  try {
    const log = await openSqliteLog({
      path: logPath,
      clock: createSystemClock(),
      checkBytesMax: Number.MAX_SAFE_INTEGER,
    });
    const head = log.head();
    await log.close();
    return { ok: true, what: `log ${logPath}: whole, newest offset ${String(head)}` };
  } catch (thrown) {
    if (thrown instanceof LogError && thrown.code === "locked") {
      return { ok: true, what: `log ${logPath}: a node is running on it` };
    }
    const wayOut = thrown instanceof Error ? thrown.message : String(thrown);
    return { ok: false, what: `log ${logPath} cannot be used`, wayOut };
  }
}

async function port({ host, port: number }: Config): Promise<ExaminedThing> {
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
  return {
    ok: true,
    what: taken
      ? `${what}: something listens there (a running node, or choose another listen)`
      : `${what} is free`,
  };
}

async function rules(config: Config): Promise<readonly ExaminedThing[]> {
  const findings: ExaminedThing[] = [];
  for (const path of config.rules) {
    const files = await filesIn(path, (message) => {
      findings.push({ ok: false, what: `rules ${path}`, wayOut: message });
    });
    for (const file of files) {
      const parsed = parseRules(readFileSync(file, "utf8"), file);
      findings.push(
        parsed.ok
          ? { ok: true, what: `rules ${file}: ${parsed.value.map((rule) => rule.name).join(", ")}` }
          : {
              ok: false,
              what: `rules ${file}`,
              wayOut: parsed.error.map(formatProblem).join("\n     "),
            },
      );
    }
  }
  return findings;
}
