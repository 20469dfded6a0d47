/** `shell.run`: one program of the machine, by argument vector, for rules and people. See `program-run.ts`. */
import Type, { type Static } from "typebox";
import type { Executor } from "../executor.ts";
import {
  checkAllowed,
  checkNames,
  runProgram,
  shellDefaults,
  word,
  type ShellOptions,
} from "./program-run.ts";

const argsSchema = Type.Object(
  {
    argv: Type.Array(word, { minItems: 1, maxItems: 256 }),
    cwd: Type.Optional(word),
    env: Type.Optional(Type.Record(Type.String(), word)),
    stdin: Type.Optional(Type.String()),
    /** Exit codes that count as success. Default 0. */
    expect_exit: Type.Optional(Type.Array(Type.Integer({ minimum: 0, maximum: 255 }))),
    /** May an attempt whose outcome is unknown run again? Default false. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type ShellArgs = Static<typeof argsSchema>;

export function createShell(options: ShellOptions): Executor {
  return {
    command: "shell.run",
    description:
      "Runs one allowed program by argument vector and gives back its exit code and output",
    argsSchema,
    idempotent: (args) => args["idempotent"] === true,
    concurrency: options.concurrency ?? shellDefaults.concurrency,
    timeoutMs: options.timeoutMs ?? shellDefaults.timeoutMs,
    execute: async (args, context) => {
      const { argv, cwd, env, stdin, expect_exit: expectExit, idempotent } = args as ShellArgs;
      checkAllowed(argv, options);
      checkNames(Object.keys(env ?? {}), options);
      const program = { argv, cwd, env, stdin, expectExit, idempotent: idempotent === true };
      return runProgram(program, context, options);
    },
  };
}
