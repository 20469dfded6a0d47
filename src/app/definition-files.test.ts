import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startNode, word, type TestNode } from "../../test/api/node.ts";
import type { ActiveDecider } from "../kernel/kernel.ts";
import { watchDefinitionFiles, type DefinitionFiles } from "./definition-files.ts";
import { createSystemClock } from "./system-clock.ts";

let folder: string;
let node: TestNode;
let rules: DefinitionFiles;
let warnings: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "deed-rules-"));
  mkdirSync(join(folder, "rules"));
  warnings = [];
  node = await startNode();
});

afterEach(async () => {
  await rules.stop();
  await node.stop();
  rmSync(folder, { recursive: true });
});

function ruleText(name: string, command = "noop"): string {
  return `apiVersion: deed/v1
kind: Rule
metadata: { name: ${name} }
spec:
  on: job.failed
  per: event.entity_id
  request: { command: ${command} }
`;
}

function write(name: string, text: string): string {
  const file = join(folder, "rules", name);
  writeFileSync(file, text);
  return file;
}

function active(): readonly ActiveDecider[] {
  return node.active();
}

function names(): readonly string[] {
  return active()
    .map(({ name }) => name)
    .sort();
}

async function watching(paths = [join(folder, "rules")]): Promise<void> {
  rules = await watchDefinitionFiles({
    paths,
    log: node.log,
    active: node.active,
    clock: createSystemClock(),
    warn: (message) => warnings.push(message.replaceAll(`${folder}/`, "")),
    info: () => undefined,
  });
}

describe("2. a change becomes active by an event, at that event's offset", () => {
  it("a file, a change of it, and a second one", async () => {
    const file = write("a.yaml", ruleText("a"));
    await watching();
    const [first] = active();
    expect(first).toMatchObject({ name: "a", mode: "live", file, offset: node.log.head() });
    write("a.yaml", ruleText("a", "noop.other"));
    write("b.yml", ruleText("b"));
    await rules.refresh();
    const changed = active();
    expect(changed.map(({ name }) => name).sort()).toEqual(["a", "b"]);
    const again = changed.find(({ name }) => name === "a");
    expect(again?.version).not.toBe(first?.version);
    const records = await node.log.read({ from: again?.offset ?? 0, limit: 1 });
    expect(records[0]?.event).toMatchObject({
      event_type: "rule.activated",
      attrs: { replaces: first?.version },
    });
  });

  it("a file that is watched is taken up without being asked", async () => {
    await watching();
    write("late.yaml", ruleText("late"));
    await expect.poll(names, { timeout: 10_000 }).toEqual(["late"]);
  });

  it("what has not changed appends nothing", async () => {
    write("a.yaml", ruleText("a"));
    await watching();
    const head = node.log.head();
    await rules.refresh();
    await rules.refresh();
    expect(node.log.head()).toBe(head);
  });

  it("several files change in one append", async () => {
    write("a.yaml", ruleText("a"));
    write("b.yaml", ruleText("b"));
    await watching();
    const offsets = active()
      .map(({ offset }) => offset)
      .sort();
    expect(offsets).toEqual([2, 3]);
  });
});

describe("1. a file that cannot be read as rules and schedules changes nothing", () => {
  it("its problems are told with their places, once, and the old rules decide on", async () => {
    write("a.yaml", ruleText("a"));
    write("b.yaml", ruleText("b"));
    await watching();
    const before = active();
    write("a.yaml", ruleText("a").replace("per: event.entity_id", "when: event.attrs.x =="));
    await rules.refresh();
    await rules.refresh();
    expect(active()).toEqual(before);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/^rules\/a\.yaml:6:\d+: /);
    expect(warnings[1]).toBe("rules/a.yaml is not used: what it held before stays active");
    write("a.yaml", ruleText("a", "noop.mended"));
    await rules.refresh();
    expect(active().find(({ name }) => name === "a")?.version).not.toBe(
      before.find(({ name }) => name === "a")?.version,
    );
  });

  it("a file that is broken from the start brings no rule, and stops no other", async () => {
    write("a.yaml", "kind: Rool\n");
    write("b.yaml", ruleText("b"));
    await watching();
    expect(names()).toEqual(["b"]);
    expect(warnings.at(-1)).toBe("rules/a.yaml is not used: it brings nothing");
  });

  it("a file that broke while nobody looked keeps what the log holds of it", async () => {
    write("a.yaml", ruleText("a"));
    await watching();
    await rules.stop();
    write("a.yaml", "kind: [");
    await watching();
    expect(names()).toEqual(["a"]);
    write("a.yaml", ruleText("other"));
    await rules.refresh();
    expect(names()).toEqual(["other"]);
  });

  it("the second rule of a name is not used, and that is told once", async () => {
    write("a.yaml", ruleText("same"));
    write("b.yaml", ruleText("same", "noop.other"));
    await watching();
    await rules.refresh();
    expect(names()).toEqual(["same"]);
    expect(warnings).toEqual([
      'rules/b.yaml: a rule "same" stands in another file, too: this one is not used',
    ]);
  });
});

it("after its stop it looks at nothing, also where looks ran into each other", async () => {
  const timers = new Set<() => void>();
  const clock = createSystemClock();
  rules = await watchDefinitionFiles({
    paths: [join(folder, "rules")],
    log: node.log,
    active: node.active,
    clock: {
      ...clock,
      after: (_, task) => {
        timers.add(task);
        return () => timers.delete(task);
      },
    },
    warn: (message) => warnings.push(message),
    info: () => undefined,
  });
  await Promise.all([rules.refresh(), rules.refresh(), rules.refresh()]);
  expect(timers.size).toBe(1);
  await rules.stop();
  expect(timers.size).toBe(0);
});

describe("3. a rule whose file is gone is deactivated", () => {
  it("a file of a folder, and one that is named itself", async () => {
    const a = write("a.yaml", ruleText("a"));
    const single = join(folder, "single.yaml");
    writeFileSync(single, ruleText("single"));
    await watching([join(folder, "rules"), single]);
    expect(names()).toEqual(["a", "single"]);
    rmSync(a);
    await rules.refresh();
    expect(names()).toEqual(["single"]);
    rmSync(single);
    await rules.refresh();
    expect(names()).toEqual([]);
    const last = (await node.log.read({ from: node.log.head(), limit: 1 }))[0]?.event;
    expect([last?.event_type, word(last?.attrs["rule"] ?? last?.attrs["name"])]).toEqual([
      "rule.deactivated",
      "single",
    ]);
  });

  it("a file that is there and cannot be read is not gone", async () => {
    const file = write("a.yaml", ruleText("a"));
    await watching();
    rmSync(file);
    mkdirSync(file);
    await rules.refresh();
    await rules.refresh();
    rmSync(file, { recursive: true });
    expect(names()).toEqual(["a"]);
    expect(warnings).toEqual([
      "rules/a.yaml cannot be read and what it held before stays active: EISDIR: illegal operation on a directory, read",
    ]);
  });
});

describe("schedules stand beside rules", () => {
  const scheduleText = (name: string, cron = "0 5 * * *"): string => `apiVersion: deed/v1
kind: Schedule
metadata: { name: ${name} }
spec:
  cron: "${cron}"
  request: { command: noop }
`;
  const told = (): readonly string[] =>
    active()
      .map(({ kind, name, file }) => `${kind} ${name} ${file.slice(folder.length + 1)}`)
      .sort();

  it("in files of their own, in one file with rules, and under the name of a rule", async () => {
    write("a.yaml", ruleText("same"));
    write("b.yaml", `${scheduleText("same")}---\n${ruleText("other")}`);
    await watching();
    expect(told()).toEqual([
      "rule other rules/b.yaml",
      "rule same rules/a.yaml",
      "schedule same rules/b.yaml",
    ]);
    write("b.yaml", scheduleText("same", "0 6 * * *"));
    await rules.refresh();
    expect(told()).toEqual(["rule same rules/a.yaml", "schedule same rules/b.yaml"]);
    const last = await node.log.read({ from: node.log.head() - 1, limit: 2 });
    expect(last.map(({ event }) => event.event_type)).toEqual([
      "schedule.activated",
      "rule.deactivated",
    ]);
    rmSync(join(folder, "rules/b.yaml"));
    await rules.refresh();
    expect(told()).toEqual(["rule same rules/a.yaml"]);
  });

  it("a broken one keeps what was there", async () => {
    write("s.yaml", scheduleText("s"));
    await watching();
    write("s.yaml", scheduleText("s", "0 25 * * *"));
    await rules.refresh();
    expect(told()).toEqual(["schedule s rules/s.yaml"]);
    expect(warnings).toEqual([
      'rules/s.yaml:5:10: "0 25 * * *" is no cron expression: Invalid value for hour: 25',
      "rules/s.yaml is not used: what it held before stays active",
    ]);
  });
});
