import type { Command } from "commander";
import { findPlaybooks } from "../../app/playbook-files.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Client } from "../../client/client.ts";
import type { Registered } from "../../client/playbooks.ts";
import type { Context } from "../context.ts";
import { counted, Exit, exitCodes, printable, text, type Terminal } from "../terminal.ts";
import { objectsOf } from "./actions.ts";
import { diffLines } from "../diff.ts";

/** The playbooks that a node knows: registered, listed, compared, pinned. */
export function catalogCommands(playbook: Command, context: Context): void {
  registerCommand(playbook, context);
  playbook
    .command("list")
    .description("the playbooks that are registered on the node")
    .action(async (_: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const answer = await context.clientOf(command).playbooks({ limit: 1_000 });
      terminal.result(answer, () =>
        terminal.table(
          ["path", "version", "pinned", "versions", "registered", "file"],
          answer.playbooks.map((one) => [
            printable(one.path),
            shortDigest(one.digest),
            one["pinned"] === true ? "pinned" : "",
            text(one["versions"]),
            text(one["registered_at"]),
            printable(text(one["file"])),
          ]),
        ),
      );
      if (answer.next_cursor !== undefined) terminal.say("there are more: --json has the cursor");
    });
  playbook
    .command("versions <path>")
    .description("the versions at a path, newest first")
    .action(async (path: string, _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const answer = await context.clientOf(command).playbook(path);
      terminal.result(answer, () =>
        terminal.table(
          ["version", "", "registered", "file"],
          objectsOf(answer["versions"]).map(versionRow),
        ),
      );
    });
  diffCommand(playbook, context);
  pinCommands(playbook, context);
}

function registerCommand(playbook: Command, context: Context): void {
  playbook
    .command("register <paths...>")
    .description("register playbook files on the node, as the newest versions at their paths")
    .addHelpText("after", "\nExample: deed playbook register ./playbooks")
    .action(async (paths: readonly string[], _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const client = context.clientOf(command);
      const { files, problems } = await findPlaybooks(paths);
      if (problems.length > 0) throw new Exit(exitCodes.usage, problems.join("\n"));
      const registered: (Registered & { readonly file: string })[] = [];
      for (const { file, text: source } of files) {
        const answer = await client.registerPlaybook({ text: source, file });
        registered.push({ ...answer, file });
      }
      terminal.result({ playbooks: registered }, () =>
        registered
          .map((one) => {
            const what = one.registered ? terminal.paint("green", "registered") : "as it was";
            const said =
              one.findings.length === 0
                ? ""
                : `  ${counted(one.findings.length, "finding")}: deed playbook lint ${one.file}`;
            return `${printable(one.path)} ${shortDigest(one.digest)} ${what}${said}`;
          })
          .join("\n"),
      );
    });
}

function diffCommand(playbook: Command, context: Context): void {
  playbook
    .command("diff <path> [a] [b]")
    .description(
      "what changed from version a to b; without them, from the one before the newest to the newest",
    )
    .addHelpText(
      "after",
      "\nVersions are digests, or their beginning.\n\nExample: deed playbook diff finance/invoices 3f2a9c",
    )
    .action(
      async (
        ...[path, a, b, , command]: [
          string,
          string | undefined,
          string | undefined,
          unknown,
          Command,
        ]
      ) => {
        const terminal = context.terminalOf(command);
        const client = context.clientOf(command);
        const versions = await digestsOf(client, path);
        const to = b === undefined ? versions[0] : chosen(versions, b, path);
        const before = versions[versions.indexOf(to ?? "") + 1];
        const from = a === undefined ? before : chosen(versions, a, path);
        if (from === undefined || to === undefined) {
          throw new Exit(exitCodes.usage, `${path} has one version: there is nothing to compare`);
        }
        const [old, young] = await Promise.all(
          [from, to].map((digest) => client.playbookVersion(path, digest)),
        );
        const lines = diffLines(old?.text ?? "", young?.text ?? "");
        terminal.result({ path, from, to, diff: lines }, () =>
          [
            terminal.paint("bold", `--- ${path} ${shortDigest(from)}`),
            terminal.paint("bold", `+++ ${path} ${shortDigest(to)}`),
            ...lines.map((line) => coloured(terminal, line)),
          ].join("\n"),
        );
      },
    );
}

function coloured(terminal: Terminal, line: string): string {
  const shown = line.slice(0, 1) + printable(line.slice(1));
  if (line.startsWith("+")) return terminal.paint("green", shown);
  return line.startsWith("-") ? terminal.paint("red", shown) : shown;
}

function pinCommands(playbook: Command, context: Context): void {
  playbook
    .command("pin <path> <digest>")
    .description("let this version run at the path, whatever is registered after it")
    .action(async (...[path, digest, , command]: [string, string, unknown, Command]) => {
      const client = context.clientOf(command);
      const answer = await client.pinPlaybook(
        path,
        chosen(await digestsOf(client, path), digest, path),
      );
      context
        .terminalOf(command)
        .result(answer, () => `${printable(path)} is pinned to ${shortDigest(answer.digest)}`);
    });
  playbook
    .command("unpin <path>")
    .description("let the newest version run at the path again")
    .action(async (path: string, _: unknown, command: Command) => {
      const answer = await context.clientOf(command).unpinPlaybook(path);
      context
        .terminalOf(command)
        .result(answer, () => `${printable(path)} runs ${shortDigest(answer.digest)}, its newest`);
    });
}

/** The digest of the one version at a path that begins so; a whole digest is left to the node. @throws {Exit} */
export async function wholeDigest(
  client: Client,
  path: string,
  beginning: string | undefined,
): Promise<{ readonly digest?: string }> {
  if (beginning === undefined) return {};
  if (/^[0-9a-f]{64}$/.test(beginning)) return { digest: beginning };
  return { digest: chosen(await digestsOf(client, path), beginning, path) };
}

/** Newest first. */
async function digestsOf(client: Client, path: string): Promise<readonly string[]> {
  const { versions } = await client.playbook(path);
  return objectsOf(versions).map(({ digest }) => text(digest));
}

/** The one version whose digest begins so. @throws {Exit} */
function chosen(digests: readonly string[], beginning: string, path: string): string {
  const found = digests.filter((digest) => digest.startsWith(beginning));
  const [only, another] = found;
  if (only !== undefined && another === undefined) return only;
  const why = only === undefined ? "no version" : `${String(found.length)} versions`;
  throw new Exit(
    exitCodes.usage,
    `${path} has ${why} ${beginning}…: deed playbook versions ${path}`,
  );
}

function versionRow(version: JsonObject): readonly string[] {
  const state = version["pinned"] === true ? "pinned" : version["current"] === true ? "runs" : "";
  return [
    shortDigest(text(version["digest"])),
    state,
    text(version["registered_at"]),
    printable(text(version["file"])),
  ];
}

/** As much of a digest as people compare. */
function shortDigest(digest: string): string {
  return digest.slice(0, 12);
}
