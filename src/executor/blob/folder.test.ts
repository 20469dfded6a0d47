import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Json } from "../../base/json.ts";
import type { BlobRef, BlobStore } from "../executor.ts";
import { faultOf } from "../executor-contract.ts";
import { isBlobRef, readThrough, readThroughNow, storeValue } from "../blob.ts";
import { createFolderBlobs } from "./folder.ts";
import { createMemoryBlobs } from "./memory.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "deed-blobs-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const hello = new TextEncoder().encode("hello");

const helloSha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

function files(): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

describe.each([
  ["folder", () => createFolderBlobs(folder)],
  ["memory", () => createMemoryBlobs()],
] as const)("blobs in %s", (_, open: () => BlobStore) => {
  test("a blob is named by what it holds, and comes back byte for byte", async () => {
    const blobs = open();
    const ref = await blobs.put(hello);
    expect(ref).toEqual({ $ref: `blob:sha256:${helloSha}`, size: 5 });
    expect([...((await blobs.get(ref)) ?? [])]).toEqual([...hello]);
  });

  test("a blob that was never put is not there", async () => {
    const absent: BlobRef = { $ref: `blob:sha256:${"0".repeat(64)}`, size: 1 };
    expect(await open().get(absent)).toBeUndefined();
    expect(await faultOf(readThrough(open(), absent))).toMatchObject({ kind: "not_found" });
  });

  test("reading through references gives exactly the inline value, at any depth", async () => {
    const blobs = open();
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (drawn, other) => {
        const value = JSON.parse(JSON.stringify(drawn)) as Json;
        const beside = JSON.parse(JSON.stringify(other)) as Json;
        const ref = await storeValue(blobs, value);
        expect(isBlobRef(ref)).toBe(true);
        expect(await readThrough(blobs, ref)).toEqual(value);
        const deep = { a: [ref, beside], b: { c: ref } };
        const inline = { a: [value, beside], b: { c: value } };
        expect(await readThrough(blobs, deep)).toEqual(inline);
        const nested = await storeValue(blobs, deep);
        expect(await readThrough(blobs, nested)).toEqual(inline);
      }),
      { numRuns: 50 },
    );
  });
});

test.each([
  [{ $ref: `blob:sha256:${helloSha}`, size: 5 }, true],
  [{ $ref: `blob:sha256:${helloSha}` }, false],
  [{ $ref: `blob:sha256:${helloSha}`, size: 5, more: 1 }, false],
  [{ $ref: "blob:sha256:abc", size: 5 }, false],
  [{ $ref: "#/components/schemas/A", size: 5 }, false],
  [[`blob:sha256:${helloSha}`], false],
  [null, false],
])("%j is a reference: %s", (value, wanted) => {
  expect(isBlobRef(value)).toBe(wanted);
});

describe("1. whole or not at all", () => {
  test("nothing but the blob is in the folder once it is put", async () => {
    await createFolderBlobs(folder).put(hello);
    expect(files()).toEqual([helloSha]);
    expect(readFileSync(join(folder, "2c", helloSha), "utf8")).toBe("hello");
  });

  test("a write that cannot be done is a fault to try again, and leaves nothing", async () => {
    writeFileSync(join(folder, "2c"), "a file where the sub-folder should be");
    const error = await faultOf(createFolderBlobs(folder).put(hello));
    expect(error).toMatchObject({ kind: "unavailable", retryable: true });
    expect(files()).toEqual(["2c"]);
  });

  test("a file that cannot be moved into its place is not left aside", async () => {
    mkdirSync(join(folder, "2c", helloSha, "in the way"), { recursive: true });
    const error = await faultOf(createFolderBlobs(folder).put(hello));
    expect(error.kind).toBe("unavailable");
    expect(files()).toEqual([]);
  });

  test("many at one time that put the same bytes store one file", async () => {
    const blobs = createFolderBlobs(folder);
    await Promise.all(Array.from({ length: 20 }, () => blobs.put(hello)));
    expect(files()).toEqual([helloSha]);
  });
});

test("2. what is there already is not written again", async () => {
  const blobs = createFolderBlobs(folder);
  await blobs.put(hello);
  const { ino } = statSync(join(folder, "2c", helloSha));
  await blobs.put(hello);
  expect(statSync(join(folder, "2c", helloSha)).ino).toBe(ino);
});

test("2. a file that was cut short is made whole by putting the bytes again", async () => {
  const blobs = createFolderBlobs(folder);
  const ref = await blobs.put(hello);
  writeFileSync(join(folder, "2c", helloSha), "hell");
  await blobs.put(hello);
  expect([...((await blobs.get(ref)) ?? [])]).toEqual([...hello]);
});

test("3. a blob that was damaged is an error, never a value", async () => {
  const blobs = createFolderBlobs(folder);
  const ref = await blobs.put(hello);
  writeFileSync(join(folder, "2c", helloSha), "hullo");
  const error = await faultOf(blobs.get(ref));
  expect(error.kind).toBe("executor_error");
  expect(error.message).toMatch(new RegExp(`^Blob ${helloSha} is damaged: its bytes hash to `));
  expect((await faultOf(readThrough(blobs, ref))).message).toBe(error.message);
});

test("4. what is no reference is refused, and no path is made of it", async () => {
  const evil = { $ref: "blob:sha256:../../etc/passwd", size: 1 } as const;
  expect(await faultOf(createFolderBlobs(folder).get(evil))).toMatchObject({
    kind: "invalid_args",
  });
});

test("a value is read through its reference at once, at any depth, as it would have stood inline", async () => {
  const blobs = createFolderBlobs(folder);
  const rows = await storeValue(blobs, [{ n: 1 }]);
  const whole = await storeValue(blobs, { rows, kept: "007" });
  expect(readThroughNow(blobs, { deep: [whole] })).toEqual({
    deep: [{ rows: [{ n: 1 }], kept: "007" }],
  });
  const gone = { $ref: `blob:sha256:${"0".repeat(64)}`, size: 1 } as const;
  expect(readThroughNow(blobs, { gone })).toEqual({ gone });
  const plain = { a: [1, null] };
  expect(readThroughNow(blobs, plain)).toBe(plain);
});
