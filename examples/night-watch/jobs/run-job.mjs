// Runs one job and writes what becomes of it into the job's log: one JSON object a line.
import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const jobs = { export: fileURLToPath(new URL("export.mjs", import.meta.url)) };

/** A log that has grown to this size is put aside, and a new one is begun, bytes. */
const logBytesMax = 1024 * 1024;

/**
 * @param what the job's name, its run (one occurrence of the job), and the example's data folder.
 * @param started is told the child process, so that its parent can end it.
 * @returns the exit code; 1 where a signal ended it.
 */
export async function runJob({ data, job, run }, started = () => undefined) {
  const program = jobs[job];
  if (program === undefined) throw new Error(`There is no job "${job}"`);
  mkdirSync(data, { recursive: true });
  const file = join(data, "jobs.jsonl");
  putAside(file);
  const write = (line) =>
    appendFileSync(
      file,
      `${JSON.stringify({ ts: new Date().toISOString(), job, run, ...line })}\n`,
    );
  const child = spawn(process.execPath, [program, run], {
    env: { ...process.env, NIGHT_WATCH_DATA: data },
    stdio: ["ignore", "inherit", "pipe"],
  });
  started(child);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (said = (said + text).slice(-1_000)));
  const [code, signal] = await new Promise((resolve) => {
    child.once("error", (thrown) => resolve([1, thrown.message]));
    child.once("close", (...how) => resolve(how));
  });
  if (code === 0) write({ status: "succeeded", exit_code: 0 });
  else write({ status: "failed", exit_code: code ?? 1, message: said.trim() || String(signal) });
  if (said !== "") process.stderr.write(said);
  return code ?? 1;
}

function putAside(file) {
  const { size } = statSync(file, { throwIfNoEntry: false }) ?? { size: 0 };
  if (size > logBytesMax) renameSync(file, `${file}.1`);
}
