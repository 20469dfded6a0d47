/** UTF-8 and Base64, here and not from the host: the same source runs where there is no host. */

/** The bytes of a text; a lone surrogate becomes U+FFFD. */
export function utf8(text: string): readonly number[] {
  const bytes: number[] = [];
  for (const char of text) {
    const point = char.codePointAt(0) ?? 0;
    const code = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63));
      bytes.push(0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
  }
  return bytes;
}

/** The text of bytes; undefined where they are not UTF-8. */
export function fromUtf8(bytes: readonly number[]): string | undefined {
  const escaped = bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  try {
    return decodeURIComponent(escaped);
  } catch {
    return undefined;
  }
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function toBase64(bytes: readonly number[]): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [first = 0, second = 0, third = 0] = bytes.slice(at, at + 3);
    const left = bytes.length - at;
    out += alphabet.charAt(first >> 2) + alphabet.charAt(((first & 3) << 4) | (second >> 4));
    out += left > 1 ? alphabet.charAt(((second & 15) << 2) | (third >> 6)) : "=";
    out += left > 2 ? alphabet.charAt(third & 63) : "=";
  }
  return out;
}

/** Undefined where the text is not Base64. */
export function fromBase64(text: string): readonly number[] | undefined {
  const packed = text.replace(/[\t\n\r ]/g, "");
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) return undefined;
  const bytes: number[] = [];
  for (let at = 0; at < packed.length; at += 4) {
    const [a = 0, b = 0, c = -1, d = -1] = Array.from(packed.slice(at, at + 4), (char) =>
      alphabet.indexOf(char),
    );
    bytes.push((a << 2) | (b >> 4));
    if (c >= 0) bytes.push(((b & 15) << 4) | (c >> 2));
    if (c >= 0 && d >= 0) bytes.push(((c & 3) << 6) | d);
  }
  return bytes;
}

/** Percent-encoding of a URL's part; `-_.~` and what `safe` names stay. */
export function percentEncode(text: string, safe: string): string {
  return utf8(text)
    .map((byte) => {
      const char = String.fromCharCode(byte);
      const stays = /[A-Za-z0-9_.~-]/.test(char) || safe.includes(char);
      return stays ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}
