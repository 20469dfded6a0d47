import { userInfo } from "node:os";
import type { Command } from "commander";
import type { ExecutionView } from "../../client/playbooks.ts";
import { wholeFlag, type Context } from "../context.ts";
import { inputFlags, inputOf, type InputFlags } from "../inputs.ts";
import { createProgress, foldProgress, type Progress } from "../progress.ts";
import { createDisplay, drawnText } from "../progress/display.ts";
import { reportOutcome } from "../progress/outcome.ts";
import { followTree, progressEventOf, treeOf } from "../progress/remote.ts";
import { Exit, exitCodes, spellMs, statusColour, text, type Terminal } from "../terminal.ts";
import { timelineLines } from "../timeline.ts";
import { wholeDigest } from "./catalog.ts";

/** Executions of playbooks on a node: start, list, watch, and what people ask of them. */
export function executionCommands(program: Command, context: Context): void {
  const executions = program
    .command("executions")
    .description("list executions of playbooks, newest first")
    .option("--status <statuses>", "comma-separated")
    .option("--playbook <path>", "of this playbook")
    .option("--roots", "without those that another execution asked for")
    .option("--limit <n>", "how many", wholeFlag, 20)
    .option("--cursor <cursor>", "the next page")
    .addHelpText("after", "\nExample: deed executions --status running,paused --roots")
    .action((flags: ListFlags, command: Command) => list(context, flags, command));
  startCommand(executions, context);
  program
    .command("execution <id>")
    .description("how an execution went: its steps, and its events")
    .option("--watch", "follow it until it ends")
    .addHelpText("after", "\nExample: deed execution 4610537407555297204 --watch")
    .action((id: string, { watch = false }: { watch?: boolean }, command: Command) =>
      watch ? follow(context, id, command) : show(context, id, command),
    );
  controlCommands(program, context);
  rerunCommand(program, context);
}

type ListFlags = {
  readonly status?: string;
  readonly playbook?: string;
  readonly roots?: boolean;
  readonly limit: number;
  readonly cursor?: string;
};

async function list(context: Context, flags: ListFlags, command: Command): Promise<void> {
  const terminal = context.terminalOf(command);
  const answer = await context.clientOf(command).executions({
    limit: flags.limit,
    ...(flags.status === undefined ? {} : { status: flags.status }),
    ...(flags.playbook === undefined ? {} : { playbook: flags.playbook }),
    ...(flags.roots === true ? { roots: "true" } : {}),
    ...(flags.cursor === undefined ? {} : { cursor: flags.cursor }),
  });
  terminal.result(answer, () =>
    terminal.table(
      ["requested", "execution", "status", "playbook", "took", "error", "failed steps"],
      answer.executions.map((one) => [
        text(one["requested_at"]),
        one.execution_id,
        one.status,
        one.playbook,
        tookText(one),
        text(one["error_kind"]),
        text(one["failed_steps"]),
      ]),
    ),
  );
  if (answer.next_cursor !== undefined) terminal.say(`more: --cursor ${answer.next_cursor}`);
}

function tookText({ requested_at: from, ended_at: to }: ExecutionView): string {
  if (typeof from !== "string" || typeof to !== "string") return "";
  return spellMs(Date.parse(to) - Date.parse(from));
}

type StartFlags = InputFlags & {
  readonly digest?: string;
  readonly key?: string;
  readonly wait?: number;
  readonly watch?: boolean;
};

function startCommand(executions: Command, context: Context): void {
  const command = executions
    .command("start <path>")
    .description("run a registered playbook on the node");
  inputFlags(command)
    .option(
      "--digest <digest>",
      "this version, by the beginning of its digest (else the one that stands at the path)",
    )
    .option("--key <key>", "idempotency key: asking twice with one key is one execution")
    .option("--wait <seconds>", "wait for the outcome; at most 300", wholeFlag)
    .option("--watch", "show how it goes on until it ends; its result goes to stdout")
    .addHelpText(
      "after",
      "\nExample: deed executions start finance/invoices --input month=2026-10 --watch",
    )
    .action(async (path: string, flags: StartFlags, own: Command) => {
      const { digest, wait, key, watch } = flags;
      const client = context.clientOf(own);
      const execution = await client.runPlaybook(
        {
          playbook: path,
          input: inputOf(context, flags),
          ...(await wholeDigest(client, path, digest)),
        },
        {
          ...(wait === undefined ? {} : { waitSec: wait }),
          ...(key === undefined ? {} : { idempotencyKey: key }),
        },
      );
      if (watch === true) await follow(context, execution.execution_id, own);
      else tell(context, execution, own);
    });
}

function tell(context: Context, execution: ExecutionView, command: Command): void {
  const terminal = context.terminalOf(command);
  terminal.result(execution, () => summary(terminal, execution));
  if (execution.status === "failed") throw new Exit(exitCodes.failed, "");
  if (execution.status === "cancelled") throw new Exit(exitCodes.cancelled, "");
}

function summary(terminal: Terminal, execution: ExecutionView): string {
  const { execution_id: id, status, playbook } = execution;
  const lines = [`${id} ${playbook} ${terminal.paint(statusColour(status), status)}`];
  if (execution["duplicate"] === true)
    lines.push("the key was used before: this is that execution");
  if (execution["error"] !== undefined) lines.push(`error: ${text(execution["error"])}`);
  if (execution["result"] !== undefined) {
    lines.push(`result: ${JSON.stringify(execution["result"])}`);
  }
  return lines.join("\n");
}

/** Shows an execution until it ends, or a person does not wait for it: then it goes on. */
async function follow(context: Context, id: string, command: Command): Promise<void> {
  const client = context.clientOf(command);
  const asked = context.io.stopAsked();
  const over = new AbortController();
  const signal = AbortSignal.any([asked, over.signal]);
  const { json } = context.optionsOf(command);
  const display = createDisplay(context.io, id, { quiet: json, nowMs: Date.now });
  try {
    for await (const record of followTree(client, id, signal)) {
      display.take(progressEventOf(record));
      if (hasEnded(display.progress)) over.abort();
    }
  } finally {
    display.end();
  }
  if (!hasEnded(display.progress)) {
    throw new Exit(exitCodes.cancelled, `${id} goes on: deed execution ${id} --watch`);
  }
  reportOutcome(context, display.progress, command);
}

function hasEnded({ root, executions }: Progress): boolean {
  return executions.get(root)?.endedAtMs !== undefined;
}

async function show(context: Context, id: string, command: Command): Promise<void> {
  const terminal = context.terminalOf(command);
  const client = context.clientOf(command);
  const execution = await client.execution(id);
  const records = await treeOf(client, id);
  const progress = records.map(progressEventOf).reduce(foldProgress, createProgress(id));
  const own = records.filter(({ event }) => event["execution_id"] === id);
  terminal.result({ execution, events: records }, () =>
    [drawnText(context.io, progress, Date.now()), "", ...timelineLines(terminal, own)].join("\n"),
  );
}

function controlCommands(program: Command, context: Context): void {
  const words = {
    pause: "hold an execution: what runs ends, nothing new begins",
    resume: "let a paused execution go on",
  } as const;
  for (const word of ["pause", "resume"] as const) {
    program
      .command(`${word} <id>`)
      .description(words[word])
      .option("--reason <why>", "why; it is recorded")
      .addHelpText("after", `\nExample: deed ${word} 4610537407555297204`)
      .action(async (id: string, { reason }: { reason?: string }, command: Command) => {
        const client = context.clientOf(command);
        const ask = word === "pause" ? client.pauseExecution : client.resumeExecution;
        const body = { by: userInfo().username, ...(reason === undefined ? {} : { reason }) };
        const execution = await ask(id, body);
        const terminal = context.terminalOf(command);
        terminal.result(execution, () => summary(terminal, execution));
      });
  }
}

type RerunFlags = InputFlags & {
  readonly from?: string;
  readonly digest?: string;
  readonly watch?: boolean;
};

function rerunCommand(program: Command, context: Context): void {
  const command = program
    .command("rerun <id>")
    .description("run an execution that has ended again, as a new one");
  inputFlags(command)
    .option("--from <step>", "begin at this step, with what the former one knew there")
    .option(
      "--digest <digest>",
      "with this version of the playbook, by the beginning of its digest (else the former's)",
    )
    .option("--watch", "show how it goes on until it ends")
    .addHelpText("after", "\nExample: deed rerun 4610537407555297204 --from send --input dry=false")
    .action(async (id: string, flags: RerunFlags, own: Command) => {
      const { from, digest, watch } = flags;
      const client = context.clientOf(own);
      const path = digest === undefined ? "" : (await client.execution(id)).playbook;
      const execution = await client.rerunExecution(id, {
        input: inputOf(context, flags),
        ...(from === undefined ? {} : { from_step: from }),
        ...(await wholeDigest(client, path, digest)),
      });
      if (watch === true) await follow(context, execution.execution_id, own);
      else tell(context, execution, own);
    });
}
