/** `npm run sim -- [--seeds 200] [--seed N]`: runs worlds and says which of them broke a promise. */
import { parseArgs } from "node:util";
import { runTwice } from "./twice.ts";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "200" }, seed: { type: "string" } },
});
const first = values.seed === undefined ? 1 : Number(values.seed);
const last = values.seed === undefined ? Number(values.seeds) : first;
if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) {
  console.error("Cannot simulate as --seeds and --seed must be whole numbers >= 1");
  process.exit(2);
}

let failed = 0;
let records = 0;
let actions = 0;
let executions = 0;
let crashes = 0;
const beganMs = performance.now();
for (let seed = first; seed <= last; seed += 1) {
  const outcome = await runTwice(seed);
  records += outcome.records;
  actions += outcome.actions;
  executions += outcome.executions;
  crashes += outcome.crashes;
  if (outcome.problem !== undefined) {
    failed += 1;
    console.error(outcome.problem);
  }
}
const seconds = ((performance.now() - beganMs) / 1_000).toFixed(1);
console.log(
  `${String(last - first + 1)} worlds, each run twice: ${String(actions)} actions, ${String(executions)} executions, ${String(records)} records, ${String(crashes)} crashes in ${seconds} s; ${String(failed)} failed`,
);
process.exit(failed === 0 ? 0 : 1);
