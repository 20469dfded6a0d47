/** The catalog as the API sees it: what only the core knows of a playbook, in the API's words. */
import type { Playbooks } from "../api/context.ts";
import type { Restart } from "../action/execution-request.ts";
import type { Json, JsonObject } from "../base/json.ts";
import { lintText } from "../core/lint.ts";
import { parsePlaybook, type Finding } from "../core/parse.ts";
import { compileProgram, type Program } from "../core/program.ts";
import { pinnedEvent, registeredEvent } from "../decider/playbook.ts";
import { createRestartFold } from "../decider/restart.ts";
import { Fault, fault } from "../event/error.ts";
import { storeValue } from "../executor/blob.ts";
import type { BlobStore } from "../executor/executor.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { ExecutionRow, Log } from "../log/log.ts";

export type PlaybooksOptions = {
  readonly catalog: Kernel["playbooks"];
  readonly log: Log;
  readonly blobs: BlobStore;
  readonly inline: (result: Json) => Json;
  /** Names of the environment that playbooks may see. */
  readonly envNames: readonly string[];
  readonly env: { readonly [name: string]: string | undefined };
};

/** Records of a thread that are read at one time. */
const pageMax = 1_000;

/** A value of a restart whose JSON is longer is kept beside the log, characters. */
const inlineMax = 8 * 1024;

export function createPlaybooks(options: PlaybooksOptions): Playbooks {
  const { catalog, envNames, env } = options;
  return {
    entries: catalog.entries,
    text: catalog.text,
    check: checkPlaybook,
    steps: (digest) => programOf(options, digest).steps.map(({ name }) => name),
    registered: registeredEvent,
    pinned: pinnedEvent,
    env: () =>
      Object.fromEntries(
        envNames.flatMap((name) => {
          const value = env[name];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    restart: (former, at) => restart(options, former, at),
  };
}

/**
 * Reads a text as a playbook, as the catalog will.
 *
 * @returns `path`: where it says that it belongs; none where it cannot be run: then a finding says why.
 */
export function checkPlaybook(
  text: string,
  file: string,
): { readonly path?: string; readonly findings: readonly Finding[] } {
  const findings = lintText(text, file);
  const parsed = parsePlaybook(text, file);
  if (!parsed.ok) return { findings };
  const compiled = compileProgram(parsed.value.playbook);
  if (compiled.ok) return { path: parsed.value.playbook.path, findings };
  if (findings.some(({ severity }) => severity === "error")) return { findings };
  const untold = compiled.error.map(({ path, message }): Finding => ({
    code: "template-syntax",
    severity: "error",
    ...parsed.value.place(path),
    message,
    help: "correct it there",
  }));
  return { findings: [...findings, ...untold] };
}

/** @throws {Fault} `not_found` */
function programOf({ catalog }: PlaybooksOptions, digest: string): Program {
  const text = catalog.text(digest);
  const parsed = text === undefined ? undefined : parsePlaybook(text, "playbook.yaml");
  const program = parsed?.ok === true ? compileProgram(parsed.value.playbook) : undefined;
  if (program?.ok === true) return program.value;
  throw fault("not_found", `There is no version ${digest} of a playbook that can be run`);
}

async function restart(
  options: PlaybooksOptions,
  former: ExecutionRow,
  at: Parameters<Playbooks["restart"]>[1],
): Promise<Restart> {
  const { executionId, digest } = former;
  if (digest === undefined) {
    const message = `Cannot run execution ${executionId} again from step "${at.step}" as it never began`;
    throw fault("conflict", message);
  }
  const fold = createRestartFold({
    executionId,
    ran: programOf(options, digest),
    runs: programOf(options, at.digest),
    step: at.step,
    returnStep: at.returnStep,
    inline: options.inline,
  });
  const of = { execution: executionId };
  for (let from = former.requestOffset; ;) {
    const records = await options.log.readThread({ of, from, limit: pageMax });
    fold.take(records);
    const last = records.at(-1);
    if (last === undefined || records.length < pageMax) break;
    from = last.offset + 1;
  }
  const found = fold.restart();
  if (found.ok) return kept(options.blobs, found.value);
  throw new Fault(found.error);
}

/** Puts large values aside: the request is one event, and that has a limit. */
async function kept(blobs: BlobStore, { step, workload, ctx, steps }: Restart): Promise<Restart> {
  const data: Record<string, Restart["steps"][string]> = {};
  for (const [name, known] of Object.entries(steps)) {
    const { data: given, tasks } = known;
    data[name] = {
      data: await keptValue(blobs, given),
      ...(tasks === undefined ? {} : { tasks: await keptMembers(blobs, tasks) }),
    };
  }
  return {
    step,
    workload: await keptMembers(blobs, workload),
    ctx: await keptMembers(blobs, ctx),
    steps: data,
  };
}

async function keptMembers(blobs: BlobStore, members: JsonObject): Promise<JsonObject> {
  const entries: [string, Json][] = [];
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) entries.push([name, await keptValue(blobs, value)]);
  }
  return Object.fromEntries(entries);
}

async function keptValue(blobs: BlobStore, value: Json): Promise<Json> {
  return JSON.stringify(value).length <= inlineMax
    ? value
    : { ...(await storeValue(blobs, value)) };
}
