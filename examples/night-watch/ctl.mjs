#!/usr/bin/env node
// Looks after the processes of a running night-watch: for its rules, by the shell executor, and for people.
//
//   ctl.mjs status
//   ctl.mjs start|stop|restart <service>      shop, search, pay, scheduler, webhook
//   ctl.mjs rerun <job> <run>                 runs one run of a job again; its exit code is the job's
import { runJob } from "./jobs/run-job.mjs";
import { pidOf, runningState, services, start, stop } from "./processes.mjs";
import { dataDefault } from "./settings.mjs";

const data = process.env.NIGHT_WATCH_DATA ?? dataDefault;

const [verb, what = "", run] = process.argv.slice(2);
const name = what.replace(/^service:/, "");
const state = runningState(data);

if (state === undefined) fail(`no night-watch runs on ${data}: npm start`);
if (verb === "status") for (const one of ["deed", ...services]) console.log(status(one));
else if (verb === "rerun" && run !== undefined) {
  process.exitCode = await runJob({ data, job: what, run });
} else if (!["start", "stop", "restart"].includes(verb) || !services.includes(name)) {
  fail(`ctl.mjs status | start, stop or restart <${services.join("|")}> | rerun <job> <run>`, 2);
} else await look(verb);

function status(one) {
  const pid = pidOf(data, one);
  return `${one.padEnd(10)} ${pid === undefined ? "is not running" : `pid ${pid}`}`;
}

async function look(wanted) {
  const running = pidOf(data, name);
  if (wanted === "start" && running !== undefined) {
    console.log(`${name} runs already: pid ${running}`);
    return;
  }
  const before = await stop(name, data);
  if (wanted === "stop") {
    console.log(before === undefined ? `${name} was not running` : `${name} was stopped`);
    return;
  }
  try {
    const pid = await start(name, state);
    console.log(`${name} runs: pid ${pid}${before === undefined ? "" : ` in place of ${before}`}`);
  } catch (thrown) {
    fail(thrown.message);
  }
}

function fail(message, code = 1) {
  console.error(message);
  process.exit(code);
}
