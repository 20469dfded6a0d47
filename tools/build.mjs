// npm run build: installs what is missing, then bundles the program into dist/deed.mjs.
import { bundle } from "./bundle.mjs";
import { setup } from "./setup.mjs";

setup();
await bundle();
