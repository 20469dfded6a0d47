import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { breaksOfTheLaw } from "../../tools/import-law.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];

/** A house of its own with these files, and the packages of this one. */
function house(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "deed-law-"));
  folders.push(folder);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{"dependencies":{"fastify":"*","undici":"*"}}');
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

describe("the law of the house", () => {
  it.each([
    [
      "a room that it may not enter",
      "src/base/a.ts",
      'import "../event/b.ts";',
      "src/base/a.ts → src/event/b.ts: base may import: nothing.",
    ],
    [
      "what is private to another room",
      "src/kernel/a.ts",
      'import "../log/sqlite/c.ts";',
      "src/kernel/a.ts → src/log/sqlite/c.ts: src/log/*.ts is the front door; below it only app, which wires adapters, and log itself may look.",
    ],
    [
      "a module of Node in a pure room",
      "src/action/a.ts",
      'import "node:fs";',
      "src/action/a.ts → fs: action is pure: no module of Node.",
    ],
    [
      "a driver that lives elsewhere",
      "src/kernel/a.ts",
      'import "undici";',
      "node_modules/undici/index.js: undici is known to src/executor/http, src/client, src/source/probe only.",
    ],
    [
      "a package that package.json does not name",
      "src/kernel/a.ts",
      'import "yaml";',
      "A package that is imported stands in package.json.",
    ],
    [
      "a test",
      "src/event/a.ts",
      'import "./b.test.ts";',
      "src/event/a.ts → src/event/b.test.ts: The program does not import its tests.",
    ],
    [
      "a folder that is no room",
      "src/base/a.ts",
      'import "../misc/a.ts";',
      "Every folder of src is a room in architecture.mjs.",
    ],
  ])("finds %s", async (_, path, text, expected) => {
    const breaks = await breaksOfTheLaw(
      "src",
      house({
        "src/event/b.ts": "export {};",
        "src/event/b.test.ts": "export {};",
        "src/log/sqlite/c.ts": "export {};",
        "src/misc/a.ts": "export {};",
        [path]: text,
      }),
    );
    expect(breaks.join("\n")).toContain(expected);
  });

  it("finds two files that need each other", async () => {
    const breaks = await breaksOfTheLaw(
      "src",
      house({ "src/base/a.ts": 'import "./b.ts";', "src/base/b.ts": 'import "./a.ts";' }),
    );
    expect(breaks.length).toBeGreaterThan(0);
  });

  it("says nothing of a house that keeps it", async () => {
    const folder = house({
      "src/base/a.ts": "export {};",
      "src/event/b.ts": 'import "../base/a.ts";',
      "src/app/c.ts": 'import "../log/sqlite/d.ts";',
      "src/log/sqlite/d.ts": "export {};",
    });
    expect(await breaksOfTheLaw("src", folder)).toEqual([]);
  });
});
