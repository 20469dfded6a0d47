// Installs what is missing: `npm ci` where node_modules is absent or older than the lock file.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

const stamp = `${root}node_modules/.deed-lock`;

export function setup() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Deed needs Node 20.19 or newer: this is ${process.versions.node}`);
    process.exit(2);
  }
  const lock = createHash("sha256")
    .update(readFileSync(`${root}package-lock.json`))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  if (lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    console.error(
      "node_modules is a link: install where it leads (npm ci), with this package-lock.json",
    );
    process.exit(2);
  }
  console.error("Installing what package-lock.json names (npm ci) …");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status } = spawnSync(npm, ["ci"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, lock);
}

/** Runs a TypeScript file with the arguments of this process. */
export function runTypeScript(file, args, nodeArgs = []) {
  const { status, signal } = spawnSync(
    process.execPath,
    [...nodeArgs, "--import", "tsx", file, ...args],
    { cwd: root, stdio: "inherit" },
  );
  process.exit(signal === null ? (status ?? 1) : 1);
}
