/**
 * Follows a file of JSON lines.
 *
 * 1. Every complete line becomes one observation, or one `event.rejected` that holds it.
 * 2. Where it stands is the newest `source.position` on the log, appended together with the lines up to
 *    there: a crash repeats nothing and leaves nothing out.
 * 3. A rotated file is read to its end before the new one is begun; a truncated one is begun again.
 * 4. The file is looked at when the system says that it changed, and at an interval, as no system says
 *    so reliably. This is the one place where looking again and again is the mechanism.
 */
import { watch, type FSWatcher } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { timestamp } from "../../base/clock.ts";
import { sha256Hex } from "../../base/hash.ts";
import type { NewEvent } from "../../event/envelope.ts";
import type { Source, SourceContext } from "../source.ts";
import { mapLine, type LineMapping } from "./mapping.ts";

export type { LineMapping } from "./mapping.ts";

export type FileSourceOptions = {
  readonly name: string;
  readonly path: string;
  readonly mapping?: LineMapping;
  /** How often it is looked at without a hint, milliseconds. Default 1,000. */
  readonly intervalMs?: number;
  /** Longer lines are rejected, bytes. Default 64 KiB. */
  readonly lineBytesMax?: number;
};

/** Where the reading stands: which file, and how far in. */
type Position = { readonly inode: string; readonly bytes: number };

const intervalMsDefault = 1_000;

const lineBytesMaxDefault = 64 * 1024;

const chunkBytes = 256 * 1024;

/** Lines one append takes at most. */
const linesMax = 500;

export function fileSource(options: FileSourceOptions): Source {
  const { name, path } = options;
  const entity = `source:${name}`;
  const lineBytesMax = options.lineBytesMax ?? lineBytesMaxDefault;
  let context: SourceContext | undefined;
  let handle: FileHandle | undefined;
  let position: Position = { inode: "", bytes: 0 };
  let reading = Promise.resolve();
  let stopped = false;
  let cancelTick: (() => void) | undefined;
  let watcher: FSWatcher | undefined;

  const tick = (): void => {
    if (stopped || context === undefined) return;
    const at = context;
    cancelTick?.();
    cancelTick = undefined;
    reading = reading
      .then(() => catchUp(at))
      .catch((thrown: unknown) => {
        at.warn(`Source ${name} cannot read ${path} and will try again`, { thrown });
      })
      .then(() => {
        if (!stopped) cancelTick = at.clock.after(options.intervalMs ?? intervalMsDefault, tick);
      });
  };

  const catchUp = async (at: SourceContext): Promise<void> => {
    handle ??= await openFile(path);
    if (handle === undefined) return;
    const inode = await inodeOf(handle);
    const { size } = await handle.stat();
    if (inode !== position.inode || size < position.bytes) position = { inode, bytes: 0 };
    while (!stopped && (await readOn(at, handle))) continue;
    if (stopped || !(await rotated(path, position.inode))) return;
    await handle.close();
    handle = undefined;
    await catchUp(at);
  };

  /** Takes one chunk; true where there may be more. */
  const readOn = async (at: SourceContext, file: FileHandle): Promise<boolean> => {
    const { bytesRead, buffer } = await file.read(
      Buffer.alloc(chunkBytes),
      0,
      chunkBytes,
      position.bytes,
    );
    const chunk = buffer.subarray(0, bytesRead);
    const events: NewEvent[] = [];
    let end = 0;
    for (let lines = 0; lines < linesMax; lines += 1) {
      const newline = chunk.indexOf(10, end);
      if (newline < 0) break;
      const event = eventOf(at, chunk.subarray(end, newline), position.bytes + end);
      if (event !== undefined) events.push(event);
      end = newline + 1;
    }
    if (end === 0 && bytesRead === chunkBytes) {
      const reason = "the line has no end within the limit";
      const raw = chunk.subarray(0, 1_000);
      events.push(rejection(at, { raw, offset: position.bytes, reason }));
      end = bytesRead;
    }
    if (end === 0) return false;
    const next = { inode: position.inode, bytes: position.bytes + end };
    await at.append([...events, positionEvent(at, next)]);
    position = next;
    return true;
  };

  const eventOf = (at: SourceContext, line: Buffer, offset: number): NewEvent | undefined => {
    if (line.length === 0) return undefined;
    if (line.length > lineBytesMax) {
      const reason = `the line is ${String(line.length)} bytes, the limit is ${String(lineBytesMax)}`;
      return rejection(at, { raw: line.subarray(0, 1_000), offset, reason });
    }
    const text = line.toString("utf8");
    const mapped = mapLine(text, {
      ...(options.mapping === undefined ? {} : { mapping: options.mapping }),
      source: { system: "file", ns: { component: name, path } },
      idempotencyKey: keyOf(offset),
    });
    return mapped.ok ? mapped.value : rejection(at, { raw: line, offset, reason: mapped.error });
  };

  const keyOf = (offset: number): string => `file/${name}/${position.inode}/${String(offset)}`;

  const rejection = (
    at: SourceContext,
    { raw, offset, reason }: { raw: Buffer; offset: number; reason: string },
  ): NewEvent => ({
    ts: timestamp(at.clock.nowMs()),
    event_type: "event.rejected",
    entity_id: entity,
    idempotency_key: `rejected/${keyOf(offset)}`,
    source: { system: "file", ns: { component: name, path } },
    tags: {},
    attrs: { reason, raw: raw.toString("utf8"), file: path, byte_offset: offset },
  });

  const positionEvent = (at: SourceContext, next: Position): NewEvent => ({
    ts: timestamp(at.clock.nowMs()),
    event_type: "source.position",
    entity_id: entity,
    source: { system: "file", ns: { component: name, path } },
    tags: {},
    attrs: { path, inode: next.inode, bytes: next.bytes },
  });

  return {
    name,
    start: async (at) => {
      context = at;
      const last = await at.newest(entity, ["source.position"]);
      const { inode, bytes } = last?.attrs ?? {};
      if (typeof inode === "string" && typeof bytes === "number") position = { inode, bytes };
      try {
        watcher = watch(dirname(path), (_, changed) => {
          if (changed === null || changed === basename(path)) tick();
        });
        watcher.on("error", () => watcher?.close());
      } catch {
        at.warn(`Source ${name} cannot watch ${dirname(path)}: it looks at an interval only`);
      }
      tick();
    },
    stop: async () => {
      stopped = true;
      watcher?.close();
      cancelTick?.();
      await reading;
      await handle?.close();
    },
  };
}

async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

/** Bytes of its beginning that tell one file from another. */
const headBytes = 64;

/**
 * A file's identity: its inode and how its first line begins, as inodes are used again. Empty until
 * enough of that line is there, so that it never changes while the file grows.
 */
async function inodeOf(handle: FileHandle): Promise<string> {
  const { ino } = await handle.stat();
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  const newline = buffer.subarray(0, bytesRead).indexOf(10);
  if (newline < 0 && bytesRead < headBytes) return "";
  const head = buffer.subarray(0, newline < 0 ? headBytes : newline).toString("hex");
  return `${String(ino)}-${sha256Hex(head).slice(0, 8)}`;
}

async function rotated(path: string, inode: string): Promise<boolean> {
  try {
    const { ino } = await stat(path);
    return inode !== "" && !inode.startsWith(`${String(ino)}-`);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return false;
    throw thrown;
  }
}
