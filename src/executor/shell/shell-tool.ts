/**
 * `shell`: a program or a command line, in the words of playbooks. See `program-run.ts`, too.
 *
 * 1. `argv` is held to the allow list of `shell.run`. A command line is interpreted by `/bin/sh`, which can
 *    run anything, so it is off until `lines` is true.
 * 2. Inputs come as environment variables `INPUT_<NAME>`: a text as it is, anything else as JSON, null not
 *    at all. They are never spliced into a line.
 */
import Type, { type Static } from "typebox";
import type { Json, JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { Executor } from "../executor.ts";
import {
  checkAllowed,
  checkNames,
  runProgram,
  shellDefaults,
  word,
  type ShellOptions,
} from "./program-run.ts";

const scalar = Type.Union([word, Type.Number(), Type.Boolean()]);

const orNull = Type.Null();

const argsSchema = Type.Object(
  {
    /** One of `argv` and `command`. */
    argv: Type.Optional(Type.Array(scalar, { minItems: 1, maxItems: 256 })),
    /** A line for `/bin/sh`, or several, which end at the first that fails. */
    command: Type.Optional(Type.Union([word, Type.Array(word, { minItems: 1, maxItems: 256 })])),
    cwd: Type.Optional(Type.Union([word, orNull])),
    /** With `argv`, of the names that the configuration lists. */
    env: Type.Optional(
      Type.Union([Type.Record(Type.String(), Type.Union([scalar, orNull])), orNull]),
    ),
    stdin: Type.Optional(Type.Union([Type.String(), orNull])),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
    input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
);

type ShellToolArgs = Static<typeof argsSchema>;

export type ShellToolOptions = ShellOptions & {
  /** May command lines be run? Default false. */
  readonly lines?: boolean;
};

export function createShellTool(options: ShellToolOptions): Executor {
  return {
    command: "shell",
    description:
      "Runs an allowed program, or a command line where that is on, with inputs as INPUT_ variables",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true,
    concurrency: options.concurrency ?? shellDefaults.concurrency,
    timeoutMs: options.timeoutMs ?? shellDefaults.timeoutMs,
    execute: async (args, context) => {
      const call = args as ShellToolArgs;
      const env = texts(call.env ?? {});
      const program = {
        argv: argvOf(call, Object.keys(env), options),
        cwd: call.cwd ?? undefined,
        env: { ...env, ...inputsOf((call.input ?? {}) as JsonObject) },
        stdin: call.stdin ?? undefined,
        idempotent: call.idempotent === true,
      };
      return runProgram(program, context, options);
    },
  };
}

function argvOf(
  { argv, command }: ShellToolArgs,
  names: readonly string[],
  options: ShellToolOptions,
): readonly string[] {
  if ((argv === undefined) === (command === undefined)) {
    throw fault("invalid_args", "Cannot run a program: give argv, or a command line as command");
  }
  if (argv !== undefined) {
    const words = argv.map(String);
    checkAllowed(words, options);
    checkNames(names, options);
    return words;
  }
  if (options.lines !== true) {
    throw fault(
      "permission",
      "Cannot run a command line as they are off: set executors.shell.lines to true, or name a program with argv",
    );
  }
  if (typeof command === "string") return ["/bin/sh", "-c", command];
  return ["/bin/sh", "-e", "-c", (command ?? []).join("\n")];
}

/** Inputs as variables. @throws {Fault} `invalid_args` where two become one. */
function inputsOf(input: JsonObject): Readonly<Record<string, string>> {
  const named: [string, Json | undefined][] = Object.entries(input).map(([name, value]) => [
    `INPUT_${name.toUpperCase().replace(/[^A-Z0-9_]/g, "_")}`,
    value,
  ]);
  const names = named.map(([name]) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return texts(Object.fromEntries(named));
  throw fault("invalid_args", `Cannot run a program as two inputs would be ${twice}`);
}

function texts(values: JsonObject): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue;
    found[name] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return found;
}
