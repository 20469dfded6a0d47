/**
 * A process that appends until it is killed: one line on stdout for each acknowledged append.
 *
 *     node --import tsx test/log/append-loop.ts <file> <name of this run>
 */
import { writeSync } from "node:fs";
import { openSqliteLog } from "../../src/log/sqlite/sqlite-log.ts";
import { rowStage, eventOf, requestOf } from "./fixture.ts";

const [, , path = "", run = ""] = process.argv;

const log = await openSqliteLog({
  path,
  clock: {
    nowMs: Date.now,
    after: () => () => undefined,
    soon: (task) => {
      setImmediate(task);
    },
  },
});
log.attach(
  rowStage(log, {
    step: ({ event }) => ({
      events:
        event.event_type === "job.failed"
          ? [{ ...eventOf({ type: "rule.fired" }), causation_id: event.event_id }]
          : [],
    }),
  }),
);

/** Written before the next append is asked for, so what the parent has read was acknowledged. */
function acknowledge(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function writer(name: string): Promise<never> {
  for (let at = 0; ; at += 1) {
    const key = `${run}/${name}/${String(at)}`;
    const attrs = { command: "noop", text: "x".repeat(200 + (at % 7) * 400) };
    const batch = [eventOf({ key: `${key}/seen`, attrs }), requestOf(`${key}/act`, { attrs })];
    acknowledge({ key, receipts: await log.append(batch) });
  }
}

await Promise.all(["a", "b", "c", "d"].map(writer));
