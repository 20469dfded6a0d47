import type { JsonObject } from "../base/json.ts";
import { fault } from "../event/error.ts";
import type { Credentials } from "./credential.ts";

/**
 * What an alias holds, for the moment of use.
 *
 * @throws {Fault} of `Credentials.resolve`; `not_found` where the node has no credentials at all.
 */
export async function revealed(
  alias: string,
  tenant: string,
  credentials: Credentials | undefined,
): Promise<JsonObject> {
  if (credentials !== undefined) return (await credentials.resolve(alias, tenant)).reveal();
  throw fault(
    "not_found",
    `Cannot use the credential ${alias} as this node has none: configure credentials`,
  );
}
