/**
 * The kill harness on the command line.
 *
 *     npm run kill -- [--requests 2000] [--kills 50] [--seed N] [--keep]
 *
 * Exit code 0: every promise held. 1: one did not; the folder of the run is kept and named.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { audit } from "./audit.ts";
import { planStorm } from "./plan.ts";
import { runStorm, type Storm } from "./storm.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "2000" },
    kills: { type: "string", default: "50" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    keep: { type: "boolean", default: false },
  },
});

const size = {
  requests: Number(values.requests),
  kills: Number(values.kills),
  seed: Number(values.seed),
};
const again = `npm run kill -- --requests ${values.requests} --kills ${values.kills} --seed ${values.seed}`;
const folder = mkdtempSync(join(tmpdir(), "deed-kill-"));

console.log(`${again}   in ${folder}`);
try {
  const storm = await runStorm({
    plan: planStorm(size),
    folder,
    progress: ({ kills, answers }) => {
      if (kills % 5 === 0 || kills === size.kills)
        console.log(
          `killed ${fraction(kills, size.kills)}, acknowledged ${fraction(answers, size.requests)}`,
        );
    },
  });
  const violations = audit(storm);
  report(storm);
  for (const { invariant, message } of violations.slice(0, 50))
    console.log(`${invariant}  ${message}`);
  if (violations.length > 0) fail(`${String(violations.length)} promises were broken`);
  else {
    console.log("I1 to I5, I9 and I10 hold");
    if (!values.keep) rmSync(folder, { recursive: true });
  }
} catch (thrown) {
  fail(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
}

function report(storm: Storm): void {
  const restarts = [...storm.restartsMs].sort((left, right) => left - right);
  const at = (share: number): string =>
    String(Math.round(restarts[Math.floor(share * (restarts.length - 1))] ?? 0));
  const count = (type: string): number =>
    storm.records.filter(({ event }) => event.event_type === type).length;
  console.log(
    `${String(storm.submissions.length)} submissions of ${String(storm.answers.size)} keys, ${String(storm.resent)} sent again after a kill`,
  );
  console.log(
    `${String(storm.records.length)} records: ${["requested", "started", "retrying", "succeeded", "failed", "cancelled"].map((what) => `${what} ${String(count(`action.${what}`))}`).join(", ")}`,
  );
  console.log(`${String(storm.effects.length)} lines appended by shell actions`);
  console.log(`start to ready: median ${at(0.5)} ms, longest ${at(1)} ms`);
}

function fraction(part: number, whole: number): string {
  return `${String(part)}/${String(whole)}`;
}

function fail(why: string): void {
  console.error(`${why}\nlog and effects: ${folder}\nagain: ${again}`);
  process.exitCode = 1;
}
