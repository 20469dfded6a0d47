/** Frames between the node and a Python worker: a length (4 bytes, big endian) and JSON in UTF-8. */
import { isJsonObject, type Json, type JsonObject } from "../../base/json.ts";

/** What a worker says of one request, in this order: `begun`, then one of three ends, then `free`. */
export type Reply =
  /** From here on something may have been done. */
  | { readonly kind: "begun" }
  | { readonly kind: "done"; readonly result: Json }
  /** The code ended well, and what it gave cannot be a result. */
  | { readonly kind: "refused"; readonly message: string }
  | {
      readonly kind: "error";
      readonly type: string;
      readonly message: string;
      readonly traceback: string;
      /** In the code, from 1. */
      readonly line: number | null;
    }
  /** It waits for the next request; `retire`: it should not get one. */
  | { readonly kind: "free"; readonly retire: boolean };

const headBytes = 4;

export function frameOf(message: JsonObject): Buffer {
  const body = Buffer.from(JSON.stringify(message), "utf8");
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

/**
 * Makes the reader of one worker's replies.
 *
 * @returns takes bytes as they come, and gives the replies that are whole; `undefined` where what came is
 * no reply: nothing after it can be trusted.
 */
export function createReplyReader(
  bodyBytesMax: number,
): (chunk: Buffer) => readonly Reply[] | undefined {
  let chunks: Buffer[] = [];
  let size = 0;
  let wanted = headBytes;
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size < wanted) return [];
    let bytes = Buffer.concat(chunks);
    const replies: Reply[] = [];
    for (wanted = headBytes; bytes.length >= wanted;) {
      const bodyBytes = bytes.readUInt32BE();
      if (bodyBytes > bodyBytesMax) return undefined;
      wanted = headBytes + bodyBytes;
      if (bytes.length < wanted) break;
      const reply = replyOf(bytes.subarray(headBytes, wanted));
      if (reply === undefined) return undefined;
      replies.push(reply);
      bytes = bytes.subarray(wanted);
      wanted = headBytes;
    }
    chunks = [bytes];
    size = bytes.length;
    return replies;
  };
}

function replyOf(body: Buffer): Reply | undefined {
  let message: unknown;
  try {
    message = JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
  if (!isJsonObject(message)) return undefined;
  const { kind, type, message: text, traceback, line, result, retire } = message;
  switch (kind) {
    case "begun":
      return { kind };
    case "free":
      return { kind, retire: retire === true };
    case "done":
      return { kind, result: result ?? null };
    case "refused":
      return { kind, message: textOf(text) };
    case "error":
      return {
        kind,
        type: textOf(type),
        message: textOf(text),
        traceback: textOf(traceback),
        line: typeof line === "number" ? line : null,
      };
    default:
      return undefined;
  }
}

function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
