import { userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { startEngine, type RunningEngine } from "../../app/app.ts";
import type { Config } from "../../app/config.ts";
import { allowableKinds, allowKinds } from "../../app/executors.ts";
import { readClosure, type Closure } from "../../app/playbook-closure.ts";
import { resumeRun, startRun, type PlaybookRun } from "../../app/playbook-run.ts";
import { formatProblem } from "../../base/document.ts";
import type { JsonObject } from "../../base/json.ts";
import { nearest } from "../../base/nearest.ts";
import type { LogRecord } from "../../event/envelope.ts";
import { executionId } from "../../event/ids.ts";
import { LogError } from "../../log/log.ts";
import type { Context } from "../context.ts";
import { inputFlags, inputOf, type InputFlags } from "../inputs.ts";
import type { Io } from "../io.ts";
import { createApprovals } from "../progress/approvals.ts";
import type { Progress } from "../progress.ts";
import { createDisplay } from "../progress/display.ts";
import { reportOutcome } from "../progress/outcome.ts";
import { counted, Exit, exitCodes, printable } from "../terminal.ts";

type RunFlags = InputFlags & {
  readonly resume?: string;
  readonly data?: string;
  readonly playbooks?: string;
  readonly allow: string;
  readonly watch?: boolean;
  readonly yes?: boolean;
};

/** `deed run`: one playbook in this process, without a node. */
export function runCommand(program: Command, context: Context): void {
  const command = program
    .command("run [file]")
    .description("run a playbook here and now, without a node; its result goes to stdout");
  inputFlags(command)
    .option("--watch", "show how it goes on, on stderr (the default)")
    .option("--no-watch", "show nothing but the result")
    .option("--data <folder>", "where the log is (else the configuration's data)")
    .option("--playbooks <folder>", "where sub-playbooks are looked for (else the file's folder)")
    .option("--resume <id>", "go on with an execution that a run left behind")
    .option("--yes", "approve whatever asks for an approval")
    .addOption(
      new Option(
        "--allow <kinds>",
        `tools that may run although the configuration does not turn them on: ${allowableKinds.join(",")} or none`,
      ).default(allowableKinds.join(",")),
    )
    .addHelpText(
      "after",
      `
While it runs it is the node of its log: what else is open there goes on, too. Ctrl-C asks to cancel
and waits; a second one stops at once, and --resume, or deed start, brings the cancel to its end.

Exit codes: 0 completed, 1 failed, 2 not valid, 130 cancelled

Examples:
  deed run playbooks/invoices.yaml --input month=2026-10 --input 'customers=["north"]'
  deed run playbooks/invoices.yaml --input-file inputs.json --data /tmp/try > result.json`,
    )
    .action((file: string | undefined, flags: RunFlags, own: Command) =>
      runFile(context, { file, flags }, own),
    );
}

type Asked = { readonly file: string | undefined; readonly flags: RunFlags };

async function runFile(context: Context, { file, flags }: Asked, command: Command): Promise<void> {
  if ((file === undefined) === (flags.resume === undefined)) {
    throw new Exit(exitCodes.usage, "name a file, or an execution with --resume");
  }
  const payload = inputOf(context, flags);
  const config = configOf(context, { file, flags }, command);
  const closure = file === undefined ? undefined : await closureOf(file, flags.playbooks);
  let say = (message: string): void => {
    context.io.err(`deed: ${message}\n`);
  };
  const engine = await engineOf(config, (message, detail = {}) => {
    const { thrown } = detail;
    say(thrown instanceof Error ? `${message}: ${thrown.message}` : message);
  });
  try {
    if (closure !== undefined) {
      tellMissing(engine, closure, say);
      tellUnread(closure, payload, say);
    }
    tellOthers(engine, flags.resume, say);
    const held: LogRecord[] = [];
    let take = (record: LogRecord): void => void held.push(record);
    const options = { by: userInfo().username, onRecord: (record: LogRecord) => take(record) };
    const run =
      closure === undefined
        ? await resumeRun(engine, executionId(flags.resume ?? ""), options)
        : await startRun(engine, { closure, payload, env: envOf(context.io, config) }, options);
    const { json } = context.optionsOf(command);
    const quiet = json || flags.watch === false;
    const { nowMs } = engine.clock;
    const display = createDisplay(context.io, run.executionId, { quiet, nowMs });
    say = (message) => {
      display.say(`deed: ${message}`);
    };
    const approvals = createApprovals({
      io: context.io,
      display,
      yes: flags.yes === true,
      asks: !quiet && context.io.screen?.() !== undefined,
      answer: (action, approved) => {
        run.answer(action, approved).catch((thrown: unknown) => {
          say(`the answer was not recorded: ${String(thrown)}`);
        });
      },
    });
    take = ({ event }) => {
      display.take(event);
      approvals.look();
    };
    held.forEach(take);
    const stopped = await untilEnd({ io: context.io, engine, run, say });
    approvals.stop();
    // It may end while what runs is ended: then that is what is told.
    if (stopped) await engine.stop();
    display.end();
    if (stopped && !hasEnded(display.progress)) throw stoppedExit(run, flags);
    reportOutcome(context, display.progress, command);
  } finally {
    await engine.stop();
  }
}

/** Where the log is, what may run, and where scripts are looked for. */
function configOf(context: Context, { file, flags }: Asked, command: Command): Config {
  const { data, allow } = flags;
  const kinds = allow.split(",").map((kind) => kind.trim());
  const known: readonly string[] = [...allowableKinds, "none"];
  const foreign = kinds.find((kind) => !known.includes(kind));
  if (foreign !== undefined) {
    throw new Exit(exitCodes.usage, `--allow knows ${known.join(", ")}: got "${foreign}"`);
  }
  const allowed = allowKinds(context.configOf(command, true), kinds);
  const root = allowed.scripts.root ?? (file === undefined ? undefined : dirname(resolve(file)));
  const config = { ...allowed, scripts: { ...allowed.scripts, root } };
  if (data === undefined) return config;
  const folder = resolve(data);
  return { ...config, data: folder, logPath: join(folder, "deed.db") };
}

/** What the configuration lets playbooks see of the environment. */
function envOf({ env }: Io, { playbooks }: Config): JsonObject {
  const known = playbooks.env.filter((name) => env[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name, env[name]]));
}

async function closureOf(file: string, folder: string | undefined): Promise<Closure> {
  const closure = await readClosure(file, folder);
  if (closure.ok) return closure.value;
  const told = closure.error.map((problem) =>
    formatProblem({ ...problem, message: printable(problem.message) }),
  );
  throw new Exit(exitCodes.usage, [`${file} cannot be run`, ...told].join("\n"), closure.error);
}

async function engineOf(
  config: Config,
  warn: Parameters<typeof startEngine>[1],
): Promise<RunningEngine> {
  try {
    return await startEngine(config, warn);
  } catch (thrown) {
    if (!(thrown instanceof LogError) || thrown.code !== "locked") throw thrown;
    throw new Exit(
      exitCodes.failed,
      `Cannot run here as another process, probably a node, runs the log ${config.logPath}: ask that node with deed executions start, or name another folder with --data`,
    );
  }
}

/** Sub-playbooks that are not what the files say. */
function tellMissing(
  { kernel }: RunningEngine,
  { children, missing }: Closure,
  say: (message: string) => void,
): void {
  for (const path of missing) {
    if (kernel.playbooks.current(path) !== undefined) continue;
    say(`no file has the sub-playbook "${path}": name the folder that does with --playbooks`);
  }
  const entries = new Map(kernel.playbooks.entries().map((entry) => [entry.path, entry]));
  for (const { path, digest } of children) {
    const pinned = entries.get(path)?.pinned;
    if (pinned === undefined || pinned === digest) continue;
    say(`"${path}" is pinned on this log to ${pinned.slice(0, 12)}: that runs, not the file`);
  }
}

/** Inputs that the playbook neither declares nor names anywhere: most often a word that is spelt wrong. */
function tellUnread({ root }: Closure, payload: JsonObject, say: (message: string) => void): void {
  const declared = Object.keys(root.playbook.workload);
  for (const name of Object.keys(payload)) {
    if (declared.includes(name) || root.text.includes(name)) continue;
    const meant = nearest(name, declared);
    const known = declared.length === 0 ? "none" : declared.join(", ");
    const wayOut = meant === undefined ? `it has ${known}` : `did you mean "${meant}"?`;
    say(printable(`the playbook has no input "${name}": ${wayOut}`));
  }
}

/** Whoever runs one playbook should know what else begins to move. */
function tellOthers(
  { log }: RunningEngine,
  own: string | undefined,
  say: (message: string) => void,
): void {
  const others = log
    .openExecutions()
    .filter(
      ({ executionId: id, parentExecutionId }) => id !== own && parentExecutionId === undefined,
    );
  if (others.length === 0) return;
  say(
    `${counted(others.length, "other execution")} open on this log: ${others.length === 1 ? "it goes" : "they go"} on, too, while this one runs`,
  );
}

type Waiting = {
  readonly io: Io;
  readonly engine: RunningEngine;
  readonly run: PlaybookRun;
  readonly say: (message: string) => void;
};

/** @returns true where a person did not wait for the end. */
async function untilEnd({ io, engine, run, say }: Waiting): Promise<boolean> {
  const first = aborted(io.stopAsked());
  if (await isFirst(run.ended, first)) return false;
  say("cancel was asked for: Ctrl-C once more stops at once");
  await run.cancel("interrupted");
  const second = aborted(io.stopAsked());
  if (await isFirst(run.ended, second)) return false;
  engine.hurry();
  return true;
}

function isFirst(ended: Promise<void>, stop: Promise<void>): Promise<boolean> {
  return Promise.race([ended.then(() => true), stop.then(() => false)]);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else
      signal.addEventListener("abort", () => {
        done();
      });
  });
}

function hasEnded({ root, executions }: Progress): boolean {
  return executions.get(root)?.endedAtMs !== undefined;
}

/** It was asked to cancel before: whoever runs the log next brings that to its end. */
function stoppedExit({ executionId: id }: PlaybookRun, { data }: RunFlags): Exit {
  const where = data === undefined ? "" : ` --data ${data}`;
  const message = `stopped: its cancel is on the log, and is carried out by deed run --resume ${id}${where}, or a node on that log`;
  return new Exit(exitCodes.cancelled, message);
}
