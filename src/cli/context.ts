import { readFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";
import { loadConfig, type Config } from "../app/config.ts";
import { formatProblem } from "../base/document.ts";
import { createClient, type Client } from "../client/client.ts";
import type { Io } from "./io.ts";
import { createTerminal, Exit, exitCodes, type Terminal } from "./terminal.ts";

type GlobalOptions = { readonly json: boolean; readonly config: string; readonly url?: string };

/** What commands are given. */
export type Context = {
  readonly io: Io;
  readonly optionsOf: (command: Command) => GlobalOptions;
  readonly terminalOf: (command: Command) => Terminal;
  /** The configuration; an optional one may be absent, unless it was named. @throws {Exit} with every problem in it. */
  readonly configOf: (command: Command, optional?: boolean) => Config;
  /** A client for the node that the options, the environment or the configuration name. */
  readonly clientOf: (command: Command) => Client;
  /** Reads `@file` and `-` (stdin) where a value may come from there. @throws {Exit} */
  readonly valueOrFile: (value: string) => string;
};

export function createContext(io: Io): Context {
  const optionsOf = (command: Command): GlobalOptions => command.optsWithGlobals();
  const configOf: Context["configOf"] = (command, optional = false) => {
    const named =
      command.getOptionValueSourceWithGlobals("config") === "cli" ||
      variable(io, "DEED_CONFIG") !== undefined;
    const config = loadConfig(optionsOf(command).config, io.env, optional && !named);
    if (config.ok) return config.value;
    throw new Exit(
      exitCodes.usage,
      `the configuration is not valid\n${config.error.map(formatProblem).join("\n")}`,
      config.error,
    );
  };
  return {
    io,
    optionsOf,
    configOf,
    terminalOf: (command) => createTerminal(io, optionsOf(command).json),
    clientOf: (command) => {
      const named = optionsOf(command).url ?? variable(io, "DEED_URL");
      const token = variable(io, "DEED_TOKEN");
      if (named !== undefined) {
        requireUrl(named);
        return createClient({ url: named, ...(token === undefined ? {} : { token }) });
      }
      const config = configOf(command, true);
      const own = token ?? config.tokens[0]?.token;
      return createClient({ url: urlOf(config), ...(own === undefined ? {} : { token: own }) });
    },
    valueOrFile: (value) => {
      try {
        if (value === "-") return io.readStdin();
        return value.startsWith("@") ? readFileSync(value.slice(1), "utf8") : value;
      } catch (thrown) {
        const why = thrown instanceof Error ? thrown.message : String(thrown);
        throw new Exit(exitCodes.usage, `${value} cannot be read: ${why}`);
      }
    },
  };
}

/** A variable of the environment; an empty one is not set. */
export function variable({ env }: Io, name: string): string | undefined {
  const value = env[name];
  return value === "" ? undefined : value;
}

/** @throws {Exit} where no node can have this URL. */
function requireUrl(named: string): void {
  if (/^https?:\/\//.test(named) && URL.canParse(named)) return;
  throw new Exit(
    exitCodes.usage,
    `"${named}" is not the URL of a node: write it as in http://127.0.0.1:7333`,
  );
}

/** Where a node with this configuration is reached from its own machine. */
function urlOf({ host, port }: Config): string {
  const everywhere: { readonly [host: string]: string } = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const name = everywhere[host] ?? host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${String(port)}`;
}

/** A flag that holds a number. @throws {InvalidArgumentError} */
export function numberFlag(value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError(`"${value}" is not a number >= 0.`);
}

/** A flag that holds a whole number. @throws {InvalidArgumentError} */
export function wholeFlag(value: string): number {
  const number = numberFlag(value);
  if (Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError(`"${value}" is not a whole number.`);
}
