import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutLines, type Piece } from "./lines.ts";

const limits = { lineAt: undefined, last: false, lineBytesMax: 5, piecesMax: 100 };

function shown({ pieces, taken, lineAt }: ReturnType<typeof cutLines>): unknown {
  return { pieces: pieces.map(spell), taken, lineAt };
}

function spell(piece: Piece): string {
  const text = `${String(piece.at)}:${piece.bytes.toString()}`;
  return piece.kind === "line" ? text : `${text} of ${String(piece.lineAt)}`;
}

test.each([
  ["", { pieces: [], taken: 0, lineAt: undefined }],
  ["abc", { pieces: [], taken: 0, lineAt: undefined }],
  ["abc\n", { pieces: ["10:abc"], taken: 4, lineAt: undefined }],
  ["abc\nde", { pieces: ["10:abc"], taken: 4, lineAt: undefined }],
  ["\n \r\nab\r\n", { pieces: ["14:ab\r"], taken: 8, lineAt: undefined }],
  ["abcde\n", { pieces: ["10:abcde"], taken: 6, lineAt: undefined }],
  ["abcdef\nx\n", { pieces: ["10:abcdef of 10", "17:x"], taken: 9, lineAt: undefined }],
  ["a\nabcdefgh", { pieces: ["10:a", "12:abcdefgh of 12"], taken: 10, lineAt: 12 }],
])("%j at 10", (text, wanted) => {
  expect(shown(cutLines(Buffer.from(text), 10, limits))).toEqual(wanted);
});

describe("inside of a too long line", () => {
  test.each([
    ["abc", { pieces: ["10:abc of 3"], taken: 3, lineAt: 3 }],
    ["abc\nde\n", { pieces: ["10:abc of 3", "14:de"], taken: 7, lineAt: undefined }],
    ["\nde\n", { pieces: ["10: of 3", "11:de"], taken: 4, lineAt: undefined }],
  ])("%j", (text, wanted) => {
    expect(shown(cutLines(Buffer.from(text), 10, { ...limits, lineAt: 3 }))).toEqual(wanted);
  });
});

test("where nothing follows, the end ends the line", () => {
  expect(shown(cutLines(Buffer.from("a\nbc"), 0, { ...limits, last: true }))).toEqual({
    pieces: ["0:a", "2:bc"],
    taken: 4,
    lineAt: undefined,
  });
});

test("no more pieces than were asked for", () => {
  expect(shown(cutLines(Buffer.from("a\nb\nc\n"), 0, { ...limits, piecesMax: 2 }))).toEqual({
    pieces: ["0:a", "2:b"],
    taken: 4,
    lineAt: undefined,
  });
});

test("however it is read, every byte of every line that is not blank is told once, in order", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", " "), maxLength: 60 });
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(text, sizes, fc.integer({ min: 1, max: 4 }), (file, reads, piecesMax) => {
      const bytes = Buffer.from(file);
      const lines = new Map<number, string>();
      let from = 0;
      let lineAt: number | undefined;
      let size = 0;
      for (let read = 0; from < bytes.length; read += 1) {
        size += reads[read % reads.length]!;
        const chunk = bytes.subarray(from, from + size);
        const last = from + size >= bytes.length;
        const cut = cutLines(chunk, from, { lineAt, last, lineBytesMax: 5, piecesMax });
        for (const piece of cut.pieces) {
          const start = piece.kind === "part" ? piece.lineAt : piece.at;
          lines.set(start, (lines.get(start) ?? "") + piece.bytes.toString());
        }
        from += cut.taken;
        lineAt = cut.lineAt;
        if (cut.taken > 0) size = 0;
      }
      const wanted: [number, string][] = [];
      let at = 0;
      for (const line of file.split("\n")) {
        const blank = line.trim() === "";
        if (!blank) wanted.push([at, line]);
        // A line of blanks that is too long to be one is told as such.
        if (blank && lines.has(at)) wanted.push([at, line]);
        at += line.length + 1;
      }
      expect([...lines]).toEqual(wanted);
    }),
    { numRuns: 300 },
  );
});
