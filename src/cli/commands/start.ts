import type { Command } from "commander";
import { createLogger, startApp } from "../../app/app.ts";
import { configOf, terminalOf } from "../context.ts";

/** `deed start`: one node, until SIGINT or SIGTERM. */
export function startCommand(program: Command): void {
  program
    .command("start")
    .description("run a node until it is stopped")
    .option("--log-level <level>", "debug, info, warn or error", "info")
    .action(async (options: { logLevel: string }, command: Command) => {
      const terminal = terminalOf(command);
      const config = configOf(command);
      const logger = createLogger(options.logLevel);
      const app = await startApp(config, logger);
      terminal.result({ ready: true, url: app.url, pid: process.pid, log: config.logPath }, () =>
        [
          `deed is running at ${app.url}   log ${config.logPath}`,
          `  deed tail --url ${app.url}      follow the log`,
          `  deed actions --url ${app.url}   what was asked for`,
        ].join("\n"),
      );
      await new Promise<void>((resolve) => {
        const stop = (): void => {
          process.off("SIGINT", stop);
          process.off("SIGTERM", stop);
          resolve();
        };
        process.on("SIGINT", stop);
        process.on("SIGTERM", stop);
      });
      await app.stop();
    });
}
