import { Option, type Command } from "commander";
import { createLogger, startApp } from "../../app/app.ts";
import type { Context } from "../context.ts";

/** `deed start`: one node, until SIGINT or SIGTERM. */
export function startCommand(program: Command, context: Context): void {
  program
    .command("start")
    .description("run a node until it is stopped")
    .addOption(
      new Option("--log-level <level>", "what the program tells on stderr")
        .choices(["debug", "info", "warn", "error"])
        .default("info"),
    )
    .addHelpText("after", "\nExample: deed start --config /etc/deed/deed.yaml")
    .action(async (options: { logLevel: string }, command: Command) => {
      const terminal = context.terminalOf(command);
      const config = context.configOf(command);
      const logger = createLogger(options.logLevel);
      const asked = context.io.stopAsked();
      for (const warning of config.warnings) terminal.say(`deed: ${warning}`);
      const app = await startApp(config, logger);
      terminal.result({ ready: true, url: app.url, pid: process.pid, log: config.logPath }, () =>
        [
          `deed is running at ${app.url}   log ${config.logPath}`,
          `  deed tail --url ${app.url}      follow the log`,
          `  deed actions --url ${app.url}   what was asked for`,
        ].join("\n"),
      );
      await stopped(asked);
      await app.stop();
    });
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener("abort", () => {
        resolve();
      });
  });
}
