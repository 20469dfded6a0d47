/**
 * `artifact`: values kept aside, named by what they hold.
 *
 * 1. `put` gives `{uri, size, sha256}`: the same value has the same uri, so putting it again changes nothing.
 *    The uri is a text, which nobody takes for the value that it stands for.
 * 2. `get` by a uri, by what `put` gave, or by a reference in a large result's place gives exactly that value.
 * 3. A uri can be made only by one who knows the value: it is no secret, and no tenant lists another's.
 */
import Type, { type Static } from "typebox";
import { isJsonObject, type Json } from "../../base/json.ts";
import { fault } from "../../event/error.ts";
import { isBlobRef, readThrough, storeValue } from "../blob.ts";
import type { BlobRef, BlobStore, Executor } from "../executor.ts";

const argsSchema = Type.Object(
  {
    action: Type.Union([Type.Literal("put"), Type.Literal("get")]),
    /** put: the value. Default `input.data`, else all of `input`. */
    data: Type.Optional(Type.Unknown()),
    /** get: a uri, or what `put` gave. Default `input.ref`, `input.uri` or `input.result_ref`. */
    ref: Type.Optional(Type.Unknown()),
    /** Same as `ref`. */
    uri: Type.Optional(Type.Unknown()),
    input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    /** It is, whatever is said. */
    idempotent: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
);

type ArtifactArgs = Static<typeof argsSchema>;

const uriPattern = /^blob:sha256:([0-9a-f]{64})$/;

export function createArtifact(blobs: BlobStore): Executor {
  return {
    command: "artifact",
    description: "Keeps a value aside and names it by a uri (put), or gives it back (get)",
    argsSchema,
    idempotent: () => true,
    concurrency: 64,
    timeoutMs: 60_000,
    execute: async (args, { signal }) => {
      if (signal.aborted) throw fault("cancelled", "The artifact call was ended before it began");
      const call = args as ArtifactArgs;
      return call.action === "put" ? put(blobs, call) : readThrough(blobs, refOf(call));
    },
  };
}

async function put(blobs: BlobStore, { data, input }: ArtifactArgs): Promise<Json> {
  const value = [data, input?.["data"], input].find((one) => one !== undefined) as Json | undefined;
  if (value === undefined) {
    throw fault("invalid_args", "Cannot put an artifact as the call has neither data nor input");
  }
  const { $ref: uri, size } = isBlobRef(value) ? value : await storeValue(blobs, value);
  return { uri, size, sha256: uri.slice("blob:sha256:".length) };
}

/** @throws {Fault} `invalid_args` where the call names none. */
function refOf({ ref, uri, input }: ArtifactArgs): BlobRef {
  const named = ref ?? uri ?? input?.["ref"] ?? input?.["uri"] ?? input?.["result_ref"];
  const found = isJsonObject(named) ? (named["$ref"] ?? named["uri"]) : named;
  const text = typeof found === "string" ? found : "";
  if (uriPattern.test(text)) {
    // The store reads by the name alone: how large the blob is, it knows better than whoever asks.
    return { $ref: text as BlobRef["$ref"], size: 0 };
  }
  const given = found === undefined || found === null ? "none is given" : "this is none";
  throw fault(
    "invalid_args",
    `Cannot get an artifact without its uri, as in blob:sha256:<64 hex digits>: ${given}`,
  );
}
