// npm run mutants: faults are planted into copies of the core, one at a time; each must make a test fail.
//
//     npm run mutants                all of them
//     npm run mutants -- join late   those whose name has one of these words
//
// A mutant is a replacement of text in one or more files and the tests that must see it. One whose text does not
// stand there exactly once is an error, as is one that no test sees, or that does not even run.
import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { mutants } from "./mutants-list.mjs";
import { root, setup } from "./setup.mjs";

setup();
const workers = 2;
const environment = {
  ...process.env,
  DEED_PROPERTY_RUNS: "300",
  DEED_PROPERTY_SEED: "1",
  DEED_PROPERTY_SHRINK: "no",
};
const limitMs = 120_000;
const copied = [
  "src/base",
  "src/event",
  "src/core",
  "test/core",
  "test/golden",
  "tools/record-golden.ts",
  "package.json",
];

const words = process.argv.slice(2);
const wanted = mutants.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
);
const folder = mkdtempSync(join(tmpdir(), "deed-mutants-"));
const houses = Array.from({ length: workers }, (_, index) => house(join(folder, String(index))));

/** A house of its own with the core and its tests, and the packages of this one. */
function house(at) {
  for (const path of copied) {
    mkdirSync(dirname(join(at, path)), { recursive: true });
    cpSync(join(root, path), join(at, path), { recursive: true });
  }
  writeFileSync(
    join(at, "vitest.config.ts"),
    "export default { test: { testTimeout: 60_000 } };\n",
  );
  symlinkSync(join(root, "node_modules"), join(at, "node_modules"));
  return at;
}

/** Runs tests in a house: how many failed, or why they did not run. */
function run(at, tests) {
  const report = join(at, "report.json");
  rmSync(report, { force: true });
  return new Promise((resolve) => {
    const args = [
      "run",
      "--bail=1",
      "--reporter=json",
      `--outputFile=${report}`,
      "--maxWorkers=1",
      ...tests,
    ];
    const child = spawn(join(at, "node_modules/.bin/vitest"), args, {
      cwd: at,
      env: environment,
      stdio: "ignore",
      detached: true,
    });
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      process.kill(-child.pid, "SIGKILL");
    }, limitMs);
    child.on("exit", () => {
      clearTimeout(timer);
      resolve(hung ? { hung } : readReport(report));
    });
  });
}

function readReport(path) {
  try {
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(readFileSync(path, "utf8"));
    const failed = testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === "failed").map(({ fullName }) => fullName),
    );
    return { failed: numFailedTests, passed: numPassedTests, by: failed[0] };
  } catch (error) {
    return { failed: 0, passed: 0, by: error.message };
  }
}

/** Plants a mutant; the returned function takes it out again. */
function plant(at, { name, edits }) {
  const before = new Map();
  for (const { file, from, to } of edits) {
    const path = join(at, file);
    const text = readFileSync(path, "utf8");
    if (!before.has(path)) before.set(path, text);
    const times = text.split(from).length - 1;
    if (times !== 1) {
      throw new Error(
        `Cannot plant "${name}" as ${file} has its text ${String(times)} times: ${from}`,
      );
    }
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  return () => {
    for (const [path, text] of before) writeFileSync(path, text);
  };
}

let [passed, failed] = [0, 0];
function tell(good, name, why) {
  console.log(`${good ? "caught  " : "SURVIVED"} ${name.padEnd(44)} ${why}`);
  if (good) passed += 1;
  else failed += 1;
}

async function work(at, queue) {
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    let takeOut = () => undefined;
    try {
      takeOut = plant(at, mutant);
      const { hung, failed: seen, by } = await run(at, mutant.tests);
      if (hung) tell(false, mutant.name, `no answer within ${String(limitMs)} ms`);
      else tell(seen > 0, mutant.name, by ?? "no test failed");
    } catch (error) {
      tell(false, mutant.name, error.message);
    } finally {
      takeOut();
    }
  }
}

const files = wanted.flatMap(({ tests }) => tests.filter((one) => one.endsWith(".test.ts")));
const all = [...new Set(files)];
const sound =
  all.length === 0 ? { failed: 1, by: "no mutant has that name" } : await run(houses[0], all);
if (sound.failed !== 0 || sound.passed === 0) {
  console.error(`Cannot judge mutants as the tests fail without one: ${String(sound.by)}`);
  failed += 1;
} else {
  const queue = [...wanted];
  await Promise.all(houses.map((at) => work(at, queue)));
}
rmSync(folder, { recursive: true, force: true });
console.log(`mutants: ${String(passed)} passed, ${String(failed)} failed`);
process.exitCode = failed === 0 ? 0 : 1;
