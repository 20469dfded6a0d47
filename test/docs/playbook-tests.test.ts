/** The examples of tests for playbooks are tests that pass. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../src/base/document.ts";
import { lintText } from "../../src/core/lint.ts";
import { formatFinding, parsePlaybook } from "../../src/core/parse.ts";
import { parsePlaybookTests, runPlaybookTests } from "../../src/core/playbook-tests.ts";
import { compileProgram, type Program } from "../../src/core/program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = "examples/playbooks/";
const tests = readdirSync(root + folder).filter((name) => name.endsWith(".test.yaml"));

function read(path: string): string {
  return readFileSync(root + path, "utf8");
}

function programOf(path: string): Program {
  const parsed = parsePlaybook(read(path), path);
  if (!parsed.ok) throw new Error(parsed.error.map(formatFinding).join("\n"));
  const program = compileProgram(parsed.value.playbook);
  if (!program.ok) throw new Error(JSON.stringify(program.error));
  return program.value;
}

/** The examples by their paths: what one of them may run as a sub-playbook. */
const children = new Map(
  tests.map((file) => {
    const program = programOf(folder + file.replace(".test.yaml", ".yaml"));
    return [program.playbook.path, program];
  }),
);

function report(text: string, file: string, playbook: string): Record<string, string[]> {
  const parsed = parsePlaybookTests(text, file);
  if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
  const reports = runPlaybookTests(parsed.value, programOf(playbook), children);
  return Object.fromEntries(
    reports.map(({ name, problems }) => [name, problems.map(formatProblem)]),
  );
}

describe("examples of playbooks", () => {
  it.each(tests)("%s passes, and its playbook has no finding", (file) => {
    const playbook = folder + file.replace(".test.yaml", ".yaml");
    const reports = report(read(folder + file), file, playbook);
    expect(Object.keys(reports).length).toBeGreaterThan(0);
    expect(Object.values(reports).flat()).toEqual([]);
    expect(lintText(read(playbook), playbook).map(formatFinding)).toEqual([]);
  });

  it("the reference shows a test that passes", () => {
    const page = read("docs/reference/playbook-tests.md");
    const [snippet = ""] = /^```yaml\n(.*?)^```$/ms.exec(page)?.slice(1) ?? [];
    expect(report(snippet, "snippet", `${folder}restart-service.yaml`)).toEqual({
      "restarts a service that does not answer, and waits for it": [],
    });
  });
});
