import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { Json, JsonObject } from "../../base/json.ts";
import { sha256Hex } from "../../base/hash.ts";
import { createFolderBlobs } from "../blob/folder.ts";
import { createMemoryBlobs } from "../blob/memory.ts";
import { readThrough, storeValue } from "../blob.ts";
import { contextOf, errorOf, executorContract, faultOf } from "../executor-contract.ts";
import { createArtifact } from "./artifact.ts";

const value = { rows: [1, "ü", null] };
const sha256 = sha256Hex(JSON.stringify(value));
const uri = `blob:sha256:${sha256}`;
const absent = `blob:sha256:${"0".repeat(64)}`;

const folder = mkdtempSync(join(tmpdir(), "deed-artifact-"));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

executorContract(
  "artifact",
  () => {
    const refused = (name: string, args: JsonObject) =>
      ({ name, args, kind: "invalid_args", retryable: false }) as const;
    return Promise.resolve({
      executor: createArtifact(createFolderBlobs(folder)),
      works: {
        args: { action: "put", data: value, input: {} },
        result: { uri, size: 22, sha256 },
      },
      fails: [
        {
          name: "no such artifact",
          args: { action: "get", uri: absent },
          kind: "not_found",
          retryable: false,
        },
        refused("no uri", { action: "get" }),
        refused("a uri that a template did not find", { action: "get", input: { ref: null } }),
        refused("what is no uri", { action: "get", ref: "blob:sha256:12" }),
        refused("nothing to put", { action: "put" }),
      ],
      promises: [
        { args: { action: "put", data: 1 }, idempotent: true },
        { args: { action: "get", uri }, idempotent: true },
      ],
      close: () => Promise.resolve(),
    });
  },
  "brief",
);

describe("what is put is got back", () => {
  const blobs = createMemoryBlobs();
  const artifact = createArtifact(blobs);
  const call = (args: JsonObject): Promise<Json> => artifact.execute(args, contextOf());

  test("exactly, whatever it is, by what put gave and by its uri", async () => {
    const all = fc.jsonValue().map((one) => JSON.parse(JSON.stringify(one)) as Json);
    await fc.assert(
      fc.asyncProperty(all, async (data) => {
        const kept = (await call({ action: "put", input: { data } })) as JsonObject;
        expect(await call({ action: "get", ref: kept })).toEqual(data);
        expect(await call({ action: "get", uri: kept["uri"] ?? null })).toEqual(data);
      }),
    );
  });

  test("the result of put stays what it is where references are read through", async () => {
    const kept = await call({ action: "put", data: value });
    expect(await readThrough(blobs, kept)).toEqual({ uri, size: 22, sha256 });
  });

  test("under each of the words that playbooks have for it", async () => {
    await call({ action: "put", data: value });
    for (const args of [
      { ref: uri },
      { uri },
      { input: { ref: uri } },
      { input: { uri } },
      { input: { result_ref: uri } },
      { input: { result_ref: { $ref: uri, size: 22 } } },
    ]) {
      expect(await call({ action: "get", ...args })).toEqual(value);
    }
  });

  test("all of the input is put where nothing else is named", async () => {
    expect(await call({ action: "put", input: value })).toEqual({ uri, size: 22, sha256 });
  });

  test("a reference is put as what it stands for", async () => {
    const reference = await storeValue(blobs, value);
    expect(await call({ action: "put", data: reference })).toEqual({ uri, size: 22, sha256 });
  });

  test("an artifact that is gone is named; a call that is not wanted any more does nothing", async () => {
    expect(await errorOf(artifact, { action: "get", uri: absent })).toEqual({
      kind: "not_found",
      message: `There is no blob ${absent}`,
      retryable: false,
    });
    const put = artifact.execute(
      { action: "put", data: "unwanted" },
      contextOf(AbortSignal.abort()),
    );
    expect((await faultOf(put)).kind).toBe("cancelled");
    const unwanted = `blob:sha256:${sha256Hex('"unwanted"')}`;
    expect((await errorOf(artifact, { action: "get", uri: unwanted })).kind).toBe("not_found");
  });
});
