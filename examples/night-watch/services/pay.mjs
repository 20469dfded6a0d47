// The pay desk: answers over HTTP. After a while its pool of connections is used up, and more than
// half of its answers are errors, until it is started anew.
import { createServer } from "node:http";
import { live, port, say, trouble } from "./life.mjs";

live();
let leaked = false;
const server = createServer((_, response) => {
  response.setHeader("content-type", "text/plain");
  if (leaked && Math.random() < 0.6) {
    response.statusCode = 503;
    response.end("no connection is free\n");
  } else response.end("ok\n");
});
server.listen(port, "127.0.0.1", () => say(`pay listens on 127.0.0.1:${port}`));

await trouble(0.9);
say("the pool of connections leaks");
leaked = true;
