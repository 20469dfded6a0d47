// npm run kill -- [--requests 2000] [--kills 50] [--seed N]
// npm run kill -- --playbooks 200 [--kills 100] [--seed N]
import { bundle } from "./bundle.mjs";
import { root, runTypeScript, setup } from "./setup.mjs";

setup();
await bundle();
runTypeScript(`${root}test/kill/run.ts`, process.argv.slice(2));
