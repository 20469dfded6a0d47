/** How each type of PostgreSQL reads as JSON, from the text that the server sends. */
import type { Json } from "../../base/json.ts";
import type { BoundValue } from "../sql/bind.ts";
import { exactJson, exactNumber, finiteNumber, isoInstant, isoLocal } from "../sql/result.ts";

type Reader = (text: string) => Json;

/** `float4`, `float8`: the text is the value. */
const readFloat: Reader = (text) => finiteNumber(Number(text));

const readBytes: Reader = (text) =>
  text.startsWith("\\x") ? Buffer.from(text.slice(2), "hex").toString("base64") : text;

/** Reader, type, and the type of its arrays, as `pg_type` of every PostgreSQL numbers them. */
const readers: readonly (readonly [Reader, number, number])[] = [
  [(text) => text === "t", 16, 1000],
  [readBytes, 17, 1001],
  [exactNumber, 20, 1016],
  [exactNumber, 21, 1005],
  [exactNumber, 23, 1007],
  [exactNumber, 26, 1028],
  [exactJson, 114, 199],
  [readFloat, 700, 1021],
  [readFloat, 701, 1022],
  [isoLocal, 1114, 1115],
  [isoInstant, 1184, 1185],
  [exactNumber, 1700, 1231],
  [exactJson, 3802, 3807],
];

/** Types that stay text, whose arrays are lists: char, name, text, bpchar, varchar, date, time, timetz, interval, uuid. */
const textArrays = [1002, 1003, 1009, 1014, 1015, 1182, 1183, 1270, 1187, 2951];

const byType = new Map<number, Reader>([
  ...readers.map(([read, type]) => [type, read] as const),
  ...readers.map(([read, , array]) => [array, arrayOf(read)] as const),
  ...textArrays.map((array) => [array, arrayOf((text) => text)] as const),
]);

/** Everything else is text, as PostgreSQL prints it. */
export function readerOf(type: number): Reader {
  return byType.get(type) ?? ((text) => text);
}

function arrayOf(read: Reader): Reader {
  return (text) => readArray(text, read);
}

/** An array as PostgreSQL prints it: `{1,NULL,{"a b"}}`, where its bounds are not usual `[0:1]={1,2}`. */
function readArray(text: string, read: Reader): Json {
  const root: Json[] = [];
  const open: Json[][] = [root];
  const element = /\s*([{},]|"(?:[^"\\]|\\.)*"|[^{},"]+)/gsy;
  element.lastIndex = /^(?:\[[^=]*=)?/.exec(text)?.[0].length ?? 0;
  for (let found = element.exec(text); found !== null; found = element.exec(text)) {
    const token = found[1] ?? "";
    if (token === ",") continue;
    if (token === "}") {
      open.pop();
      continue;
    }
    if (token === "{") {
      const list: Json[] = [];
      open.at(-1)?.push(list);
      open.push(list);
      continue;
    }
    open.at(-1)?.push(readElement(token, read));
  }
  return root[0] ?? [];
}

function readElement(token: string, read: Reader): Json {
  if (token.startsWith('"')) return read(token.slice(1, -1).replace(/\\(.)/gs, "$1"));
  return token === "NULL" ? null : read(token);
}

/**
 * A parameter as the driver takes it: a list as an array of PostgreSQL, unless the query casts it to JSON;
 * a mapping as JSON.
 */
export function parameterOf({ value, json }: BoundValue): unknown {
  return json && Array.isArray(value) ? JSON.stringify(value) : value;
}
