// npm start: installs what is missing, builds, and runs examples/night-watch until it is stopped.
import { setup } from "./setup.mjs";

const parent = process.env.npm_lifecycle_event === undefined ? undefined : process.ppid;
setup();
await import("./build.mjs");
const { nightWatch } = await import("../examples/night-watch/night-watch.mjs");
process.exitCode = await nightWatch({ parent });
