// Before the first test: the end-to-end tests run the program as it is built from this source.
export { bundle as setup } from "../tools/bundle.mjs";
