/**
 * The kill harness on the command line.
 *
 *     npm run kill -- [--requests 2000] [--kills 50] [--seed N] [--keep]
 *     npm run kill -- --playbooks 200 [--kills 100] [--seed N] [--keep]
 *
 * Exit code 0: every promise held. 1: one did not; the folder of the run is kept and named.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Violation } from "../../sim/invariants.ts";
import { audit } from "./audit.ts";
import { planStorm } from "./plan.ts";
import { auditPlaybooks, unknownOf } from "./playbook-audit.ts";
import { planPlaybooks } from "./playbook-plan.ts";
import { stormAndCalm, type PlaybookStorm } from "./playbook-storm.ts";
import { runStorm, type Storm } from "./storm.ts";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "2000" },
    playbooks: { type: "string" },
    kills: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    keep: { type: "boolean", default: false },
  },
});

const { playbooks } = values;
const kills = values.kills ?? (playbooks === undefined ? "50" : "100");
const size = {
  requests: Number(values.requests),
  playbooks: Number(playbooks),
  kills: Number(kills),
  seed: Number(values.seed),
};
const what = playbooks === undefined ? `--requests ${values.requests}` : `--playbooks ${playbooks}`;
const again = `npm run kill -- ${what} --kills ${kills} --seed ${values.seed}`;
const folder = mkdtempSync(join(tmpdir(), "deed-kill-"));

console.log(`${again}   in ${folder}`);
try {
  const violations = playbooks === undefined ? await ofRequests() : await ofPlaybooks();
  for (const { invariant, message } of violations.slice(0, 50))
    console.log(`${invariant}  ${message}`);
  if (violations.length > 0) fail(`${String(violations.length)} promises were broken`);
  else if (!values.keep) rmSync(folder, { recursive: true });
} catch (thrown) {
  fail(thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
}

async function ofRequests(): Promise<readonly Violation[]> {
  const storm = await runStorm({
    plan: planStorm(size),
    folder,
    progress: ({ kills: done, answers }) => {
      if (done % 5 === 0 || done === size.kills)
        console.log(
          `killed ${fraction(done, size.kills)}, acknowledged ${fraction(answers, size.requests)}`,
        );
    },
  });
  const violations = audit(storm);
  report(storm);
  if (violations.length === 0) console.log("I1 to I5, I9 and I10 hold");
  return violations;
}

async function ofPlaybooks(): Promise<readonly Violation[]> {
  const { calm, storm } = await stormAndCalm(planPlaybooks(size), folder, (done) => {
    if (done % 10 === 0) console.log(`killed ${fraction(done, size.kills)}`);
  });
  const violations = auditPlaybooks(storm, calm);
  const { node, python, shell } = storm.killed;
  const lines = (run: PlaybookStorm): string =>
    `${String(run.executions.length)} executions, ${String(run.records.length)} records, ${String(run.effects.length)} effects`;
  console.log(`without kills: ${lines(calm)}`);
  console.log(`with kills: ${lines(storm)}, ${String(unknownOf(storm))} outcomes unknown`);
  console.log(
    `killed: ${String(node)} nodes, ${String(python)} Python processes, ${String(shell)} programs`,
  );
  if (violations.length === 0)
    console.log("Every execution ended as without kills; I2 to I7, I9 and I10 hold");
  return violations;
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
