/** Looks for a secret in bytes that somebody wrote, whatever around it was escaped. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * What is looked for is the middle of a secret, of letters and digits alone: no way of escaping changes it,
 * so that what is found does not hang on knowing how it was written. Encoded, it is looked for as it is
 * at each offset that it can have.
 *
 * @param core at least 12 letters and digits.
 */
export function tracesOf(core: string): readonly Buffer[] {
  const bytes = Buffer.from(core);
  const traces = [core, bytes.toString("hex"), bytes.toString("hex").toUpperCase()];
  for (const offset of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(offset, "x"), bytes, Buffer.from("xxx")]).toString(
      "base64",
    );
    traces.push(text.slice(offset === 0 ? 0 : 4, -8));
  }
  return [
    ...traces.map((trace) => Buffer.from(trace)),
    Buffer.from(core, "utf16le"),
    Buffer.from(Buffer.from(core).reverse()),
  ];
}

/** One place in which something was written. */
export type Written = { readonly where: string; readonly bytes: Buffer };

/** `where: secret` for each that stands there. */
export function leaks(
  written: readonly Written[],
  cores: Readonly<Record<string, string>>,
): readonly string[] {
  return Object.entries(cores).flatMap(([name, core]) => {
    const traces = tracesOf(core);
    return written
      .filter(({ bytes }) => traces.some((trace) => bytes.includes(trace)))
      .map(({ where }) => `${where}: ${name}`);
  });
}

/** Every file of a folder, at any depth, as it is now. */
export function filesIn(folder: string): readonly Written[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { where: path.slice(folder.length + 1), bytes: readFileSync(path) };
    });
}
