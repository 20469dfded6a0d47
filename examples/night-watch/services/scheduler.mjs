// The scheduler: starts a run of the export job at an interval. It does not care how the run ends:
// the job's log says so, and a rule decides what follows.
import { setTimeout as sleep } from "node:timers/promises";
import { runJob } from "../jobs/run-job.mjs";
import { data, live, say } from "./life.mjs";

const seconds = Number(process.env.NIGHT_WATCH_BATCH ?? 25);

let job;
live(() => job?.kill());
await sleep(Math.min(5, seconds) * 1_000);
for (;;) {
  const run = `run:export:${new Date().toISOString().slice(0, 19)}Z`;
  const code = await runJob({ data, job: "export", run }, (child) => (job = child));
  say(`${run} ended with ${code}`);
  await sleep(seconds * 1_000);
}
