// npx tsx tools/record-golden.ts: records the histories of test/golden again. What changes was meant to change.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { goldenText, historyOf } from "../test/golden/record.ts";
import { shapes } from "../test/golden/shapes.ts";

const folder = fileURLToPath(new URL("../test/golden/recorded/", import.meta.url));
mkdirSync(folder, { recursive: true });
for (const file of readdirSync(folder)) rmSync(folder + file);
for (const [name, shape] of Object.entries(shapes)) {
  writeFileSync(`${folder}${name}.golden`, goldenText(historyOf(shape)));
}
console.log(`Recorded ${String(Object.keys(shapes).length)} histories in ${folder}`);
