// npm run bench -- <name> [options]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { root, runTypeScript, setup } from "./setup.mjs";

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
runTypeScript(file, args, ["--expose-gc"]);
