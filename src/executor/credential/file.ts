import { open } from "node:fs/promises";
import type { JsonObject } from "../../base/json.ts";
import { fault, Fault } from "../../event/error.ts";
import { membersOf, textBytesMax, type TextFormat } from "./text.ts";
import type { World } from "./world.ts";

export type FileSource = {
  readonly from: "file";
  /** Absolute. */
  readonly path: string;
  /** Default: `object` for `.json`, `.yaml` and `.yml`, else `value`. */
  readonly format?: TextFormat;
};

const readableByAll = 0o004;

/** @throws {Fault} `not_found` where there is no such file, `unavailable` where it cannot be read. */
export async function readFileSource(
  alias: string,
  { path, format }: FileSource,
  { warn }: Pick<World, "warn">,
): Promise<JsonObject> {
  const what = `${path} of the credential "${alias}"`;
  const { text, mode } = await contentOf(path, what);
  if ((mode & readableByAll) !== 0) {
    warn(`${what} can be read by everyone on this machine: chmod 600 it`);
  }
  return membersOf(text, format ?? (/\.(json|ya?ml)$/i.test(path) ? "object" : "value"), what);
}

async function contentOf(path: string, what: string): Promise<{ text: string; mode: number }> {
  try {
    const file = await open(path, "r");
    try {
      const { mode, size } = await file.stat();
      if (size > textBytesMax)
        throw fault("unprocessable", `${what} is larger than ${String(textBytesMax)} bytes`);
      return { text: await file.readFile("utf8"), mode };
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";
    if (code === "ENOENT") throw fault("not_found", `There is no ${what}`);
    throw fault("unavailable", `Cannot read ${what} (${code})`);
  }
}
