import Type from "typebox";
import type { Executor } from "../executor.ts";

/** `noop`: does nothing and gives back `args.result`. For branches of playbooks, benchmarks and drills. */
export function createNoop(options: { readonly concurrency?: number } = {}): Executor {
  return {
    command: "noop",
    description: "Does nothing and gives back args.result",
    argsSchema: Type.Object(
      {
        result: Type.Optional(Type.Unknown()),
        payload: Type.Optional(Type.Unknown()),
        input: Type.Optional(Type.Unknown()),
        idempotent: Type.Optional(Type.Boolean()),
      },
      { additionalProperties: false },
    ),
    idempotent: () => true,
    concurrency: options.concurrency ?? 1_024,
    timeoutMs: 60_000,
    execute: (args) => Promise.resolve(args["result"] ?? null),
  };
}
