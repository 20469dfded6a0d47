// Bundles the program and the packages it imports into dist/deed.mjs. Installs nothing.
//
// One file starts three times as fast as the packages' hundreds of modules. What stays in node_modules:
// SQLite, for its binary, and pino, for its worker.
import { chmodSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

// Packages in CommonJS ask for Node's own modules with require.
const head = `#!/usr/bin/env node
import { createRequire as requireFrom } from "node:module";
const require = requireFrom(import.meta.url);`;

export async function bundle() {
  const { build } = await import("esbuild");
  await build({
    absWorkingDir: root,
    entryPoints: ["src/cli/main.ts"],
    outfile: "dist/deed.mjs",
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    external: ["@photostructure/sqlite", "pino"],
    sourcemap: true,
    banner: { js: head },
    logLevel: "warning",
  });
  chmodSync(`${root}dist/deed.mjs`, 0o755);
}
