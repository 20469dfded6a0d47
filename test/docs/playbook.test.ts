/** The reference of playbooks says what the source says. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { lintText } from "../../src/core/lint.ts";
import { findingCodes, formatFinding } from "../../src/core/parse.ts";
import { refuses, severityOf } from "../../src/core/playbook/finding.ts";
import { knownKeys } from "../../src/core/playbook/schema.ts";
import { keysOfKind, kindsWithKeys } from "../../src/core/playbook/tool-schema.ts";

const page = readFileSync(new URL("../../docs/reference/playbook.md", import.meta.url), "utf8");

/** The cells of every row of the tables below a heading. */
function rows(heading: string): readonly (readonly string[])[] {
  const from = page.indexOf(`\n${heading}\n`);
  expect(from, `the page has "${heading}"`).toBeGreaterThan(0);
  const end = page.slice(from + 4).search(/\n##/);
  return page
    .slice(from, end < 0 ? undefined : from + 4 + end)
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
}

function described(schema: object): string {
  const text: unknown = Reflect.get(schema, "description");
  return typeof text === "string" ? text : "";
}

test("the example is a playbook in which the linter finds nothing", () => {
  const [example = ""] = /(?<=```yaml\n)[^]*?(?=```)/.exec(page) ?? [];
  expect(lintText(example, "example.yaml").map(formatFinding)).toEqual([]);
});

test("every finding stands in the table, with its severity and whether it refuses", () => {
  const told = rows("## Findings").map(([, code, severity, refused]) => [code, severity, refused]);
  const all = findingCodes.map((code) => [
    `\`${code}\``,
    severityOf(code, false),
    refuses(code, false) ? "yes" : "no",
  ]);
  expect(told).toEqual(all);
});

const headings: { readonly [place in keyof typeof knownKeys]?: string } = {
  root: "### A playbook",
  metadata: "### `metadata`",
  step: "### A step",
  stepSpec: "### `spec` of a step",
  admitRule: "### `spec.policy.admit.rules` of a step",
  loop: "### `loop`",
  loopSpec: "### `loop.spec`",
  frame: "### `loop.spec.frame`",
  cursor: "### `loop.cursor`",
  tool: "### A tool",
  toolSpec: "### `spec` of a tool",
  rule: "### A rule's keys",
  consequence: "### `then` of a rule",
  retry: "### `retry` of a tool",
  next: "### `next`",
  nextSpec: "### `next.spec`",
  arc: "### An arc",
};

describe("every key stands in its table, with what the schema says of it", () => {
  test.each(Object.entries(headings))("%s", (place, heading) => {
    const known = Object.entries(knownKeys).find(([name]) => name === place)?.[1] ?? {};
    const told = rows(heading).map(([, key, meaning]) => `${key ?? ""} ${meaning ?? ""}`);
    const all = Object.entries(known).map(([key, schema]) => `\`${key}\` ${meaningOf(schema)}`);
    expect(told).toEqual(all);
  });

  test.each(kindsWithKeys)("a tool of kind %s", (kind) => {
    const common = Object.keys(knownKeys.tool);
    const own = Object.entries(keysOfKind(kind) ?? {}).filter(([key]) => !common.includes(key));
    const told = rows("### A tool's own keys")
      .filter(([, of]) => of === `\`${kind}\``)
      .map(([, , key, meaning]) => `${key ?? ""} ${meaning ?? ""}`);
    expect(told).toEqual(own.map(([key, schema]) => `\`${key}\` ${meaningOf(schema)}`));
  });
});

function meaningOf(schema: object): string {
  const deprecated = Reflect.get(schema, "deprecated") === true ? "No effect: " : "";
  return (deprecated + described(schema)).replaceAll("|", "or");
}
