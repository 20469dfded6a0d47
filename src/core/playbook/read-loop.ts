import type { JsonObject } from "../../base/json.ts";
import type { Cursor, Loop } from "../playbook.ts";
import type { Member, Path, Reader } from "./reader.ts";
import { knownKeys } from "./schema.ts";

/** Iterations at one time, where a parallel loop or a cursor does not say. */
export const maxInFlightDefault = 64;

const modes = ["sequential", "parallel", "cursor", "async"] as const;

/** `loop` in all its forms; undefined where there is none, or none that could run. */
export function readLoop(reader: Reader, step: Member<JsonObject>, model: Path): Loop | undefined {
  const loop = reader.object(reader.member(step, "loop"));
  if (loop === undefined) return undefined;
  reader.keys(loop, knownKeys.loop, "a loop");
  reader.origin(model, loop.path);
  const spec = reader.object(reader.member(loop, "spec")) ?? { value: {}, path: loop.path };
  if (spec.path !== loop.path) reader.keys(spec, knownKeys.loopSpec, "a loop's spec");
  const cursor = reader.object(reader.member(loop, "cursor"));
  const given = reader.word(reader.member(spec, "mode") ?? reader.member(loop, "mode"), modes);
  const mode = given ?? (cursor === undefined ? "sequential" : "cursor");
  const iterator = readIterator(reader, loop);
  const limit = reader.member(spec, "max_in_flight") ?? reader.member(loop, "max_in_flight");
  const ownLimit = reader.number(limit, { least: 1, whole: true });
  const maxInFlight = mode === "sequential" ? 1 : (ownLimit ?? maxInFlightDefault);
  if (limit !== undefined) reader.origin([...model, "maxInFlight"], limit.path);
  if (mode === "sequential" && ownLimit !== undefined && ownLimit !== 1 && limit !== undefined) {
    reader.report({
      code: "ignored-key",
      path: limit.path,
      message: '"max_in_flight" has no effect: a sequential loop runs one iteration at a time',
      help: 'leave it out, or set "mode: parallel"',
      atKey: true,
    });
  }
  if (mode === "cursor") {
    const claims = readCursor(reader, { loop, cursor, spec, model });
    return claims && { iterator, maxInFlight, mode, cursor: claims };
  }
  const over = reader.spelled(loop, "in", "collection");
  if (over === undefined) {
    reader.report({
      code: "missing-key",
      path: loop.path,
      message: 'the loop has no "in"',
      help: 'name what it runs over, as in "in: {{ items }}"',
    });
    return undefined;
  }
  reader.origin([...model, "in"], over.path);
  return { iterator, maxInFlight, mode: mode === "async" ? "parallel" : mode, in: over.value };
}

function readIterator(reader: Reader, loop: Member<JsonObject>): string {
  const member = reader.spelled(loop, "iterator", "element");
  const name = reader.text(member) ?? "item";
  if (member !== undefined && !/^[A-Za-z_]\w*$/.test(name)) {
    reader.wrong(member, "a name of letters, digits and _");
  }
  return name;
}

type CursorSource = {
  readonly loop: Member<JsonObject>;
  readonly cursor: Member<JsonObject> | undefined;
  readonly spec: Member<JsonObject>;
  readonly model: Path;
};

function readCursor(
  reader: Reader,
  { loop, cursor, spec, model }: CursorSource,
): Cursor | undefined {
  if (cursor === undefined) {
    reader.report({
      code: "missing-key",
      path: loop.path,
      message: 'the loop has mode cursor and no "cursor"',
      help: "add cursor: {kind: postgres, auth: …, claim: …}",
    });
    return undefined;
  }
  reader.keys(cursor, knownKeys.cursor, "a cursor");
  const query = reader.spelled(cursor, "claim", "query", "command");
  if (query === undefined) {
    reader.required(cursor, "claim", "write the query that claims rows");
    return undefined;
  }
  const auth = reader.spelled(cursor, "auth", "credential");
  const database = reader.member(cursor, "database");
  const config: [string, Member][] = [["query", query]];
  if (auth !== undefined) config.push(["auth", auth]);
  if (database !== undefined) config.push(["database", database]);
  for (const [key, { path }] of config) {
    reader.origin([...model, "cursor", "config", key], path);
  }
  return {
    kind: reader.text(reader.member(cursor, "kind")) ?? "postgres",
    config: Object.fromEntries(config.map(([key, { value }]) => [key, value])),
    rowsMax: readFrame(reader, spec, model),
  };
}

function readFrame(reader: Reader, spec: Member<JsonObject>, model: Path): number | string {
  const frame = reader.object(reader.member(spec, "frame"));
  if (frame === undefined) return 1;
  reader.keys(frame, knownKeys.frame, "a frame");
  const process = reader.member(frame, "process");
  if (process !== undefined && process.value !== "row") {
    reader.report({
      code: "not-run",
      path: process.path,
      message: `"process: ${String(reader.text(process))}" of a frame is read, but not run: the body runs for each row`,
      help: 'write "process: row", and read one row in the body',
      atKey: true,
    });
  }
  const rows = reader.member(frame, "max_rows");
  if (rows !== undefined) reader.origin([...model, "cursor", "rowsMax"], rows.path);
  return reader.number(rows, { least: 1, whole: true }) ?? 1;
}
