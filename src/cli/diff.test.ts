import fc from "fast-check";
import { expect, it } from "vitest";
import { diffLines } from "./diff.ts";

const lines = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 6 });

it("gives back both texts where nothing is left out, and nothing where they are the same", () => {
  fc.assert(
    fc.property(lines, lines, (old, young) => {
      const diff = diffLines(old.join("\n"), young.join("\n"));
      const of = (marks: string) =>
        diff.filter((line) => marks.includes(line.charAt(0))).map((line) => line.slice(1));
      if (old.join("\n") === young.join("\n")) expect(diff).toEqual([]);
      else if (!diff.includes("…")) {
        expect(of(" -").join("\n")).toBe(old.join("\n"));
        expect(of(" +").join("\n")).toBe(young.join("\n"));
      }
    }),
  );
});
