import { fileURLToPath } from "node:url";
import { ESLint } from "eslint";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const eslint = new ESLint({ cwd: root });

/** What the linter of this house says about a text that stands in a file of it. */
async function told(file: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: root + file });
  return (result?.messages ?? []).map(({ message }) => message);
}

describe("a pure room", () => {
  it.each([
    ["the clock", "Date.now()", "A pure room takes time as an input."],
    ["the present", "new Date().getTime()", "A pure room takes time as an input."],
    ["chance", "Math.random()", "A pure room has no randomness: use base/random with a seed."],
    ["the locale", '"a".localeCompare("b")', "The locale is an input that nobody recorded."],
    ["the process", "process.pid", "Unexpected use of 'process'."],
    ["the network", 'fetch("http://localhost")', "Unexpected use of 'fetch'."],
  ])("may not use %s", async (_, expression, expected) => {
    const messages = await told("src/core/limits.ts", `export const value = ${expression};\n`);
    expect(messages).toContain(expected);
  });

  it("may use what it is given", async () => {
    const text = "export const value = (atMs: number): number => new Date(atMs).getTime();\n";
    expect(await told("src/core/limits.ts", text)).toEqual([]);
  });

  it("is not the whole house: a test may read the clock", async () => {
    const text = "export const value = Date.now();\n";
    expect(await told("test/house/purity.test.ts", text)).toEqual([]);
  });
});
