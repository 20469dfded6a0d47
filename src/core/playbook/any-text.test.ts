import { Compile } from "typebox/compile";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse as parseYaml, stringify } from "yaml";
import { head, refusal, valid } from "../../../test/core/playbooks.ts";
import { lintText } from "../lint.ts";
import { formatFinding, parsePlaybook, playbookSchema } from "../parse.ts";
import { refuses } from "./finding.ts";

describe("3. no text throws", () => {
  const anyJson = fc.jsonValue({ maxDepth: 4 });
  const [, ...words] = new Set(valid.match(/[A-Za-z_.]+/g) ?? []);

  test("random documents with the words of the format", () => {
    const tree = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constantFrom(null, true, 0, -1, 1e21, "", "{{ a }}", "{{", "start", ...words),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom(...words), tie("value"), { maxKeys: 6 }),
      ),
    })).value;
    fc.assert(
      fc.property(tree, (value) => {
        const text = `${head}${stringify({ workflow: value })}`;
        expect(parsePlaybook(text, "p.yaml").ok).toBe(
          !lintText(text, "p.yaml").some(({ code }) => refuses(code, false)),
        );
      }),
      { numRuns: 150 },
    );
  });

  test("a valid playbook with one part replaced by anything", () => {
    const paths = pathsOf(parseYaml(valid), []);
    fc.assert(
      fc.property(fc.constantFrom(...paths), anyJson, (path, replacement) => {
        const text = stringify(replaced(parseYaml(valid), path, replacement));
        const findings = lintText(text, "p.yaml");
        for (const finding of findings) {
          expect(finding.line).toBeGreaterThan(0);
          expect(finding.column).toBeGreaterThan(0);
          expect(finding.message).not.toBe("");
          expect(finding.help).not.toBe("");
        }
      }),
      { numRuns: 150 },
    );
  });

  test("a valid playbook with characters cut out, doubled or put in", () => {
    fc.assert(
      fc.property(
        fc.nat(valid.length),
        fc.nat(40),
        fc.string({ unit: fc.constantFrom(...Array.from("{}[]:-|>&*!%'\"\n ")), maxLength: 4 }),
        (at, length, put) => {
          lintText(valid.slice(0, at) + put + valid.slice(at + length), "p.yaml");
        },
      ),
      { numRuns: 150 },
    );
  });

  test("a playbook of more steps than there may be", () => {
    const steps = Array.from(
      { length: 2_001 },
      (_, at) => `  - {step: s${String(at)}, tool: noop}`,
    );
    expect(refusal(`${head}workflow:\n${steps.join("\n")}`)[0]).toMatch(
      /error too-large: a playbook may have 2000 steps: it has 2001; /,
    );
  });

  test("a playbook with more to tell than is told", () => {
    const unknown = Array.from({ length: 1_200 }, (_, at) => `x${String(at)}: 1`);
    const names = Array.from({ length: 1_200 }, (_, at) => `{{ name_${String(at)} }}`);
    const step = "workflow: [{step: start, tool: noop, set: {a: ";
    expect(lintText(`${head}${step}1}}]\n${unknown.join("\n")}`, "p.yaml")).toHaveLength(1_000);
    expect(lintText(`${head}${step}"${names.join("")}"}}]`, "p.yaml")).toHaveLength(1_000);
  });
});

describe("the published schema", () => {
  const check = Compile(playbookSchema);

  test("takes a playbook with every key, and reading it finds nothing unknown", () => {
    expect([...check.Errors(parseYaml(valid))]).toEqual([]);
    expect(lintText(valid, "p.yaml").map(formatFinding)).toEqual([]);
  });

  test.each([
    ["an unknown key", { ...(parseYaml(valid) as object), vars: {} }],
    ["a step without a tool", { ...(parseYaml(valid) as object), workflow: [{ step: "start" }] }],
    ["another kind of document", { ...(parseYaml(valid) as object), kind: "Other" }],
  ])("refuses %s", (_what, value) => {
    expect(check.Check(value)).toBe(false);
  });
});

type Path = readonly (string | number)[];

function pathsOf(value: unknown, path: Path): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, member]) => pathsOf(member, [...path, key]))];
}

function replaced(value: unknown, path: Path, replacement: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return replacement;
  if (Array.isArray(value)) {
    return value.map((item: unknown, at) =>
      at === key ? replaced(item, rest, replacement) : item,
    );
  }
  const of = value as Record<string, unknown>;
  return { ...of, [key]: replaced(of[key], rest, replacement) };
}
