/** What a playbook's python tool may say beside its code. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { executionId } from "../../event/ids.ts";
import { createArgsCheck } from "../args.ts";
import { createSecret } from "../credential.ts";
import { contextOf, errorOf, faultOf } from "../executor-contract.ts";
import { createScripts } from "../script.ts";
import { createPython } from "./python.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.warn("The tests of the python executor need python3: they are left out");

describe.runIf(hasPython)("the python tool of playbooks", () => {
  const root = mkdtempSync(join(tmpdir(), "deed-python-playbook-"));
  const python = createPython({
    cwd: tmpdir(),
    killAfterMs: 50,
    scripts: createScripts({ root }),
  });
  const execution = {
    ...contextOf(),
    executionId: executionId("42"),
    credentials: {
      resolve: (alias: string) =>
        alias === "store"
          ? Promise.resolve(createSecret(alias, { token: "t", port: 1 }))
          : Promise.reject(fault("not_found", `no ${alias}`)),
    },
  };
  const check = createArgsCheck();
  const run = (args: JsonObject) => python.execute(check(python, args), execution);

  beforeAll(() => {
    writeFileSync(
      join(root, "hello.py"),
      'text = "{{ name }}"\n\ndef main(name, count):\n    return [text] + [name] * count\n',
    );
    writeFileSync(join(root, "empty.py"), "");
  });

  afterAll(() => {
    rmSync(root, { recursive: true, force: true });
  });

  test("a script runs as code does, as it stands: nothing renders templates in it", async () => {
    const script = { uri: "./hello.py", source: { type: "file" } };
    const input = { name: "Ann", count: 2 };
    expect(await run({ script, input, libs: null, auth: null })).toEqual([
      "{{ name }}",
      "Ann",
      "Ann",
    ]);
    expect(await run({ script: { uri: "empty.py" } })).toBeNull();
  });

  test("the context names the execution, unless the call says otherwise", async () => {
    expect(await run({ code: "result = context" })).toEqual({ execution_id: "42" });
    const context = { execution_id: "7", more: 1 };
    expect(await run({ code: "result = context", context })).toEqual(context);
    expect(await python.execute({ code: "result = context" }, contextOf())).toEqual({});
  });

  test("a credential is a member of the context", async () => {
    const code = 'result = [context["auth"]["token"], context["auth"]["port"]]';
    expect(await run({ code, auth: "store" })).toEqual(["t", 1]);
    expect(await faultOf(run({ code, auth: "absent" }))).toMatchObject({ kind: "not_found" });
  });

  test.each<[string, JsonObject, string, string]>([
    ["neither", {}, "invalid_args", "give it as code, or name a script"],
    [
      "both",
      { code: "1", script: { uri: "hello.py" } },
      "invalid_args",
      "give it as code, or name a script",
    ],
    ["no such file", { script: { uri: "none.py" } }, "not_found", "there is no such file"],
    ["a file outside", { script: { uri: "../x.py" } }, "permission", "outside of"],
  ])("code and script: %s", async (_, args, kind, why) => {
    const error = await errorOf(python, args);
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(why);
  });

  test("a node that loads no scripts says so", async () => {
    expect(await errorOf(createPython(), { script: { uri: "hello.py" } })).toMatchObject({
      kind: "permission",
      message: "Cannot run a script as this node loads none",
    });
  });

  test("where Python is off, the error says what to configure, whatever is asked", async () => {
    const off = createPython({ enabled: false });
    for (const args of [{}, { script: { uri: "hello.py" } }, { code: "1" }]) {
      expect(await errorOf(off, args)).toMatchObject({
        kind: "permission",
        message: "Cannot run Python code as it is off: configure executors.python, even as {}",
      });
    }
  });
});
