import type { Command } from "commander";
import { findPlaybooks, type PlaybookFile } from "../../app/playbook-files.ts";
import { formatProblem } from "../../base/document.ts";
import { bareCondition, loopText, mermaidOf, toolText } from "../../core/graph-text.ts";
import { lintText } from "../../core/lint.ts";
import { parsePlaybook, type Finding } from "../../core/parse.ts";
import type { Arc, Playbook, Step } from "../../core/playbook.ts";
import type { Context } from "../context.ts";
import { catalogCommands } from "./catalog.ts";
import { playbookTestCommand } from "./playbook-tests.ts";
import { counted, Exit, exitCodes, printable, text, type Terminal } from "../terminal.ts";

/** Characters of one cell. */
const cellCharsMax = 120;

/** `deed playbook`: looks at playbooks as they are written, and keeps the catalog of a node. Nothing runs. */
export function playbookCommands(program: Command, context: Context): void {
  const playbook = program
    .command("playbook")
    .description("playbooks: check, test, show and draw files; register, compare and pin versions");
  lintCommand(playbook, context);
  playbookTestCommand(playbook, context);
  playbook
    .command("show <file>")
    .description("what a playbook takes, its steps with their tools, and where they go on")
    .addHelpText("after", "\nExample: deed playbook show playbooks/invoices.yaml")
    .action(async (path: string, _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const shown = await playbookAt(path, terminal);
      terminal.result(viewOf(shown), () => outline(terminal, shown));
    });
  playbook
    .command("graph <file>")
    .description("the steps and arcs of a playbook as a Mermaid flowchart")
    .addHelpText("after", "\nExample: deed playbook graph playbooks/invoices.yaml > invoices.mmd")
    .action(async (path: string, _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const mermaid = mermaidOf(await playbookAt(path, terminal));
      terminal.result({ mermaid }, () => mermaid.trimEnd());
    });
  catalogCommands(playbook, context);
}

function lintCommand(playbook: Command, context: Context): void {
  playbook
    .command("lint <paths...>")
    .description("check playbooks; every finding with file:line:column and the way out")
    .option("--strict", "let warnings count as errors", false)
    .addHelpText("after", "\nExample: deed playbook lint --strict ./playbooks")
    .action(async (paths: readonly string[], options: { strict: boolean }, command: Command) => {
      const terminal = context.terminalOf(command);
      const checked = (await filesAt(paths)).map(({ file, text: source }) => ({
        file,
        findings: lintText(source, file),
      }));
      const findings = checked.flatMap((one) => one.findings);
      const errors = findings.filter(({ severity }) => severity === "error").length;
      const warnings = findings.length - errors;
      terminal.result({ files: checked, errors, warnings }, () =>
        findings.map((finding) => findingLine(terminal, finding)).join("\n"),
      );
      if (!context.optionsOf(command).json) {
        const counts = [counted(errors, "error"), counted(warnings, "warning")].join(", ");
        terminal.say(`${counted(checked.length, "playbook")}: ${counts}`);
      }
      if (errors > 0 || (options.strict && warnings > 0)) throw new Exit(exitCodes.usage, "");
    });
}

/** @throws {Exit} with all that cannot be read. */
async function filesAt(paths: readonly string[]): Promise<readonly PlaybookFile[]> {
  const { files, problems } = await findPlaybooks(paths);
  if (problems.length > 0) throw new Exit(exitCodes.usage, problems.join("\n"));
  return files;
}

/** The one playbook at a path. @throws {Exit} with every finding that refuses it. */
async function playbookAt(path: string, terminal: Terminal): Promise<Playbook> {
  const [found, another] = await filesAt([path]);
  if (found === undefined || another !== undefined) {
    throw new Exit(exitCodes.usage, `${path} holds several playbooks: name one of its files`);
  }
  const parsed = parsePlaybook(found.text, found.file);
  if (parsed.ok) return parsed.value.playbook;
  const told = parsed.error.map((finding) => findingLine(terminal, finding));
  throw new Exit(exitCodes.usage, [`${path} cannot be read as a playbook`, ...told].join("\n"));
}

function findingLine(terminal: Terminal, finding: Finding): string {
  const { severity, code, message, help } = finding;
  const rank = terminal.paint(severity === "error" ? "red" : "yellow", severity);
  const way = terminal.paint("grey", `(${printable(help)})`);
  return formatProblem({ ...finding, message: `${rank} ${code}: ${printable(message)} ${way}` });
}

/** What `--json` prints of a playbook. */
function viewOf(playbook: Playbook): object {
  const { apiVersion, name, path, description, workload, steps, output, timeoutMs } = playbook;
  return {
    api_version: apiVersion,
    name,
    path,
    description,
    inputs: workload,
    steps: steps.map(({ name: step, desc, tasks, pipeline, loop, admit, next }) => ({
      step,
      desc,
      pipeline,
      tools: tasks.map((task) => ({ name: task.name, kind: task.kind })),
      loop,
      admit: admit.length === 0 ? undefined : admit,
      next: {
        mode: next.mode,
        on_no_match: next.onNoMatch,
        arcs: next.arcs.map(({ to, when }) => ({ step: to, when })),
      },
    })),
    output,
    timeout_ms: timeoutMs,
  };
}

function outline(terminal: Terminal, playbook: Playbook): string {
  const { apiVersion, name, path, description, workload, steps } = playbook;
  const head = [terminal.paint("bold", printable(name)), printable(path), apiVersion].join("  ");
  const inputs = Object.entries(workload).map(([input, value]) => [
    printable(input),
    short(text(value)),
  ]);
  return [
    head,
    ...(description === undefined ? [] : [printable(description)]),
    ...(inputs.length === 0 ? [] : ["", terminal.table(["input", "default"], inputs)]),
    "",
    terminal.table(["step", "tools", "loop", "goes on to"], steps.map(stepRow)),
  ].join("\n");
}

function stepRow({ name, tasks, loop, next }: Step): readonly string[] {
  const on = next.arcs.map(arcText).join(next.mode === "inclusive" ? " and " : ", else ");
  return [
    name,
    tasks.map(toolText).join(", "),
    loop === undefined ? "" : loopText(loop),
    on === "" ? "ends here" : on,
  ].map(short);
}

function arcText({ to, when }: Arc): string {
  return when === undefined ? to : `${to} when ${bareCondition(when)}`;
}

/** A cell of a table: all of it is in `--json`. */
function short(cell: string): string {
  const line = printable(cell);
  return line.length > cellCharsMax ? `${line.slice(0, cellCharsMax - 1)}…` : line;
}
