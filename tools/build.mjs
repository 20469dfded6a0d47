// Bundles the program into dist/deed.mjs; packages stay outside, in node_modules.
import { chmodSync } from "node:fs";
import { root, setup } from "./setup.mjs";

setup();
await build();

export async function build() {
  const { build: bundle } = await import("esbuild");
  await bundle({
    absWorkingDir: root,
    entryPoints: ["src/cli/main.ts"],
    outfile: "dist/deed.mjs",
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    packages: "external",
    sourcemap: true,
    banner: { js: "#!/usr/bin/env node" },
    logLevel: "warning",
  });
  chmodSync(`${root}dist/deed.mjs`, 0o755);
}
