// Receives notifications and shows them: `POST /` takes one, `GET /` shows the newest first. A repeat
// of an idempotency key is told from a new one. For the first quarter of every fourth minute it is
// closed for maintenance: what cannot be delivered then ends in the dead-letter queue.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pidOf } from "../processes.mjs";
import { data, isOrphan, live, port, say } from "./life.mjs";

const keptMax = 200;

const bytesMax = 64 * 1024;

const file = join(data, "webhook.jsonl");

const got = existsSync(file)
  ? readFileSync(file, "utf8").trim().split("\n").filter(Boolean).slice(-keptMax).map(readLine)
  : [];

function readLine(line) {
  return JSON.parse(line);
}

/** Where no trouble is wanted, it is open all the time. */
function closed() {
  if (Number(process.env.NIGHT_WATCH_TROUBLE ?? 60) <= 0) return false;
  const now = new Date();
  return now.getMinutes() % 4 === 3 && now.getSeconds() < 15;
}

async function bodyOf(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > bytesMax) throw new Error("the body is too large");
  }
  return JSON.parse(text);
}

async function take(request) {
  if (closed()) return { status: 503, answer: "closed for maintenance\n" };
  const key = request.headers["idempotency-key"] ?? "";
  const body = await bodyOf(request);
  if (got.some((one) => one.key === key)) return { status: 200, answer: "had it already\n" };
  const one = { at: new Date().toISOString(), key, ...body };
  got.push(one);
  if (got.length > keptMax) got.shift();
  appendFileSync(file, `${JSON.stringify(one)}\n`);
  say(`got: ${one.text}`);
  return { status: 202, answer: "thank you\n" };
}

function show(request) {
  if (request.headers.accept?.includes("application/json") === true) {
    return { status: 200, answer: `${JSON.stringify(got)}\n` };
  }
  const lines = got.map((one) => `${one.at}  ${one.text}`).reverse();
  return { status: 200, answer: `${lines.join("\n") || "nothing yet"}\n` };
}

// Where the night-watch was killed, the node must not go on alone: it would repair what ends by itself.
live(() => {
  const node = isOrphan() ? pidOf(data, "deed") : undefined;
  if (node !== undefined) process.kill(node, "SIGTERM");
});
createServer((request, response) => {
  const answered = request.method === "POST" ? take(request) : Promise.resolve(show(request));
  answered
    .catch((thrown) => ({ status: 400, answer: `${thrown.message}\n` }))
    .then(({ status, answer }) => {
      const json = answer.startsWith("[") ? "application/json" : "text/plain; charset=utf-8";
      response.writeHead(status, { "content-type": json });
      response.end(answer);
    });
}).listen(port, "127.0.0.1", () => say(`webhook listens on 127.0.0.1:${port}`));
