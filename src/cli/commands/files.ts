import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { backUpLogFile } from "../../app/log-file.ts";
import { filesIn } from "../../app/definition-files.ts";
import { formatProblem } from "../../base/document.ts";
import { parseDefinitions } from "../../decider/activation.ts";
import { examine } from "../doctor.ts";
import type { Context } from "../context.ts";
import { Exit, exitCodes, text } from "../terminal.ts";
import { objectsOf } from "./actions.ts";
import { configTemplate, ruleTemplate } from "../templates.ts";

/** Commands about files: they need no running node. */
export function fileCommands(program: Command, context: Context): void {
  program
    .command("init [folder]")
    .description("write a configuration and a rule that run as they are")
    .addHelpText("after", "\nExample: deed init night-watch")
    .action((folder: string | undefined, _: unknown, command: Command) => {
      const at = resolve(folder ?? ".");
      const files = { "deed.yaml": configTemplate, "rules/failed-job.yaml": ruleTemplate };
      for (const name of Object.keys(files)) {
        if (existsSync(join(at, name))) {
          throw new Exit(
            exitCodes.usage,
            `${join(at, name)} is there already: nothing was written`,
          );
        }
      }
      mkdirSync(join(at, "rules"), { recursive: true });
      for (const [name, content] of Object.entries(files)) writeFileSync(join(at, name), content);
      context
        .terminalOf(command)
        .result({ folder: at, files: Object.keys(files) }, () =>
          [`wrote ${Object.keys(files).join(" and ")} in ${at}`, "next: deed start"].join("\n"),
        );
    });
  rulesCommands(program, context);
  program
    .command("doctor")
    .description("look for what keeps a node from running, with a way out of each")
    .action(async (_: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const findings = await examine(context.optionsOf(command).config, context.io.env);
      terminal.result({ findings }, () =>
        findings
          .map(({ ok, what, wayOut }) => {
            const mark = ok ? terminal.paint("green", "ok  ") : terminal.paint("red", "FAIL");
            return `${mark} ${what}${wayOut === undefined ? "" : `\n     ${wayOut}`}`;
          })
          .join("\n"),
      );
      if (findings.some(({ ok }) => !ok)) throw new Exit(exitCodes.failed, "");
    });
  program
    .command("backup <path>")
    .description("copy the log as of now, beside a running node or without one")
    .addHelpText("after", "\nExample: deed backup /var/backups/deed.db")
    .action(async (path: string, _: unknown, command: Command) => {
      const { logPath } = context.configOf(command, true);
      if (!existsSync(logPath)) throw new Exit(exitCodes.usage, `there is no log at ${logPath}`);
      const target = resolve(path);
      await backUpLogFile(logPath, target);
      context
        .terminalOf(command)
        .result({ log: logPath, backup: target }, () => `${logPath} was copied to ${target}`);
    });
}

function rulesCommands(program: Command, context: Context): void {
  const rules = program.command("rules").description("rules: check files, list what is active");
  rules
    .command("check <paths...>")
    .description("check rule files; every problem with file:line:column")
    .addHelpText("after", "\nExample: deed rules check ./rules")
    .action(async (paths: readonly string[], _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const missing: string[] = [];
      const files = (
        await Promise.all(paths.map((path) => filesIn(path, (message) => missing.push(message))))
      ).flat();
      if (missing.length > 0) throw new Exit(exitCodes.usage, missing.join("\n"));
      if (files.length === 0) {
        throw new Exit(exitCodes.usage, `no rule file (.yaml, .yml) in ${paths.join(", ")}`);
      }
      const checked = files.map((file) => {
        const parsed = parseDefinitions(readFileSync(file, "utf8"), file);
        return parsed.ok
          ? {
              file,
              rules: parsed.value.map(({ name, version, mode }) => ({ name, version, mode })),
              problems: [],
            }
          : { file, rules: [], problems: parsed.error };
      });
      const problems = checked.flatMap((one) => one.problems);
      terminal.result({ files: checked }, () =>
        [
          ...problems.map(formatProblem),
          ...checked.flatMap((one) =>
            one.rules.map((rule) => `${one.file}: ${rule.name} ${rule.version} (${rule.mode})`),
          ),
        ].join("\n"),
      );
      if (problems.length > 0) throw new Exit(exitCodes.usage, "");
    });
  rules
    .command("list")
    .description("the rules that are active on the node")
    .action(async (_: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const answer = await context.clientOf(command).get("/v1/rules");
      const rows = objectsOf(answer["rules"]).map((rule) =>
        ["name", "version", "mode", "offset", "file"].map((name) => text(rule[name])),
      );
      terminal.result(answer, () =>
        terminal.table(["rule", "version", "mode", "since offset", "file"], rows),
      );
    });
}
