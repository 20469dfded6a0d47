import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { goldenText, historyOf, readGolden } from "./record.ts";
import { shapes } from "./shapes.ts";

const folder = fileURLToPath(new URL("recorded/", import.meta.url));
const files = readdirSync(folder).sort();

describe("recorded histories", () => {
  it("there is one for each shape, and no other", () => {
    expect(files).toEqual(
      Object.keys(shapes)
        .map((name) => `${name}.golden`)
        .sort(),
    );
  });

  it.each(files)("%s is decided as it was recorded, byte for byte", (file) => {
    const text = readFileSync(folder + file, "utf8");
    expect(goldenText(readGolden(text))).toBe(text);
  });

  it.each(Object.entries(shapes))("%s happens as it was recorded", (name, shape) => {
    const text = readFileSync(`${folder}${name}.golden`, "utf8");
    expect(goldenText(historyOf(shape))).toBe(text);
  });
});
