// npx tsx tools/publish-schema.ts
// Writes the JSON Schemas of the contract, of playbooks and of schedules to schema/. test/published-schema.test.ts holds them to the source.
import { mkdirSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { requestAttrsSchema } from "../src/action/request-schema.ts";
import { playbookSchema } from "../src/core/parse.ts";
import { scheduleSchema } from "../src/decider/schedule.ts";
import { publishedSchemas } from "../src/event/schema.ts";

const folder = new URL("../schema/", import.meta.url);

/** The text of every published file, by file name. */
export function schemaFiles(): ReadonlyMap<string, string> {
  const schemas = {
    ...publishedSchemas,
    "action-request.schema.json": requestAttrsSchema,
    "playbook.schema.json": playbookSchema,
    "schedule.schema.json": scheduleSchema,
  };
  return new Map(
    Object.entries(schemas).map(([name, schema]) => {
      const file = { $schema: "https://json-schema.org/draft/2020-12/schema", ...schema };
      return [name, `${JSON.stringify(file, undefined, 2)}\n`];
    }),
  );
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of schemaFiles()) {
    writeFileSync(new URL(name, folder), text);
    console.log(`schema/${name}`);
  }
}
