import { Command } from "commander";
import { ClientError } from "../client/client.ts";
import { Fault } from "../event/error.ts";
import { LogError } from "../log/log.ts";
import { actionCommands } from "./commands/actions.ts";
import { deadLetterCommands } from "./commands/dead-letters.ts";
import { fileCommands } from "./commands/files.ts";
import { startCommand } from "./commands/start.ts";
import { tailCommand } from "./commands/tail.ts";
import { Exit, exitCodes } from "./terminal.ts";

const program = new Command("deed")
  .description("Observations, decisions, commands and results as events on one log")
  .version("0.1.0")
  .option("--json", "print JSON", false)
  .option("--config <file>", "configuration file", "deed.yaml")
  .option("--url <url>", "the node to talk to (else DEED_URL, else the configuration's listen)")
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 it failed, 2 the command line or a file is not valid, 3 the node cannot be reached",
  )
  .exitOverride();

for (const add of [startCommand, fileCommands, actionCommands, tailCommand, deadLetterCommands])
  add(program);

process.stdout.on("error", (thrown: NodeJS.ErrnoException) => {
  if (thrown.code === "EPIPE") process.exit(exitCodes.ok);
  throw thrown;
});

try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}

/** One line that says what went wrong, and the exit code that goes with it. */
function report(thrown: unknown): number {
  if (typeof thrown === "object" && thrown !== null && "exitCode" in thrown) {
    return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (message !== "") process.stderr.write(`deed: ${message}\n`);
  if (thrown instanceof Exit) return thrown.code;
  if (thrown instanceof ClientError) {
    for (const problem of thrown.problems) process.stderr.write(`  ${JSON.stringify(problem)}\n`);
    if (thrown.status === 0) return exitCodes.unreachable;
    return thrown.status < 500 ? exitCodes.usage : exitCodes.failed;
  }
  return thrown instanceof Fault || thrown instanceof LogError
    ? exitCodes.failed
    : exitCodes.failed;
}
