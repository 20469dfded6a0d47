/** What a credential puts into the headers of a request. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import type { AttemptCredentials } from "../credential.ts";
import { pairsOf } from "./exchange.ts";

/**
 * The headers that a credential stands for, names in lower case: `{token}` is a bearer token,
 * `{username, password}` basic authentication, `{header, value}` one header, `{headers}` several.
 *
 * @throws {Fault} of `resolve`; `invalid_args` where it holds none of these.
 */
export async function authHeaders(
  alias: string,
  credentials: AttemptCredentials,
): Promise<Readonly<Record<string, string>>> {
  const held = (await credentials.resolve(alias)).reveal();
  const headers = headersFrom(held);
  if (headers !== undefined) return headers;
  throw fault(
    "invalid_args",
    `Cannot use the credential ${alias} for HTTP as it holds no token, no username and password, and no header and value`,
  );
}

function headersFrom(held: JsonObject): Readonly<Record<string, string>> | undefined {
  const [name, value, token] = [
    text(held, "header"),
    text(held, "value"),
    text(held, "token", "access_token"),
  ];
  if (name !== undefined && value !== undefined) return { [name.toLowerCase()]: value };
  if (isJsonObject(held["headers"])) {
    const pairs = pairsOf(held["headers"]).map(([key, line]) => [key.toLowerCase(), line] as const);
    return Object.fromEntries(pairs);
  }
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  const user = text(held, "username", "user");
  const password = text(held, "password");
  if (user === undefined || password === undefined) return undefined;
  const basic = Buffer.from(`${user}:${password}`, "utf8").toString("base64");
  return { authorization: `Basic ${basic}` };
}

/** The first of these members that is a text. */
function text(held: JsonObject, ...names: readonly string[]): string | undefined {
  return names.map((name) => held[name]).find((value) => typeof value === "string");
}
