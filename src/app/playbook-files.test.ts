import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findPlaybooks } from "./playbook-files.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-playbooks-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text = "kind: Playbook\n"): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

async function found(...paths: readonly string[]): Promise<string[]> {
  const { files, problems } = await findPlaybooks(paths.map((path) => join(folder, path)));
  expect(problems).toEqual([]);
  return files.map(({ file }) => relative(folder, file));
}

it("1. in a folder, files that say kind: Playbook count, those of its folders too", async () => {
  for (const name of ["b.yaml", "a.yml", "deep/er/c.yaml"]) write(name);
  write("rule.yaml", "kind: Rule\nnote: Playbook\n");
  write("inner.yaml", "spec: {kind: Playbook}\n");
  write("flow.yaml", "{kind: Playbook}\n");
  write("a.test.yaml");
  write("notes.txt");
  write(".hidden.yaml");
  write(".git/x.yaml");
  write("node_modules/x.yaml");
  expect(await found(".")).toEqual(["a.yml", "b.yaml", "deep/er/c.yaml", "flow.yaml"]);
});

it("1. a broken file counts where a line says so: it is to be told", async () => {
  write("broken.yaml", "kind: Playbook\nworkflow: [\n");
  write("other.yaml", "kind: Other # no Playbook\nworkflow: [\n");
  expect(await found(".")).toEqual(["broken.yaml"]);
});

it("1. a file that is named counts whatever it holds", async () => {
  write("any.txt", "hello");
  expect(await found("any.txt")).toEqual(["any.txt"]);
});

it("2. what is not there, and a folder without a playbook, is told", async () => {
  write("x/rule.yaml", "kind: Rule\n");
  const { files, problems } = await findPlaybooks([join(folder, "none"), join(folder, "x")]);
  expect(files).toEqual([]);
  expect(problems).toEqual([
    expect.stringMatching(/none cannot be read: ENOENT/),
    `${join(folder, "x")} holds no playbook: no file in it ends in .yaml and says "kind: Playbook"`,
  ]);
});

it("2. a link that leads nowhere is told, and the rest is found", async () => {
  write("a.yaml");
  symlinkSync(join(folder, "gone"), join(folder, "b.yaml"));
  const { files, problems } = await findPlaybooks([folder]);
  expect(files).toHaveLength(1);
  expect(problems).toEqual([expect.stringMatching(/b\.yaml cannot be read: ENOENT/)]);
});

it("3. each file counts once, and folders behind a link are not entered", async () => {
  write("x/a.yaml");
  symlinkSync(folder, join(folder, "x/again"));
  expect(await found("x/a.yaml", "x", ".")).toEqual(["x/a.yaml"]);
});
