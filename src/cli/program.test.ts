import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { observation, startNode, word, type TestNode } from "../../test/api/node.ts";
import type { JsonObject } from "../base/json.ts";
import type { Io } from "./io.ts";
import { createProgram, run } from "./program.ts";

let folder: string;
let node: TestNode;
let url: string;

beforeAll(async () => {
  node = await startNode();
  url = await node.api.listen({ host: "127.0.0.1", port: 0 });
});

afterAll(async () => {
  await node.stop();
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-cli-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Ran = { readonly code: number; readonly out: string; readonly err: string };

type World = Partial<Io> & { readonly onOut?: (all: string) => void };

async function deed(words: readonly string[], world: World = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const io: Io = {
    out: (text) => {
      out += text;
      world.onOut?.(out);
    },
    err: (text) => {
      err += text;
    },
    env: { DEED_URL: url },
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
    ...world,
  };
  const code = await run(words, io);
  return { code, out, err };
}

/** The one JSON document that stdout holds. */
function json({ out }: Ran): JsonObject {
  expect(out.endsWith("\n")).toBe(true);
  expect(out.trimEnd()).not.toContain("\n");
  return JSON.parse(out) as JsonObject;
}

const fail = ["request", "test.fail", "--arg", "message=no", "--wait", "5"];

describe("exit codes", () => {
  it("0: it was done", async () => {
    expect(await deed(["request", "noop", "--wait", "5"])).toMatchObject({ code: 0, err: "" });
    expect((await deed(["--help"])).code).toBe(0);
    expect(await deed(["--version"])).toEqual({ code: 0, out: "0.1.0\n", err: "" });
  });

  it("1: it was done and failed", async () => {
    const ran = await deed(fail);
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/^act_[0-9a-f]{32} failed\nerror: \{"kind":"conflict","message":"no"/);
  });

  it.each<readonly [words: readonly string[], err: string]>([
    [["reqest"], "error: unknown command 'reqest'\n(Did you mean request?)\n"],
    [["request"], "error: missing required argument 'command'\n"],
    [["request", "noop", "--tll", "5"], "error: unknown option '--tll'\n(Did you mean --ttl?)\n"],
    [
      ["request", "noop", "--ttl", "soon"],
      "error: option '--ttl <seconds>' argument 'soon' is invalid. \"soon\" is not a number >= 0.\n",
    ],
    [
      ["tail", "--from", "1.5"],
      "error: option '--from <offset>' argument '1.5' is invalid. \"1.5\" is not a whole number.\n",
    ],
    [["request", "noop", "--arg", "x"], "deed: --arg x must be name=value\n"],
    [["request", "noop", "--args", "[1]"], "deed: --args must be a JSON object\n"],
    [["request", "noop", "--args", "@none.json"], "deed: @none.json cannot be read: ENOENT"],
    [["request", "Noop"], "deed: Cannot take the request's body as /command must match pattern"],
    [["action", "5"], 'deed: "5" is not an action id: it is act_ and 32 hex digits\n'],
    [["dlq", "discard", "act_1"], "error: required option '--reason <text>' not specified\n"],
    [["start", "--log-level", "loud"], "error: option '--log-level <level>' argument 'loud' is"],
    [
      ["start", "--config", "none.yaml"],
      "deed: the configuration is not valid\nnone.yaml:1:1: there",
    ],
    [["actions", "--url", "nonsense"], 'deed: "nonsense" is not the URL of a node: write it as'],
    [["actions", "--url", "127.0.0.1:7333"], 'deed: "127.0.0.1:7333" is not the URL of a node'],
  ])("2: the command line or a file is not valid: %j", async (words, err) => {
    const ran = await deed(words);
    expect(ran.code).toBe(2);
    expect(ran.out).toBe("");
    expect(ran.err.startsWith(err), ran.err).toBe(true);
  });

  it("3: the node cannot be reached, and what to do", async () => {
    const ran = await deed(["actions", "--url", "http://127.0.0.1:1"]);
    expect(ran).toEqual({
      code: 3,
      out: "",
      err: "deed: Cannot reach http://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1. Start it with `deed start`, or name another with --url or DEED_URL\n",
    });
  });
});

describe("--json", () => {
  it("one document a result, on every command that has one", async () => {
    const asked = json(
      await deed(["request", "noop", "--arg", "result=7", "--wait", "5", "--json"]),
    );
    expect(asked).toMatchObject({ status: "succeeded", result: 7, duplicate: false });
    const id = word(asked["action_id"]);
    const shown = json(await deed(["--json", "action", id]));
    expect(Object.keys(shown)).toEqual(["action", "cause", "events"]);
    expect(shown["events"]).toHaveLength(4);
    expect(json(await deed(["actions", "--limit", "1", "--json"]))["actions"]).toHaveLength(1);
    expect(json(await deed(["commands", "--json"]))["commands"]).toHaveLength(3);
    expect(json(await deed(["rules", "list", "--json"]))).toEqual({ rules: [] });
    const waits = json(await deed(["request", "robot.dance", "--json"]));
    const cancelled = await deed(["cancel", word(waits["action_id"]), "--reason", "no", "--json"]);
    expect(json(cancelled)["status"]).toBe("cancelled");
    const dead = json(await deed([...fail, "--json"]));
    const letters = json(await deed(["dlq", "--json"]))["dead_letters"] as JsonObject[];
    expect(letters[0]?.["action_id"]).toBe(dead["action_id"]);
    const again = json(await deed(["dlq", "redrive", word(dead["action_id"]), "--json"]));
    expect(again["command"]).toBe("test.fail");
  });

  it("an error is one document, on stderr", async () => {
    const ran = await deed(["request", "noop", "--args", '{"x":1}', "--json"]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(JSON.parse(ran.err)).toEqual({
      error: {
        kind: "invalid_args",
        message: "Cannot request noop with these args as /x is not known",
        problems: [{ pointer: "/x", message: "is not known" }],
      },
    });
  });

  it.each<readonly [words: readonly string[], message: string]>([
    [["actions", "--nope"], "unknown option '--nope'"],
    [["request"], "missing required argument 'command'"],
    [["rules"], "no command is named: --help lists them"],
    [[], "no command is named: --help lists them"],
  ])("a command line that is not valid is one document, too: %j", async (words, message) => {
    const ran = await deed([...words, "--json"]);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(JSON.parse(ran.err)).toEqual({
      error: { kind: "invalid_args", message, problems: [] },
    });
  });

  it("the problems of a configuration are told one by one", async () => {
    const config = join(folder, "deed.yaml");
    writeFileSync(config, "listn: 1\nrule: []\n");
    const ran = await deed(["start", "--config", config, "--json"], { env: {} });
    const { error } = JSON.parse(ran.err) as { error: { problems: JsonObject[] } };
    expect([ran.code, error.problems.map(({ line }) => line)]).toEqual([2, [1, 2]]);
  });

  it("tail prints one document a line, and ends with 0 when it is asked to", async () => {
    const controller = new AbortController();
    const from = String(node.log.head() + 1);
    const running = deed(["tail", "--type", "cli.*", "--from", from, "--json"], {
      stopAsked: () => controller.signal,
      onOut: (all) => {
        if (all.split("\n").length > 2) controller.abort();
      },
    });
    const body = ["cli.one", "cli.two"].map((type) => observation({ event_type: type }));
    await node.ask("POST", "/v1/events", { body });
    const ran = await running;
    const types = ran.out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { event: JsonObject }).event["event_type"]);
    expect([ran.code, types]).toEqual([0, ["cli.one", "cli.two"]]);
  });
});

describe("for people", () => {
  it("a null result is printed as one", async () => {
    const ran = await deed(["request", "noop", "--wait", "3"]);
    expect(ran.out).toMatch(/^act_[0-9a-f]{32} succeeded\nresult: null\n$/);
  });

  it("a request that waits says for whom", async () => {
    const ran = await deed(["request", "robot.dance"]);
    expect(ran.out.split("\n").slice(1)).toEqual([
      "no executor on this node serves robot.dance: it waits for one",
      "waits: no_executor executor:robot.dance",
      "",
    ]);
  });

  it("a used key is told", async () => {
    await deed(["request", "noop", "--key", "once"]);
    expect((await deed(["request", "noop", "--key", "once"])).out).toContain(
      "the key was used before: this is that action",
    );
  });

  it("tables are aligned on a terminal, and separated by tabs elsewhere", async () => {
    const plain = await deed(["commands"]);
    expect(plain.out.split("\n")[0]).toBe("noop\tDoes nothing and gives back args.result");
    const table = await deed(["commands"], { isTerminal: true });
    expect(table.out.split("\n").slice(0, 2)).toEqual([
      "command    what it does",
      "noop       Does nothing and gives back args.result",
    ]);
    expect((await deed(["rules", "list"], { isTerminal: true })).out).toBe("none\n");
    expect((await deed(["rules", "list"])).out).toBe("");
  });

  it("colour is for terminals, and NO_COLOR ends it", async () => {
    const words = ["request", "noop", "--wait", "5"];
    const coloured = (ran: Ran): boolean => ran.out.includes("\u001b[32msucceeded\u001b[0m");
    expect(coloured(await deed(words, { isTerminal: true }))).toBe(true);
    expect(coloured(await deed(words))).toBe(false);
    const env = { DEED_URL: url, NO_COLOR: "1" };
    expect(coloured(await deed(words, { isTerminal: true, env }))).toBe(false);
  });

  it("the timeline of an action shows its steps, in order", async () => {
    const id = (await deed(["request", "noop", "--entity", "job:x", "--wait", "5"])).out.slice(
      0,
      36,
    );
    const lines = (await deed(["action", id])).out.trimEnd().split("\n");
    expect(lines[0]).toBe(`${id}  noop  job:x  succeeded`);
    expect(lines.slice(1).map((line) => /action\.\w+/.exec(line)?.[0])).toEqual([
      "action.requested",
      "action.accepted",
      "action.started",
      "action.succeeded",
    ]);
  });

  it("arguments come from flags, a file and stdin", async () => {
    writeFileSync(join(folder, "args.json"), '{"result": {"from": "file"}}');
    const result = async (words: readonly string[], stdin = ""): Promise<unknown> =>
      json(
        await deed(["request", "noop", ...words, "--wait", "5", "--json"], {
          readStdin: () => stdin,
        }),
      )["result"];
    expect(await result(["--args", `@${join(folder, "args.json")}`])).toEqual({ from: "file" });
    expect(await result(["--args", "-"], '{"result": [1]}')).toEqual([1]);
    expect(await result(["--arg", "result=plain text"])).toBe("plain text");
    expect(await result(["--arg", 'result={"n": 1}'])).toEqual({ n: 1 });
  });
});

describe("what is named", () => {
  it("a configuration that is named must be there, even where one is optional", async () => {
    const none = join(folder, "none.yaml");
    const told = `deed: the configuration is not valid\n${none}:1:1: there is no such file`;
    for (const [words, env] of [
      [["actions", "--config", none], {}],
      [["actions"], { DEED_CONFIG: none }],
    ] as const) {
      const ran = await deed(words, { env });
      expect(ran.code).toBe(2);
      expect(ran.err.startsWith(told), ran.err).toBe(true);
    }
  });

  it("an empty variable is not set", async () => {
    const env = { DEED_CONFIG: "", DEED_TOKEN: "", DEED_URL: url };
    expect(await deed(["actions", "--limit", "1"], { env })).toMatchObject({ code: 0 });
    const elsewhere = { DEED_URL: "", DEED_LISTEN: "127.0.0.1:1" };
    const ran = await deed(["actions"], { env: elsewhere });
    expect([ran.code, ran.err.split(": ")[1]]).toEqual([3, "Cannot reach http://127.0.0.1:1"]);
  });
});

describe("commands about files", () => {
  it("rules check of a folder without rules checks nothing, and says so", async () => {
    const ran = await deed(["rules", "check", folder]);
    expect(ran).toEqual({
      code: 2,
      out: "",
      err: `deed: no rule file (.yaml, .yml) in ${folder}\n`,
    });
  });

  it("init writes what the other commands take, and writes nothing over it", async () => {
    const at = join(folder, "new");
    const ran = json(await deed(["init", at, "--json"]));
    expect(ran).toEqual({ folder: at, files: ["deed.yaml", "rules/failed-job.yaml"] });
    const config = join(at, "deed.yaml");
    const env = { DEED_LISTEN: "127.0.0.1:0" };
    const doctor = json(await deed(["doctor", "--config", config, "--json"], { env }));
    const findings = doctor["findings"] as { ok: boolean }[];
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect((await deed(["rules", "check", join(at, "rules")])).code).toBe(0);
    const before = readFileSync(config, "utf8");
    const again = await deed(["init", at]);
    expect([again.code, again.err]).toEqual([
      2,
      `deed: ${config} is there already: nothing was written\n`,
    ]);
    expect(readFileSync(config, "utf8")).toBe(before);
  });

  it("rules check tells every problem with file:line:column, and ends with 2", async () => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, "apiVersion: deed/v1\nkind: Rule\nmetadata: {}\nspec: {}\n");
    const ran = await deed(["rules", "check", file]);
    expect(ran.code).toBe(2);
    expect(ran.out).toMatch(new RegExp(`^${file}:3:\\d+: `));
    const told = json(await deed(["rules", "check", file, "--json"]));
    expect(told["files"]).toMatchObject([{ file, rules: [], problems: [{ file, line: 3 }, {}] }]);
  });

  it("doctor ends with 1 and the way out where something keeps a node from running", async () => {
    const config = join(folder, "deed.yaml");
    const { port } = new URL(url);
    writeFileSync(config, `listen: 127.0.0.1:${port}\nrules: [none]\n`);
    const ran = await deed(["doctor", "--config", config], { env: {} });
    expect(ran.code).toBe(1);
    expect(ran.out).toContain(
      `FAIL 127.0.0.1:${port} is taken by another program\n     stop what listens there, or choose another with listen or DEED_LISTEN\n`,
    );
    expect(ran.out).toContain(`FAIL rules ${join(folder, "none")}`);
  });

  it("doctor tells the playbooks of the configuration, and where one cannot be run", async () => {
    const config = join(folder, "deed.yaml");
    const head = "apiVersion: deed/v1\nkind: Playbook\nmetadata: { name: a, path: ops/a }\n";
    const bad = join(folder, "bad.yaml");
    const good = join(folder, "good.yaml");
    writeFileSync(bad, `${head}workflow:\n  - { step: begin, tool: { kind: noop } }\n`);
    writeFileSync(good, `${head}workflow:\n  - { step: start, tool: { kind: noop } }\n`);
    writeFileSync(config, `listen: 127.0.0.1:0\nplaybooks: { paths: [good.yaml, bad.yaml] }\n`);
    const ran = await deed(["doctor", "--config", config], { env: {} });
    expect(ran.code).toBe(1);
    expect(ran.out).toContain(
      `ok   playbook ${good}: ops/a\nFAIL playbook ${bad} cannot be run\n     ${bad}:4:1: no step is named "start"`,
    );
  });

  it("doctor and a start never print a token", async () => {
    const config = join(folder, "deed.yaml");
    writeFileSync(config, "listen: 127.0.0.1:0\n");
    const env = { DEED_TOKEN: "s3cret", DEED_TYPO: "x" };
    const ran = await deed(["doctor", "--config", config, "--json"], { env });
    expect(ran.out + ran.err).not.toContain("s3cret");
    expect(ran.out).toContain("DEED_TYPO is not known");
  });

  it("start serves until it is asked to stop, and backup copies its log meanwhile", async () => {
    const config = join(folder, "deed.yaml");
    writeFileSync(config, "listen: 127.0.0.1:0\n");
    const controller = new AbortController();
    let started: (told: JsonObject) => void = () => undefined;
    const ready = new Promise<JsonObject>((resolve) => (started = resolve));
    const running = deed(["start", "--config", config, "--log-level", "error", "--json"], {
      env: {},
      stopAsked: () => controller.signal,
      onOut: (all) => {
        started(JSON.parse(all) as JsonObject);
      },
    });
    const told = await ready;
    const at = word(told["url"]);
    expect(told).toEqual({
      ready: true,
      url: at,
      pid: process.pid,
      log: join(folder, "data/deed.db"),
    });
    const asked = await deed(["request", "noop", "--wait", "5", "--url", at], { env: {} });
    expect(asked.code).toBe(0);
    const copy = join(folder, "copy.db");
    const backup = await deed(["backup", copy, "--config", config], { env: {} });
    expect([backup.code, existsSync(copy)]).toEqual([0, true]);
    expect((await deed(["backup", copy, "--config", config], { env: {} })).code).toBe(1);
    controller.abort();
    expect((await running).code).toBe(0);
    expect((await deed(["actions", "--url", at], { env: {} })).code).toBe(3);
  });
});

describe("--help", () => {
  const io: Io = {
    out: () => undefined,
    err: () => undefined,
    env: {},
    isTerminal: false,
    readStdin: () => "",
    stopAsked: () => new AbortController().signal,
  };
  const leaves = createProgram(io).commands.flatMap((command) =>
    command.commands.length === 0
      ? [[command.name()]]
      : command.commands.map((inner) => [command.name(), inner.name()]),
  );

  it.each(leaves.map((words) => [words.join(" "), words] as const))(
    "of %s: what it does, and every flag",
    async (name, words) => {
      const ran = await deed([...words, "--help"]);
      expect(ran.code).toBe(0);
      expect(ran.out).toContain(`Usage: deed ${name}`);
      expect(ran.out).toContain("--json");
      const flags = [...ran.out.matchAll(/^ {2}(-\S.*)$/gm)].map((match) => match[1] ?? "");
      for (const flag of flags) expect(flag, `${name}: ${flag}`).toMatch(/\S {2,}\S|^-.*>$/);
    },
  );

  it.each(["request", "actions", "action", "cancel", "tail", "backup", "init", "start"])(
    "of %s has an example",
    async (name) => {
      expect((await deed([name, "--help"])).out).toContain(`\nExample: deed ${name}`);
    },
  );

  it("says the exit codes", async () => {
    expect((await deed(["--help"])).out).toContain(
      "Exit codes: 0 done, 1 it failed, 2 the command line or a file is not valid, 3 the node cannot be reached",
    );
  });
});
