import type { Command } from "commander";
import type { RecordView, StreamFilter } from "../../client/client.ts";
import { wholeFlag, type Context } from "../context.ts";
import { text, type Terminal } from "../terminal.ts";
import { told } from "../told.ts";

type TailOptions = {
  readonly topic?: string;
  readonly type?: string;
  readonly entity?: string;
  readonly action?: string;
  readonly from?: number;
};

/** `deed tail`: follows the log until it is stopped; a lost connection is taken up again. */
export function tailCommand(program: Command, context: Context): void {
  program
    .command("tail")
    .description("follow the log")
    .option("--topic <topics>", "comma-separated")
    .option("--type <type>", "event type, * at the end for any rest")
    .option("--entity <id>", "about this entity")
    .option("--action <id>", "of this action")
    .option("--from <offset>", "begin here instead of now", wholeFlag)
    .addHelpText("after", '\nExample: deed tail --type "action.*" --from 1 --json')
    .action(async (options: TailOptions, command: Command) => {
      const terminal = context.terminalOf(command);
      const signal = context.io.stopAsked();
      const filter: StreamFilter = {
        ...(options.topic === undefined ? {} : { topic: options.topic }),
        ...(options.type === undefined ? {} : { type: options.type }),
        ...(options.entity === undefined ? {} : { entity_id: options.entity }),
        ...(options.action === undefined ? {} : { action_id: options.action }),
      };
      const from = options.from === undefined ? {} : { from: options.from };
      const stream = context.clientOf(command).stream(filter, { ...from, signal });
      for await (const record of stream) terminal.result(record, () => line(terminal, record));
    });
}

const colours = [
  ["action.succeeded", "green"],
  ["action.failed", "red"],
  ["action.dead_lettered", "red"],
  ["probe.down", "red"],
  ["probe.up", "green"],
  ["probe.degraded", "red"],
  ["rule.fired", "bold"],
  ["action.retrying", "yellow"],
  ["action.deferred", "yellow"],
] as const;

function line(terminal: Terminal, { offset, event }: RecordView): string {
  const { ts, event_type: type, entity_id: entity } = event;
  const colour = colours.find(([name]) => name === type)?.[1];
  const shown = colour === undefined ? type.padEnd(22) : terminal.paint(colour, type.padEnd(22));
  const at = terminal.paint("grey", `${String(offset).padStart(7)} ${ts.slice(11, 23)}`);
  return `${at} ${shown} ${text(entity).padEnd(24)} ${told(event)}`;
}
