/**
 * Scripts: code that a tool names instead of holding it (`script: {uri, source}`).
 *
 * 1. A file is one of the configured folder, wherever links lead: nothing outside of it is read.
 * 2. A URL is fetched under the allow list and the remapping of the HTTP executors.
 * 3. The text is code, given back as it stands: templates in it are nobody's to render.
 * 4. It is text of at most 1 MiB. Loading has no effect on anything, so it may be done again.
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { resolve, sep } from "node:path";
import Type, { type Static } from "typebox";
import { deedError, fault, Fault } from "../event/error.ts";
import { fetchText } from "./http/fetch-text.ts";
import type { HttpOptions } from "./http/exchange.ts";

/** For the `argsSchema` of an executor that takes scripts. */
export const scriptSchema = Type.Object(
  {
    /** A file: its path in the folder of scripts. A URL: its name, or where it is. */
    uri: Type.Optional(Type.String()),
    source: Type.Optional(
      Type.Object(
        {
          /** Default `file`. */
          type: Type.Optional(Type.Union([Type.Literal("file"), Type.Literal("http")])),
          endpoint: Type.Optional(Type.String()),
          /** Older word for `endpoint`. */
          url: Type.Optional(Type.String()),
          method: Type.Optional(Type.Literal("GET")),
          headers: Type.Optional(Type.Record(Type.String(), Type.String())),
          /** Seconds that fetching may take. */
          timeout: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 86_400 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

export type Script = Static<typeof scriptSchema>;

export type ScriptOptions = {
  /** The folder of scripts; where it is left out, none is loaded from a file. */
  readonly root?: string;
  /**
   * Folders that a path may begin with and that `root` itself stands for, e.g. `fixtures/playbooks`:
   * where there is no such file, the rest of the path is looked for.
   */
  readonly strip?: readonly string[];
  readonly http?: HttpOptions;
};

export type Scripts = {
  /**
   * The text of a script.
   *
   * @throws {Fault} `invalid_args` where it names nothing, `permission` where the file is outside of the
   *   folder or no folder is configured, `not_found`, `unprocessable` where it is no text or too large,
   *   and what an HTTP exchange throws.
   */
  readonly load: (script: Script, signal: AbortSignal) => Promise<string>;
};

const scriptBytesMax = 1024 * 1024;

export function createScripts(options: ScriptOptions): Scripts {
  return {
    load: async (script, signal) => {
      const { uri, source = {} } = script;
      if (source.type === "http") return fetched(script, options.http ?? {}, signal);
      if (uri === undefined || uri === "")
        throw fault("invalid_args", "Cannot load a script as it has no uri");
      return fromFile(uri, options);
    },
  };
}

async function fetched(script: Script, http: HttpOptions, signal: AbortSignal): Promise<string> {
  const { endpoint, url, headers = {}, timeout } = script.source ?? {};
  const from = endpoint ?? url ?? script.uri;
  if (from === undefined) throw fault("invalid_args", "Cannot load a script as it has no endpoint");
  if (timeout === undefined) {
    return fetchText(from, http, { headers, signal, bytesMax: scriptBytesMax });
  }
  const timer = AbortSignal.timeout(timeout * 1_000);
  try {
    const both = AbortSignal.any([signal, timer]);
    return await fetchText(from, http, { headers, signal: both, bytesMax: scriptBytesMax });
  } catch (thrown) {
    if (signal.aborted || !timer.aborted) throw thrown;
    const message = `Cannot load the script as it took longer than ${String(timeout)} s`;
    throw new Fault(deedError("timeout", message), thrown);
  }
}

async function fromFile(uri: string, { root, strip = [] }: ScriptOptions): Promise<string> {
  if (root === undefined) {
    throw fault(
      "permission",
      `Cannot load the script ${uri} as this node has no folder of scripts: configure executors.scripts.root`,
    );
  }
  const folder = await realpath(root).catch((thrown: unknown) => {
    const message = `Cannot load the script ${uri} as there is no folder ${root}: see executors.scripts.root`;
    throw new Fault(deedError("not_found", message), thrown);
  });
  for (const path of candidates(uri, strip)) {
    const lexical = resolve(folder, path);
    if (!isWithin(folder, lexical)) throw outside(uri);
    const file = await whereItLeads(lexical);
    if (file === undefined) continue;
    if (!isWithin(folder, file)) throw outside(uri);
    return textOf(uri, file);
  }
  throw fault("not_found", `Cannot load the script ${uri} as there is no such file in ${root}`);
}

/** The path as it is written, then without a beginning that the folder itself stands for. */
function candidates(uri: string, strip: readonly string[]): readonly string[] {
  const path = uri.replace(/^(?:\.\/)+/, "");
  const begins = strip.map((one) => `${one.replace(/^\.\/|\/+$/g, "")}/`);
  const rests = begins.filter((one) => path.startsWith(one)).map((one) => path.slice(one.length));
  return [path, ...rests];
}

function isWithin(folder: string, path: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** The file once links are followed; `undefined` where there is none. */
async function whereItLeads(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw unreadable(path, thrown);
  }
}

async function textOf(uri: string, file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    const found = await stat(file);
    if (!found.isFile()) throw fault("not_found", `Cannot load the script ${uri} as it is no file`);
    if (found.size > scriptBytesMax) {
      throw fault(
        "unprocessable",
        `Cannot load the script ${uri} as it is larger than ${String(scriptBytesMax)} bytes`,
      );
    }
    bytes = await readFile(file);
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw unreadable(uri, thrown);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (thrown) {
    const message = `Cannot load the script ${uri} as it is not text in UTF-8`;
    throw new Fault(deedError("unprocessable", message), thrown);
  }
}

function outside(uri: string): Fault {
  return fault(
    "permission",
    `Cannot load the script ${uri} as it is outside of executors.scripts.root`,
  );
}

function unreadable(uri: string, thrown: unknown): Fault {
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown error";
  const kind = code === "EACCES" || code === "EPERM" ? "permission" : "unavailable";
  return new Fault(deedError(kind, `Cannot load the script ${uri}: ${code}`), thrown);
}

/**
 * What a call runs: its own text, or the script that it names.
 *
 * @param on `what`: what it is, as an error calls it; `member`: where its own text stands.
 * @throws {Fault} `invalid_args` unless it is exactly one of both, and what loading throws.
 */
export async function textOrScript(
  { text, script }: { readonly text: string | undefined; readonly script: Script | undefined },
  on: {
    readonly what: string;
    readonly member: string;
    readonly scripts: Scripts | undefined;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  if ((text === undefined) === (script === undefined)) {
    throw fault("invalid_args", `Cannot run ${on.what}: give it as ${on.member}, or name a script`);
  }
  if (text !== undefined) return text;
  if (script !== undefined && on.scripts !== undefined) return on.scripts.load(script, on.signal);
  throw fault("permission", "Cannot run a script as this node loads none");
}
