import { processIo } from "./io.ts";
import { run } from "./program.ts";

process.stdout.on("error", (thrown: NodeJS.ErrnoException) => {
  if (thrown.code === "EPIPE") process.exit(0);
  throw thrown;
});

// Who stopped reading messages still wants the results, and the exit code.
process.stderr.on("error", (thrown: NodeJS.ErrnoException) => {
  if (thrown.code !== "EPIPE") throw thrown;
});

process.exitCode = await run(process.argv.slice(2), processIo());
