/** The ways in which programs write a text. */

/** Shorter values are not looked for. */
export const secretCharsMin = 6;

/** A line of a long secret, as of a key, is a secret where it has this many characters. */
const lineCharsMin = 16;

/** The value, its lines, and every way in which programs commonly write them. */
export function formsOf(value: string): readonly string[] {
  const lines = value.split(/\r?\n/).filter((line) => line.length >= lineCharsMin);
  const parts = [value, value.trim(), ...lines.filter((line) => !line.startsWith("-----"))];
  const forms = new Set(parts.flatMap((part) => [part, ...written(part), ...encoded(part)]));
  return [...forms].filter((form) => form.length >= secretCharsMin);
}

/** Between quotes, and in markup. */
function written(value: string): readonly string[] {
  const json = inJson(value);
  const html = value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return [
    json,
    inJson(json),
    asAscii(json),
    value.replaceAll("\\", "\\\\").replaceAll("'", "\\'"),
    value.replaceAll("'", "'\\''"),
    html,
    html.replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
    html.replaceAll('"', "&#34;").replaceAll("'", "&#x27;"),
  ];
}

function encoded(value: string): readonly string[] {
  const bytes = Buffer.from(value, "utf8");
  const uri = encodeURIComponent(bytes.toString("utf8"));
  const form = new URLSearchParams([["", bytes.toString("utf8")]]).toString().slice(1);
  const hex = bytes.toString("hex");
  const base64 = [bytes.toString("base64"), ...[0, 1, 2].map((offset) => within(bytes, offset))];
  return [
    ...[uri, uri.replaceAll("%2F", "/"), form].flatMap((one) => [one, lowerEscapes(one)]),
    hex,
    hex.toUpperCase(),
    ...base64.flatMap((one) => [one, one.replaceAll("+", "-").replaceAll("/", "_")]),
  ];
}

/**
 * What all texts in base64 share that hold the bytes at this offset (modulo 3), as `user:password` does.
 * The bits that share a character with a neighbour are not part of it.
 */
function within(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  const first = Math.ceil((offset * 8) / 6);
  return text.slice(first, Math.floor(((offset + bytes.length) * 8) / 6));
}

function inJson(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

/** As Python's `json.dumps` writes what is not ASCII. */
function asAscii(json: string): string {
  return json.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function lowerEscapes(text: string): string {
  return text.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase());
}
