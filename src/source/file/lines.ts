/** Cuts what was read from a file into lines. */

/** Something to tell: a whole line, or a piece of one that is too long to be a line. */
export type Piece =
  | { readonly kind: "line"; readonly at: number; readonly bytes: Buffer }
  | {
      readonly kind: "part";
      readonly at: number;
      readonly bytes: Buffer;
      /** Where the line that it is a part of begins. */
      readonly lineAt: number;
    };

export type Cut = {
  readonly pieces: readonly Piece[];
  /** How many bytes of the chunk they take. What is left waits for its end. */
  readonly taken: number;
  /** Where the too long line begins that goes on behind what was taken. */
  readonly lineAt: number | undefined;
};

/**
 * @param chunk what was read at `from`, in bytes from the file's begin.
 * @param how `lineAt`: `chunk` begins inside of a too long line. `last`: nothing follows the chunk, so
 *   its end ends a line.
 */
export function cutLines(
  chunk: Buffer,
  from: number,
  how: {
    readonly lineAt: number | undefined;
    readonly last: boolean;
    readonly lineBytesMax: number;
    readonly piecesMax: number;
  },
): Cut {
  const pieces: Piece[] = [];
  let { lineAt } = how;
  let taken = 0;
  while (taken < chunk.length && pieces.length < how.piecesMax) {
    const newline = chunk.indexOf(10, taken);
    const end = newline < 0 ? chunk.length : newline;
    const bytes = chunk.subarray(taken, end);
    const tooLong = lineAt !== undefined || bytes.length > how.lineBytesMax;
    const ended = newline >= 0 || how.last;
    if (!ended && !tooLong) break;
    const at = from + taken;
    if (tooLong) {
      lineAt ??= at;
      pieces.push({ kind: "part", at, bytes, lineAt });
    } else if (!isBlank(bytes)) pieces.push({ kind: "line", at, bytes });
    if (ended) lineAt = undefined;
    taken = newline < 0 ? end : end + 1;
  }
  return { pieces, taken, lineAt };
}

function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 13 || byte === 32 || byte === 9);
}
