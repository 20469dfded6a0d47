/**
 * The field's headline workload: patients' records of five kinds and their assessments, fetched over HTTP from a
 * test server whose delays and rate limit are off, and saved to PostgreSQL.
 *
 *     npm run bench -- pft --playbooks <folder> [--shape batched|naive] [--facilities 10] [--patients 1000]
 *                          [--minutes 30]     after which a run is stopped: its figures are of what it did till then
 *
 * The folder holds `playbooks/pft_flow_test/` and `test-server.mjs`, as `npm run compat` takes it. The playbooks are
 * run as they are, by one node: log on disk, fsync on. Test server and PostgreSQL have processes of their own.
 *
 * - batched: sixteen slots claim 25 patients at a time, one call for all of them.
 * - naive: one call and one save for every patient and kind, and every assessment, one after another.
 * - node_cpu: CPU time of this process, in which the node is all that runs: log, deciders, and the clients of HTTP
 *   and PostgreSQL. Its share of the wall time can exceed 100 % with several threads.
 * - uncovered: wall time in which no action runs, from `action.started` to its end, by the events' own
 *   milliseconds. It is less than the engine's share: the start is committed before the tool begins, and that
 *   commit counts as the action's, as does what overlaps where actions run side by side.
 * - http_ms_mean, postgres_ms_mean: of an action, from start to end. http_ms_plain: of a call of the baseline.
 * - baseline: the same HTTP calls made by a plain loop, as many at a time, no engine and no PostgreSQL.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { LogRecord } from "../src/event/envelope.ts";
import { noPostgres, startPostgres, type TestPostgres } from "../test/postgres.ts";
import { readPlaybooks, startCompatNode, startTestServer } from "../tools/compat-node.ts";

const { values } = parseArgs({
  options: {
    playbooks: { type: "string" },
    shape: { type: "string" },
    facilities: { type: "string", default: "10" },
    patients: { type: "string", default: "1000" },
    minutes: { type: "string", default: "30" },
  },
});

type Shape = {
  readonly name: string;
  readonly file: string;
  /** HTTP calls at one time. */
  readonly lanes: number;
};

const shapes: readonly Shape[] = [
  { name: "batched", file: "pft_flow_test/test_pft_flow.yaml", lanes: 16 },
  { name: "naive", file: "pft_flow_test/test_pft_flow_v2.yaml", lanes: 1 },
];

/** The test server admits 50 calls a second to what is asked one by one: a delay by another name. */
const noRateLimit = { PFT_RATE_LIMIT: "1000000000" };

const facilities = Number(values.facilities);
const patients = Number(values.patients);
const minutes = Number(values.minutes);
const chosen = shapes.filter(({ name }) => values.shape === undefined || values.shape === name);
if (chosen.length === 0) throw new Error("--shape is batched or naive");

const folder = values.playbooks === undefined ? undefined : resolve(values.playbooks);
const lacks = lacking(folder);
if (folder === undefined || lacks !== undefined) console.log(`skipped: ${lacks ?? ""}`);
else {
  const postgres = await startPostgres();
  try {
    for (const shape of chosen) await measure(shape, { folder, postgres });
  } finally {
    await postgres.stop();
  }
}

/** Why nothing can be measured here. */
function lacking(from: string | undefined): string | undefined {
  if (from === undefined) return "name the folder of the playbooks: --playbooks <folder>";
  const missing = ["test-server.mjs", ...chosen.map(({ file }) => join("playbooks", file))].find(
    (file) => !existsSync(join(from, file)),
  );
  if (missing !== undefined) return `${missing} is missing in ${from}`;
  return noPostgres;
}

async function measure(
  shape: Shape,
  on: { readonly folder: string; readonly postgres: TestPostgres },
): Promise<void> {
  if (shape.name === "batched" && facilities > 1 && patients !== 1_000) {
    console.log("batched skipped: the playbook numbers 1000 patients a facility: --facilities 1");
    return;
  }
  const playbooks = join(on.folder, "playbooks");
  const known = readPlaybooks(playbooks).files.get(shape.file);
  if (known === undefined) throw new Error(`${shape.file} is no playbook`);
  await on.postgres.empty();
  const server = await startTestServer(on.folder, noRateLimit);
  try {
    const node = await startCompatNode({
      playbooks,
      mapping: join("tools", "compat.yaml"),
      server: server.url,
      postgres: on.postgres,
    });
    const seen = watch();
    const payload = {
      api_url: server.url,
      num_facilities: facilities,
      patients_per_facility: patients,
    };
    let figures;
    try {
      await node.register([known]);
      node.log.onCommit(seen.add);
      const startedMs = performance.now();
      const cpu = process.cpuUsage();
      const finished = await node.runOnly(known.path, payload, minutes * 60_000).then(
        () => true,
        (thrown: unknown) => {
          console.log(`${shape.name}: ${String(thrown)}; the figures are of its beginning`);
          return false;
        },
      );
      const wallMs = performance.now() - startedMs;
      const { user, system } = process.cpuUsage(cpu);
      figures = { finished, wallMs, cpuMs: (user + system) / 1_000 };
      if (seen.failure !== undefined) throw new Error(`${shape.name} failed: ${seen.failure}`);
    } finally {
      await node.stop();
    }
    const baselineMs = await plainLoop(seen.calls, shape.lanes);
    print(shape, { ...figures, baselineMs, seen });
  } finally {
    server.stop();
  }
}

type Seen = {
  readonly add: (records: readonly LogRecord[]) => void;
  /** Addresses that were called, in order. */
  readonly calls: readonly string[];
  readonly counts: { events: number; actions: number };
  /** Milliseconds in which at least one action ran. */
  readonly coveredMs: () => number;
  /** Milliseconds that an action of this command ran, on average. */
  readonly meanMs: (command: string) => number;
  /** What the execution failed of. */
  failure: string | undefined;
};

function watch(): Seen {
  const calls: string[] = [];
  const counts = { events: 0, actions: 0 };
  const running = new Map<string, number>();
  const commands = new Map<string, string>();
  const spans: { readonly from: number; readonly to: number; readonly command: string }[] = [];
  const add = ({ event }: LogRecord): void => {
    const { event_type: type, action_id: action = "", attrs } = event;
    counts.events += 1;
    if (type === "execution.failed") seen.failure = JSON.stringify(attrs).slice(0, 2_000);
    if (type === "action.requested") {
      counts.actions += 1;
      const command = attrs["command"] as string;
      commands.set(action, command);
      if (command === "http") calls.push(address(attrs["args"] as HttpArgs));
    }
    if (type === "action.started") running.set(action, Date.parse(event.ts));
    const since = running.get(action);
    if (since === undefined || !isEnd(type)) return;
    running.delete(action);
    spans.push({ from: since, to: Date.parse(event.ts), command: commands.get(action) ?? "" });
    commands.delete(action);
  };
  const seen: Seen = {
    add: (records) => {
      for (const record of records) add(record);
    },
    calls,
    counts,
    failure: undefined,
    coveredMs: () => {
      let [covered, until] = [0, 0];
      for (const { from, to } of spans.sort((left, right) => left.from - right.from)) {
        covered += Math.max(0, to - Math.max(from, until));
        until = Math.max(until, to);
      }
      return covered;
    },
    meanMs: (command) => {
      const those = spans.filter((span) => span.command === command);
      return those.reduce((sum, { from, to }) => sum + to - from, 0) / those.length;
    },
  };
  return seen;
}

function isEnd(type: string): boolean {
  return /^action\.(succeeded|failed|timed_out|cancelled)$/.test(type);
}

type HttpArgs = {
  readonly url: string;
  readonly params: { readonly [name: string]: string | number };
};

function address({ url, params }: HttpArgs): string {
  const whole = new URL(url);
  for (const [name, value] of Object.entries(params)) whole.searchParams.set(name, String(value));
  return whole.href;
}

/** Milliseconds for all calls, each answer read as JSON. */
async function plainLoop(calls: readonly string[], lanes: number): Promise<number> {
  const startedMs = performance.now();
  const rest = calls.values();
  const lane = async (): Promise<void> => {
    for (const url of rest) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`${url}: ${String(answer.status)}`);
      await answer.json();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return performance.now() - startedMs;
}

function print(
  shape: Shape,
  given: {
    readonly finished: boolean;
    readonly wallMs: number;
    readonly cpuMs: number;
    readonly baselineMs: number;
    readonly seen: Seen;
  },
): void {
  const { finished, wallMs, cpuMs, baselineMs, seen } = given;
  const { events, actions } = seen.counts;
  const figures = {
    facilities,
    patients_each: patients,
    finished,
    wall_s: tenth(wallMs / 1_000),
    http_calls: seen.calls.length,
    actions,
    events,
    actions_per_s: tenth((1_000 * actions) / wallMs),
    ms_per_action: Math.round((1_000 * wallMs) / actions) / 1_000,
    node_cpu_s: tenth(cpuMs / 1_000),
    node_cpu_percent_of_wall: tenth((100 * cpuMs) / wallMs),
    http_ms_mean: tenth(seen.meanMs("http")),
    http_ms_plain: tenth((shape.lanes * baselineMs) / seen.calls.length),
    postgres_ms_mean: tenth(seen.meanMs("postgres")),
    uncovered_percent_of_wall: tenth((100 * (wallMs - seen.coveredMs())) / wallMs),
    baseline_s: tenth(baselineMs / 1_000),
    wall_to_baseline: tenth(wallMs / baselineMs),
    rss_peak_mib: Math.round(process.resourceUsage().maxRSS / 1_024),
  };
  for (const [name, figure] of Object.entries(figures))
    console.log(`${`${shape.name}_${name}`.padEnd(36)} ${String(figure)}`);
}

function tenth(figure: number): number {
  return Math.round(10 * figure) / 10;
}
