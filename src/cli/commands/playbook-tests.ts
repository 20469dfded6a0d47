import type { Command } from "commander";
import {
  findPlaybookTests,
  type PlaybookFile,
  type TestedPlaybook,
} from "../../app/playbook-files.ts";
import { formatProblem, type DocumentProblem } from "../../base/document.ts";
import { err, type Result } from "../../base/result.ts";
import { parsePlaybook } from "../../core/parse.ts";
import { parsePlaybookTests, runPlaybookTests } from "../../core/playbook-tests.ts";
import { compileProgram, type Program } from "../../core/program.ts";
import type { Context } from "../context.ts";
import { counted, Exit, exitCodes, printable, type Terminal } from "../terminal.ts";

/** What became of one file of tests. */
type Tested = {
  readonly file: string;
  readonly playbook: string;
  /** Why none of its tests could run. */
  readonly problems: readonly DocumentProblem[];
  readonly tests: readonly {
    readonly name: string;
    readonly passed: boolean;
    readonly problems: readonly DocumentProblem[];
  }[];
};

/** `deed playbook test`: runs tests beside playbooks, in a world that is written down. Nothing is called. */
export function playbookTestCommand(playbook: Command, context: Context): void {
  playbook
    .command("test <paths...>")
    .description("run the tests beside playbooks (<name>.test.yaml); nothing is called")
    .addHelpText(
      "after",
      "\nSub-playbooks are those at the same paths, by their path in the catalog." +
        "\n\nExample: deed playbook test ./playbooks",
    )
    .action(async (paths: readonly string[], _: unknown, command: Command) => {
      const terminal = context.terminalOf(command);
      const { playbooks, problems } = await findPlaybookTests(paths);
      if (problems.length > 0) throw new Exit(exitCodes.usage, problems.join("\n"));
      const files = testAll(playbooks);
      if (files.length === 0) {
        const message = `${paths.join(", ")}: no playbook there has tests: write <name>.test.yaml beside one`;
        throw new Exit(exitCodes.usage, message);
      }
      const tests = files.flatMap((one) => one.tests);
      const passed = tests.filter((one) => one.passed).length;
      const failed = tests.length - passed;
      const untested = playbooks.length - files.length;
      terminal.result({ files, passed, failed, untested }, () =>
        files.flatMap((one) => linesOf(terminal, one)).join("\n"),
      );
      if (!context.optionsOf(command).json) {
        const rest = untested === 0 ? "" : `; ${counted(untested, "playbook")} without tests`;
        const all = counted(tests.length, "test");
        terminal.say(`${all}: ${String(passed)} passed, ${String(failed)} failed${rest}`);
      }
      if (files.some((one) => one.problems.length > 0)) throw new Exit(exitCodes.usage, "");
      if (failed > 0) throw new Exit(exitCodes.failed, "");
    });
}

function testAll(playbooks: readonly TestedPlaybook[]): readonly Tested[] {
  const programs = playbooks.map(({ playbook }) => programOf(playbook));
  const children = new Map<string, Program>();
  for (const program of programs) {
    if (!program.ok) continue;
    const { path } = program.value.playbook;
    if (!children.has(path)) children.set(path, program.value);
  }
  return playbooks.flatMap(({ playbook, test }, at): Tested[] => {
    const program = programs[at];
    if (test === undefined || program === undefined) return [];
    const about = { file: test.file, playbook: playbook.file };
    const parsed = parsePlaybookTests(test.text, test.file);
    if (!program.ok || !parsed.ok) {
      const problems = [program, parsed].flatMap((one) => (one.ok ? [] : one.error));
      return [{ ...about, problems, tests: [] }];
    }
    const tests = runPlaybookTests(parsed.value, program.value, children).map((report) => ({
      name: report.name,
      passed: report.problems.length === 0,
      problems: report.problems,
    }));
    return [{ ...about, problems: [], tests }];
  });
}

/** Ready to be decided, or all that is wrong, each with its place. */
function programOf({ file, text }: PlaybookFile): Result<Program, readonly DocumentProblem[]> {
  const parsed = parsePlaybook(text, file);
  if (!parsed.ok) {
    const told = parsed.error.filter(({ severity }) => severity === "error");
    return err(
      told.map(({ message, help, ...rest }) => ({ ...rest, message: `${message} (${help})` })),
    );
  }
  const { playbook, place } = parsed.value;
  const program = compileProgram(playbook);
  if (program.ok) return program;
  return err(program.error.map(({ path, message, at }) => ({ ...place(path, at), message })));
}

function linesOf(terminal: Terminal, { file, problems, tests }: Tested): readonly string[] {
  const told = (one: DocumentProblem): string =>
    formatProblem({ ...one, message: printable(one.message) });
  return [
    terminal.paint("bold", file),
    ...problems.map(told),
    ...tests.flatMap((test) => [
      `${test.passed ? terminal.paint("green", "ok  ") : terminal.paint("red", "FAIL")} ${printable(test.name)}`,
      ...test.problems.map((problem) => `     ${told(problem)}`),
    ]),
  ];
}
