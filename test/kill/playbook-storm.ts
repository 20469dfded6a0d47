/**
 * Runs a storm of playbooks: the real program, killed at the planned instants, and the processes that it runs.
 *
 * 1. What is killed is the node itself, or a process that it has started: found by their parent.
 * 2. An execution is asked for under its key until it is acknowledged.
 * 3. After the last kill the node runs until every execution has ended, is stopped, and then its log is read.
 */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createSystemClock } from "../../src/app/system-clock.ts";
import { ClientError, type Client } from "../../src/client/client.ts";
import type { LogRecord } from "../../src/event/envelope.ts";
import type { ActionRow, ExecutionRow } from "../../src/log/log.ts";
import { openSqliteLog } from "../../src/log/sqlite/sqlite-log.ts";
import type { Node } from "../program.ts";
import { playbookFiles, playbookTexts, type PlaybookPlan, type Victim } from "./playbook-plan.ts";
import { createServer, endedByItself, linesOf, readLog, sleep, watchFor } from "./storm.ts";

export type PlaybookStorm = {
  readonly records: readonly LogRecord[];
  readonly rows: readonly ActionRow[];
  readonly executions: readonly ExecutionRow[];
  /** The keys of all that was done outside: by Python and shell in a file, by HTTP at a server. */
  readonly effects: readonly string[];
  /** How many of each really died. */
  readonly killed: Readonly<Record<Victim, number>>;
};

/** A program of the shell tool lives for a moment only: one is waited for so long. */
const seenMsMax = 1_000;

/** All must have ended so long after the last kill. */
const restMsMax = 120_000;

/** The same executions twice, each in a folder of its own: without kills, and with them. */
export async function stormAndCalm(
  plan: PlaybookPlan,
  folder: string,
  progress?: (kills: number) => void,
): Promise<{ readonly calm: PlaybookStorm; readonly storm: PlaybookStorm }> {
  const inside = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path);
    return path;
  };
  const calm = await runPlaybookStorm({ plan: { ...plan, kills: [] }, folder: inside("calm") });
  const again = { plan, folder: inside("storm") };
  const storm = await runPlaybookStorm(progress === undefined ? again : { ...again, progress });
  return { calm, storm };
}

async function runPlaybookStorm(options: {
  readonly plan: PlaybookPlan;
  /** An empty folder. */
  readonly folder: string;
  readonly progress?: (kills: number) => void;
}): Promise<PlaybookStorm> {
  const { plan, folder } = options;
  for (const [name, content] of Object.entries(playbookFiles))
    writeFileSync(join(folder, name), content, { mode: 0o755 });
  const target = await startTarget();
  const server = createServer(folder);
  const killed = { node: 0, python: 0, shell: 0 };
  let asked = 0;
  const watch = watchFor(() => asked + killed.node + killed.python + killed.shell);
  watch.stalled.catch(() => undefined);
  let node = server.start();
  try {
    const load = ask(plan, { client: server.client, url: target.url, asked: () => (asked += 1) });
    load.catch(() => undefined);
    for (const [index, { victim, afterMs }] of plan.kills.entries()) {
      if (victim !== "node") await Promise.race([node.ready, watch.stalled]);
      await sleep(afterMs);
      if (victim === "node") {
        await server.kill();
        killed.node += 1;
        node = server.start();
      } else if (await killNext(node, victim)) killed[victim] += 1;
      options.progress?.(index + 1);
    }
    await Promise.race([load, endedByItself(node), watch.stalled]);
    await Promise.race([untilEnded(await server.client()), endedByItself(node)]);
    const { code } = await node.stop();
    if (code !== 0) throw new Error(`SIGTERM ended it with ${String(code)}: ${node.stderr()}`);
  } finally {
    watch.stop();
    await server.kill().catch(() => undefined);
    target.close();
  }
  // Orphans of nodes that were killed have a moment to do what they were at.
  await sleep(300);
  const path = join(folder, "data", "deed.db");
  return {
    ...(await readLog(path)),
    executions: await executionsOf(path),
    effects: [...linesOf(join(folder, "effects.txt")), ...target.effects],
    killed,
  };
}

/** Registers the playbooks and asks for the executions, spread over the kills. */
async function ask(
  { runs, kills }: PlaybookPlan,
  to: {
    readonly client: () => Promise<Client>;
    readonly url: string;
    readonly asked: () => void;
  },
): Promise<void> {
  const insist = async (send: (client: Client) => Promise<unknown>): Promise<void> => {
    for (;;) {
      const client = await to.client();
      try {
        await send(client);
        return;
      } catch (thrown) {
        if (!(thrown instanceof ClientError) || thrown.status !== 0) throw thrown;
      }
    }
  };
  for (const text of playbookTexts) await insist((client) => client.registerPlaybook({ text }));
  const pauseMs = Math.min(1_000, (kills.length * 900) / runs.length);
  for (const [index, { playbook, n }] of runs.entries()) {
    const body = { playbook, input: { n, url: to.url } };
    await insist((client) => client.runPlaybook(body, { idempotencyKey: `run/${String(index)}` }));
    to.asked();
    await sleep(pauseMs);
  }
}

/** A server that counts what it was asked for. */
async function startTarget(): Promise<{
  readonly url: string;
  readonly effects: readonly string[];
  readonly close: () => void;
}> {
  const effects: string[] = [];
  const server: HttpServer = createHttpServer((request, response) => {
    effects.push((request.url ?? "").slice(1));
    setTimeout(() => {
      response.setHeader("content-type", "application/json");
      response.end(`{"ok":true}`);
    }, 30);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${String(port)}`,
    effects,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Kills the next process of that kind that is seen. */
async function killNext(node: Node, victim: "python" | "shell"): Promise<boolean> {
  const endMs = performance.now() + seenMsMax;
  while (performance.now() < endMs) {
    if (killChild(node, victim)) return true;
    await sleep(3);
  }
  return false;
}

/** Kills one process that the node has started. False where none of that kind runs now. */
function killChild(node: Node, victim: "python" | "shell"): boolean {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      if (parent !== node.pid) continue;
      const isPython = readFileSync(`/proc/${entry}/cmdline`, "utf8").includes("-X\0utf8");
      if (isPython !== (victim === "python")) continue;
      process.kill(Number(entry), "SIGKILL");
      return true;
    } catch {
      // It ended in the meantime.
    }
  }
  return false;
}

async function untilEnded(client: Client): Promise<void> {
  const endMs = performance.now() + restMsMax;
  while (performance.now() < endMs) {
    const open = { status: "requested,running,paused", limit: "1" };
    const { executions } = await client.executions(open);
    if (executions.length === 0) return;
    await sleep(50);
  }
}

async function executionsOf(path: string): Promise<readonly ExecutionRow[]> {
  const log = await openSqliteLog({ path, clock: createSystemClock() });
  try {
    const rows: ExecutionRow[] = [];
    for (let before = log.head() + 1; ;) {
      const page = await log.listExecutions({ before, limit: 500 });
      rows.push(...page);
      const last = page.at(-1);
      if (last === undefined) return rows;
      before = last.requestOffset;
    }
  } finally {
    await log.close();
  }
}
