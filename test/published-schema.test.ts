import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { schemaFiles } from "../tools/publish-schema.ts";

const folder = new URL("../schema/", import.meta.url);

test("schema/ holds the schemas of the contract, of playbooks and of schedules, and nothing else", () => {
  expect(readdirSync(folder).sort()).toEqual([
    "action-request.schema.json",
    "event.schema.json",
    "observation.schema.json",
    "playbook.schema.json",
    "schedule.schema.json",
  ]);
  expect([...schemaFiles().keys()].sort()).toEqual(readdirSync(folder).sort());
});

test.each([...schemaFiles()])(
  "schema/%s says what the source says (else: npx tsx tools/publish-schema.ts)",
  (name, text) => {
    expect(readFileSync(new URL(name, folder), "utf8")).toBe(text);
  },
);
