import { readFileSync } from "node:fs";
import { defaultTenant } from "../../event/ids.ts";
import type { Config, Environment } from "./shape.ts";
import type { Reading } from "./reading.ts";

type Named = { readonly token_env?: string; readonly token_file?: string };

/** The tokens that the API takes. What a token is stands in the environment or in a file of its own. */
export function tokensOf(reading: Reading, env: Environment): Config["tokens"] {
  const { tenant = defaultTenant, tokens: listed = [], ...single } = reading.config.api ?? {};
  const read = listed.flatMap((named, index) => {
    const token = tokenOf(reading, env, { named, path: ["api", "tokens", index] });
    return token === undefined ? [] : [{ token, tenant: named.tenant }];
  });
  const direct = env["DEED_TOKEN"] ?? "";
  if (direct !== "") return [{ token: direct, tenant }, ...read];
  if (single.token_env === undefined && single.token_file === undefined) return read;
  const token = tokenOf(reading, env, { named: single, path: ["api"] });
  return token === undefined ? read : [{ token, tenant }, ...read];
}

function tokenOf(
  { at, problem }: Reading,
  env: Environment,
  { named, path }: { readonly named: Named; readonly path: readonly (string | number)[] },
): string | undefined {
  const { token_env: variable, token_file: file } = named;
  if (variable !== undefined && file !== undefined) {
    problem([...path, "token_file"], "a second place for the token: give token_env or token_file");
  } else if (variable !== undefined) {
    const token = env[variable] ?? "";
    if (token !== "") return token;
    problem(
      [...path, "token_env"],
      `the environment has no ${variable}: set it, or use token_file`,
    );
  } else if (file === undefined) {
    problem(path, "a token without a place to read it from: give token_env or token_file");
  } else {
    try {
      const token = readFileSync(at(file), "utf8").trim();
      if (token !== "") return token;
      problem([...path, "token_file"], `${file} is empty: write the token into it`);
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      problem([...path, "token_file"], `the token cannot be read: ${why}`);
    }
  }
  return undefined;
}
