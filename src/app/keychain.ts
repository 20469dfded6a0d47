/**
 * Puts in what the strings of a request stand for that name the keychain: `keychain.<name>.<member>`.
 *
 * A name is the alias of a credential, or what the request's `keychain` gives for it. The strings are templates
 * of playbooks, undefined members are errors, and nothing but the keychain is in their scope.
 */
import type { RequestAttrs, SecretPath } from "../action/request.ts";
import { isJsonObject, type Json, type JsonObject } from "../base/json.ts";
import { compileTemplate, scopeOf, type Scope } from "../core/template.ts";
import { fault } from "../event/error.ts";
import type { AttemptCredentials } from "../executor/credential.ts";
import type { RenderSecrets } from "../executor/worker.ts";

/** @throws {Fault} `unprocessable` where a string is not there or cannot be rendered, or as credentials throw. */
export const renderKeychain: RenderSecrets = async (request, credentials) => {
  const { secrets = [] } = request;
  const sources = secrets.map((path) => sourceAt(request.args, path));
  const scope = await keychainOf(request, sources, credentials);
  let args: Json = request.args;
  for (const [index, path] of secrets.entries()) {
    args = replaced(args, path, rendered(sources[index] ?? "", path, scope));
  }
  if (isJsonObject(args)) return args;
  throw fault("unprocessable", "Cannot put secrets in the place of all arguments");
};

/** `keychain.name` and `keychain["name"]`. */
const namePattern = /\bkeychain\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(?:"([^"]*)"|'([^']*)')\s*\])/g;

async function keychainOf(
  { keychain = {} }: RequestAttrs,
  sources: readonly string[],
  credentials: AttemptCredentials,
): Promise<Scope> {
  const named = sources.flatMap((source) => [...source.matchAll(namePattern)]);
  const names = new Set(named.map(([, bare, double, single]) => bare ?? double ?? single ?? ""));
  const members: [string, JsonObject][] = [];
  for (const name of names) {
    const alias = Object.hasOwn(keychain, name) ? keychain[name] : undefined;
    members.push([name, (await credentials.resolve(alias ?? name)).reveal()]);
  }
  return scopeOf({ keychain: Object.fromEntries(members) });
}

function rendered(source: string, path: SecretPath, scope: Scope): Json {
  const template = compileTemplate(source, "strict");
  const result = template.ok ? template.value.render(scope) : template;
  if (result.ok) return result.value;
  throw fault("unprocessable", `Cannot put a secret into ${shown(path)}: ${result.error.message}`);
}

function sourceAt(args: JsonObject, path: SecretPath): string {
  let at: Json | undefined = args;
  for (const part of path) at = memberOf(at, part);
  if (typeof at === "string") return at;
  throw fault("unprocessable", `Cannot put a secret into ${shown(path)}: there is no string there`);
}

function memberOf(value: Json | undefined, part: string | number): Json | undefined {
  if (isList(value)) return typeof part === "number" ? value[part] : undefined;
  return isJsonObject(value) && Object.hasOwn(value, part) ? value[part] : undefined;
}

function replaced(value: Json, [part, ...rest]: SecretPath, by: Json): Json {
  if (part === undefined) return by;
  if (isList(value)) {
    return value.map((item, index) => (index === part ? replaced(item, rest, by) : item));
  }
  if (!isJsonObject(value)) return value;
  return { ...value, [part]: replaced(value[part] ?? null, rest, by) };
}

function shown(path: SecretPath): string {
  return `args.${path.join(".")}`;
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
