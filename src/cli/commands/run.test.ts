import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startEngine } from "../../app/app.ts";
import { loadConfig, type Config } from "../../app/config.ts";
import { readClosure } from "../../app/playbook-closure.ts";
import { startRun } from "../../app/playbook-run.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Io } from "../io.ts";
import { run } from "../program.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-run-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function deed(words: readonly string[], world: Partial<Io> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const io: Io = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    env: { DEED_CONFIG: join(folder, "deed.yaml") },
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
    ...world,
  };
  const code = await run(words, io);
  return { code, out, err };
}

function write(name: string, path: string, workflow: string, more = ""): string {
  const file = join(folder, name);
  const head = `apiVersion: deed/v1\nkind: Playbook\nmetadata: { name: ${name.replace(/\W/g, "-")}, path: ${path} }\n`;
  writeFileSync(join(folder, "deed.yaml"), "data: ./data\n");
  writeFileSync(file, `${head}${more}workflow:\n${workflow}`);
  return file;
}

function config(): Config {
  const read = loadConfig(join(folder, "deed.yaml"), {});
  if (!read.ok) throw new Error("the configuration is not valid");
  return read.value;
}

const noop = "  - step: start\n    tool: { kind: noop }\n";

describe("deed run", () => {
  const inputs =
    'workload: { name: world, many: 1 }\noutput: { name: "{{ name }}", many: "{{ many }}" }\n';

  it("runs a file without a node: the result to stdout, a line a change to stderr", async () => {
    const file = write("a.yaml", "a", noop, inputs);
    const ran = await deed(["run", file, "--input", "name=Ada", "--input", "many=[1,2]"]);
    expect(ran).toMatchObject({ code: 0, out: '{"name":"Ada","many":[1,2]}\n' });
    const lines = ran.err.trimEnd().split("\n");
    expect(
      lines.map((line) =>
        line
          .trim()
          .replace(/^[\d.]+ m?s +/, "")
          .replace(/\d+( ms)?/, "N"),
      ),
    ).toEqual(["a: execution N", "start began", "start completed after N", "a completed after N"]);
  });

  it("tells all of it as one document where --json is asked for, and nothing else", async () => {
    const file = write("a.yaml", "a", noop, inputs);
    writeFileSync(join(folder, "in.json"), '{"many": 7}');
    const ran = await deed(["run", file, "--json", "--input-file", join(folder, "in.json")]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(ran.out)).toMatchObject({
      playbook: "a",
      status: "completed",
      result: { name: "world", many: 7 },
    });
  });

  it("runs the sub-playbooks that stand beside it, and registers no others", async () => {
    const file = write("a.yaml", "a", "  - step: start\n    tool: { kind: playbook, path: b/c }\n");
    write("c.yaml", "b/c", noop, 'output: "from c"\n');
    write("d.yaml", "d", noop);
    expect(await deed(["run", file])).toMatchObject({ code: 0, out: '"from c"\n' });
    const other = write("e.yaml", "e", "  - step: start\n    tool: { kind: playbook, path: d }\n");
    rmSync(join(folder, "d.yaml"));
    const missing = await deed(["run", other]);
    expect(missing.code).toBe(1);
    expect(missing.err).toContain('no file has the sub-playbook "d"');
  });

  it("ends with 1 and says why where it fails", async () => {
    const file = write(
      "a.yaml",
      "a",
      '  - step: start\n    tool: { kind: noop, result: "{{ nothing.here }}" }\n',
    );
    const ran = await deed(["run", file]);
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(ran.err).toMatch(
      /\ndeed: execution \d+ of a failed: invalid_args: .*nothing is undefined/,
    );
  });

  it.each<readonly [words: readonly string[], said: string]>([
    [[], "name a file, or an execution with --resume"],
    [["--resume", "5"], "Cannot go on with 5: it is not on this log"],
    [["none.yaml"], "none.yaml cannot be run"],
    [["a.yaml", "--input", "x"], "--input x must be name=value"],
    [["a.yaml", "--allow", "ruby"], '--allow knows python, shell, duckdb, none: got "ruby"'],
  ])("refuses %j", async (words, said) => {
    write("a.yaml", "a", noop);
    const ran = await deed([
      "run",
      ...words.map((word) => word.replace("a.yaml", join(folder, "a.yaml"))),
    ]);
    expect([1, 2]).toContain(ran.code);
    expect(ran.err).toContain(said);
  });

  it("asks to cancel at the first Ctrl-C, and ends with 130", async () => {
    const file = write(
      "a.yaml",
      "a",
      "  - step: start\n    tool: { kind: approval, message: go on? }\n",
    );
    const stop = new AbortController();
    const signals = [stop.signal, new AbortController().signal];
    let err = "";
    const ran = await deed(["run", file], {
      stopAsked: () => signals.shift() ?? new AbortController().signal,
      err: (text) => {
        err += text;
        if (text.includes("nobody can answer")) stop.abort();
      },
    });
    expect(ran.code).toBe(130);
    expect(err).toContain("start waits for approval: go on?");
    expect(err).toMatch(/deed: execution \d+ of a cancelled: interrupted/);
  });

  it("tells an input that the playbook does not know, and runs all the same", async () => {
    const file = write("a.yaml", "a", noop, inputs);
    const ran = await deed(["run", file, "--no-watch", "--input", "nmae=Ada", "--input", "zork=1"]);
    expect(ran).toEqual({
      code: 0,
      out: '{"name":"world","many":1}\n',
      err:
        'deed: the playbook has no input "nmae": did you mean "name"?\n' +
        'deed: the playbook has no input "zork": it has name, many\n',
    });
  });

  it("prints a result that was too large to stand on the log by itself, whole", async () => {
    const large = "a".repeat(200_000);
    const file = write(
      "a.yaml",
      "a",
      '  - step: start\n    tool: { kind: noop, result: "{{ name }}" }\n',
      'workload: { name: "" }\noutput: "{{ start }}"\n',
    );
    writeFileSync(join(folder, "in.json"), JSON.stringify({ name: large }));
    const ran = await deed(["run", file, "--no-watch", "--input-file", join(folder, "in.json")]);
    expect(ran).toEqual({ code: 0, out: `"${large}"\n`, err: "" });
    expect(readdirSync(join(folder, "data", "blobs"))).toHaveLength(1);
  });

  it("refuses where another process runs the log, and names the ways out", async () => {
    const file = write("a.yaml", "a", noop);
    const node = await startEngine(config(), () => undefined);
    const ran = await deed(["run", file]);
    await node.stop();
    expect(ran).toMatchObject({ code: 1, out: "" });
    expect(ran.err).toMatch(
      /^deed: Cannot run here as another process.*deed executions start, .*--data\n$/,
    );
    expect(await deed(["run", file, "--no-watch"])).toMatchObject({ code: 0 });
  });

  /** Ends only when it is killed: its first line asks for the first Ctrl-C, the cancel for the second. */
  const stubborn =
    "  - step: start\n    tool: { kind: shell, command: \"trap '' TERM INT; sleep 30 & wait; sleep 30\" }\n";

  it("stops at the second Ctrl-C, and a later --resume tells how it ended", async () => {
    const file = write("a.yaml", "a", stubborn);
    const [first, second] = [new AbortController(), new AbortController()];
    const signals = [first.signal, second.signal];
    let err = "";
    const ran = await deed(["run", file], {
      stopAsked: () => signals.shift() ?? new AbortController().signal,
      err: (text) => {
        err += text;
        if (text.includes("start began")) first.abort();
        if (text.includes("cancel was asked for")) second.abort();
      },
    });
    expect(ran.code).toBe(130);
    expect(err).toMatch(/deed: (stopped: its cancel is on the log|execution \d+ of a cancelled)/);
    const id = /execution (\d+)/.exec(err)?.[1] ?? "";
    const again = await deed(["run", "--resume", id]);
    expect(again).toMatchObject({ code: 130, out: "" });
    expect(again.err).toContain(`deed: execution ${id} of a cancelled: interrupted\n`);
  });

  it("goes on with --resume where a run was ended while it waited, and tells it once more", async () => {
    const file = write(
      "a.yaml",
      "a",
      "  - step: start\n    tool: { kind: approval, message: go on? }\n",
    );
    const closure = await readClosure(file);
    if (!closure.ok) throw new Error("the playbook is not valid");
    const engine = await startEngine(config(), () => undefined);
    const asked = { closure: closure.value, payload: {}, env: {} };
    const { executionId } = await startRun(engine, asked, { by: "me", onRecord: () => undefined });
    await engine.stop();
    const ran = await deed(["run", "--resume", executionId, "--yes", "--json"]);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.out)).toMatchObject({
      execution_id: executionId,
      status: "completed",
      result: { approved: true },
    });
    const again = await deed(["run", "--resume", executionId, "--json"]);
    expect(again).toEqual(ran);
  });

  it("approves what asks where --yes says so", async () => {
    const file = write(
      "a.yaml",
      "a",
      "  - step: start\n    tool: { kind: approval, message: go on? }\n",
    );
    const ran = await deed(["run", file, "--yes", "--json"]);
    const told = JSON.parse(ran.out) as JsonObject;
    expect(told).toMatchObject({ status: "completed", result: { approved: true } });
  });

  it("answers an approval by a key on a terminal, and draws the tree in its place", async () => {
    const file = write(
      "a.yaml",
      "a",
      "  - step: start\n    tool: { kind: approval, message: go on? }\n",
    );
    let all = "";
    let press: (key: string) => void = () => undefined;
    const ran = await deed(["run", file], {
      screen: () => ({ columns: 80, rows: 24 }),
      onKey: (listener) => {
        press = listener;
        return () => undefined;
      },
      err: (text) => {
        all += text;
        if (text.includes("press y or n")) press("n");
      },
      env: { DEED_CONFIG: join(folder, "deed.yaml"), NO_COLOR: "1" },
    });
    expect(ran.code).toBe(1);
    expect(all).toContain("○ start  approval  waits for approval: go on?");
    expect(all).toMatch(/\u001b\[\dA\r\u001b\[0J✗ a  execution \d+  failed  rejected: /);
  });
});
