/**
 * Runs a storm: the real program, real requests over HTTP, SIGKILL at the planned instants.
 *
 * 1. A submission is repeated under its key until it is acknowledged; nothing else is.
 * 2. The program is killed and started again on the same folder, never two at one time.
 * 3. After the last kill it runs until nothing is open, is stopped as an operator stops it, and only
 *    then its log is read.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSystemClock } from "../../src/app/system-clock.ts";
import { createClient, ClientError, type Client } from "../../src/client/client.ts";
import type { LogRecord } from "../../src/event/envelope.ts";
import type { ActionRow, Log } from "../../src/log/log.ts";
import { openSqliteLog } from "../../src/log/sqlite/sqlite-log.ts";
import { startNode, type Node } from "../program.ts";
import type { Answer, Evidence } from "./audit.ts";
import { actionBody, files, observation, type Kill, type Plan, type Submission } from "./plan.ts";

export type StormOptions = {
  readonly plan: Plan;
  /** An empty folder. */
  readonly folder: string;
  readonly inFlightMax?: number;
  /** Called after each kill. */
  readonly progress?: (so: { readonly kills: number; readonly answers: number }) => void;
};

export type Storm = Evidence & {
  /** From the start of each process to its ready line, milliseconds. */
  readonly restartsMs: readonly number[];
  /** Submissions that a kill left without an answer and that were sent again. */
  readonly resent: number;
};

const inFlightMaxDefault = 32;

/** Nothing killed and nothing acknowledged for so long: the storm has failed. */
const stalledMs = 60_000;

/** What is still open so long after the last kill does not come to an end. */
const restMsMax = 45_000;

export async function runStorm(options: StormOptions): Promise<Storm> {
  const { plan, folder } = options;
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), content, { mode: 0o755 });
  const server = createServer(folder);
  const load = createLoad(plan, server.client);
  const so = { kills: 0 };
  const watch = watchFor(() => so.kills + load.answered());
  const done = load.run(options.inFlightMax ?? inFlightMaxDefault);
  const failed = Promise.race([watch.stalled, done.then(() => watch.stalled)]);
  failed.catch(() => undefined);
  try {
    for (const kill of plan.kills) {
      const node = server.start();
      await Promise.race([untilKill(kill, node, load), failed]);
      await server.kill();
      so.kills += 1;
      options.progress?.({ kills: so.kills, answers: load.answered() });
    }
    const last = server.start();
    await Promise.race([done, endedByItself(last), failed]);
    await Promise.race([untilRest(await server.client()), endedByItself(last)]);
    const { code } = await last.stop();
    if (code !== 0) throw new Error(`SIGTERM ended it with ${String(code)}: ${last.stderr()}`);
  } finally {
    watch.stop();
    await server.kill().catch(() => undefined);
  }
  return {
    submissions: plan.submissions,
    answers: load.answers,
    ...(await readLog(join(folder, "data", "deed.db"))),
    effects: linesOf(join(folder, "effects.txt")),
    restartsMs: server.startsMs,
    resent: load.resent(),
  };
}

/** `stalled` rejects once `count` has stood still for too long. */
export function watchFor(count: () => number): {
  readonly stalled: Promise<never>;
  readonly stop: () => void;
} {
  let last = count();
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const now = count();
      if (now === last) reject(new Error(`Nothing moved for ${String(stalledMs)} ms`));
      last = now;
    }, stalledMs);
  });
  return {
    stalled,
    stop: () => {
      clearInterval(timer);
    },
  };
}

async function untilKill(kill: Kill, node: Node, load: Load): Promise<void> {
  if (kill.when === "starting") return sleep(kill.afterMs);
  await node.ready;
  await Promise.race([load.reached(kill.afterAnswers), endedByItself(node)]);
  await sleep(kill.delayMs);
}

export async function endedByItself(node: Node): Promise<never> {
  const { code, signal } = await node.exited;
  throw new Error(
    `The program ended by itself (${String(signal ?? code)}): ${node.stderr().slice(-2_000)}`,
  );
}

type Server = {
  readonly start: () => Node;
  readonly kill: () => Promise<void>;
  /** A client of the program that runs, once it is ready. */
  readonly client: () => Promise<Client>;
  readonly startsMs: readonly number[];
};

/** The one program of the storm, with a gate that is open while it serves. */
export function createServer(folder: string): Server {
  const startsMs: number[] = [];
  let node: Node | undefined;
  let gate = createGate();
  return {
    startsMs,
    start: () => {
      const beganMs = performance.now();
      const started = startNode({ folder });
      node = started;
      void started.ready.then(
        ({ url }) => {
          startsMs.push(performance.now() - beganMs);
          if (node === started) gate.open(createClient({ url }));
        },
        () => undefined,
      );
      return started;
    },
    kill: async () => {
      const killed = node;
      node = undefined;
      // Who waits at a gate that never opened goes on waiting there.
      if (gate.isOpen()) gate = createGate();
      if (killed === undefined) return;
      const { signal } = await killed.kill();
      if (signal !== "SIGKILL") await endedByItself(killed);
    },
    client: () => gate.client,
  };
}

type Gate = {
  readonly client: Promise<Client>;
  readonly open: (client: Client) => void;
  readonly isOpen: () => boolean;
};

function createGate(): Gate {
  let resolve: (client: Client) => void = () => undefined;
  let opened = false;
  const client = new Promise<Client>((settle) => {
    resolve = settle;
  });
  return {
    client,
    open: (to) => {
      opened = true;
      resolve(to);
    },
    isOpen: () => opened,
  };
}

type Load = {
  readonly run: (inFlightMax: number) => Promise<void>;
  readonly reached: (answers: number) => Promise<void>;
  readonly answered: () => number;
  readonly resent: () => number;
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
};

function createLoad({ submissions }: Plan, clientNow: () => Promise<Client>): Load {
  const answers = new Map<string, Answer[]>();
  const waiting = new Set<() => void>();
  let next = 0;
  let answered = 0;
  let resent = 0;

  /** Sends until there is an answer. A refusal is a fault of the storm or of the program: it ends all. */
  const insist = async <T>(send: (client: Client) => Promise<T>): Promise<T> => {
    for (;;) {
      const client = await clientNow();
      try {
        return await send(client);
      } catch (thrown) {
        if (!(thrown instanceof ClientError) || thrown.status !== 0) throw thrown;
        resent += 1;
      }
    }
  };

  const lane = async (): Promise<void> => {
    for (;;) {
      const submission = submissions[next];
      next += 1;
      if (submission === undefined) return;
      const answer = await insist((client) => submit(client, submission));
      answers.set(submission.key, [...(answers.get(submission.key) ?? []), answer]);
      answered += 1;
      for (const wake of waiting) wake();
      if (submission.cancel) await insist((client) => cancel(client, answer.id));
    }
  };

  return {
    run: async (inFlightMax) => {
      await Promise.all(Array.from({ length: inFlightMax }, lane));
    },
    reached: (count) =>
      new Promise((resolve) => {
        const wake = (): void => {
          if (answered < count) return;
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        wake();
      }),
    answered: () => answered,
    resent: () => resent,
    answers,
  };
}

async function submit(client: Client, submission: Submission): Promise<Answer> {
  if (submission.kind === "observed") {
    const { receipts } = await client.publish([observation(submission)]);
    const [receipt] = receipts as unknown as {
      event_id: string;
      offset: number;
      duplicate: boolean;
    }[];
    return { id: receipt!.event_id, offset: receipt!.offset, duplicate: receipt!.duplicate };
  }
  const action = await client.request(actionBody(submission), { idempotencyKey: submission.key });
  return {
    id: action.action_id,
    offset: Number(action["offset"]),
    duplicate: action["duplicate"] === true,
  };
}

/** An action that has ended already cannot be cancelled; of one that is gone the audit tells. */
async function cancel(client: Client, id: string): Promise<void> {
  try {
    await client.cancel(id, { reason: "storm" });
  } catch (thrown) {
    const expected = ["conflict", "not_found"];
    if (!(thrown instanceof ClientError) || !expected.includes(thrown.kind)) throw thrown;
  }
}

/** Until nothing is open, or for so long that the audit has to tell what still is. */
async function untilRest(client: Client): Promise<void> {
  const endMs = performance.now() + restMsMax;
  while (performance.now() < endMs) {
    const { actions } = await client.actions({
      status: "requested,accepted,started,retrying",
      limit: "1",
    });
    if (actions.length === 0) return;
    await sleep(50);
  }
}

export async function readLog(
  path: string,
): Promise<{ readonly records: readonly LogRecord[]; readonly rows: readonly ActionRow[] }> {
  const log = await openSqliteLog({ path, clock: createSystemClock() });
  try {
    return { records: await allRecords(log), rows: await allRows(log) };
  } finally {
    await log.close();
  }
}

async function allRecords(log: Log): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = [];
  for (let from = 1; from <= log.head(); from = (records.at(-1)?.offset ?? log.head()) + 1)
    records.push(...(await log.read({ from, limit: 1_000 })));
  return records;
}

async function allRows(log: Log): Promise<readonly ActionRow[]> {
  const rows: ActionRow[] = [];
  for (let before = log.head() + 1; ;) {
    const page = await log.listActions({ before, limit: 500 });
    rows.push(...page);
    const last = page.at(-1);
    if (last === undefined) return rows;
    before = last.requestOffset;
  }
}

export function linesOf(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
