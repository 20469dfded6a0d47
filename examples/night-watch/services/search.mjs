// The search: PONG for PING over TCP. Now and then it hangs: the process lives, its port takes
// connections, and no answer comes. SIGTERM does not reach it either: only SIGKILL ends it.
import { createServer } from "node:net";
import { isOrphan, live, port, say, trouble } from "./life.mjs";

live();
const server = createServer((socket) => {
  socket.on("error", () => undefined);
  socket.on("data", (bytes) => socket.end(String(bytes).startsWith("PING") ? "PONG\n" : "what?\n"));
});
server.listen(port, "127.0.0.1", () => say(`search listens on 127.0.0.1:${port}`));

await trouble(1.6);
say("waits for a lock that nobody gives back");
const lock = new Int32Array(new SharedArrayBuffer(4));
while (!isOrphan()) Atomics.wait(lock, 0, 0, 500);
process.exit(1);
