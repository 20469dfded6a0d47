/**
 * Follows a file of JSON lines.
 *
 * 1. Every complete line becomes one observation, or it stands whole in `event.rejected` with the reason:
 *    in one of them, or in parts of 32 KiB in a row. Blank lines are nothing.
 * 2. Where it stands is the newest `source.position` on the log, appended together with the lines up to
 *    there: a crash repeats nothing and leaves nothing out.
 * 3. A rotated file is read to its end before the new one is begun, also where it was renamed or copied
 *    while nobody looked; its end ends its last line. A truncated one is begun again.
 * 4. The last line waits until it ends.
 * 5. The file is looked at when the system says that it changed, and at an interval, as no system says
 *    so reliably. This is the one place where looking again and again is the mechanism. It need not be
 *    there yet.
 *
 * Not checked: a file that is rotated twice between two looks is not found again, and what is written to
 * a rotated file after the new one was begun is not read.
 */
import { watch, type FSWatcher } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { timestamp } from "../../base/clock.ts";
import type { JsonObject } from "../../base/json.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { Source, SourceContext } from "../source.ts";
import { hasLeft, identityOf, openFile, openFormer } from "./identity.ts";
import { cutLines, type Piece } from "./lines.ts";
import { mapLine, type LineMapping } from "./mapping.ts";

export type { LineMapping } from "./mapping.ts";

export type FileSourceOptions = {
  readonly name: string;
  readonly path: string;
  readonly mapping?: LineMapping;
  /** How often it is looked at without a hint, milliseconds. Default 1,000. */
  readonly intervalMs?: number;
  /** Longer lines are rejected, bytes. Default 64 KiB, at most 256 KiB. */
  readonly lineBytesMax?: number;
};

/** Where the reading stands. */
type Position = {
  /** Which file: empty until its first line is written. */
  readonly inode: string;
  readonly bytes: number;
  /** How many files came before it: tells equal lines of equal files apart. */
  readonly generation: number;
  /** Where the too long line begins that it stands in. */
  readonly lineAt: number | undefined;
};

const intervalMsDefault = 1_000;

const lineBytesMaxDefault = 64 * 1024;

const chunkBytes = 256 * 1024;

/** Lines one append takes at most. */
const linesMax = 500;

/** Raw input in one event, bytes: escaped as JSON it is six times that at worst, which a log takes. */
const rawBytesMax = 32 * 1024;

export function fileSource(options: FileSourceOptions): Source {
  const { name, path } = options;
  const entity = `source:${name}`;
  const lineBytesMax = Math.min(chunkBytes - 1, options.lineBytesMax ?? lineBytesMaxDefault);
  let handle: FileHandle | undefined;
  let position: Position = { inode: "", bytes: 0, generation: 0, lineAt: undefined };
  let reading: Promise<void> | undefined;
  let hinted = false;
  let stopped = false;
  let cancelTick: (() => void) | undefined;
  let watcher: FSWatcher | undefined;

  /** One look at a time; what is hinted meanwhile is one more look. */
  const look = (at: SourceContext): void => {
    if (stopped) return;
    hinted = true;
    reading ??= lookOn(at).finally(() => {
      reading = undefined;
      if (!stopped) {
        cancelTick = at.clock.after(options.intervalMs ?? intervalMsDefault, () => {
          look(at);
        });
      }
    });
  };

  const takeHint = (): boolean => {
    const was = hinted && !stopped;
    hinted = false;
    return was;
  };

  const lookOn = async (at: SourceContext): Promise<void> => {
    cancelTick?.();
    try {
      while (takeHint()) await catchUp(at);
    } catch (thrown) {
      at.warn(`Source ${name} cannot read ${path} and will try again`, { thrown });
    }
  };

  const catchUp = async (at: SourceContext): Promise<void> => {
    for (;;) {
      handle ??= await openFile(path);
      if (handle === undefined) return;
      const left = await hasLeft(path, handle);
      const identity = await identityOf(handle, left);
      const { size } = await handle.stat();
      const other = identity !== undefined && identity !== position.inode;
      if (position.inode !== "" && (other || size < position.bytes)) await finishFormer(at);
      if (identity !== undefined) {
        position = { ...position, inode: identity };
        await readToEnd(at, handle, left);
      }
      if (stopped || !left) return;
      await handle.close();
      handle = undefined;
      beginAgain();
    }
  };

  const beginAgain = (): void => {
    const generation = position.generation + 1;
    position = { inode: "", bytes: 0, generation, lineAt: undefined };
  };

  /** The file that it stood in is another now: what was left of it lies beside, or is gone. */
  const finishFormer = async (at: SourceContext): Promise<void> => {
    const former = await openFormer(path, position);
    if (former === undefined) {
      at.warn(`Source ${name} begins ${path} again: the former file is not beside it any more`);
    }
    try {
      if (former !== undefined) await readToEnd(at, former, true);
    } finally {
      await former?.close();
    }
    if (!stopped) beginAgain();
  };

  /** @param complete nothing will be written to it any more. */
  const readToEnd = async (
    at: SourceContext,
    file: FileHandle,
    complete: boolean,
  ): Promise<void> => {
    while (!stopped) {
      const { bytesRead, buffer } = await file.read(
        Buffer.alloc(chunkBytes),
        0,
        chunkBytes,
        position.bytes,
      );
      const chunk = buffer.subarray(0, bytesRead);
      const last = complete && bytesRead < chunkBytes;
      if (!(await take(at, chunk, { last, piecesMax: linesMax }))) return;
    }
  };

  /** Tells what the chunk holds; false where it holds nothing that is complete. */
  const take = async (
    at: SourceContext,
    chunk: Buffer,
    how: { readonly last: boolean; readonly piecesMax: number },
  ): Promise<boolean> => {
    const { lineAt, bytes } = position;
    const cut = cutLines(chunk, bytes, { ...how, lineAt, lineBytesMax });
    if (cut.taken === 0) return false;
    const next = { ...position, bytes: bytes + cut.taken, lineAt: cut.lineAt };
    const told = cut.pieces.flatMap((piece) => eventsOf(at, piece));
    try {
      await at.append([...told, positionEvent(at, next)]);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      const [piece, second] = cut.pieces;
      if (second !== undefined) {
        return take(at, chunk, { ...how, piecesMax: Math.ceil(cut.pieces.length / 2) });
      }
      if (piece === undefined) throw thrown;
      const attrs = {
        reason: `the log refused the line: ${thrown.message}`,
        left_out_bytes: piece.bytes.length,
      };
      await at.append([rejection(at, piece.at, attrs), positionEvent(at, next)]);
    }
    position = next;
    return true;
  };

  const eventsOf = (at: SourceContext, piece: Piece): readonly NewEvent[] => {
    if (piece.kind === "part") {
      const reason = `the line is longer than ${String(lineBytesMax)} bytes`;
      return rejections(at, piece, reason);
    }
    const mapped = mapLine(piece.bytes.toString("utf8"), {
      ...(options.mapping === undefined ? {} : { mapping: options.mapping }),
      source: { system: "file", ns: { component: name, path } },
      idempotencyKey: keyOf(piece.at),
    });
    return mapped.ok ? [mapped.value] : rejections(at, piece, mapped.error);
  };

  const keyOf = (offset: number): string =>
    `file/${name}/${String(position.generation)}/${position.inode}/${String(offset)}`;

  /** The whole piece, in as many events as it takes. */
  const rejections = (at: SourceContext, piece: Piece, reason: string): readonly NewEvent[] => {
    const lineAt = piece.kind === "part" ? piece.lineAt : piece.at;
    const events: NewEvent[] = [];
    for (let from = 0; from < piece.bytes.length; from += rawBytesMax) {
      const raw = piece.bytes.subarray(from, from + rawBytesMax);
      events.push(rejection(at, piece.at + from, { reason, ...rawOf(raw), line_offset: lineAt }));
    }
    return events;
  };

  const rejection = (at: SourceContext, offset: number, attrs: JsonObject): NewEvent => ({
    ...ownEvent(at, "event.rejected"),
    idempotency_key: `rejected/${keyOf(offset)}`,
    attrs: { ...attrs, file: path, byte_offset: offset },
  });

  const positionEvent = (at: SourceContext, next: Position): NewEvent => ({
    ...ownEvent(at, "source.position"),
    attrs: {
      path,
      inode: next.inode,
      bytes: next.bytes,
      generation: next.generation,
      ...(next.lineAt === undefined ? {} : { line_offset: next.lineAt }),
    },
  });

  const ownEvent = (at: SourceContext, type: string): NewEvent => ({
    ts: timestamp(at.clock.nowMs()),
    event_type: type,
    entity_id: entity,
    source: { system: "file", ns: { component: name, path } },
    tags: {},
    attrs: {},
  });

  return {
    name,
    start: async (at) => {
      const last = await at.newest(entity, ["source.position"]);
      if (last !== undefined) position = positionOf(last.attrs);
      try {
        watcher = watch(dirname(path), (_, changed) => {
          if (changed === null || changed === basename(path)) look(at);
        });
        watcher.on("error", () => watcher?.close());
      } catch {
        at.warn(`Source ${name} cannot watch ${dirname(path)}: it looks at an interval only`);
      }
      look(at);
    },
    stop: async () => {
      stopped = true;
      watcher?.close();
      cancelTick?.();
      await reading;
      await handle?.close();
      handle = undefined;
    },
  };
}

function positionOf(attrs: JsonObject): Position {
  const { inode, bytes, generation, line_offset: lineAt } = attrs;
  return {
    inode: typeof inode === "string" ? inode : "",
    bytes: typeof bytes === "number" ? bytes : 0,
    generation: typeof generation === "number" ? generation : 0,
    lineAt: typeof lineAt === "number" ? lineAt : undefined,
  };
}

/** Text where the bytes are text; Base64 otherwise, so that nothing is lost. */
function rawOf(bytes: Buffer): JsonObject {
  const text = bytes.toString("utf8");
  if (Buffer.from(text, "utf8").equals(bytes)) return { raw: text };
  return { raw: bytes.toString("base64"), encoding: "base64" };
}

/** The log will never take it, however often it is asked. */
function isRefusal(thrown: unknown): thrown is Error {
  return (
    thrown instanceof Error &&
    "code" in thrown &&
    (thrown.code === "too_large" || thrown.code === "invalid")
  );
}
