/** The commands, and how each of them ends. */
import { Command, CommanderError, Option } from "commander";
import { isJsonObject } from "../base/json.ts";
import { ClientError } from "../client/client.ts";
import { toDeedError } from "../event/error.ts";
import { LogError } from "../log/log.ts";
import { actionCommands } from "./commands/actions.ts";
import { approvalCommands } from "./commands/approvals.ts";
import { deadLetterCommands } from "./commands/dead-letters.ts";
import { executionCommands } from "./commands/executions.ts";
import { fileCommands } from "./commands/files.ts";
import { playbookCommands } from "./commands/playbooks.ts";
import { runCommand } from "./commands/run.ts";
import { startCommand } from "./commands/start.ts";
import { tailCommand } from "./commands/tail.ts";
import { createContext, variable } from "./context.ts";
import type { Io } from "./io.ts";
import { Exit, exitCodes, printable } from "./terminal.ts";

const groups = [
  startCommand,
  runCommand,
  fileCommands,
  playbookCommands,
  executionCommands,
  approvalCommands,
  actionCommands,
  tailCommand,
  deadLetterCommands,
];

/**
 * Runs one command line.
 *
 * @param words what stands behind the program's name.
 * @returns the exit code.
 */
export async function run(words: readonly string[], io: Io): Promise<number> {
  const json = words.includes("--json");
  const program = createProgram(io, json);
  try {
    await program.parseAsync(words, { from: "user" });
    return exitCodes.ok;
  } catch (thrown) {
    return report(io, thrown, json);
  }
}

/**
 * The commands with their flags; nothing runs before it is given words.
 *
 * @param json whether what is wrong with the words is told by `report` alone. Default false.
 */
export function createProgram(io: Io, json = false): Command {
  const config = new Option("--config <file>", "configuration file (else DEED_CONFIG)");
  const program = new Command("deed")
    .description("Observations, decisions, commands and results as events on one log")
    .version("0.1.0")
    .option("--json", "print JSON: one document a result, one a line where results go on", false)
    .addOption(config.default(variable(io, "DEED_CONFIG") ?? "deed.yaml"))
    .option("--url <url>", "the node to talk to (else DEED_URL, else the configuration's listen)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: io.out, writeErr: json ? () => undefined : io.err })
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 it failed, 2 the command line or a file is not valid, 3 the node cannot be reached, 130 cancelled",
    )
    .exitOverride();
  const context = createContext(io);
  for (const add of groups) add(program, context);
  return program;
}

/** Tells what went wrong, on stderr: a line for people, one JSON document where `--json` was asked for. */
function report(io: Io, thrown: unknown, json: boolean): number {
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return exitCodes.ok;
    if (json) tellJson(io, { kind: "invalid_args", message: usageText(thrown), problems: [] });
    return exitCodes.usage;
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const problems = thrown instanceof ClientError || thrown instanceof Exit ? thrown.problems : [];
  if (message !== "" && json) {
    tellJson(io, { kind: kindOf(thrown), message, problems });
  } else if (message !== "") {
    const details = thrown instanceof ClientError ? thrown.problems : [];
    const lines = [`deed: ${message}`, ...details.map(detailText)];
    io.err(`${lines.join("\n")}\n`);
  }
  return codeOf(thrown);
}

/** Where it is and what is wrong; `help` is the way out. What has no message is shown whole. */
function detailText(problem: unknown): string {
  const { pointer, message, help } = isJsonObject(problem) ? problem : {};
  if (typeof message !== "string") return `  ${JSON.stringify(problem)}`;
  const where = typeof pointer === "string" && pointer !== "" ? `${pointer}: ` : "";
  const out = typeof help === "string" ? ` (${help})` : "";
  return printable(`  ${where}${message}${out}`);
}

type Told = {
  readonly kind: string;
  readonly message: string;
  readonly problems: readonly unknown[];
};

function tellJson(io: Io, error: Told): void {
  io.err(`${JSON.stringify({ error })}\n`);
}

function usageText({ code, message }: CommanderError): string {
  if (code === "commander.help") return "no command is named: --help lists them";
  return message.replace(/^error: /, "");
}

function kindOf(thrown: unknown): string {
  if (thrown instanceof ClientError) return thrown.kind;
  if (thrown instanceof Exit) return thrown.code === exitCodes.usage ? "invalid_args" : "rejected";
  return thrown instanceof LogError ? thrown.code : toDeedError(thrown).kind;
}

function codeOf(thrown: unknown): number {
  if (thrown instanceof Exit) return thrown.code;
  if (!(thrown instanceof ClientError)) return exitCodes.failed;
  if (thrown.status === 0) return exitCodes.unreachable;
  return thrown.status < 500 ? exitCodes.usage : exitCodes.failed;
}
