/** Events as people read them one below the other: offset, time, and how long after the one before. */
import type { RecordView } from "../client/client.ts";
import { spellMs, text, type Terminal } from "./terminal.ts";
import { told } from "./told.ts";

export function timelineLines(
  terminal: Terminal,
  records: readonly RecordView[],
): readonly string[] {
  let lastMs: number | undefined;
  return records.map(({ event, offset }) => {
    const atMs = Date.parse(event.ts);
    const gap = lastMs === undefined ? "" : `+${spellMs(Math.max(0, atMs - lastMs))}`;
    lastMs = atMs;
    const attempt = event["attempt"] === undefined ? "" : `#${text(event["attempt"])}`;
    const time = terminal.paint(
      "grey",
      `${String(offset).padStart(7)} ${event.ts.slice(11, 23)} ${gap.padStart(9)}`,
    );
    return `${time}  ${event.event_type.padEnd(20)} ${attempt.padEnd(3)} ${told(event)}`;
  });
}
