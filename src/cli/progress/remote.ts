/** The progress of an execution of a node, read through its API. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import type { Client, RecordView } from "../../client/client.ts";
import type { ProgressEvent } from "./model.ts";

/** Records that are asked for at one time. */
const pageMax = 1_000;

/** What is read of a record that the API shows. */
export function progressEventOf({ event }: RecordView): ProgressEvent {
  const { event_type, ts, tags, attrs } = event;
  return {
    event_type,
    ts,
    ...wordOf(event, "execution_id"),
    ...wordOf(event, "parent_execution_id"),
    ...wordOf(event, "action_id"),
    tags: isJsonObject(tags) ? tags : {},
    attrs: isJsonObject(attrs) ? attrs : {},
  };
}

function wordOf<Name extends string>(
  event: JsonObject,
  name: Name,
): { readonly [N in Name]?: string } {
  const value = event[name];
  return typeof value === "string" ? ({ [name]: value } as { readonly [N in Name]: string }) : {};
}

/** The events of an execution, oldest first. */
export async function threadOf(client: Client, id: string): Promise<readonly RecordView[]> {
  const records: RecordView[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.executionEvents(id, {
      limit: pageMax,
      ...(cursor === undefined ? {} : { cursor }),
    });
    records.push(...page.records);
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return records;
}

/** The events of an execution and of all its sub-playbooks, in the order of the log. */
export async function treeOf(client: Client, id: string): Promise<readonly RecordView[]> {
  const records = new Map<number, RecordView>();
  const open = [id];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    for (const record of await threadOf(client, next)) {
      records.set(record.offset, record);
      const { event } = record;
      const { execution_id: own, parent_execution_id: parent } = event;
      const child = event.event_type === "execution.requested" && parent === next;
      if (child && typeof own === "string") open.push(own);
    }
  }
  return [...records.values()].sort((left, right) => left.offset - right.offset);
}

/** The events of an execution and of all its sub-playbooks, and of others that it caused, as they come. */
export async function* followTree(
  client: Client,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<RecordView> {
  const { records } = await client.executionEvents(id, { limit: 1 });
  const [first] = records;
  if (first === undefined) return;
  yield first;
  const { correlation_id: given, event_id: own } = first.event;
  const correlation = typeof given === "string" ? given : own;
  yield* client.stream({ correlation_id: correlation }, { from: first.offset + 1, signal });
}
