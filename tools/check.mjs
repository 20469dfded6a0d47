// npm test: installs what is missing, then every gate of the house, one after the other.
//
//     npm test                    all of it
//     npm test -- types tests     only these gates
//
// The last line counts gates and tests together: `N passed, N failed`.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root, setup } from "./setup.mjs";

setup();
const bin = (name) => `${root}node_modules/.bin/${name}`;
const reportFolder = mkdtempSync(join(tmpdir(), "deed-check-"));
const report = join(reportFolder, "tests.json");

const gates = {
  format: [[bin("prettier"), "--check", "--log-level", "warn", "."]],
  lint: [[bin("eslint"), "."]],
  law: [[process.execPath, "tools/import-law.mjs"]],
  drawing: [[process.execPath, "tools/draw.mjs", "--check"]],
  types: [
    [bin("tsc"), "-p", "tsconfig.json"],
    [bin("tsc"), "-p", "tsconfig.pure.json"],
  ],
  dead: [[bin("knip"), "--no-progress"]],
  build: [[process.execPath, "tools/build.mjs"]],
  tests: [
    [bin("vitest"), "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
  ],
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in gates));
if (unknown.length > 0) {
  console.error(`No gate ${unknown.join(", ")}: there are ${Object.keys(gates).join(", ")}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const [name, commands] of Object.entries(gates)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const startedMs = Date.now();
  let good = true;
  for (const command of commands) good = (await run(command)) && good;
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
  console.log(`${good ? "ok  " : "FAIL"} ${name.padEnd(8)} ${seconds} s`);
  if (good) passed += 1;
  else failed += 1;
  if (name === "tests") count();
}
rmSync(reportFolder, { recursive: true, force: true });
console.log(`${String(passed)} passed, ${String(failed)} failed`);
process.exit(failed === 0 ? 0 : 1);

function run([command, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => {
      console.error(error.message);
      resolve(false);
    });
    child.on("exit", (code) => {
      resolve(code === 0);
    });
  });
}

/** Adds the tests to the gates; a run that reported nothing has failed. */
function count() {
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
    if (numPassedTests + numFailedTests === 0) throw new Error("no test ran");
    passed += numPassedTests;
    failed += numFailedTests;
  } catch (error) {
    console.error(`The tests gave no report: ${error.message}`);
    failed += 1;
  }
}
