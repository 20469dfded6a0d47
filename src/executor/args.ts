import { Compile, type Validator } from "typebox/compile";
import type { JsonObject } from "../base/json.ts";
import { Fault } from "../event/error.ts";
import { schemaError } from "../event/schema.ts";
import type { Executor } from "./executor.ts";

/**
 * Makes the check of arguments against the schema of their executor; each schema is compiled once.
 *
 * The check gives back the arguments, or throws a {@link Fault} `invalid_args` whose message names the
 * first member that is wrong and whose `detail.problems` names all (up to 20).
 */
export function createArgsCheck(): (executor: Executor, args: JsonObject) => JsonObject {
  const validators = new Map<string, Validator>();
  return (executor, args) => {
    let validator = validators.get(executor.command);
    if (validator === undefined) {
      validator = Compile(executor.argsSchema);
      validators.set(executor.command, validator);
    }
    if (validator.Check(args)) return args;
    throw new Fault(schemaError(`run ${executor.command}`, validator.Errors(args)));
  };
}
