/** What the guides and the README show is what the program takes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { formatProblem } from "../../src/base/document.ts";
import { parseRules, ruleDecider, type Rule } from "../../src/decider/rule.ts";
import { parseObservation } from "../../src/event/schema.ts";
import type { DeedEvent, LogRecord } from "../../src/event/envelope.ts";
import { processIo } from "../../src/cli/io.ts";
import { createProgram } from "../../src/cli/program.ts";
import { loadConfig } from "../../src/app/config.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const rulesFolder = "examples/night-watch/rules";

const pages = [
  "README.md",
  ...readdirSync(join(root, "docs/guides")).map((name) => `docs/guides/${name}`),
];

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The fenced blocks of a page in one language. */
function blocks(page: string, language: string): readonly string[] {
  const fences = read(page).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"));
  return [...fences].map((match) => match[1] ?? "");
}

function rulesOf(text: string, file: string): readonly Rule[] {
  const parsed = parseRules(text, file);
  if (!parsed.ok) throw new Error(parsed.error.map(formatProblem).join("\n"));
  return parsed.value;
}

const snippets = pages.flatMap((page) =>
  blocks(page, "yaml").map((text, index) => ({ page, number: index + 1, text })),
);

test("the guides show rules", () => {
  expect(snippets.map(({ page }) => page)).toEqual([
    "README.md",
    "docs/guides/write-a-rule.md",
    "docs/guides/write-a-rule.md",
    "docs/guides/write-a-rule.md",
  ]);
});

test.each(snippets)("rule $number of $page is valid", ({ page, text }) => {
  expect(rulesOf(text, page)).toHaveLength(1);
});

describe("the rule of the guide and the event of the guide", () => {
  const page = "docs/guides/write-a-rule.md";
  const [shadow = "", live = ""] = blocks(page, "yaml");
  const shown = blocks(page, "json")[0] ?? "";
  const event = JSON.parse(shown) as DeedEvent;

  const decided = (text: string): ReturnType<ReturnType<typeof ruleDecider>["decide"]> => {
    const [rule] = rulesOf(text, page);
    if (rule === undefined) throw new Error("no rule");
    const decider = ruleDecider(rule);
    const record: LogRecord = {
      topic: "events.normalized",
      partition: 0,
      offset: 47,
      ingestedAtMs: Date.parse(event.ts),
      event,
    };
    expect(decider.keysOf(record)).toEqual(["service:search"]);
    return decider.decide(decider.initial("service:search"), record);
  };

  test("the event is an observation that the API would take", () => {
    const observation = JSON.parse(shown) as Record<string, unknown>;
    delete observation["event_id"];
    expect(parseObservation(observation)).toMatchObject({ ok: true });
  });

  test("the versions that the guide shows are those of its rules", () => {
    const versions = [shadow, live]
      .flatMap((text) => rulesOf(text, page))
      .map((one) => one.version);
    const [checked] = versions;
    expect(read(page)).toContain(`long-outage.yaml: long-outage ${String(checked)} (shadow)`);
    for (const version of versions) expect(read(page)).toContain(`rule long-outage ${version} (`);
  });

  test("in shadow it records what it would ask for, and asks for nothing", () => {
    const events = decided(shadow);
    expect(events.map(({ event_type: type }) => type)).toEqual(["rule.fired"]);
    expect(events[0]?.attrs).toMatchObject({
      mode: "shadow",
      would_request: { args: { json: { text: "service:search was away for 2371 ms" } } },
    });
  });

  test("live it asks for it, within the limits that the guide names", () => {
    const events = decided(live);
    expect(events.map(({ event_type: type }) => type)).toEqual(["rule.fired", "action.requested"]);
    expect(events[1]?.attrs).toMatchObject({
      ttl_sec: 30,
      timeout_sec: 3,
      retry: { initial_ms: 1_000, max_ms: 8_000 },
      concurrency: { key: "webhook", limit: 2 },
    });
  });
});

test("the example's configuration and rules are valid as they stand", () => {
  const config = loadConfig(join(root, "examples/night-watch/deed.yaml"), {});
  expect(config).toMatchObject({ ok: true, value: { host: "127.0.0.1", port: 7333 } });
  const names = readdirSync(join(root, rulesFolder)).flatMap((name) =>
    rulesOf(read(`${rulesFolder}/${name}`), name).map((rule) => `${rule.name} ${rule.mode}`),
  );
  expect(names.sort()).toEqual([
    "notify-down live",
    "notify-gave-up live",
    "notify-up live",
    "page-for-failed-job shadow",
    "rerun-job live",
    "restart-service live",
  ]);
});

test("every command that the pages name is one of the program", () => {
  const program = createProgram(processIo());
  const known = program.commands.flatMap((command) => [
    command.name(),
    ...command.commands.map((sub) => `${command.name()} ${sub.name()}`),
  ]);
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/dist\/deed\.mjs (?:--json )?((?:rules |dlq )?[a-z]+)/g)].map(
      (match) => match[1] ?? "",
    ),
  );
  expect(named).toContain("dlq redrive");
  expect(named.filter((command) => !known.includes(command))).toEqual([]);
});

test.each(pages)("every link of %s leads somewhere", (page) => {
  const links = [...read(page).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(
    (match) => match[1] ?? "",
  );
  const local = links.filter((link) => !link.startsWith("https://"));
  const missing = local.filter((link) => !existsSync(join(root, dirname(page), link)));
  expect(missing.map((link) => relative(root, join(root, dirname(page), link)))).toEqual([]);
});
