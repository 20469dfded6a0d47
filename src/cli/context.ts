import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { loadConfig, type Config } from "../app/config.ts";
import { formatProblem } from "../base/document.ts";
import { createClient, type Client } from "../client/client.ts";
import { createTerminal, Exit, exitCodes, type Terminal } from "./terminal.ts";

type GlobalOptions = { readonly json: boolean; readonly config: string; readonly url?: string };

export function optionsOf(command: Command): GlobalOptions {
  return command.optsWithGlobals();
}

export function terminalOf(command: Command): Terminal {
  return createTerminal(optionsOf(command).json);
}

/** The configuration, or every problem in it. @throws {Exit} */
export function configOf(command: Command, optional = false): Config {
  const { config: path } = optionsOf(command);
  const config = loadConfig(path, process.env, optional);
  if (config.ok) return config.value;
  throw new Exit(
    exitCodes.usage,
    `the configuration is not valid\n${config.error.map(formatProblem).join("\n")}`,
  );
}

/** A client for the node that the options, the environment or the configuration name. */
export function clientOf(command: Command): Client {
  const named = optionsOf(command).url ?? process.env["DEED_URL"];
  const token = process.env["DEED_TOKEN"];
  if (named !== undefined)
    return createClient({ url: named, ...(token === undefined ? {} : { token }) });
  const config = configOf(command, true);
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  const own = token ?? config.tokens[0]?.token;
  const url = `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${String(config.port)}`;
  return createClient({ url, ...(own === undefined ? {} : { token: own }) });
}

/** Reads `@file` and `-` (stdin) where a value may come from there. */
export function valueOrFile(value: string): string {
  if (value === "-") return readFileSync(0, "utf8");
  return value.startsWith("@") ? readFileSync(value.slice(1), "utf8") : value;
}
