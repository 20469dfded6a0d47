// The shop: answers over HTTP, and crashes now and then. One in four times it crashes again right
// after it was started anew, which is what a cool-down is for.
import { createServer } from "node:http";
import { live, port, say, trouble } from "./life.mjs";

live();
const basket = { items: [{ price: 3 }] };
const server = createServer((request, response) => {
  response.setHeader("content-type", "text/plain");
  response.end(request.url === "/healthz" ? "ok\n" : `${basket.items[0].price} coins\n`);
});
server.listen(port, "127.0.0.1", () => say(`shop listens on 127.0.0.1:${port}`));

await trouble(Math.random() < 0.25 ? 0.05 : 1);
say("a basket without items comes along");
basket.items = [];
setImmediate(() => say(basket.items[0].price));
