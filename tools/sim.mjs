// npm run sim -- [--seeds 200] [--seed N]
import { root, runTypeScript, setup } from "./setup.mjs";

setup();
runTypeScript(`${root}sim/run.ts`, process.argv.slice(2));
