/** The text of a file or of a command's output, as members. */
import { isJsonObject, type JsonObject } from "../../base/json.ts";
import { readYaml } from "../../base/yaml.ts";
import { fault } from "../../event/error.ts";

/** `object`: JSON or YAML, a mapping. `value`: the text is one value, the member `value`. */
export type TextFormat = "object" | "value";

/** The longest text that holds a credential, bytes. */
export const textBytesMax = 1_048_576;

/**
 * @param what names the source, for messages; none of them holds any of the text.
 * @throws {Fault} `unprocessable` where it is empty or no mapping.
 */
export function membersOf(text: string, format: TextFormat, what: string): JsonObject {
  if (text.trim() === "") throw fault("unprocessable", `${what} is empty`);
  if (format === "value") return { value: text.replace(/\r?\n$/, "") };
  const { documents, problems } = readYaml(text);
  const [problem] = problems;
  if (problem !== undefined) {
    const place = `${String(problem.line)}:${String(problem.column)}`;
    throw fault("unprocessable", `${what} is neither JSON nor YAML at ${place}`);
  }
  const value = documents[0]?.value;
  if (documents.length === 1 && isJsonObject(value)) return value;
  throw fault("unprocessable", `${what} is no mapping of names to values`);
}
