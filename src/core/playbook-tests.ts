/**
 * Tests of playbooks, as their authors write them: given a start and what the tools do, then what follows.
 *
 * A test runs in the scripted world: nothing is called, no time passes. Its file stands beside the playbook,
 * as `<name>.test.yaml`; the format is in `docs/reference/playbook-tests.md`.
 *
 * 1. Nothing is made up: a command whose outcome no test gives is a problem of that test.
 * 2. Every difference is told, each with its place in the file.
 */
import { readDocuments, type DocumentProblem } from "../base/document.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Program } from "./program.ts";
import { runWorld, type WorldRun } from "./scripted-world.ts";
import { expectRun } from "./world/expectation.ts";
import { Outcomes, inputsOf } from "./world/outcomes.ts";
import { playbookTestsSchema, type PlaybookTest } from "./world/test-schema.ts";

export { playbookTestsSchema } from "./world/test-schema.ts";

export type PlaybookTests = {
  readonly tests: readonly PlaybookTest[];
  readonly problem: (path: readonly (string | number)[], message: string) => DocumentProblem;
};

export type TestReport = {
  readonly name: string;
  /** None: the playbook does what the test says. */
  readonly problems: readonly DocumentProblem[];
  readonly run: WorldRun;
};

/** Reads a file of tests; refused with every problem. */
export function parsePlaybookTests(
  text: string,
  file: string,
): Result<PlaybookTests, readonly DocumentProblem[]> {
  const read = readDocuments(text, file, playbookTestsSchema);
  if (!read.ok) return read;
  const [first, second] = read.value;
  if (first === undefined || second !== undefined) {
    return err([{ file, line: 1, column: 1, message: "a file of tests holds one document" }]);
  }
  return ok({ tests: first.value.tests, problem: first.problem });
}

/**
 * Runs every test of a file.
 *
 * @param children programs that kind `playbook` finds, by path; one that is missing here, or that a test gives
 *   an outcome for, is no more than a tool.
 */
export function runPlaybookTests(
  { tests, problem }: PlaybookTests,
  program: Program,
  children: ReadonlyMap<string, Program> = new Map(),
): readonly TestReport[] {
  return tests.map(({ name, given = {}, then }, index): TestReport => {
    const outcomes = new Outcomes({ given: given.outcomes ?? {}, program, children });
    const { start = {}, env = {}, seed } = given;
    const run = runWorld(
      {
        program,
        children: outcomes.childrenToRun(),
        payload: start,
        env,
        inputs: inputsOf(given),
        ...(seed === undefined ? {} : { seed: String(seed) }),
      },
      (asked) => outcomes.of(asked),
    );
    const at = ["tests", index];
    const problems = [
      ...outcomes
        .problems()
        .map(({ path, message }) => problem([...at, "given", "outcomes", ...path], message)),
      ...expectRun(then, run, program).map(({ path, message }) =>
        problem([...at, "then", ...path], message),
      ),
    ];
    return { name, problems, run };
  });
}
