/** The environment variables that stand in for members of the configuration file. */
import { Compile } from "typebox/compile";
import type { DocumentProblem } from "../../base/document.ts";
import { nearest } from "../../base/nearest.ts";
import type { Json } from "../../base/json.ts";
import { err, ok, type Result } from "../../base/result.ts";
import { configSchema } from "../config-schema.ts";
import type { ConfigFile, Environment } from "./shape.ts";

type Override = {
  readonly name: string;
  readonly member: readonly string[];
  readonly read: (text: string) => Json;
};

const asText = (text: string): Json => text;

const asNumber = (text: string): Json => (text.trim() === "" ? text : Number(text));

const asList = (text: string): Json => text.split(",").map((one) => one.trim());

/** Each stands in for one member, and is checked as that member is. */
export const overrides: readonly Override[] = [
  { name: "DEED_LISTEN", member: ["listen"], read: asText },
  { name: "DEED_DATA", member: ["data"], read: asText },
  { name: "DEED_RULES", member: ["rules"], read: asList },
  { name: "DEED_SCHEDULES", member: ["schedules"], read: asList },
  { name: "DEED_PLAYBOOKS", member: ["playbooks", "paths"], read: asList },
  { name: "DEED_LOG", member: ["log", "path"], read: asText },
  { name: "DEED_DEDUP_WINDOW", member: ["log", "dedup_window"], read: asText },
  { name: "DEED_EVENT_BYTES_MAX", member: ["log", "event_bytes_max"], read: asNumber },
  { name: "DEED_TENANT", member: ["api", "tenant"], read: asText },
  { name: "DEED_TOKEN_FILE", member: ["api", "token_file"], read: asText },
  { name: "DEED_BODY_BYTES_MAX", member: ["api", "body_bytes_max"], read: asNumber },
  { name: "DEED_LEASE", member: ["worker", "lease"], read: asText },
  { name: "DEED_GRACE", member: ["worker", "grace"], read: asText },
];

/** Read elsewhere: the token itself, and what the command line reads. */
const others = ["DEED_TOKEN", "DEED_URL", "DEED_CONFIG"];

const check = Compile(configSchema);

/** A problem with a variable: it has no line. */
export function environmentProblem(message: string): DocumentProblem {
  return { file: "environment", line: 1, column: 1, message };
}

/** The file's members with the environment's in their place. An empty variable is one that is not set. */
export function withOverrides(
  file: ConfigFile,
  env: Environment,
): Result<ConfigFile, readonly DocumentProblem[]> {
  const set = overrides.filter(({ name }) => (env[name] ?? "") !== "");
  let config: Record<string, unknown> = { ...file };
  for (const { name, member, read } of set) {
    const [first = "", second] = member;
    const value = read(env[name] ?? "");
    const inner = config[first];
    const kept = typeof inner === "object" ? inner : {};
    config = { ...config, [first]: second === undefined ? value : { ...kept, [second]: value } };
  }
  if (check.Check(config)) return ok(config);
  const problems = check.Errors(config).flatMap(({ instancePath, message }) => {
    const broken = set.find(({ member }) => instancePath.startsWith(`/${member.join("/")}`));
    return broken === undefined
      ? []
      : [environmentProblem(`${broken.name}="${env[broken.name] ?? ""}" ${message}`)];
  });
  return err(problems);
}

/** The variable that a member was taken from, if any. */
export function variableOf(
  member: readonly (string | number)[],
  env: Environment,
): string | undefined {
  const path = member.join("/");
  return overrides.find(
    ({ name, member: own }) => own.join("/") === path && (env[name] ?? "") !== "",
  )?.name;
}

/** One sentence for each `DEED_*` variable that nothing reads: a misspelled one changes nothing. */
export function unknownVariables(env: Environment, named: readonly string[]): readonly string[] {
  const known = [...overrides.map(({ name }) => name), ...others];
  return Object.keys(env)
    .filter((name) => name.startsWith("DEED_") && !known.includes(name) && !named.includes(name))
    .map((name) => {
      const near = nearest(name, known);
      const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean ${near}?`;
      return `the environment variable ${name} is not known and not used: ${hint}`;
    });
}
