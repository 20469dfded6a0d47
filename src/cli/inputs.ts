/** Inputs of an execution, as they are given on the command line. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import type { Context } from "./context.ts";
import { Exit, exitCodes } from "./terminal.ts";

export type InputFlags = {
  readonly input: readonly string[];
  readonly inputFile?: string;
};

export function inputFlags(command: Command): Command {
  return command
    .option(
      "--input <name=value>",
      "one input (many); the value is JSON where it can be read as JSON, or else text",
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option("--input-file <file>", "inputs as a JSON object; - reads them from stdin");
}

/** The inputs of the file, and over them those that are named. @throws {Exit} */
export function inputOf({ io }: Context, { input, inputFile }: InputFlags): JsonObject {
  const whole = inputFile === undefined ? {} : fileOf(inputFile, io.readStdin);
  return { ...whole, ...pairsOf(input, "--input") };
}

/** `name=value` each; the value is JSON, or else text. @throws {Exit} */
export function pairsOf(pairs: readonly string[], flag: string): JsonObject {
  const read = pairs.map((pair): [string, Json] => {
    const equals = pair.indexOf("=");
    if (equals < 1) throw new Exit(exitCodes.usage, `${flag} ${pair} must be name=value`);
    const value = pair.slice(equals + 1);
    try {
      return [pair.slice(0, equals), JSON.parse(value) as Json];
    } catch {
      return [pair.slice(0, equals), value];
    }
  });
  return Object.fromEntries(read);
}

function fileOf(file: string, readStdin: () => string): JsonObject {
  try {
    const value: unknown = JSON.parse(file === "-" ? readStdin() : readFileSync(file, "utf8"));
    if (isJsonObject(value)) return value;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Exit(exitCodes.usage, `--input-file ${file} cannot be read: ${why}`);
  }
  throw new Exit(exitCodes.usage, `--input-file ${file} must hold a JSON object`);
}
