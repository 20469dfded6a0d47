import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { World } from "./world.ts";

export type EnvironmentSource = {
  readonly from: "env";
  /** The variable of each member. */
  readonly names: Readonly<Record<string, string>>;
  /** Every variable that begins so is a member, too: what follows, in lower case. */
  readonly prefix?: string;
};

/** @throws {Fault} `not_found` where a variable is not set. */
export function readEnvironment(
  alias: string,
  { names, prefix }: EnvironmentSource,
  { env }: Pick<World, "env">,
): JsonObject {
  const values = new Map<string, string>();
  if (prefix !== undefined) {
    for (const [name, value = ""] of Object.entries(env)) {
      if (name.length > prefix.length && name.startsWith(prefix) && value !== "")
        values.set(name.slice(prefix.length).toLowerCase(), value);
    }
    if (values.size === 0) throw missing(alias, `no variable that begins with ${prefix}`);
  }
  for (const [member, name] of Object.entries(names)) {
    const value = env[name] ?? "";
    if (value === "") throw missing(alias, `no ${name}`);
    values.set(member, value);
  }
  return Object.fromEntries(values);
}

function missing(alias: string, what: string): Error {
  return fault(
    "not_found",
    `Cannot resolve the credential "${alias}" as the environment of the node has ${what}: set it and start the node again`,
  );
}
