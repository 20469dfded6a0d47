// npm run bench -- <name> [options]
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { bundleFile } from "./bundle.mjs";
import { root, setup } from "./setup.mjs";

setup();
const [name, ...args] = process.argv.slice(2);
const file = `${root}bench/${name}.ts`;
const isBench = (path) => readFileSync(path, "utf8").includes("npm run bench --");
if (name === undefined || !existsSync(file) || !isBench(file)) {
  const names = readdirSync(`${root}bench`)
    .filter((one) => one.endsWith(".ts") && isBench(`${root}bench/${one}`))
    .map((one) => one.slice(0, -3));
  console.error(`Name a benchmark: ${names.join(", ")}`);
  process.exit(2);
}
// Bundled as the program is: what is measured is what runs.
const bundled = `${root}dist/bench-${name}.mjs`;
await bundleFile(`bench/${name}.ts`, bundled);
const { status } = spawnSync(process.execPath, ["--expose-gc", bundled, ...args], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
