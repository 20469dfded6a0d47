import { expect, test } from "vitest";
import { sha256Hex, sha256HexOfBytes } from "./hash.ts";

// Source: FIPS 180-4, example "abc"; the second one is its well-known empty digest.
test.each([
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
])("the digest of %j is the standard's", (text, digest) => {
  expect(sha256Hex(text)).toBe(digest);
});

test("a text is hashed as its UTF-8 bytes", () => {
  expect(sha256Hex("€")).toBe(sha256HexOfBytes(new Uint8Array([0xe2, 0x82, 0xac])));
});
